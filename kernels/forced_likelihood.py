"""How likely the forced tokens of a decode step were: one program for each sequence."""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import triton
import triton.language as tl
from torch import Tensor


def add_forced_likelihood(
    logits: Tensor,
    forced: Tensor,
    first: Tensor,
    advanced: Tensor,
    after: Tensor,
    total: Tensor,
    *,
    window: int,
) -> None:
    """Add the logarithms of the probabilities of the forced tokens that a pass went by.

    They are added one after the other, in fp64, so that the sum is the same at any window.

    Args:
        logits: fp32 [B * window, V], of the positions from first - advanced + 1 on.
        forced: int32 [B, S]; negative where there is none.
        first: int32 [B], the last position that is known, after the pass.
        advanced: int32 [B], the positions that the pass went by.
        after: int32 [B]; tokens up to this position do not count.
        total: fp64 [B], added to.
        window: positions of a pass.
    """
    with launch.guard(logits):
        forced_likelihood_kernel[(len(total),)](
            logits, forced, first, advanced, after, total, logits.shape[1], forced.shape[1], window,
            BLOCK_V=1024, num_warps=8,
        )  # fmt: skip


@triton.jit
def forced_likelihood_kernel(
    logits, forced, first, advanced, after, total, vocab, length, window, BLOCK_V: tl.constexpr
):
    b = tl.program_id(0)
    count = tl.load(advanced + b)
    start = tl.load(first + b) - count + 1
    least = tl.load(after + b)
    value = tl.load(total + b)
    v = tl.arange(0, BLOCK_V)  # [BLOCK_V]
    for i in range(count):
        token = tl.load(forced + b.to(tl.int64) * length + start + i)
        if (token >= 0) & (start + i > least):
            row = logits + (b * window + i).to(tl.int64) * vocab
            largest = tl.full((), float("-inf"), tl.float32)
            for block in range(0, vocab, BLOCK_V):
                x = tl.load(row + block + v, mask=block + v < vocab, other=float("-inf"))
                largest = tl.maximum(largest, tl.max(x, 0))
            weight = tl.full((), 0.0, tl.float64)
            for block in range(0, vocab, BLOCK_V):
                x = tl.load(row + block + v, mask=block + v < vocab, other=float("-inf"))
                below = tl.where(x == largest, 0.0, x.to(tl.float64) - largest)  # inf - inf
                weight += tl.sum(tl.where(block + v < vocab, tl.exp(below), 0.0), 0)
            x = tl.load(row + token)
            below = tl.where(x == largest, 0.0, x.to(tl.float64) - largest)
            value += below - tl.log(weight)
    tl.store(total + b, value)
