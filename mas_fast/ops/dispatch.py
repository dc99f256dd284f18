"""Which implementation of an op runs here: one that is installed or built, and that can take the
tensors it is given."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os

import torch
from torch import Tensor

from mas_fast.ops import label_conv_table
from mas_fast.utils import native
from mas_fast.utils.validate import check_choice


def _assume_constant_result(function):
    """torch.compiler.assume_constant_result without its import of torch._dynamo, which takes
    seconds: it only sets this mark."""
    function._dynamo_marked_constant = True
    return function


# The implementations of each op in order of preference, by kind of device. The last one always
# runs; it is also what other kinds of devices use.
PREFERENCE: dict[str, dict[str, tuple[str, ...]]] = {
    "sample": {"cuda": ("cuda", "reference"), "cpu": ("cpp", "reference")},
    "sample_step": {"cuda": ("cuda", "reference"), "cpu": ("cpp", "reference")},
    "vq_nearest": {"cuda": ("triton", "reference"), "cpu": ("cpp", "reference")},
    "vq_statistics": {"cuda": ("triton", "reference"), "cpu": ("reference",)},
    "stream_cross_entropy": {"cuda": ("triton", "chunked"), "cpu": ("chunked",)},
    "attention": {"cuda": ("triton", "sdpa"), "cpu": ("sdpa",)},
    "label_conv": {"cuda": ("bag",), "cpu": ("cpp", "bag")},
}
LIBRARY_DEVICES = {"cpp": "cpu", "cuda": "cuda"}  # implementations in _torch, and their devices


@_assume_constant_result
def default_impl(device: torch.device | str, op: str = "sample") -> str:
    """What `impl=None` means for an op.

    Args:
        device: where the tensors are.
        op: a key of PREFERENCE; "attention" is that of 16-bit tensors.

    Returns:
        The first implementation of PREFERENCE that is installed or built here.
    """
    kinds = PREFERENCE[op]
    preferred = kinds.get(torch.device(device).type, kinds["cpu"][-1:])
    return next(impl for impl in preferred if _available(op, impl))


def _available(op: str, impl: str) -> bool:
    if impl == "triton":
        return _installed("triton")
    if impl not in LIBRARY_DEVICES:
        return True
    try:
        return loaded(LIBRARY_DEVICES[impl], op)
    except ImportError:
        return False


@functools.cache
def load_library() -> None:
    """Loads torch.ops.mas_fast.

    Raises:
        ImportError: it is not built; names the command that fixes it.
    """
    native.load_torch_library()
    _register()


@functools.cache
def _register() -> None:
    """Registers result shapes for tracing, and gradients: once per process."""
    torch.library.register_fake("mas_fast::sample", _sample_fake)
    if hasattr(torch.ops.mas_fast, "sample_step"):
        torch.library.register_fake("mas_fast::sample_step", lambda *_: None)  # writes its argument
    if hasattr(torch.ops.mas_fast, "vq_nearest"):
        torch.library.register_fake("mas_fast::vq_nearest", _vq_nearest_fake)
    if hasattr(torch.ops.mas_fast, "label_conv"):
        label_conv_table.register()


def _has_kernel(device: str, op: str) -> bool:
    if not hasattr(torch.ops.mas_fast, op):  # a library built from older sources
        return False
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"mas_fast::{op}", device.upper())


@_assume_constant_result
def loaded(device: str, op: str) -> bool:
    """Loads the library, and says whether it has a kernel for a kind of device.

    Raises:
        ImportError: there is no library; names the command that fixes it.
    """
    load_library()
    return _has_kernel(device, op)


def require(op: str) -> None:
    """Loads the library.

    Raises:
        ImportError: it has no CPU kernel for the op; names the command that fixes it.
    """
    if not loaded("cpu", op):
        raise ImportError(
            "the torch operators of mas_fast are older than its Python code. "
            "In a checkout of mas_fast run: pip install --no-build-isolation -e ."
        )


def chosen(op: str, impl: str | None, allowed: tuple[str, ...], x: Tensor, name: str = "x") -> str:
    """The implementation to run.

    Args:
        op: a key of PREFERENCE.
        impl: what the caller asked for; None is the default.
        allowed: the implementations of the op.
        x: the tensor whose device counts.
        name: what errors call x.

    Raises:
        ValueError: the implementation is unknown, or does not run on the device of x.
        ImportError: "triton" is not installed.
    """
    if impl is None:
        impl = default_impl(x.device, op)
    check_choice("impl", impl, allowed)
    if impl == "cpp" and x.device.type != "cpu":
        raise ValueError(f"{name}: found it on {x.device}, expected cpu for impl='cpp'")
    if impl == "triton":
        check_triton(name, x)
    return impl


def chosen_sampler(op: str, impl: str | None, logits: Tensor) -> str:
    """`chosen` for the ops of the sampler, whose compiled implementations are all in the library.

    Raises:
        ValueError: the implementation is unknown, or does not run on the device of the logits.
        ImportError: it is not built; names the command that fixes it.
    """
    if impl is None:
        impl = default_impl(logits.device, op)
    check_choice("impl", impl, (*LIBRARY_DEVICES, "reference"))
    if impl == "reference":
        return impl
    device = LIBRARY_DEVICES[impl]
    if logits.device.type != device:
        raise ValueError(f"logits: found them on {logits.device}, expected {device} for {impl=}")
    if device == "cpu":
        require(op)
    elif not loaded(device, op):
        raise ImportError(
            "mas_fast was built without CUDA code. With nvcc and a CUDA torch installed, run: "
            "MAS_FAST_CUDA=1 pip install --no-build-isolation -e ."
        )
    return impl


def check_triton(name: str, x: Tensor) -> None:
    """Checks that Triton can run on a tensor.

    Raises:
        ImportError: Triton is not installed, or its interpreter is on and not made for this NumPy.
        ValueError: the tensor is not on a GPU, and Triton's interpreter is off.
    """
    if not _installed("triton"):
        raise ImportError("impl='triton' needs Triton. Run: pip install triton")
    if _interpreted():
        _check_interpreter(_version("triton"), _version("numpy"))
    if x.device.type != "cuda" and not _interpreted():
        raise ValueError(
            f"{name}: found it on {x.device}, expected cuda for impl='triton'; on a CPU its "
            "kernels run under TRITON_INTERPRET=1 alone"
        )


def check_products(name: str, dtype: torch.dtype) -> None:
    """Checks that Triton multiplies a dtype correctly here.

    Raises:
        ValueError: for bf16 under Triton's interpreter, which returns 8e8 for some products. (The
            kernels of VQ load bf16 and multiply it in other dtypes.)
    """
    if dtype == torch.bfloat16 and _interpreted():
        raise ValueError(
            f"{name}: found torch.bfloat16, expected float32 or float16 for impl='triton' under "
            "TRITON_INTERPRET=1, which multiplies bfloat16 wrongly; unset it, or choose another "
            "impl"
        )


def _check_interpreter(triton: tuple[int, int], numpy: tuple[int, int]) -> None:
    """Checks that Triton's interpreter runs with NumPy: up to 3.6 it takes arrays of one element
    for numbers, as NumPy did before 2.4.

    Raises:
        ImportError: it does not; names the command that fixes it.
    """
    if triton < (3, 7) and numpy >= (2, 4):
        found = f"found Triton {triton[0]}.{triton[1]} with NumPy {numpy[0]}.{numpy[1]}"
        raise ImportError(
            f"TRITON_INTERPRET=1: {found}, expected Triton 3.7 or later, or NumPy below 2.4. "
            'Run: pip install "numpy<2.4"'
        )


# These depend on the installation alone, so compilers take the value as a constant instead of
# tracing into importlib and the library loader.
@_assume_constant_result
def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@_assume_constant_result
def _version(name: str) -> tuple[int, int]:
    major, minor, *_ = importlib.metadata.version(name).split(".")
    return int(major), int(minor)


@_assume_constant_result
def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


@_assume_constant_result
def autocasts(kind: str) -> bool:
    """Whether autocast knows this kind of device."""
    return torch.amp.is_autocast_available(kind)


@_assume_constant_result
def exporting() -> bool:
    """Whether this is within torch.export; the compiler of torch 2.11 says so of itself too."""
    return torch.compiler.is_exporting()


def _vq_nearest_fake(x, codebook) -> Tensor:
    return x.new_empty(x.shape[0], dtype=torch.int64)


def _sample_fake(
    logits, uncond, guidance, temperature, top_k, top_p, seed, sample, position
) -> tuple[Tensor, Tensor]:
    token = logits.new_empty(logits.shape[0], dtype=torch.int64)
    return token, torch.empty_like(logits, dtype=torch.bool)
