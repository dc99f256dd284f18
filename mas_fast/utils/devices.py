"""Which device a computation runs on, and how exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


def find_device(name: str | torch.device | None) -> torch.device:
    """Find the device called `name`.

    Args:
        name: a device; None takes a GPU where there is one.

    Returns:
        The device.

    Raises:
        ValueError: if the device is not here.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device: found {str(name)!r}, expected one that is here: {reason}"
        ) from error


def in_bf16(precision: str, device: torch.device | str) -> bool:
    """Whether to compute in bf16: "bf16", "fp32", or "auto", which is bf16 where the device has
    instructions for it. A processor without them takes eight times as long as in fp32.
    """
    if precision != "auto":
        return precision == "bf16"
    return torch.device(device).type != "cpu" or torch.cpu._is_avx512_bf16_supported()


@contextlib.contextmanager
def whole_fp32() -> Iterator[None]:
    """Compute convolutions and products of fp32 on a GPU in fp32, within the block.

    PyTorch's default for convolutions is TF32, which has 10 bits of 23 and may choose another code
    of two near ones. It is a setting of the whole process, which is put back afterwards. Compilers,
    which cannot change it, leave it alone.

    Yields:
        Nothing.
    """
    if torch.compiler.is_compiling():
        yield
        return
    convolution: Any = torch.backends.cudnn  # whose `conv` is not in torch's annotations
    parts = (convolution.conv, torch.backends.cuda.matmul)
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "ieee"
        yield
    finally:
        for part, was in zip(parts, before, strict=True):
            part.fp32_precision = was
