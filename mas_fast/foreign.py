"""Checkpoints of other projects, read without running code.

A checkpoint is a pickle, and a pickle can hold code. So torch reads it with weights_only, and
where that refuses (Lightning stores its callbacks), `Tensors` does: it builds tensors and plain
containers, leaves an empty shell for known harmless classes, and refuses every other name without
importing it.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import torch
import yaml
from torch import Tensor

SHOWN = 20  # names in an error

# Globals of a pickle that are built, and packages whose objects become empty shells.
BUILT = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
BUILT |= {
    ("builtins", kind.__name__): kind for kind in (bool, dict, float, int, list, set, str, tuple)
}
SHELLS = ("argparse", "lightning", "lightning_fabric", "numpy", "omegaconf", "pathlib")
SHELLS += ("pytorch_lightning", "taming", "typing")


class Shell:
    """Stands for an object of a foreign class: takes whatever the pickle gives it, keeps
    nothing."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __setstate__(self, state) -> None:
        pass

    def __setitem__(self, key, value) -> None:
        pass

    def append(self, value) -> None:
        pass

    def extend(self, values) -> None:
        pass


class Tensors(pickle.Unpickler):
    """Builds what BUILT names, shells for SHELLS, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in BUILT:
            return BUILT[module, name]
        if module.split(".")[0] in SHELLS:
            return Shell
        raise pickle.UnpicklingError(f"found {module}.{name} in it, which may be code")


def read_checkpoint(path: str | os.PathLike) -> object:
    """What `torch.save` stored, on the CPU. ValueError, and nothing run, for a pickle with code
    and for a file that is not a checkpoint."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: found no such file, expected a checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken files raise all sorts of errors
        if not zipfile.is_zipfile(path):
            # Not torch's own words: they advise to read the file unsafely.
            raise ValueError(
                f"{path}: found {path.stat().st_size} bytes that are truncated, no checkpoint of "
                "torch.save, or an old one with code in it; expected one of tensors"
            ) from error
    reader = SimpleNamespace(Unpickler=Tensors, __name__="mas_fast.foreign")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise ValueError("found a TorchScript archive, expected a state dict")
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
    except Exception as error:
        raise ValueError(f"{path}: not read: {error}") from error


def read_yaml(path: Path) -> dict:
    """ValueError for what is no YAML file."""
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: found no YAML that can be read ({error})") from error


def state_dict(path: Path, stored: object) -> dict[str, Tensor]:
    """The state dict: the file's own, or what it has under "state_dict" or "model"."""
    for key in ("state_dict", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping):
        raise ValueError(f"{path}: found {type(stored).__name__}, expected a state dict")
    return {str(name): w for name, w in stored.items() if isinstance(w, Tensor)}


def check_weights(
    path: Path, weights: dict[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """ValueError, with lists, unless the weights have exactly these names and shapes, in floating
    point."""
    missing = [name for name in shapes if name not in weights]
    unexpected = [name for name in weights if name not in shapes]
    if missing or unexpected:
        found = f"found {len(weights)} tensors, expected {len(shapes)}"
        lists = f"missing {_some(missing)}, unexpected {_some(unexpected)}"
        raise ValueError(f"{path}: {found}: {lists}")
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
