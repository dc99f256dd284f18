"""Weights as kernels/linear.py reads them, and how they are quantized.

int8 and int4 are what csrc/core/quantize.h defines and mas_fast/bundle/quantized.py stores: groups
of 32 inputs share a bfloat16 scale, a weight is level * scale, and two int4 levels share a byte,
the earlier in its lower half. fp8 is e4m3 with one fp32 scale for each output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 32  # inputs that share a scale
LEVELS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)  # of int4
FLOATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DTYPES = (*FLOATS, "int8", "fp8", "int4")
FP8_LARGEST = 448
# The smallest normal number: a scale of at least this has a finite inverse.
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class PackedWeight:
    """A matrix [N, K] for `linear`.

    Attributes:
        dtype: one of DTYPES.
        inputs: K.
        values: [N, K] of that dtype; int4: uint8 [N, groups * 16], the places of two levels.
        scales: int8, int4: bfloat16 [N, groups]; fp8: fp32 [N]; else None.
    """

    dtype: str
    inputs: int
    values: Tensor
    scales: Tensor | None = None

    @property
    def outputs(self) -> int:
        return len(self.values)


def pack(w: Tensor, dtype: str) -> PackedWeight:
    """A matrix for `linear`.

    Args:
        w: [N, K], finite.
        dtype: one of DTYPES. What is of that dtype, and contiguous, is not copied.

    Returns:
        The matrix, on its device.

    Raises:
        ValueError: there is no such dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype: found {dtype!r}, expected one of {list(DTYPES)}")
    w = w.detach()
    if dtype in FLOATS:
        return PackedWeight(dtype, w.shape[1], w.to(FLOATS[dtype]).contiguous())
    if dtype == "fp8":
        scale = (w.float().abs().amax(1) / FP8_LARGEST).clamp(min=TINY)
        values = (w.float() / scale[:, None]).to(torch.float8_e4m3fn)
        return PackedWeight(dtype, w.shape[1], values.contiguous(), scale)
    groups = F.pad(w.double(), (0, -w.shape[1] % GROUP)).unflatten(1, (-1, GROUP))
    levels, scales = (int8_groups if dtype == "int8" else int4_groups)(groups)
    return pack_levels(levels.flatten(1)[:, : w.shape[1]], scales, dtype)


def pack_levels(levels: Tensor, scales: Tensor, dtype: str) -> PackedWeight:
    """A quantized matrix for `linear`, such as a bundle has.

    Args:
        levels: int8 [N, K], -127 to 127; for int4 each one of LEVELS.
        scales: bfloat16 [N, groups].
        dtype: "int8" or "int4".

    Returns:
        The matrix, on its device.
    """
    inputs = levels.shape[1]
    if dtype == "int8":
        return PackedWeight(dtype, inputs, levels.contiguous(), scales.contiguous())
    places = torch.searchsorted(torch.tensor(LEVELS, device=levels.device), levels.long())
    places = F.pad(places, (0, -inputs % GROUP)).byte()
    return PackedWeight(dtype, inputs, places[:, ::2] | places[:, 1::2] << 4, scales.contiguous())


def int8_groups(w: Tensor) -> tuple[Tensor, Tensor]:
    """Levels, int8 [N, groups, 32], and scales, bfloat16 [N, groups], of w, fp64 [N, groups, 32].

    The smallest scale that holds the largest weight, and the eight that follow it, are tried; the
    one with the least squared error is taken.
    """
    largest = w.abs().amax(2).clamp(min=127 * TINY)
    first = (largest / 127).bfloat16()
    bits = first.view(torch.int16) + (first.double() * 127 < largest)
    tried = [(bits + step).to(torch.int16).view(torch.bfloat16) for step in range(9)]
    scales = least_error(w, tried, int8_nearest)
    return int8_nearest(quotient(w, scales)).to(torch.int8), scales


def int4_groups(w: Tensor) -> tuple[Tensor, Tensor]:
    """As int8_groups. Scales of both signs, which put the largest weight at 100 to 140, are tried,
    then the one that fits the best of their levels."""
    largest = w.abs().amax(2)
    tried = [(largest / (sign * at)).bfloat16() for at in range(100, 141, 10) for sign in (-1, 1)]
    best = least_error(w, tried, int4_nearest)
    levels = int4_nearest(quotient(w, best))
    fitted = (w * levels).sum(2) / levels.square().sum(2)
    scales = least_error(w, [best, fitted.bfloat16()], int4_nearest)
    scales = torch.where(largest > 256 * TINY, scales, 0)
    return int4_nearest(quotient(w, scales)).to(torch.int8), scales


def least_error(w: Tensor, tried: Sequence[Tensor], nearest: Callable[[Tensor], Tensor]) -> Tensor:
    """Of each group the scale with the least squared error, the first of equal ones."""
    best, least = tried[0], torch.full_like(tried[0], torch.inf, dtype=w.dtype)
    for scales in tried:
        levels = nearest(quotient(w, scales))
        error = (w - levels * scales[:, :, None]).square().sum(2)
        best = torch.where(error < least, scales, best)
        least = torch.minimum(error, least)
    return best


def quotient(w: Tensor, scales: Tensor) -> Tensor:
    """w / scale; 0 where the scale is 0."""
    scale = scales[:, :, None].to(w.dtype)
    return torch.where(scale == 0, 0, w / scale)


def int8_nearest(value: Tensor) -> Tensor:
    return value.round()


def int4_nearest(value: Tensor) -> Tensor:
    levels = torch.tensor(LEVELS, dtype=value.dtype, device=value.device)
    borders = (levels[1:] + levels[:-1]) / 2
    return levels[torch.bucketize(value, borders, right=True)]
