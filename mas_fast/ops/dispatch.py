"""Which implementation of an operator runs here: what is installed, built and able to take the
tensors that it is given."""

from __future__ import annotations

import functools
import importlib.util
import os

import torch
from torch import Tensor

from mas_fast.ops import label_conv_table
from mas_fast.utils import native
from mas_fast.utils.validate import check_choice


def _assume_constant_result(function):
    """torch.compiler.assume_constant_result, which would import torch._dynamo, and with it seconds,
    for the mark that it sets."""
    function._dynamo_marked_constant = True
    return function


@_assume_constant_result
def default_impl(device: torch.device | str, op: str = "sample") -> str:
    """What `impl=None` means for an op ("sample", "vq_nearest", "vq_statistics",
    "stream_cross_entropy", "label_conv", or "attention" in 16 bits) on a device."""
    kind = torch.device(device).type
    others = {"attention": "sdpa", "stream_cross_entropy": "chunked", "label_conv": "bag"}
    fallback = others.get(op, "reference")
    if op not in ("sample", "label_conv") and kind == "cuda":
        return "triton" if _installed("triton") else fallback
    if op in ("attention", "stream_cross_entropy", "vq_statistics"):
        return fallback
    try:
        load_library()
    except ImportError:
        return fallback
    if kind in ("cpu", "cuda") and _has_kernel(kind, op):
        return "cpp" if kind == "cpu" else "cuda"
    return fallback


@functools.cache
def load_library() -> None:
    """Load torch.ops.mas_fast. Raises ImportError, with the command that fixes it, if not built."""
    native.load_torch_library()
    _register()


@functools.cache
def _register() -> None:
    """The shapes of the operators' results for tracing, and the gradients: once in a process."""
    torch.library.register_fake("mas_fast::sample", _sample_fake)
    if hasattr(torch.ops.mas_fast, "vq_nearest"):
        torch.library.register_fake("mas_fast::vq_nearest", _vq_nearest_fake)
    if hasattr(torch.ops.mas_fast, "label_conv"):
        label_conv_table.register()


def _has_kernel(device: str, op: str = "sample") -> bool:
    if not hasattr(torch.ops.mas_fast, op):  # a library built from older sources
        return False
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"mas_fast::{op}", device.upper())


@_assume_constant_result
def loaded(device: str, op: str) -> bool:
    """Load the library; whether it has a kernel of that name for a kind of device. Raises
    ImportError, with the command that fixes it, where there is no library."""
    load_library()
    return _has_kernel(device, op)


def require(op: str) -> None:
    """Load the library. Raises ImportError, with the command that fixes it, where it has no CPU
    kernel of that name."""
    if not loaded("cpu", op):
        raise ImportError(
            "the torch operators of mas_fast are older than its Python code. "
            "In a checkout of mas_fast run: pip install --no-build-isolation -e ."
        )


def chosen(op: str, impl: str | None, allowed: tuple[str, ...], x: Tensor, name: str = "x") -> str:
    """The implementation to run. Raises ValueError for an unknown one, or for one of another
    device than that of x; ImportError for "triton" where it is not installed."""
    if impl is None:
        impl = default_impl(x.device, op)
    check_choice("impl", impl, allowed)
    if impl == "cpp" and x.device.type != "cpu":
        raise ValueError(f"{name}: found it on {x.device}, expected cpu for impl='cpp'")
    if impl == "triton":
        check_triton(name, x)
    return impl


def check_triton(name: str, x: Tensor) -> None:
    """Raises ImportError where Triton is not installed, ValueError for a tensor that it cannot
    reach."""
    if not _installed("triton"):
        raise ImportError("impl='triton' needs Triton. Run: pip install triton")
    if x.device.type != "cuda" and not _interpreted():
        raise ValueError(
            f"{name}: found it on {x.device}, expected cuda for impl='triton'; on a CPU its "
            "kernels run under TRITON_INTERPRET=1 alone"
        )


def check_products(name: str, dtype: torch.dtype) -> None:
    """Raises ValueError for products in bf16 under Triton's interpreter, which returns 8e8 for
    some of them. (The kernels of VQ load bf16 and multiply it in other dtypes.)"""
    if dtype == torch.bfloat16 and _interpreted():
        raise ValueError(
            f"{name}: found torch.bfloat16, expected float32 or float16 for impl='triton' under "
            "TRITON_INTERPRET=1, which multiplies bfloat16 wrongly; unset it, or choose another "
            "impl"
        )


# What depends on the installation alone: compilers take its value for a constant instead of
# looking into importlib and the loader of libraries.
@_assume_constant_result
def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@_assume_constant_result
def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


@_assume_constant_result
def autocasts(kind: str) -> bool:
    """Whether autocast knows this kind of device."""
    return torch.amp.is_autocast_available(kind)


def _vq_nearest_fake(x, codebook) -> Tensor:
    return x.new_empty(x.shape[0], dtype=torch.int64)


def _sample_fake(
    logits, uncond, guidance, temperature, top_k, top_p, seed, sample, position
) -> tuple[Tensor, Tensor]:
    token = logits.new_empty(logits.shape[0], dtype=torch.int64)
    return token, torch.empty_like(logits, dtype=torch.bool)
