"""Attention of a decode step: the rows of a pass against a KV cache, which they are appended to.

The keys of a sequence are cut into splits of KEYS positions (Flash-Decoding, Dao et al. 2023), one
program for each split of each head: the mean of its values, and how much its keys weigh. The last
program of a head to be done, by a counter, puts the splits together, in their order:

    row = sum_s 2^(lse_s - m) out_s / sum_s 2^(lse_s - m),    m = max_s lse_s

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

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

KEYS = 64  # positions of a split
ROWS = 16  # to which a window is padded: the least that tensor cores multiply
LOG2_E = tl.constexpr(1.4426950408889634)
PRECISION = tl.constexpr("ieee")  # of fp32 inputs


@dataclass(frozen=True)
class Partial:
    """Room for the attention of rows to each split, before they are put together.

    Attributes:
        out: fp32 [R, H, SPLITS, D], the mean of the split's values by their weights in the split.
        lse: fp32 [R, H, SPLITS], log2 of the sum of exp(score); -inf where the row sees none.
        done: int32 [sequences, H], splits that are done; 0 between launches.
    """

    out: Tensor
    lse: Tensor
    done: Tensor

    @classmethod
    def empty(
        cls,
        sequences: int,
        window: int,
        heads: int,
        positions: int,
        channels: int,
        *,
        device: torch.device | str,
    ) -> Partial:
        """Room for sequences of `window` rows each, over a cache of `positions` positions."""
        shape = (sequences * window, heads, triton.cdiv(positions, KEYS))
        return cls(
            torch.empty((*shape, channels), dtype=torch.float32, device=device),
            torch.empty(shape, dtype=torch.float32, device=device),
            torch.zeros((sequences, heads), dtype=torch.int32, device=device),
        )


def decode_attention(
    qkv: Tensor,
    keys: Tensor,
    values: Tensor,
    first: Tensor,
    out: Tensor,
    partial: Partial,
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
        first: int32 [sequences], 0 <= first < S.
        out: [R, H, D], contiguous, written.
        partial: scratch.
        window: 1 to ROWS.
        visible: int32 [S, ceil(S / 32)]; bit n % 32 of word n // 32 of row p says whether position
            p sees position n <= p. None: all of them (causal). Of splits without any, no keys and
            values are read.
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
    splits = partial.lse.shape[2]
    options = {"launch_pdl": True} if pdl else {}
    with launch.guard(qkv):
        decode_attention_kernel[(sequences * heads, splits)](
            qkv, keys, values, first, out, partial.out, partial.lse, partial.done, visible, owner,
            shared, q_gain, k_gain, eps, channels**-0.5, heads, positions,
            keys.stride(0) // channels,
            SPLITS=splits, BLOCK_S=triton.next_power_of_2(splits), WINDOW=window, ROWS=ROWS,
            KEYS=KEYS, D=channels, BLOCK_D=max(16, triton.next_power_of_2(channels)), PDL=pdl,
            num_warps=warps(channels), **options,
        )  # fmt: skip


def warps(channels: int) -> int:
    """Of a program: keys and values of a split lie in its registers."""
    return 4 if channels <= 64 else 8


@triton.jit
def decode_attention_kernel(
    qkv, keys, values, first, out, part_out, part_lse, done, visible, owner, shared,
    q_gain, k_gain, eps, scale, heads, positions, stride_b,
    SPLITS: tl.constexpr, BLOCK_S: tl.constexpr, WINDOW: tl.constexpr, ROWS: tl.constexpr,
    KEYS: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr, PDL: tl.constexpr,
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
    # Splits with a key of the pass or before it. The last of them append, whatever a mask hides.
    active = tl.minimum(tl.cdiv(start + WINDOW, KEYS), SPLITS)
    if split >= active:
        return
    appends = split * KEYS + KEYS > start
    p = tl.minimum(start + i, positions - 1)  # [ROWS]
    shown = (n[None, :] <= p[:, None]) & (i < WINDOW)[:, None]  # [ROWS, KEYS]
    if visible is not None:
        words = visible + p[:, None] * tl.cdiv(positions, 32) + (n // 32)[None, :]
        shown = shown & (((tl.load(words, mask=shown, other=0) >> (n % 32)[None, :]) & 1) != 0)
    row = b * WINDOW + i  # [ROWS]
    real = i < WINDOW  # [ROWS]
    mean = tl.zeros((ROWS, BLOCK_D), tl.float32)
    size = tl.full((ROWS,), float("-inf"), tl.float32)
    if (tl.max(tl.max(shown.to(tl.int32), 1), 0) > 0) | appends:
        q = load_head(qkv, row, 0, h, heads, real, D, BLOCK_D)  # [ROWS, BLOCK_D]
        if q_gain is not None:
            q = scaled(q, inverse_rms(q, eps, D), q_gain, D, BLOCK_D)
        own = b.to(tl.int64) * stride_b + h * positions  # rows of D channels
        where = own + n  # [KEYS]
        if owner is not None:
            other = tl.load(owner + b).to(tl.int64) * stride_b + h * positions
            where = tl.where(n < tl.load(shared + b), other, own) + n
        at = where[:, None] * D + d[None, :]  # [KEYS, BLOCK_D]
        old = (n < start)[:, None] & (d < D)[None, :]  # [KEYS, BLOCK_D]
        k = tl.load(keys + at, mask=old, other=0.0)
        v = tl.load(values + at, mask=old, other=0.0)
        if appends:
            new = (n >= start) & (n < start + WINDOW) & (n < positions)  # [KEYS]
            new_k = load_head(qkv, b * WINDOW + n - start, 1, h, heads, new, D, BLOCK_D)
            new_v = load_head(qkv, b * WINDOW + n - start, 2, h, heads, new, D, BLOCK_D)
            # What takes a sum over channels is found of the few rows, not of the block.
            which = n[:, None] == (start + i)[None, :]  # [KEYS, ROWS]
            if k_gain is not None:
                rms = inverse_rms(load_head(qkv, row, 1, h, heads, real, D, BLOCK_D), eps, D)
                rms = tl.sum(tl.where(which, rms[None, :], 0.0), 1)  # [KEYS]
                new_k = scaled(new_k, rms, k_gain, D, BLOCK_D)
            row_v = load_head(qkv, row, 2, h, heads, real, D, BLOCK_D).to(tl.float32)
            lost = tl.sum(row_v * 0.0, 1) != 0  # [ROWS]: NaN where one is not finite
            lost = tl.max(tl.where(which & lost[None, :], 1, 0), 1)[:, None] > 0  # [KEYS, 1]
            new_k = tl.where(lost, tl.full((), float("nan"), new_k.dtype), new_k)
            new_v = tl.where(lost, tl.full((), 0.0, new_v.dtype), new_v)
            written = new[:, None] & (d < D)[None, :]
            tl.store(keys + (own + n)[:, None] * D + d[None, :], new_k, mask=written)
            tl.store(values + (own + n)[:, None] * D + d[None, :], new_v, mask=written)
            k = tl.where(new[:, None], new_k, k)
            v = tl.where(new[:, None], new_v, v)
        qk = tl.dot(q, tl.trans(k), input_precision=PRECISION)  # [ROWS, KEYS]
        qk = tl.where(shown, qk * (scale * LOG2_E), float("-inf"))
        m = tl.max(qk, 1)  # [ROWS]
        m = tl.where(m == float("-inf"), 0.0, m)
        weight = tl.exp2(qk - m[:, None])  # [ROWS, KEYS]
        total = tl.sum(weight, 1)  # [ROWS]
        some = tl.where(total == 0, 1.0, total)  # [ROWS]
        mean = tl.dot(weight.to(v.dtype), v, input_precision=PRECISION) / some[:, None]
        size = tl.where(total == 0, float("-inf"), m + tl.log2(some))
    head = row * heads + h  # [ROWS]
    parts, inside = part_lse + head * SPLITS, real[:, None] & (d < D)[None, :]
    tl.store(part_out + (head * SPLITS + split)[:, None] * D + d[None, :], mean, mask=inside)
    tl.store(parts + split, size, mask=real)
    tl.debug_barrier()  # one thread counts, and says that all have stored
    if tl.atomic_add(done + b * heads + h, 1) < active - 1:
        return
    tl.store(done + b * heads + h, 0)
    s = tl.arange(0, BLOCK_S)  # [BLOCK_S]
    sizes = parts[:, None] + s[None, :]  # [ROWS, BLOCK_S]
    counts = real[:, None] & (s < active)[None, :]
    m = tl.max(tl.load(sizes, counts, other=float("-inf"), cache_modifier=".cg"), 1)  # [ROWS]
    m = tl.where(m == float("-inf"), 0.0, m)
    mean = tl.zeros((ROWS, BLOCK_D), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)  # [ROWS]
    for split in tl.static_range(SPLITS):  # unrolled: all loads are under way at once
        there = i < tl.where(split < active, WINDOW, 0)  # [ROWS]
        size = tl.load(parts + split, there, other=float("-inf"), cache_modifier=".cg")
        place = part_out + (head * SPLITS + split)[:, None] * D + d[None, :]
        part = tl.load(place, there[:, None] & inside, other=0.0, cache_modifier=".cg")
        weight = tl.exp2(size - m)  # [ROWS]
        mean += weight[:, None] * part
        total += weight
    mean = mean / tl.where(total == 0, 1.0, total)[:, None]
    tl.store(out + head[:, None] * D + d[None, :], mean.to(out.dtype.element_ty), mask=inside)


@triton.jit
def load_head(qkv, row, part, h, heads, exists, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """[ROWS, BLOCK_D]: a head of rows [ROWS], zeros where none exists and beyond channel D."""
    d = tl.arange(0, BLOCK_D)
    at = qkv + ((row * 3 + part) * heads + h)[:, None] * D + d[None, :]
    return tl.load(at, mask=exists[:, None] & (d < D)[None, :], other=0.0)


@triton.jit
def inverse_rms(x, eps, D: tl.constexpr):
    """[ROWS]: 1 / sqrt(mean of squares + eps) of rows [ROWS, BLOCK_D]."""
    wide = x.to(tl.float32)
    return tl.rsqrt(tl.sum(wide * wide, 1) / D + eps)


@triton.jit
def scaled(x, factor, gain, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Rows [ROWS, BLOCK_D] times factor [ROWS] times gain [D] in fp32, in the dtype of x."""
    d = tl.arange(0, BLOCK_D)
    g = tl.load(gain + d, mask=d < D, other=0.0).to(tl.float32)
    return (x.to(tl.float32) * factor[:, None] * g[None, :]).to(x.dtype)
