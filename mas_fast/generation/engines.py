"""The engines that draw tokens: a row each. No torch, until an engine is made that needs it.

    engine = make_engine("cpp", "my-bundle", dtype="int8")
    make_engine(find_engine("cuda"), "my-bundle", device="cuda", dtype="bf16")

A row says everything that callers, errors and `mas-fast generate --help` know of an engine, so
another engine is another row.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mas_fast.utils import native
from mas_fast.utils.validate import check_choice

if TYPE_CHECKING:
    import torch

    from mas_fast.generation.engine import Engine
    from mas_fast.models.gpt import GPT


@dataclass(frozen=True)
class EngineSpec:
    """One engine.

    Attributes:
        make: makes an Engine of a GPT or the path of a bundle; it takes `device`, `dtype`,
            `kv_dtype` and `threads`, as `make_engine` does.
        dtypes: in which the GPT can compute.
        devices: the kinds of devices that it runs on; None: all that PyTorch has.
        kv_dtypes: in which keys and values can be kept; none where they are always the GPT's.
        here: whether all that it needs is installed and built.
        shared: whether several runs share its passes (`advance(runs)`), as those of a server do.
    """

    make: Callable[..., Engine]
    dtypes: tuple[str, ...]
    devices: tuple[str, ...] | None = None
    kv_dtypes: tuple[str, ...] = ()
    here: Callable[[], bool] = lambda: True
    shared: bool = True


def _cpp_here() -> bool:
    return native.problem("_engine") is None


def _cpp(
    model: GPT | str | os.PathLike,
    *,
    device: torch.device | str | None,
    dtype: str | None,
    kv_dtype: str | None,
    threads: int,
) -> Engine:
    from mas_fast.generation.cpp import CppEngine

    return CppEngine(model, dtype=dtype or "fp32", kv_dtype=kv_dtype, threads=threads)


def _graph_here() -> bool:
    if importlib.util.find_spec("triton") is None:
        return False
    from mas_fast.ops.dispatch import default_impl

    return default_impl("cuda", "sample_step") == "cuda"


def _graph(
    model: GPT | str | os.PathLike,
    *,
    device: torch.device | str | None,
    dtype: str | None,
    kv_dtype: str | None,
    threads: int,
) -> Engine:
    if importlib.util.find_spec("triton") is None:
        raise ImportError("the engine 'graph' needs Triton. Run: pip install triton")
    import torch

    from mas_fast.bundle import load_gpt, read_weights
    from mas_fast.generation.graph import GraphEngine
    from mas_fast.utils.devices import find_device

    if not isinstance(model, str | os.PathLike):
        return GraphEngine(model, dtype=dtype)
    kinds = {None: None, "fp16": torch.float16, "bf16": torch.bfloat16}
    gpt = load_gpt(model, find_device(device), kinds.get(dtype, torch.float32))
    stored = read_weights(model, levels=True) if dtype == "int4" else ()
    levels = {name: part for name, part in stored if isinstance(part, tuple)}
    return GraphEngine(gpt, dtype=dtype, levels=levels)


def _eager(
    model: GPT | str | os.PathLike,
    *,
    device: torch.device | str | None,
    dtype: str | None,
    kv_dtype: str | None,
    threads: int,
) -> Engine:
    import torch

    from mas_fast.bundle import load_gpt
    from mas_fast.generation.eager import EagerEngine

    if isinstance(model, str | os.PathLike):
        kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
        return EagerEngine(load_gpt(model, device or "cpu", kinds[dtype] if dtype else None))
    if dtype is not None:
        raise ValueError(f"dtype: found {dtype!r}, expected None: the engine takes the GPT's own")
    return EagerEngine(model)


# In the order of preference.
ENGINES = {
    "cpp": EngineSpec(
        _cpp,
        dtypes=("fp32", "bf16", "int8", "int4"),
        devices=("cpu",),
        kv_dtypes=("fp32", "bf16", "int8"),
        here=_cpp_here,
    ),
    "graph": EngineSpec(
        _graph,
        dtypes=("fp32", "bf16", "fp16", "int8", "fp8", "int4"),
        devices=("cuda",),
        here=_graph_here,
    ),
    "eager": EngineSpec(_eager, dtypes=("fp32", "bf16"), shared=False),
}


def find_engine(device: str) -> str:
    """Find the first engine that runs on a kind of device and has here all that it needs.

    Args:
        device: a kind of device, as "cuda".

    Returns:
        Its name, one of ENGINES.

    Raises:
        ValueError: if there is none.
    """
    for name, engine in ENGINES.items():
        runs = engine.devices is None or device in engine.devices
        if runs and engine.here():
            return name
    raise ValueError(f"device: found {device!r}, expected one that an engine of {[*ENGINES]} has")


def check_engine(
    name: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
) -> EngineSpec:
    """Find an engine's row, and check what is asked of it.

    Args:
        name: one of ENGINES.
        device: a kind of device, as "cuda"; None: not checked, as below.
        dtype: in which the GPT computes.
        kv_dtype: in which keys and values are kept.

    Returns:
        The row.

    Raises:
        ValueError: for another name, and for what the engine does not have.
    """
    check_choice("engine", name, ENGINES)
    engine = ENGINES[name]
    if device is not None and engine.devices is not None:
        check_choice("device", device, engine.devices, f"for the engine {name!r}")
    if dtype is not None:
        check_choice("dtype", dtype, engine.dtypes, f"for the engine {name!r}")
    if kv_dtype is not None:
        check_choice("kv_dtype", kv_dtype, engine.kv_dtypes, f"for the engine {name!r}")
    return engine


def make_engine(
    name: str,
    model: GPT | str | os.PathLike,
    *,
    device: torch.device | str | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    threads: int = 0,
) -> Engine:
    """Make a GPT, or that of the bundle at a path, ready to draw tokens.

    Args:
        name: one of ENGINES.
        model: a GPT or the path of a bundle.
        device: where a bundle's GPT goes, a torch.device or a kind of one. None: the CPU; in
            "graph" a GPU.
        dtype: in which the GPT computes. None: fp32 in "cpp", the GPT's own in the others.
        kv_dtype: in which "cpp" keeps keys and values. None: fp32 beside fp32, int8 beside
            int4, else bf16.
        threads: of "cpp"; 0: all cores.

    Returns:
        The engine.

    Raises:
        ValueError: names what was found and what is allowed.
        ImportError: if the engine is not built; names the command that builds it.
    """
    kind = device if device is None or isinstance(device, str) else device.type
    engine = check_engine(name, device=kind, dtype=dtype, kv_dtype=kv_dtype)
    return engine.make(model, device=device, dtype=dtype, kv_dtype=kv_dtype, threads=threads)


def dtype_names() -> str:
    """The dtypes in words: those of all engines, then what some have besides."""
    first, *others = ENGINES.values()
    shared = [dtype for dtype in first.dtypes if all(dtype in e.dtypes for e in others)]
    text = ", ".join(shared)
    for name, engine in ENGINES.items():
        if more := [dtype for dtype in engine.dtypes if dtype not in shared]:
            text += f"; with {name} also {', '.join(more)}"
    return text
