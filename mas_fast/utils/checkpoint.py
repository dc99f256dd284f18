"""Checkpoints of other projects, read without running code.

    weights = state_dict(path, read_checkpoint(path))     # {"module.encoder.conv_in.weight": ...}
    prefixes(weights, "encoder.conv_in.weight")           # ["module."]

What surrounds a model's names differs with how it was saved: DataParallel and torch.compile put a
prefix before all of them, a transformer holds its tokenizers under theirs, and some keep a running
average of all weights beside them.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mas_fast.utils.pickle_values import Shell
from mas_fast.utils.torch_files import read_torch

UNREAD = re.compile(r"torch\.Tensor|torch\b.*(_rebuild_\w+|Storage)")  # tensors that are not made
SHOWN = 20  # names in an error
# Where checkpoints hold the state dict: Lightning's, most others', DALLE-pytorch's, DeepSpeed's.
STATES = ("state_dict", "model_state_dict", "model", "weights", "module")
AVERAGE = re.compile(r"(?:.*_)?(?:ema|averaged?|shadow|swa)(?:_.*)?")


def read_checkpoint(path: str | os.PathLike) -> object:
    """Read what `torch.save` stored, without running any code in it.

    Args:
        path: the checkpoint.

    Returns:
        The stored value, its tensors on the CPU. Objects of other classes than tensors and plain
        values are `pickle_values.Shell`.

    Raises:
        ValueError: if the pickle contains code, or the file is not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: found no such file, expected a checkpoint")
    try:
        return read_torch(path)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}; expected a checkpoint of tensors") from error


def state_dict(path: Path, stored: object) -> dict[str, Tensor]:
    """Find the state dict of a checkpoint.

    A warning names averaged copies beside it.

    Args:
        path: the checkpoint, for messages.
        stored: what `read_checkpoint` returned.

    Returns:
        The tensors by name: those of `stored` itself, or of what it has under one of STATES.

    Raises:
        ValueError: if there is no state dict, or it has tensors that cannot be read, such as
            quantized ones.
    """
    state = _mapping(stored)
    for _ in STATES:  # one may be in another
        keys = [key for key in STATES if isinstance(state, Mapping) and key in state]
        inner = _mapping(state[keys[0]]) if keys else None
        if not isinstance(inner, Mapping):
            break
        copies = [key for key in state if isinstance(key, str) and is_average(key)]
        if copies := [key for key in copies if isinstance(_mapping(state[key]), Mapping)]:
            warnings.warn(f"{path}: left out {copies}, averaged copies of weights", stacklevel=3)
        state = inner
    if not isinstance(state, Mapping):
        kind = str(state.name) if isinstance(state, Shell) else type(state).__name__
        raise ValueError(
            f"{path}: found {kind[:80]}, expected a state dict, as of "
            "torch.save(model.state_dict(), path)"
        )
    for name, weight in state.items():
        if isinstance(weight, Shell) and UNREAD.fullmatch(str(weight.name)):
            problem = f"found a tensor of {weight.name}"
            raise ValueError(f"{path}: {str(name)[:80]}: {problem}, expected a plain one")
    return {n: w for n, w in state.items() if isinstance(n, str) and isinstance(w, Tensor)}


def _mapping(stored: object) -> Any:
    """The items of a mapping of a foreign class."""
    return stored.items if isinstance(stored, Shell) and stored.items else stored


def prefixes(weights: Mapping[str, Tensor], name: str) -> list[str]:
    """Find what stands before a name.

    Args:
        weights: tensors by name.
        name: how the wanted names end.

    Returns:
        The prefix of each name that ends in `name`: "", or a prefix that ends in a dot.
    """
    candidates = [other.removesuffix(name) for other in weights if other.endswith(name)]
    return [prefix for prefix in candidates if not prefix or prefix.endswith(".")]


def is_average(prefix: str) -> bool:
    """Tell whether a prefix (or a name) is one of averaged copies.

    Args:
        prefix: parts joined by dots, as "model_ema." of "module.ema.".

    Returns:
        True if any part names an average.
    """
    return any(AVERAGE.fullmatch(part) for part in prefix.split("."))


def below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names have the prefix, under their names without it."""
    return {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}


def check_weights(
    path: Path, weights: dict[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Check the names, shapes and dtypes of weights.

    Args:
        path: the checkpoint, for messages.
        weights: tensors by name.
        shapes: the expected shape of each name.

    Raises:
        ValueError: with lists, unless the weights have exactly these names and shapes, in floating
            point.
    """
    missing = [name for name in shapes if name not in weights]
    unexpected = [name for name in weights if name not in shapes]
    if missing or unexpected:
        problem = f"found {len(weights)} tensors, expected {len(shapes)}"
        lists = f"missing {_some(missing)}, unexpected {_some(unexpected)}"
        raise ValueError(f"{path}: {problem}: {lists}")
    wrong = [
        f"{name} {list(weights[name].shape)} for {list(shape)}"
        for name, shape in shapes.items()
        if tuple(weights[name].shape) != shape
    ]
    if wrong:
        raise ValueError(f"{path}: found other shapes than expected: {_some(wrong)}")
    for name, weight in weights.items():
        if not weight.is_floating_point():
            raise ValueError(f"{path}: {name}: found {weight.dtype}, expected floating point")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"[{', '.join(names[:SHOWN])}]{more}"
