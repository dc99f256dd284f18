"""Weights as kernels/linear.py reads them: as they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 32  # inputs that share a scale
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class PackedWeight:
    """A matrix [N, K] for `linear`.

    Attributes:
        dtype: its name.
        inputs: K.
        values: [N, K].
        scales: None.
    """

    dtype: str
    inputs: int
    values: Tensor
    scales: Tensor | None = None

    @property
    def outputs(self) -> int:
        return len(self.values)


def pack(w: Tensor, dtype: str) -> PackedWeight:
    """W for `linear`; without a copy if it is contiguous and of that dtype.

    Args:
        w: [N, K].
        dtype: a name of DTYPES.

    Raises:
        ValueError: there is no such dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype: found {dtype!r}, expected one of {list(DTYPES)}")
    return PackedWeight(dtype, w.shape[1], w.detach().to(DTYPES[dtype]).contiguous())
