"""Attention of a decode step: the rows of a pass against a KV cache, which they are appended to.

The keys of a sequence are cut into splits of KEYS positions (Flash-Decoding, Dao et al. 2023), one
program for each split of each head. It gives what the row would get of its keys alone and how much
they weigh; whoever reads the row puts the splits together (linear.PartialAttention).

A split is one block, whose keys are always the same, so a row has the same bits wherever it stands
in a window and whatever sequences are beside it. The position is read from device memory, so that a
captured launch can be replayed.

Keys and values of the pass itself are taken from `qkv`, since no program may wait for another one
to have stored them. A row does not see the later ones of its pass, which are guesses and may have
no numbers: 0 * infinity would be NaN, so a value that is not finite is kept as zeros with a key of
NaN, which only those meet that see it.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from .linear import PartialAttention

KEYS = 128  # positions of a split
ROWS = 16  # to which a window is padded: the least that tensor cores multiply
LOG2_E = tl.constexpr(1.4426950408889634)
PRECISION = tl.constexpr("ieee")  # of fp32 inputs


def empty_partial(
    rows: int, heads: int, positions: int, channels: int, *, device: torch.device | str
) -> PartialAttention:
    """Uninitialised room for the attention of `rows` rows to `positions` positions."""
    shape = (rows, heads, triton.cdiv(positions, KEYS))
    return PartialAttention(
        torch.empty((*shape, channels), dtype=torch.float32, device=device),
        torch.empty(shape, dtype=torch.float32, device=device),
    )


def decode_attention(
    qkv: Tensor,
    keys: Tensor,
    values: Tensor,
    first: Tensor,
    partial: PartialAttention,
    *,
    window: int,
    visible: Tensor | None = None,
    owner: Tensor | None = None,
    shared: Tensor | None = None,
    gains: tuple[Tensor, Tensor] | None = None,
    eps: float = 0.0,
    pdl: bool = False,
) -> None:
    """Attend with the rows of a pass, and append their keys and values to the cache.

    Row r is of sequence b = r // window, at position first[b] + r % window. Rows beyond the last
    position of the cache have results that mean nothing, and are not kept.

    Args:
        qkv: [R, 3, H, D], R = sequences * window, contiguous: queries, keys, values.
        keys: [sequences, H, S, D], each [H, S, D] contiguous, of the dtype of qkv. It has the
            positions before first[b], and receives those of the pass.
        values: like `keys`, with the same strides.
        first: int32 [sequences].
        partial: written; of a split that a row sees nothing of, `out` is zero.
        window: 1 to ROWS.
        visible: int32 [S, ceil(S / 32)]; bit n % 32 of word n // 32 of row p says whether position
            p sees position n <= p. None: all of them (causal). Of splits without any, nothing is
            read.
        owner: int32 [sequences]: positions below shared[b] are read from the cache of sequence
            owner[b]. None: each sequence has all of its own.
        shared: int32 [sequences], with `owner`.
        gains: [D] each, of the RMSNorm of the queries and of the keys of a head; None: there is no
            such norm.
        eps: of these norms.
        pdl: launch with programmatic dependent launch. All that is read comes after the wait.

    Raises:
        ValueError: if the window is out of range.
    """
    if not 1 <= window <= ROWS:
        raise ValueError(f"window: found {window}, expected 1..{ROWS}")
    sequences, heads, positions, channels = keys.shape
    q_gain, k_gain = (None, None) if gains is None else gains
    options = {"launch_pdl": True} if pdl else {}
    with launch.guard(qkv):
        decode_attention_kernel[(sequences * heads, partial.lse.shape[2])](
            qkv, keys, values, first, partial.out, partial.lse, visible, owner, shared,
            q_gain, k_gain, eps, channels**-0.5, heads, positions, keys.stride(0),
            WINDOW=window, ROWS=ROWS, KEYS=KEYS, D=channels,
            BLOCK_D=max(16, triton.next_power_of_2(channels)), PDL=pdl, num_warps=4, **options,
        )  # fmt: skip


@triton.jit
def decode_attention_kernel(
    qkv, keys, values, first, out, lse, visible, owner, shared, q_gain, k_gain,
    eps, scale, heads, positions, stride_b,
    WINDOW: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, D: tl.constexpr,
    BLOCK_D: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    b, h = tl.program_id(0) // heads, tl.program_id(0) % heads
    split = tl.program_id(1)
    i = tl.arange(0, ROWS)  # [ROWS]: the row's place in the window
    n = split * KEYS + tl.arange(0, KEYS)  # [KEYS]: positions
    d = tl.arange(0, BLOCK_D)  # [BLOCK_D]
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    start = tl.load(first + b)
    p = tl.minimum(start + i, positions - 1)  # [ROWS]
    shown = (n[None, :] <= p[:, None]) & (i < WINDOW)[:, None]  # [ROWS, KEYS]
    if visible is not None:
        words = visible + p[:, None] * tl.cdiv(positions, 32) + (n // 32)[None, :]
        shown = shown & (((tl.load(words, mask=shown, other=0) >> (n % 32)[None, :]) & 1) != 0)
    row = b * WINDOW + i  # [ROWS]
    to = (row * heads + h) * tl.num_programs(1) + split  # [ROWS]
    kept = (i < WINDOW)[:, None] & (d < D)[None, :]  # [ROWS, BLOCK_D]
    new = (n >= start) & (n < start + WINDOW) & (n < positions)  # [KEYS]
    # The split of the pass itself appends, also where a mask hides all of it.
    if (tl.max(tl.max(shown.to(tl.int32), 1), 0) > 0) | (tl.max(new.to(tl.int32), 0) > 0):
        q = load_head(qkv, row, 0, h, heads, i < WINDOW, D, BLOCK_D)  # [ROWS, BLOCK_D]
        k = load_head(qkv, b * WINDOW + n - start, 1, h, heads, new, D, BLOCK_D)  # [KEYS, BLOCK_D]
        v = load_head(qkv, b * WINDOW + n - start, 2, h, heads, new, D, BLOCK_D)  # [KEYS, BLOCK_D]
        if q_gain is not None:
            q = rms_norm(q, q_gain, eps, D, BLOCK_D)
            k = rms_norm(k, k_gain, eps, D, BLOCK_D)
        finite = tl.abs(v.to(tl.float32)) < float("inf")  # [KEYS, BLOCK_D]
        lost = tl.min(finite.to(tl.int32), 1)[:, None] == 0  # [KEYS, 1]
        k = tl.where(lost, float("nan"), k.to(tl.float32)).to(q.dtype)
        v = tl.where(lost, 0.0, v.to(tl.float32)).to(q.dtype)
        own = h.to(tl.int64) * positions * D + n[:, None] * D + d[None, :]  # [KEYS, BLOCK_D]
        at = own + b.to(tl.int64) * stride_b
        written = new[:, None] & (d < D)[None, :]
        tl.store(keys + at, k, mask=written)
        tl.store(values + at, v, mask=written)
        if owner is not None:
            holder = tl.where(n < tl.load(shared + b), tl.load(owner + b), b)  # [KEYS]
            at = own + holder[:, None].to(tl.int64) * stride_b
        old = (n < start)[:, None] & (d < D)[None, :]
        k = tl.where(new[:, None], k, tl.load(keys + at, mask=old, other=0.0))
        v = tl.where(new[:, None], v, tl.load(values + at, mask=old, other=0.0))
        qk = tl.dot(q, tl.trans(k), input_precision=PRECISION)  # [ROWS, KEYS]
        qk = tl.where(shown, qk * (scale * LOG2_E), float("-inf"))
        m = tl.max(qk, 1)  # [ROWS]
        m = tl.where(m == float("-inf"), 0.0, m)
        weight = tl.exp2(qk - m[:, None])  # [ROWS, KEYS]
        total = tl.sum(weight, 1)  # [ROWS]
        mean = tl.dot(weight.to(v.dtype), v, input_precision=PRECISION)  # [ROWS, BLOCK_D]
        mean = mean / tl.where(total == 0, 1.0, total)[:, None]
        size = tl.where(total == 0, float("-inf"), m + tl.log2(tl.where(total == 0, 1.0, total)))
    else:
        mean = tl.zeros((ROWS, BLOCK_D), tl.float32)
        size = tl.full((ROWS,), float("-inf"), tl.float32)
    tl.store(out + to[:, None] * D + d[None, :], mean, mask=kept)
    tl.store(lse + to, size, mask=i < WINDOW)


@triton.jit
def load_head(qkv, row, part, h, heads, exists, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """[ROWS, BLOCK_D]: a head of rows [ROWS], zeros where none exists and beyond channel D."""
    d = tl.arange(0, BLOCK_D)
    at = qkv + ((row * 3 + part) * heads + h)[:, None] * D + d[None, :]
    return tl.load(at, mask=exists[:, None] & (d < D)[None, :], other=0.0)


@triton.jit
def rms_norm(x, gain, eps, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """RMSNorm of rows [ROWS, BLOCK_D] in fp32, in the dtype of x."""
    d = tl.arange(0, BLOCK_D)
    wide = x.to(tl.float32)
    mean = tl.sum(wide * wide, 1) / D
    g = tl.load(gain + d, mask=d < D, other=0.0).to(tl.float32)
    return (wide * tl.rsqrt(mean + eps)[:, None] * g[None, :]).to(x.dtype)
