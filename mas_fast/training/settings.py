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
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from mas_fast.training.schedule import cosine
from mas_fast.utils.documents import DEPTH, short
from mas_fast.utils.validate import check_choice, check_int, check_number, check_positive
from mas_fast.utils.yaml_documents import parse_yaml, read_yaml

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every training run has. Counts of samples are over all processes and passes.

    batch: samples per update, split over the processes and `accumulate` passes. clip: largest norm
    of the gradients. warmup: steps in which the learning rate rises from 0; it ends at lr_end times
    its base, along half a cosine. average: decay of the averaged weights. spike: a loss above this
    many times the largest of the last 100 is bad, as is one that is not finite. skips: bad steps
    that are left out before one ends the run. keep: checkpoints that are kept. verify: read all
    that the run is made from, to see whether it changed; else sizes, times and, where those differ,
    some bytes tell, see data.digest. ValueError for a value outside its range.
    """

    # What may differ between a run and its continuation: it does not change what a step learns.
    FREE: ClassVar[frozenset[str]] = frozenset(
        ("folder", "log_every", "checkpoint_every", "keep", "workers", "spike", "skips")
        + ("accumulate", "verify")
    )

    folder: Path
    steps: int
    seed: int = 0
    batch: int = 8
    accumulate: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    clip: float = 1.0
    warmup: int = 0
    lr_end: float = 1.0
    average: float = 0.999
    spike: float = 10.0
    skips: int = 0
    log_every: int = 10
    checkpoint_every: int = 500
    keep: int = 2
    workers: int = 0
    verify: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "log_every", "checkpoint_every", "keep"):
            check_int(name, getattr(self, name), 1)
        for name in ("seed", "warmup", "workers", "skips"):
            check_int(name, getattr(self, name), 0)
        check_number("lr_end", self.lr_end, 0)
        check_number("average", self.average, 0, 1)
        check_positive("clip", self.clip)
        check_number("spike", self.spike, 1)

    def free(self) -> set[str]:
        """FREE; and, as a constant learning rate lets a finished run be prolonged, then `steps`."""
        return self.FREE | ({"steps"} if self.lr_end == 1 else set())

    def made_from(self) -> dict[str, Path | None]:
        """What a run must find unchanged to be continued, wherever it lies then: files or folders,
        None for none, by the setting that leads there, or SETTING/MORE where it leads to two."""
        return {}

    def rate(self, step: int) -> float:
        """What the learning rates are multiplied by at `step`, counted from 0."""
        return cosine(step, self.steps, self.warmup, self.lr_end)


# In a checkout beside the package, in an installed package inside it.
FOLDERS = [Path(__file__).resolve().parents[up] / "configs" for up in (2, 1)]


def configs(kind: str) -> dict[str, Path]:
    """The files that configs/ has for a `kind` of training, by their names."""
    known = {}
    for folder in FOLDERS:
        known |= {f.stem.removeprefix(f"{kind}-"): f for f in sorted(folder.glob(f"{kind}-*.yaml"))}
    return known


def find(kind: str, name: str | os.PathLike) -> Path:
    """The YAML file at the path `name`, or else the one called `kind`-`name` in configs/.
    ValueError, with the names that there are, where it is neither."""
    if Path(name).is_file():
        return Path(name)
    known = configs(kind)
    if str(name) not in known:
        raise ValueError(f"{name}: found no such file, expected one or a name of {list(known)}")
    return known[str(name)]


def read(kind: type[T], file: str | os.PathLike | None, overrides: Sequence[str] = ()) -> T:
    """The dataclass `kind` filled from the YAML `file` (None: from defaults), then from the
    overrides `--key value` or `--key=value`, where `--model.codes` reaches into a mapping and the
    value is YAML too. ValueError for an unknown key, a wrong type or a missing value."""
    values: dict[str, Any] = {}
    if file is not None:
        values = read_yaml(file)
        values = {} if values is None else values
        if not isinstance(values, dict):
            raise ValueError(f"{file}: found {type(values).__name__}, expected `key: value` lines")
    where = str(file) if file is not None else "settings"
    typed, names = _overrides(overrides), sorted(field.name for field in fields(kind))
    for key, value in typed:
        if key.split(".")[0] not in names:
            expected = ["--" + name.replace("_", "-") for name in names]
            raise ValueError(f"{_option(key)}: found no such setting, expected one of {expected}")
        _put(values, key, value)
    try:
        return build(kind, values, where)
    except ValueError as error:  # about what was typed, and not about the file
        for key, _ in typed:
            top = key.split(".")[0]
            for name in (key.replace(".", ": "), top):
                rest = str(error).removeprefix(f"{where}: {name}")
                if rest != str(error) and rest[:1] in (":", "["):
                    option = _option(key if name != top else top)
                    raise ValueError(f"{option}{rest}") from error
        raise


def _option(key: str) -> str:
    """As it is typed."""
    return "--" + key.replace("_", "-")


def build(kind: type[T], values: Mapping, where: str) -> T:
    """The dataclass `kind` made of `values`, each converted to its field's type."""
    hints = typing.get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    if unknown := [key for key in values if key not in names]:
        found = f"found the unknown keys {short(unknown)}"
        raise ValueError(f"{where}: {found}, expected {sorted(names)}")
    required = [
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    if missing := [name for name in required if name not in values]:
        typed = " ".join(f"{_option(name)} ..." for name in missing)
        raise ValueError(f"{where}: the keys {missing} are missing; as options: {typed}")
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
        found.append((name[2:].replace("-", "_"), parse_yaml(value, name)))
    return found


def _put(values: dict, key: str, value: Any) -> None:
    *path, last = key.split(".")
    if len(path) >= DEPTH:
        raise ValueError(f"{_option(key[:40])}...: found values nested deeper than {DEPTH}")
    for name in path:
        inner = values.get(name, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{_option(key)}: {name} is {short(inner)}, not a mapping")
        values[name] = dict(inner)  # an alias (*a) of the file leads to the same one
        values = values[name]
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
        check_choice(where, value, arguments)
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
        except (ValueError, OverflowError):
            pass
    elif origin is dict and isinstance(value, dict):
        return value
    elif origin is None and type(value) is kind:
        return value
    name = getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
    raise ValueError(f"{where}: found {short(value)}, expected {name}")
