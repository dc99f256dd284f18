"""Settings: a YAML file and `--key value` overrides become one frozen dataclass.

    settings = read(VQSettings, "configs/vq-img-small.yaml", ["--steps", "9", "--model.codes=256"])
    settings = read(VQSettings, find("vq-img", "small"))    # the same file

A strict dataclass and not OmegaConf: an unknown key, a wrong type and a missing value are errors
that name the file, the key and what is allowed, the dataclass's own checks run, and there is no
second grammar (interpolation, structured nodes) to learn; it costs one page and no dependency
besides PyYAML.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

T = TypeVar("T")


# In a checkout beside the package, in an installed package inside it.
FOLDERS = [Path(__file__).resolve().parents[up] / "configs" for up in (2, 1)]


def find(kind: str, name: str | os.PathLike) -> Path:
    """The YAML file at the path `name`, or else the one called `kind`-`name` in configs/.
    ValueError, with the names that there are, where it is neither."""
    if Path(name).is_file():
        return Path(name)
    known = {}
    for folder in FOLDERS:
        known |= {f.stem.removeprefix(f"{kind}-"): f for f in sorted(folder.glob(f"{kind}-*.yaml"))}
    if str(name) not in known:
        raise ValueError(f"{name}: found no such file, expected one or a name of {list(known)}")
    return known[str(name)]


def read(kind: type[T], file: str | os.PathLike | None, overrides: Sequence[str] = ()) -> T:
    """The dataclass `kind` filled from the YAML `file` (None: from defaults), then from the
    overrides `--key value` or `--key=value`, where `--model.codes` reaches into a mapping and the
    value is YAML too. ValueError for an unknown key, a wrong type or a missing value."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ValueError(f"{file}: not a readable YAML file: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{file}: found {type(values).__name__}, expected `key: value` lines")
    for key, value in _overrides(overrides):
        _put(values, key, value)
    return build(kind, values, str(file) if file is not None else "settings")


def build(kind: type[T], values: Mapping, where: str) -> T:
    """The dataclass `kind` made of `values`, each converted to its field's type."""
    hints = typing.get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    if unknown := [key for key in values if key not in names]:
        raise ValueError(f"{where}: found the unknown keys {unknown}, expected {sorted(names)}")
    required = [
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{where}: the keys {missing} are missing")
    converted = {
        key: _convert(f"{where}: {key}", hints[key], value) for key, value in values.items()
    }
    try:
        return kind(**converted)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def plain(settings: object) -> dict:
    """The settings as values that YAML, JSON and a checkpoint hold."""

    def simple(value):
        if isinstance(value, Mapping):
            return {key: simple(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [simple(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    return simple(asdict(settings))


def _overrides(arguments: Sequence[str]) -> list[tuple[str, Any]]:
    found, rest = [], list(arguments)
    while rest:
        name = rest.pop(0)
        if not name.startswith("--") or len(name) == 2:
            raise ValueError(f"found the argument {name!r}, expected `--key value`")
        name, equals, value = name.partition("=")
        if not equals:
            if not rest:
                raise ValueError(f"found no value after {name}, expected `{name} value`")
            value = rest.pop(0)
        try:
            found.append((name[2:].replace("-", "_"), yaml.safe_load(value)))
        except yaml.YAMLError as error:
            raise ValueError(f"{name}: found {value!r}, which is not YAML") from error
    return found


def _put(values: dict, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise ValueError(f"--{key}: {name} is {values!r}, not a mapping")
    values[last] = value


def _convert(where: str, kind: Any, value: Any) -> Any:
    """`value`, as YAML gives it, in the type `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _convert(where, kind, value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where}: found {value!r}, expected one of {list(arguments)}")
        return value
    if is_dataclass(kind) and isinstance(value, Mapping):
        return build(kind, value, where)
    if origin is tuple and isinstance(value, list | tuple) and len(value) == len(arguments):
        items = zip(arguments, value, strict=True)
        return tuple(_convert(f"{where}[{i}]", *item) for i, item in enumerate(items))
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-4, without a dot, as a string
        except ValueError:
            pass
    elif origin is dict and isinstance(value, dict):
        return value
    elif origin is None and type(value) is kind:
        return value
    name = getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
    raise ValueError(f"{where}: found {value!r}, expected {name}")
