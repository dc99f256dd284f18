"""Fused attention, forward and backward: causal, or any pattern of tiles.

One program owns a tile of rows and walks over the tiles of columns that they need. The softmax is
the running one of FlashAttention (arXiv 2205.14135, 2307.08691): the scores never leave the chip,
sums are fp32, exponentials are of base 2 with the factor log2(e) / sqrt(D) folded into the one
multiplication that precedes them. The forward pass keeps, of each row, log2 of its sum.

The backward pass has two kernels and no atomics, so equal input gives equal bits. `query_kernel`
owns queries and gives dq and, on the way, the row sums of o * do; `key_kernel` owns keys and gives
dk and dv from transposed scores.

Rows that do not exist are clamped to ones that do: no load of a row needs a mask, nothing is
stored for them, and as columns they are hidden. Tiles of queries are aligned to the end of the
sequence: the part of the first one that is empty is the cheapest there is under a causal mask,
while the empty part of a last one would be the dearest.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import tiles
from .tiles import Pattern

COLUMN = tl.constexpr(tiles.COLUMN)
PAD = tl.constexpr(tiles.PAD)
# Finite, since a row without a visible column so far must not become NaN; a power of two, so that
# its product with any factor is exact and the exponential of "hidden - hidden" is 1.
HIDDEN = tl.constexpr(-(2.0**100))
PRECISION = tl.constexpr("ieee")  # of fp32 inputs
LOG2_E = tl.constexpr(1.4426950408889634)


def forward(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern | None) -> tuple[Tensor, Tensor]:
    """o [B, H, T, D], in memory [B, T, H, D], and fp32 [B, H, T'] for `backward`: log2 of the sum
    of each row, see `per_row`. q, k, v: [B, H, T, D], D <= 128; without a pattern, causal."""
    q, k, v = map(unit_stride, (q, k, v))
    o = empty_rows(q)
    shape, rows = tiles.padded_shape(*q.shape[:3]), tile_of("forward", q, pattern).rows
    # What no tile covers is nobody's, but equal input gives an equal output there too.
    covered = triton.cdiv(q.shape[2], rows) * rows == shape[2]
    lse = (torch.empty if covered else torch.zeros)(shape, dtype=torch.float32, device=q.device)
    if q.numel():
        with launch.guard(q):
            run(forward_kernel, "forward", pattern, (q, k, v, o), (lse,))
    return o, lse


def backward(
    q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, do: Tensor, pattern: Pattern | None
) -> tuple[Tensor, Tensor, Tensor]:
    """dq, dk, dv [B, H, T, D], in memory [B, T, H, D], of what `forward` was given and returned
    and the gradient `do` of o."""
    q, k, v, o, do = map(unit_stride, (q, k, v, o, do))
    dq, dk, dv = (empty_rows(q) for _ in range(3))
    delta = torch.empty_like(lse)
    if q.numel():
        with launch.guard(q):
            run(query_kernel, "queries", pattern, (q, k, v, o, do, dq), (lse, delta))
            run(key_kernel, "keys", pattern, (q, k, v, do, dk, dv), (lse, delta))
    return dq, dk, dv


def run(kernel, name: str, pattern: Pattern | None, tensors, per_row) -> None:
    """Launches a kernel on tensors [B, H, T, D] with unit last stride."""
    q = tensors[0]
    batch, heads, length, channels = q.shape
    tile = tile_of(name, q, pattern)
    by_key = name == "keys"
    block = tile.columns if by_key else tile.rows  # of queries: the last one ends with the sequence
    first = length - triton.cdiv(length, block) * block
    table = (None,) * 4
    if pattern is not None:
        table = pattern.on(
            q.device, rows=tile.rows, columns=tile.columns, first=first, by_key=by_key
        )
    strides = [stride for x in tensors for stride in x.stride()[:3]]
    kernel[(batch * heads * triton.cdiv(length, tile.rows),)](
        *tensors, *per_row, *table, first, length, heads, channels**-0.5, *strides,
        D=channels, BLOCK_D=max(16, triton.next_power_of_2(channels)),
        ROWS=tile.rows, COLUMNS=tile.columns, **tile.options,
    )  # fmt: skip


def tile_of(name: str, q: Tensor, pattern: Pattern | None) -> launch.Tile:
    """Under a pattern smaller tiles: more of them can be skipped."""
    kind = "" if pattern is None else "_pattern"
    if q.shape[3] > 64:
        kind = "_128"
    if q.element_size() > 2:
        kind = "_fp32"
    return launch.tile(f"attention_{name}{kind}", launch.capability(q))


def unit_stride(x: Tensor) -> Tensor:
    """x, copied if its channels are not neighbours in memory, or its positions so far apart that
    the kernels' 32-bit offsets within a head would not hold them."""
    fits = x.stride(-1) == 1 and x.shape[2] * x.stride(2) < 1 << 31
    return x if fits else x.contiguous()


def empty_rows(like: Tensor) -> Tensor:
    """[B, H, T, D] in memory [B, T, H, D], as the projection that follows wants it."""
    batch, heads, length, channels = like.shape
    return like.new_empty(batch, length, heads, channels).transpose(1, 2)


@triton.jit
def own_tile(length, heads, ROWS: tl.constexpr):
    """The tile of this program, the latest first, and its batch and head."""
    tiles = tl.cdiv(length, ROWS)
    program = tl.program_id(0)
    head = program // tiles
    return tiles - 1 - program % tiles, (head // heads).to(tl.int64), (head % heads).to(tl.int64)


@triton.jit
def per_row(x, b, h, heads, length, tile, BLOCK: tl.constexpr):
    """Where a tile of queries is in x [B, H, T'], T' the next multiple of PAD, the padding in
    front: all tiles are aligned, and there is room for rows that do not exist."""
    end = (b * heads + h + 1) * (tl.cdiv(length, PAD) * PAD)
    return x + end - (tl.cdiv(length, BLOCK) - tile) * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def positions(order, start, length, BLOCK: tl.constexpr):
    """The positions of rows start, start + 1, ..., clamped to those there are."""
    at = tl.minimum(tl.maximum(start + tl.arange(0, BLOCK), 0), length - 1)
    if order is not None:
        at = tl.load(order + at)
    return at


@triton.jit
def load_rows(x, at, stride, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """[rows, BLOCK_D]: the rows `at`, zeros beyond channel D."""
    d = tl.arange(0, BLOCK_D)
    pointers = x + at[:, None] * stride + d[None, :]
    if D == BLOCK_D:
        return tl.load(pointers)
    else:
        return tl.load(pointers, mask=(d < D)[None, :], other=0.0)


@triton.jit
def store_rows(x, at, stride, known, value, D: tl.constexpr, BLOCK_D: tl.constexpr):
    d = tl.arange(0, BLOCK_D)
    pointers = x + at[:, None] * stride + d[None, :]
    value = value.to(x.dtype.element_ty)
    if D == BLOCK_D:
        tl.store(pointers, value, mask=known[:, None])
    else:
        tl.store(pointers, value, mask=known[:, None] & (d < D)[None, :])


@triton.jit
def shown(bits, mask, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """bool [ROWS, COLUMNS]: a mask of the table."""
    column = tl.arange(0, COLUMNS)[None, :]
    words = bits + (mask * 2 * ROWS + tl.arange(0, ROWS))[:, None]
    word = tl.where(column < 32, tl.load(words), tl.load(words + ROWS))
    return ((word >> (column % 32)) & 1) != 0


@triton.jit
def keys_of(starts, bits, tile, start, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Which tiles of keys a tile of queries visits: numbers, or entries of the table."""
    begin, end = 0, tl.cdiv(start + ROWS, COLUMNS)
    if bits is not None:
        begin, end = tl.load(starts + tile), tl.load(starts + tile + 1)
    return begin, end


@triton.jit
def keys_at(entries, bits, t, start, COLUMNS: tl.constexpr):
    """(first key, whether the tile is only partly visible, its mask in the table if so)."""
    if bits is None:
        column = t * COLUMNS
        partial = column + COLUMNS > start + 1
        mask = 0
    else:
        entry = tl.load(entries + t)
        column = (entry & COLUMN) * COLUMNS
        partial = entry > COLUMN
        mask = entry // (COLUMN + 1) - 1
    return column, partial, mask


@triton.jit
def forward_kernel(
    q, k, v, o, lse, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    tile, b, h = own_tile(length, heads, ROWS)
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    start = first + tile * ROWS
    m = start + tl.arange(0, ROWS)
    at = positions(order, start, length, ROWS)
    q_tile = load_rows(q + b * q_b + h * q_h, at, q_t, D, BLOCK_D)
    factor = scale * LOG2_E
    top = tl.full((ROWS,), HIDDEN, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    mix = tl.zeros((ROWS, BLOCK_D), tl.float32)
    begin, end = keys_of(starts, bits, tile, start, ROWS, COLUMNS)
    for t in range(begin, end):
        column, partial, mask = keys_at(entries, bits, t, start, COLUMNS)
        seen = positions(order, column, length, COLUMNS)
        score = tl.dot(
            q_tile, tl.trans(load_rows(k, seen, k_t, D, BLOCK_D)), input_precision=PRECISION
        )
        if partial:
            if bits is None:
                keep = m[:, None] >= (column + tl.arange(0, COLUMNS))[None, :]
            else:
                keep = shown(bits, mask, ROWS, COLUMNS)
            score = tl.where(keep, score, HIDDEN)
        higher = tl.maximum(top, tl.max(score, 1))
        weight = tl.exp2(score * factor - (higher * factor)[:, None])
        fade = tl.exp2((top - higher) * factor)
        top = higher
        total = total * fade + tl.sum(weight, 1)
        v_tile = load_rows(v, seen, v_t, D, BLOCK_D)
        mix = tl.dot(
            weight.to(v_tile.dtype), v_tile, mix * fade[:, None], input_precision=PRECISION
        )
    store_rows(o + b * o_b + h * o_h, at, o_t, m >= 0, mix / total[:, None], D, BLOCK_D)
    logs = tl.where(m >= 0, top * factor + tl.log2(total), float("inf"))
    tl.store(per_row(lse, b, h, heads, length, tile, ROWS), logs)


@triton.jit
def query_kernel(
    q, k, v, o, do, dq, lse, delta, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t, g_b, g_h, g_t, d_b, d_h, d_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    tile, b, h = own_tile(length, heads, ROWS)
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    start = first + tile * ROWS
    m = start + tl.arange(0, ROWS)
    at = positions(order, start, length, ROWS)
    q_tile = load_rows(q + b * q_b + h * q_h, at, q_t, D, BLOCK_D)
    g_tile = load_rows(do + b * g_b + h * g_h, at, g_t, D, BLOCK_D)
    o_tile = load_rows(o + b * o_b + h * o_h, at, o_t, D, BLOCK_D)
    own = tl.sum(o_tile.to(tl.float32) * g_tile.to(tl.float32), 1)
    tl.store(per_row(delta, b, h, heads, length, tile, ROWS), own)
    logs = tl.load(per_row(lse, b, h, heads, length, tile, ROWS))
    factor = scale * LOG2_E
    slope = tl.zeros((ROWS, BLOCK_D), tl.float32)
    begin, end = keys_of(starts, bits, tile, start, ROWS, COLUMNS)
    for t in range(begin, end):
        column, partial, mask = keys_at(entries, bits, t, start, COLUMNS)
        seen = positions(order, column, length, COLUMNS)
        k_tile = load_rows(k, seen, k_t, D, BLOCK_D)
        v_tile = load_rows(v, seen, v_t, D, BLOCK_D)
        score = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION)
        weight = tl.exp2(score * factor - logs[:, None])
        if partial:
            if bits is None:
                keep = m[:, None] >= (column + tl.arange(0, COLUMNS))[None, :]
            else:
                keep = shown(bits, mask, ROWS, COLUMNS)
            weight = tl.where(keep, weight, 0.0)
        slopes = weight * (
            tl.dot(g_tile, tl.trans(v_tile), input_precision=PRECISION) - own[:, None]
        )
        slope = tl.dot(slopes.to(k_tile.dtype), k_tile, slope, input_precision=PRECISION)
    store_rows(dq + b * d_b + h * d_h, at, d_t, m >= 0, slope * scale, D, BLOCK_D)


@triton.jit
def key_kernel(
    q, k, v, do, dk, dv, lse, delta, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, g_b, g_h, g_t, dk_b, dk_h, dk_t, dv_b, dv_h, dv_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    latest, b, h = own_tile(length, heads, ROWS)
    tile = tl.cdiv(length, ROWS) - 1 - latest  # the first keys are seen by most
    q += b * q_b + h * q_h
    do += b * g_b + h * g_h
    start = tile * ROWS
    n = start + tl.arange(0, ROWS)
    at = positions(order, start, length, ROWS)
    k_tile = load_rows(k + b * k_b + h * k_h, at, k_t, D, BLOCK_D)
    v_tile = load_rows(v + b * v_b + h * v_h, at, v_t, D, BLOCK_D)
    factor = scale * LOG2_E
    k_slope = tl.zeros((ROWS, BLOCK_D), tl.float32)
    v_slope = tl.zeros((ROWS, BLOCK_D), tl.float32)
    begin, end = (start - first) // COLUMNS, tl.cdiv(length, COLUMNS)
    if bits is not None:
        begin, end = tl.load(starts + tile), tl.load(starts + tile + 1)
    for t in range(begin, end):
        if bits is None:
            number = t
            column = first + t * COLUMNS
            partial = column < start + ROWS - 1
        else:
            entry = tl.load(entries + t)
            number = entry & COLUMN
            column = first + number * COLUMNS
            partial = entry > COLUMN
        m = column + tl.arange(0, COLUMNS)
        by = positions(order, column, length, COLUMNS)
        q_tile = load_rows(q, by, q_t, D, BLOCK_D)
        logs = tl.load(per_row(lse, b, h, heads, length, number, COLUMNS))
        score = tl.dot(k_tile, tl.trans(q_tile), input_precision=PRECISION)
        weight = tl.exp2(score * factor - logs[None, :])
        if partial:
            if bits is None:
                keep = m[None, :] >= n[:, None]
            else:
                keep = shown(bits, entry // (COLUMN + 1) - 1, ROWS, COLUMNS)
            weight = tl.where(keep, weight, 0.0)
        g_tile = load_rows(do, by, g_t, D, BLOCK_D)
        v_slope = tl.dot(weight.to(g_tile.dtype), g_tile, v_slope, input_precision=PRECISION)
        own = tl.load(per_row(delta, b, h, heads, length, number, COLUMNS))
        slopes = weight * (
            tl.dot(v_tile, tl.trans(g_tile), input_precision=PRECISION) - own[None, :]
        )
        k_slope = tl.dot(slopes.to(q_tile.dtype), q_tile, k_slope, input_precision=PRECISION)
    known = n < length
    store_rows(dk + b * dk_b + h * dk_h, at, dk_t, known, k_slope * scale, D, BLOCK_D)
    store_rows(dv + b * dv_b + h * dv_h, at, dv_t, known, v_slope, D, BLOCK_D)
