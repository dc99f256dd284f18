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
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, cast

from mas_fast.training.schedule import cosine
from mas_fast.utils.documents import DEPTH, short
from mas_fast.utils.validate import check_choice, check_int, check_number, check_positive
from mas_fast.utils.yaml_documents import parse_yaml, read_yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Help:
    """What a setting means, for `--help` and docs/settings.md: `steps: Annotated[int, Help(...)]`.

    Attributes:
        text: one or more sentences.
        unit: what the value counts or is measured in; empty where it has none.
    """

    text: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of every training run.

    Raises:
        ValueError: a value is outside its range.
    """

    # What may differ between a run and its continuation: it does not change what a step learns.
    FREE: ClassVar[frozenset[str]] = frozenset(
        ("folder", "log_every", "checkpoint_every", "keep_checkpoints", "workers")
        + ("spike_factor", "max_skips", "accumulate", "verify")
    )

    folder: Annotated[Path, Help("Folder of the run, with its checkpoints, log and sheets.")]
    steps: Annotated[int, Help("Optimizer updates.", "steps")]
    seed: Annotated[int, Help("Seed of the first weights and of all that is random.")] = 0
    batch: Annotated[int, Help("Samples per step, over all processes and passes.", "samples")] = 8
    accumulate: Annotated[
        int, Help("Gradient accumulation: passes per step, each over a part of its batch.")
    ] = 1
    precision: Annotated[
        Literal[Precision, "auto"],
        Help(
            "fp32 (never TF32), bf16 by autocast, or auto: bf16 where the device has instructions "
            "for it, else fp32."
        ),
    ] = "fp32"
    clip: Annotated[float, Help("Gradients with a larger norm are scaled down to this one.")] = 1.0
    warmup: Annotated[
        int, Help("The learning rate rises in a straight line over this many steps.", "steps")
    ] = 0
    lr_end: Annotated[
        float,
        Help("What is left of the learning rate at the last step of its half cosine.", "x lr"),
    ] = 1.0
    ema_decay: Annotated[
        float,
        Help(
            "Decay of the exponential moving average (EMA) of the weights, which metrics, sheets "
            "and the bundle are made of.",
            "0..1",
        ),
    ] = 0.999
    spike_factor: Annotated[
        float,
        Help(
            "A loss above this many times the largest of the last 100 is a loss spike: the step "
            "is skipped, as is one whose loss or gradients are not finite.",
            "x loss",
        ),
    ] = 10.0
    max_skips: Annotated[
        int, Help("Steps that may be skipped; one more ends the run.", "steps")
    ] = 0
    log_every: Annotated[int, Help("Steps between entries of the log.", "steps")] = 10
    checkpoint_every: Annotated[int, Help("Steps between checkpoints.", "steps")] = 500
    keep_checkpoints: Annotated[int, Help("Newest checkpoints that are kept.")] = 2
    workers: Annotated[int, Help("Processes that load samples; 0: the trainer itself.")] = 0
    verify: Annotated[
        bool,
        Help(
            "Before a run goes on, read all that it is made from to see whether it changed; else "
            "sizes, times and, where those differ, some bytes tell.",
        ),
    ] = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "log_every", "checkpoint_every"):
            check_int(name, getattr(self, name), 1)
        check_int("keep_checkpoints", self.keep_checkpoints, 1)
        for name in ("seed", "warmup", "workers", "max_skips"):
            check_int(name, getattr(self, name), 0)
        check_number("lr_end", self.lr_end, 0)
        check_number("ema_decay", self.ema_decay, 0, 1)
        check_positive("clip", self.clip)
        check_number("spike_factor", self.spike_factor, 1)

    def free(self) -> set[str]:
        """Names of the settings that a continuation may change.

        With a constant learning rate `steps` is one, so that a finished run can be prolonged.
        """
        return {*self.FREE} | ({"steps"} if self.lr_end == 1 else set())

    def made_from(self) -> dict[str, Path | None]:
        """Files and folders that a run must find unchanged to be continued, wherever they lie then.

        Returns:
            Paths, None for none, by the setting that leads there, or by SETTING/MORE where one
            setting leads to two.
        """
        return {}

    def lr_factor(self, step: int) -> float:
        """The factor of the learning rates at `step`, counted from 0."""
        return cosine(step, self.steps, self.warmup, self.lr_end)


# In a checkout beside the package, in an installed package inside it.
FOLDERS = [Path(__file__).resolve().parents[up] / "configs" for up in (2, 1)]


def configs(kind: str) -> dict[str, Path]:
    """The files in configs/ for a `kind` of training, such as "gpt", by their names."""
    known: dict[str, Path] = {}
    for folder in FOLDERS:
        known |= {f.stem.removeprefix(f"{kind}-"): f for f in sorted(folder.glob(f"{kind}-*.yaml"))}
    return known


def find(kind: str, name: str | os.PathLike) -> Path:
    """The YAML file at the path `name`, or else the one called `kind`-`name` in configs/.

    Raises:
        ValueError: there is neither; the message lists the names in configs/.
    """
    if Path(name).is_file():
        return Path(name)
    known = configs(kind)
    if str(name) not in known:
        raise ValueError(f"{name}: found no such file, expected one or a name of {list(known)}")
    return known[str(name)]


def read(kind: type[T], file: str | os.PathLike | None, overrides: Sequence[str] = ()) -> T:
    """Read settings from a YAML file and the command line.

    Args:
        kind: the dataclass of the settings.
        file: a YAML file; None for the defaults.
        overrides: `--key value` or `--key=value`, where `--model.codes` reaches into a mapping.
            The value is YAML too.

    Raises:
        ValueError: a key is unknown, a type is wrong, or a value is missing.
    """
    values: dict[str, Any] = {}
    if file is not None:
        content = read_yaml(file)
        if content is not None and not isinstance(content, dict):
            type_name = type(content).__name__
            raise ValueError(f"{file}: found {type_name}, expected `key: value` lines")
        values = content or {}
    source = str(file) if file is not None else "settings"
    typed, names = _overrides(overrides), sorted(field.name for field in fields(kind))
    for key, value in typed:
        if key.split(".")[0] not in names:
            expected = ["--" + name.replace("_", "-") for name in names]
            raise ValueError(f"{_option(key)}: found no such setting, expected one of {expected}")
        _put(values, key, value)
    try:
        return build(kind, values, source)
    except ValueError as error:  # about what was typed, and not about the file
        for key, _ in typed:
            top = key.split(".")[0]
            for name in (key.replace(".", ": "), top):
                message = str(error).removeprefix(f"{source}: {name}")
                if message != str(error) and message[:1] in (":", "["):
                    option = _option(key if name != top else top)
                    raise ValueError(f"{option}{message}") from error
        raise


def _option(key: str) -> str:
    """As it is typed."""
    return "--" + key.replace("_", "-")


def build(kind: type[T], values: Mapping, name: str) -> T:
    """The dataclass `kind` made of `values`, each converted to its field's type.

    Args:
        kind: the dataclass.
        values: by the names of its fields.
        name: what errors call the values, such as their file.

    Raises:
        ValueError: a key is unknown, a type is wrong, or a value is missing.
    """
    hints = typing.get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    if unknown := [key for key in values if key not in names]:
        unknown_keys = f"found unknown keys {short(unknown)}"
        raise ValueError(f"{name}: {unknown_keys}, expected {sorted(names)}")
    required = [
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    if missing := [key for key in required if key not in values]:
        typed = " ".join(f"{_option(key)} ..." for key in missing)
        raise ValueError(f"{name}: found no keys {missing}, expected them; as options: {typed}")
    converted = {
        key: _convert(f"{name}: {key}", hints[key], value) for key, value in values.items()
    }
    try:
        return kind(**converted)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def plain(settings: DataclassInstance) -> dict[str, Any]:
    """The settings as values that YAML, JSON and a checkpoint hold."""

    def simple(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: simple(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [simple(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    return simple(asdict(settings))


def _overrides(arguments: Sequence[str]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    words = list(arguments)
    while words:
        name = words.pop(0)
        if not name.startswith("--") or len(name) == 2:
            raise ValueError(f"found the argument {name!r}, expected `--key value`")
        name, equals, value = name.partition("=")
        if not equals:
            if not words:
                raise ValueError(f"found no value after {name}, expected `{name} value`")
            value = words.pop(0)
        pairs.append((name[2:].replace("-", "_"), parse_yaml(value, name)))
    return pairs


def _put(values: dict, key: str, value: Any) -> None:
    *path, last = key.split(".")
    if len(path) >= DEPTH:
        raise ValueError(f"{_option(key[:40])}...: found values nested deeper than {DEPTH}")
    for name in path:
        inner = values.get(name, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{_option(key)}: {name}: found {short(inner)}, expected a mapping")
        values[name] = dict(inner)  # an alias (*a) of the file leads to the same one
        values = values[name]
    values[last] = value


def _convert(label: str, kind: Any, value: Any) -> Any:
    """`value`, as YAML gives it, in the type `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _convert(label, kind, value)
    if origin is Literal:
        check_choice(label, value, arguments)
        return value
    if is_dataclass(kind) and isinstance(value, Mapping):
        return build(cast("type[DataclassInstance]", kind), value, label)
    if origin is tuple and isinstance(value, list | tuple) and len(value) == len(arguments):
        items = zip(arguments, value, strict=True)
        return tuple(_convert(f"{label}[{i}]", *item) for i, item in enumerate(items))
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
    raise ValueError(f"{label}: found {short(value)}, expected {name}")
