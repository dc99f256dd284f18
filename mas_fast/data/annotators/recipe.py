"""An annotator and its options as text, from which each worker makes it.

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
    """An annotator and its options.

    Attributes:
        name: one of `annotators.NAMES`, or MODULE:CLASS, an `Annotator`.
        options: its keyword arguments. `device` tells whether it needs a GPU.
    """

    name: str
    options: tuple[tuple[str, object], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Parse a recipe.

        Args:
            text: NAME KEY=VALUE ..., split as in a shell. A value in JSON is parsed; any other is a
                string.

        Returns:
            The recipe.

        Raises:
            ValueError: for an unknown name or another form of text.
        """
        try:
            name, *words = shlex.split(text) or [""]
        except ValueError as error:
            raise ValueError(f"annotator: found {text!r} ({error})") from error
        if name not in annotators.NAMES and ":" not in name:
            expected = f"expected {', '.join(annotators.NAMES)} or MODULE:CLASS"
            raise ValueError(f"annotator: found {name!r}, {expected}")
        options: dict[str, object] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not (equals and key.isidentifier()) or key in options:
                raise ValueError(f"annotator {name}: found {word!r}, expected KEY=VALUE, each once")
            options[key] = _value(value)
        return cls(name, tuple(options.items()))

    def describe(self) -> dict:
        """Return, for the manifest, everything that its result depends on."""
        return {"name": self.name, "options": dict(self.options)}

    @property
    def device(self) -> str:
        """The device of the annotator: "cuda" or "cpu"."""
        return str(dict(self.options).get("device", "cpu")).partition(":")[0]

    def make(self) -> Annotator:
        """Make the annotator.

        Returns:
            The annotator.

        Raises:
            ValueError: if the class is missing or no `Annotator`, if it does not take the options,
                and as its constructor says.
        """
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
