"""JSON that nobody has checked: a value that is safe to walk and to print, or a ValueError.

    values = read_json("bundle/config.json")        # ours: strict, and an object
    values = parse_json(content, "json", strict=False)  # others'

Whatever comes out is nested at most DEPTH deep, so that nothing that walks it, prints it or writes
it again exhausts the stack. No torch.
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from pathlib import Path
from typing import Any

DEPTH = 64  # no file of ours is nested deeper than 8, no others' was seen deeper than 12
MOST_BYTES = 1 << 28  # of a file of ours
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # an escape of one, of a pair or alone

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 4
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 8
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 100


def short(value: object) -> str:
    """Return `repr` for an error message: of what a file may hold, at most 200 characters."""
    try:
        text = _SHORT.repr(value)
    except (ValueError, RecursionError):  # an integer with more digits than Python prints
        return f"a {type(value).__name__} that is too large to print"
    return text if len(text) <= 200 else f"{text[:197]}..."


def read_json(file: str | os.PathLike, kind: type = dict, *, strict: bool = True) -> Any:
    """Read the value in a JSON file.

    Args:
        file: the file.
        kind: the type that the value must have.
        strict: as in `parse_json`; if true, the file also has at most MOST_BYTES.

    Returns:
        The value.

    Raises:
        ValueError: naming the file, if it is not there or is too large, and as in `parse_json`.
    """
    file = Path(file)
    try:
        if strict and (size := file.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{file}: found {size} bytes, expected at most {MOST_BYTES}")
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}") from error
    return parse_json(content, str(file), kind, strict=strict)


def parse_json(content: bytes | str, name: str, kind: type = dict, *, strict: bool = True) -> Any:
    """Parse a JSON text.

    Args:
        content: the text.
        name: what the error begins with.
        kind: the type that the value must have.
        strict: whether to insist on UTF-8 without a key that comes twice in one object, NaN,
            Infinity or half of a surrogate pair. Otherwise the text is anything that Python's
            reader takes, since img2dataset, for one, writes NaN.

    Returns:
        The value.

    Raises:
        ValueError: if the text is broken or nested deeper than DEPTH, or the value is not of that
            kind.
    """
    try:
        if strict:
            text = content if isinstance(content, str) else content.decode("utf-8-sig")
            value = _STRICT.decode(text)
        else:
            value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: found broken JSON ({_reason(error)})") from error
    check_depth(value, name)
    if strict and SURROGATE.search(content.encode() if isinstance(content, str) else content):
        _check_text(value, name)
    if not isinstance(value, kind):
        raise ValueError(f"{name}: found {type(value).__name__}, expected {kind.__name__}")
    return value


def check_depth(value: object, name: str, most: int = DEPTH) -> None:
    """Check how deep dicts and lists are nested, without recursion.

    Args:
        value: any value.
        name: what the error begins with.
        most: the deepest level that is allowed.

    Raises:
        ValueError: if values are nested deeper than `most`.
    """
    level: list[object] = [value]
    depth = 0
    while level:
        if depth > most:
            raise ValueError(f"{name}: found values nested deeper than {most}, expected fewer")
        below: list[object] = []
        for item in level:
            if type(item) is dict:
                below += [v for v in item.values() if type(v) is dict or type(v) is list]
            elif type(item) is list:
                below += [v for v in item if type(v) is dict or type(v) is list]
        level, depth = below, depth + 1


def _check_text(value: object, name: str) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and not item.isascii():
            try:
                item.encode()
            except UnicodeEncodeError as error:
                problem = f"found the lone surrogate {item[error.start]!r} in {short(item)}"
                raise ValueError(f"{name}: {problem}, expected Unicode text") from error


def _object(pairs: list[tuple[str, object]]) -> dict:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"found the key {short(twice)} twice in one object")
    return values


def _constant(name: str) -> float:
    raise ValueError(f"found {name}, which JSON has not")


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _reason(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
