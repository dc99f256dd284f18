"""Which annotator, with which options, as text: it is made from that in each worker.

Recipe.parse("schp weights=exp-schp-lip.pth device=cuda").make()
Recipe.parse("my_package.mine:MyAnnotator threshold=0.5 crops=true").make()
"""

from __future__ import annotations

import importlib
import shlex
from dataclasses import dataclass

from mas_fast.data import annotators
from mas_fast.data.annotators.base import Annotator
from mas_fast.utils.documents import parse_json


@dataclass(frozen=True)
class Recipe:
    """name: one of annotators.NAMES, or MODULE:CLASS, an Annotator. options: its keyword arguments;
    `device` says, for those on a GPU, that they need one."""

    name: str
    options: tuple[tuple[str, object], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """NAME KEY=VALUE ..., split as a shell does; a value that is JSON is that, else a string.
        ValueError for an unknown name, or for what is no such text."""
        try:
            name, *words = shlex.split(text) or [""]
        except ValueError as error:
            raise ValueError(f"annotator: found {text!r} ({error})") from error
        if name not in annotators.NAMES and ":" not in name:
            expected = f"expected {', '.join(annotators.NAMES)} or MODULE:CLASS"
            raise ValueError(f"annotator: found {name!r}, {expected}")
        options = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not (equals and key.isidentifier()) or key in options:
                raise ValueError(f"annotator {name}: found {word!r}, expected KEY=VALUE, each once")
            options[key] = _value(value)
        return cls(name, tuple(options.items()))

    def describe(self) -> dict:
        """For the manifest: all that its result depends on."""
        return {"name": self.name, "options": dict(self.options)}

    @property
    def device(self) -> str:
        """ "cuda" or "cpu"."""
        return str(dict(self.options).get("device", "cpu")).partition(":")[0]

    def make(self) -> Annotator:
        """The annotator. ValueError for a class that is not there or is no Annotator, for options
        that it does not take, and as the annotator says."""
        options = dict(self.options)
        if ":" not in self.name:
            return annotators.make(self.name, **options)
        module, _, name = self.name.partition(":")
        try:
            kind = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"annotator {self.name}: {error}") from error
        if not (isinstance(kind, type) and issubclass(kind, Annotator)):
            raise ValueError(f"annotator {self.name}: found {kind!r}, expected an Annotator")
        try:
            return kind(**options)
        except TypeError as error:
            raise ValueError(f"annotator {self.name}: {error}") from error


def _value(text: str) -> object:
    try:
        return parse_json(text, "value", object)
    except ValueError:
        return text
