"""The end of a decode step: which of the drawn tokens count, and the rows of the next pass.

A pass over a window of guesses draws a token at each of its positions (Jacobi decoding; Santilli et
al. 2023, arXiv 2305.10427). A draw counts if all guesses before it were right; what is drawn after
the first wrong guess is the guess of the next pass. Each sequence goes on by itself.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


def next_rows(
    drawn: Tensor,
    tokens: Tensor,
    first: Tensor,
    end: Tensor,
    failed: Tensor,
    advanced: Tensor,
    x: Tensor,
    embedding: Tensor,
    offset: Tensor,
    position: Tensor,
    *,
    window: int,
    pdl: bool = False,
) -> None:
    """Take what counts of the draws, go on by so many positions, and embed the next window.

    Sequence q has the draws of sequence q % B: with guidance the second half is unconditional. Row
    r of the next pass is of sequence q = r // window, at position p = first[q] + r % window, with
    the new `first`. It reads tokens[q, p]; where that is negative, a guess: the token to the left,
    or 0 where p is the first position of a stream. The guess is kept in `tokens`.

    Args:
        drawn: int32 [B, window], of positions first[q] + 1, ...: a token; -1: nothing, also before
            `end`; or -2 - i, where token i had the first logit that is NaN.
        tokens: int32 [Q, S], Q = B or 2 B: those known, up to first[q], then guesses; -1: none.
        first: int32 [Q], the position of the last token that is known. Increased. Beyond the last
            position rows mean nothing.
        end: int32 [B], beyond which no position is drawn: 1 <= end <= S.
        failed: int32 [B], written: the draw of the position where a sequence cannot go on because
            of a NaN, else -1.
        advanced: int32 [B], written: by how much `first` was increased.
        x: [Q * window, D], written: embedding + position, added in fp32.
        embedding: [sum of V, D], the rows of all streams.
        offset: int32 [S], where the rows of the stream begin that has this position.
        position: [S, D].
        window: positions of a pass.
        pdl: launch with programmatic dependent launch. All that is read comes after the wait.
    """
    count, length = tokens.shape
    channels = x.shape[1]
    options = {"launch_pdl": True} if pdl else {}
    with launch.guard(x):
        next_rows_kernel[(count,)](
            drawn, tokens, first, end, failed, advanced, x, embedding, offset, position,
            drawn.shape[0], length, channels,
            WINDOW=window, BLOCK_W=triton.next_power_of_2(window), BLOCK_D=256, PDL=pdl,
            num_warps=8, **options,
        )  # fmt: skip


@triton.jit
def next_rows_kernel(
    drawn, tokens, first, end, failed, advanced, x, embedding, offset, position,
    sequences, length, channels,
    WINDOW: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_D: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    q = tl.program_id(0)
    b = q % sequences
    i = tl.arange(0, BLOCK_W)  # [BLOCK_W]: the place in the window
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    known, limit = tl.load(first + q), tl.load(end + b)
    tokens += q.to(tl.int64) * length
    p = known + 1 + i  # [BLOCK_W]: the positions that were drawn
    live = (i < WINDOW) & (p < limit)
    draw = tl.load(drawn + b * WINDOW + i, mask=live, other=-1)
    guess = tl.load(tokens + p, mask=live, other=-1)
    # The draws that count: to the first that is not the guess, itself included if it is a token.
    wrong = tl.min(tl.where(live & (draw == guess), WINDOW, i), 0)
    broken = tl.min(tl.where(live & (draw < 0), i, WINDOW), 0)
    right = tl.minimum(wrong + 1, tl.sum(live.to(tl.int32), 0))
    count = tl.minimum(right, broken)
    reason = tl.max(tl.where((i == broken) & (broken < right), draw, -(2**31)), 0)
    reason = tl.where(broken < right, reason, -1)
    known += count
    # What the next pass reads at known + i: known tokens, draws, and beyond these the old guesses.
    best = tl.where(draw < 0, guess, draw)  # [BLOCK_W], at place i the position p
    place = count - 1 + i  # [BLOCK_W]
    inside = (place >= 0) & (place < WINDOW)
    at = known + i  # [BLOCK_W]
    allowed = (at < length) & ((i == 0) | ((i < WINDOW) & (at < limit)))
    token = tl.load(tokens + at, mask=allowed & ~inside, other=-1)
    moved = tl.sum(tl.where(place[:, None] == i[None, :], best[None, :], 0), 1)
    token = tl.where(inside, moved, token)
    # No guess: as the nearest one to the left that has one, and 0 at the start of a stream.
    within = tl.minimum(at, length - 1)
    table = tl.load(offset + within)  # [BLOCK_W]
    starts = table != tl.load(offset + tl.maximum(within - 1, 0))
    token = tl.where((token < 0) & starts, 0, token)
    source = tl.where((token >= 0)[None, :] & (i[None, :] <= i[:, None]), i[None, :], -1)
    source = tl.max(source, 1)  # [BLOCK_W]
    token = tl.sum(tl.where(source[:, None] == i[None, :], token[None, :], 0), 1)
    token = tl.where(allowed, token, 0)
    tl.store(tokens + p, draw, mask=live & (i < count))
    tl.store(tokens + at, token, mask=allowed & (i > 0))
    tl.store(first + q, known)
    if q < sequences:
        tl.store(failed + q, reason)
        tl.store(advanced + q, count)
    row = (q * WINDOW + i)[:, None] * channels  # [BLOCK_W, 1]
    for start in range(0, channels, BLOCK_D):
        d = (start + tl.arange(0, BLOCK_D))[None, :]  # [1, BLOCK_D]
        exists = (i < WINDOW)[:, None] & (d < channels)
        word = tl.load(embedding + (table + token)[:, None].to(tl.int64) * channels + d, exists)
        place_of = tl.load(position + within[:, None] * channels + d, exists)
        total = word.to(tl.float32) + place_of.to(tl.float32)
        tl.store(x + row + d, total.to(x.dtype.element_ty), exists)
