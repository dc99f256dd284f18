"""The Triton operators mas_fast::vq_nearest_triton and mas_fast::vq_statistics_triton, with what
torch.compile needs to know of them. Call `ops.vq_nearest` and `ops.vq_statistics`.

They look at no value, so that a graph can hold them: rows that are not finite get -1, and what is
no code counts for nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.library.custom_op("mas_fast::vq_nearest_triton", mutates_args=())
def nearest(x: Tensor, codebook: Tensor, exact: bool) -> Tensor:
    from mas_fast.kernels import vq

    return vq.nearest(x, codebook, exact=exact)


@torch.library.custom_op("mas_fast::vq_statistics_triton", mutates_args=())
def statistics(x: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    from mas_fast.kernels import vq

    return vq.statistics(x, codes, codebook_size)


@nearest.register_fake
def _nearest_fake(x, codebook, exact) -> Tensor:
    return x.new_empty(x.shape[0], dtype=torch.int64)


@statistics.register_fake
def _statistics_fake(x, codes, codebook_size) -> tuple[Tensor, Tensor]:
    sums = x.new_empty(codebook_size, x.shape[1], dtype=torch.float32)
    return x.new_empty(codebook_size, dtype=torch.float32), sums
