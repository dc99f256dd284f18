"""Which device a computation runs on, and how exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


def find_device(name: str | torch.device | None) -> torch.device:
    """The device called `name`; None: a GPU where there is one. ValueError for one that is not
    here."""
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device: found {str(name)!r}, expected one that is here: {reason}"
        ) from error


@contextlib.contextmanager
def whole_fp32() -> Iterator[None]:
    """Within it, convolutions and products of fp32 on a GPU are of fp32: PyTorch's default for
    convolutions is TF32, which has 10 bits of 23 and may choose another code of two near ones. A
    setting of the whole process, which is put back; compilers, which cannot, leave it alone."""
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
