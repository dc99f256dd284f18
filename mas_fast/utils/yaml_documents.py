"""YAML that nobody has checked: plain values, or a ValueError.

    values = read_yaml("configs/gpt-mini.yaml")
    value = parse_yaml("[1, 2]", "--model.ch_mult")

What comes out is what JSON could hold: mappings with distinct keys, lists, strings, numbers,
booleans, null. Dates stay text, and every other tag is refused, Python's above all. An alias (`*a`)
stands for a copy, and a few hundred bytes of them for more values than any memory holds; so the
values are counted as if they were written out, before any is made.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from mas_fast.utils.documents import DEPTH, short

MOST_BYTES = 1 << 18  # seconds of PyYAML; configs have a few thousand
MOST_VALUES = 20_000  # aliases written out, a text for each 32 of its characters too


def read_yaml(file: str | os.PathLike, loader: type[PlainLoader] | None = None) -> object:
    """Read the value of a YAML file.

    Args:
        file: the file.
        loader: as in `parse_yaml`.

    Returns:
        The value; None of an empty file.

    Raises:
        ValueError: naming the file, if it is not there or has more than MOST_BYTES, and as in
            `parse_yaml`.
    """
    file = Path(file)
    try:
        if (size := file.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{file}: found {size} bytes, expected at most {MOST_BYTES}")
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file}: found no readable YAML: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: found no readable YAML: {error}; expected UTF-8") from error
    return parse_yaml(text, str(file), loader)


def parse_yaml(text: str, name: str, loader: type[PlainLoader] | None = None) -> object:
    """Parse a YAML text.

    Args:
        text: the text.
        name: what the error begins with.
        loader: PlainLoader, or one that knows more tags; None takes PlainLoader.

    Returns:
        The value.

    Raises:
        ValueError: if the text is broken, has a key twice or a tag of more than plain values, is
            nested deeper than DEPTH, or stands for more than MOST_VALUES values.
    """
    try:
        return yaml.load(text, loader or PlainLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: found no readable YAML: {_reason(error)}") from error
    # An explicit tag whose text is unfit, as `!!int ""`: PyYAML does not expect it.
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise ValueError(f"{name}: found no readable YAML: {error!r:.200}") from error


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader of plain values, with bounds."""

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self._depth, self._count = 0, 0
        # Of the nodes that are whole: how many values each stands for.
        self._counts: dict[yaml.Node | None, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event, before = self.peek_event(), self._count
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if node not in self._counts:
                raise _error(f"found *{str(event.anchor)[:80]} inside what it names", event)
            self._count += self._counts[node]
        else:
            self._count += 1 + len(getattr(event, "value", "")) // 32
            self._depth += 1
            if self._depth > DEPTH:
                raise _error(f"found values nested deeper than {DEPTH}", event)
            node = super().compose_node(parent, index)
            self._depth -= 1
            self._counts[node] = self._count - before
        if self._count > MOST_VALUES:
            raise _error(f"found more than {MOST_VALUES} values", event)
        return node

    def construct_scalar(self, node: Any) -> str:
        text = super().construct_scalar(node)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            problem = f"found the lone surrogate {text[error.start]!r}"
            raise _error(problem, node) from error
        return text

    def construct_yaml_int(self, node: Any) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) >= 1 << 64:
            raise _error("found an integer of more than 64 bits", node)
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        """Refuse a key that comes twice; not one beside the same key of `<<`, which is for that."""
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise _error(f"found the key {short(key)} twice", key_node)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def _plain(loader: type[PlainLoader]) -> None:
    """Only what JSON has too."""
    kinds = ("null", "bool", "int", "float", "str", "seq", "map")
    known = {f"tag:yaml.org,2002:{kind}" for kind in kinds} | {None}
    loader.yaml_constructors = {
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag in known
    }
    dates = "tag:yaml.org,2002:timestamp"
    loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != dates]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    loader.yaml_constructors["tag:yaml.org,2002:int"] = loader.construct_yaml_int


_plain(PlainLoader)


def _error(problem: str, origin: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    mark: Any = origin.start_mark  # that of the C parser too, which reads the same
    return yaml.MarkedYAMLError(None, None, problem, mark)


def _reason(error: yaml.YAMLError) -> str:
    """On one line, without the lines around."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return f"{position}{error.problem[:200]}"
    return str(error).replace("\n", " ")[:200]
