"""Fused attention, forward and backward: causal, or any pattern of tiles.

One program owns a tile of rows and walks over the tiles of columns that they need. The softmax is
the online softmax of FlashAttention (arXiv 2205.14135, 2307.08691), whose names are used here (m_i,
l_i, acc, alpha, qk, delta): the scores never leave the chip, sums are fp32, exponentials have base
2 with the factor log2(e) / sqrt(D) folded into the one multiplication that precedes them. The
forward pass keeps log2 of the sum of each row, `lse`.

The backward pass has two kernels and no atomics, so equal input gives equal bits. `query_kernel`
owns queries and gives dq and, on the way, delta, the row sums of o * do; `key_kernel` owns keys and
gives dk and dv from transposed scores.

Rows that do not exist are clamped to rows that do: no load of a row needs a mask, nothing is stored
for them, and as columns they are hidden. Tiles of queries are aligned to the end of the sequence.
The empty part of a tile is then at the beginning, where it costs least under a causal mask; at the
end it would cost most.
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
# Finite, so that a row that has seen no column yet does not become NaN; a power of two, so that its
# product with any factor is exact and the exponential of "hidden - hidden" is 1.
HIDDEN = tl.constexpr(-(2.0**100))
PRECISION = tl.constexpr("ieee")  # of fp32 inputs
LOG2_E = tl.constexpr(1.4426950408889634)


def forward(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern | None) -> tuple[Tensor, Tensor]:
    """Attention and what its backward pass needs.

    Args:
        q, k, v: [B, H, T, D], D <= 128.
        pattern: what each query sees; None is causal.

    Returns:
        o [B, H, T, D], in memory [B, T, H, D], and lse, fp32 [B, H, T']: log2 of the sum of each
        row, laid out as `per_row` says.
    """
    q, k, v = map(unit_stride, (q, k, v))
    o = empty_rows(q)
    shape, rows = tiles.padded_shape(*q.shape[:3]), tile_of("forward", q, pattern).rows
    # What no tile covers is never read, but equal input shall give equal output there too.
    covered = triton.cdiv(q.shape[2], rows) * rows == shape[2]
    lse = (torch.empty if covered else torch.zeros)(shape, dtype=torch.float32, device=q.device)
    if q.numel():
        with launch.guard(q):
            run(forward_kernel, "forward", pattern, {"q": q, "k": k, "v": v, "o": o}, lse=lse)
    return o, lse


def backward(
    q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, do: Tensor, pattern: Pattern | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `forward`.

    Args:
        q, k, v, pattern: what `forward` was given.
        o, lse: what it returned.
        do: the gradient of o, [B, H, T, D].

    Returns:
        dq, dk, dv [B, H, T, D], in memory [B, T, H, D].
    """
    q, k, v, o, do = map(unit_stride, (q, k, v, o, do))
    dq, dk, dv = (empty_rows(q) for _ in range(3))
    delta = torch.empty_like(lse)
    if q.numel():
        with launch.guard(q):
            shared = {"q": q, "k": k, "v": v, "do": do}
            run(query_kernel, "queries", pattern, shared | {"o": o, "dq": dq}, lse=lse, delta=delta)
            run(key_kernel, "keys", pattern, shared | {"dk": dk, "dv": dv}, lse=lse, delta=delta)
    return dq, dk, dv


def run(
    kernel, name: str, pattern: Pattern | None, tensors: dict[str, Tensor], **per_row: Tensor
) -> None:
    """Launches a kernel.

    Args:
        kernel: one of the three below.
        name: of its tile, see `tile_of`.
        pattern: what each query sees; None is causal.
        tensors: [B, H, T, D] with unit last stride, by the name of the kernel's argument.
        per_row: fp32 [B, H, T'], likewise.
    """
    q = tensors["q"]
    batch, heads, length, channels = q.shape
    tile = tile_of(name, q, pattern)
    by_key = name == "keys"
    block = tile.columns if by_key else tile.rows  # of queries: the last one ends with the sequence
    first = length - triton.cdiv(length, block) * block
    table: tuple[Tensor | None, ...] = (None,) * 4
    if pattern is not None:
        table = pattern.on(
            q.device, rows=tile.rows, columns=tile.columns, first=first, by_key=by_key
        )
    order, starts, entries, bits = table
    strides = {
        f"{x}_{axis}": stride
        for x, tensor in tensors.items()
        for axis, stride in zip("bht", tensor.stride()[:3], strict=True)
    }
    kernel[(batch * heads * triton.cdiv(length, tile.rows),)](
        **tensors, **per_row, **strides, order=order, starts=starts, entries=entries, bits=bits,
        first=first, length=length, heads=heads, scale=channels**-0.5,
        D=channels, BLOCK_D=max(16, triton.next_power_of_2(channels)),
        ROWS=tile.rows, COLUMNS=tile.columns, **tile.options,
    )  # fmt: skip


def tile_of(name: str, q: Tensor, pattern: Pattern | None) -> launch.Tile:
    """The tile of a kernel. Under a pattern it is smaller, so that more tiles can be skipped."""
    kind = "" if pattern is None else "_pattern"
    if q.shape[3] > 64:
        kind = "_128"
    if q.element_size() > 2:
        kind = "_fp32"
    return launch.tile(f"attention_{name}{kind}", launch.capability(q))


def unit_stride(x: Tensor) -> Tensor:
    """x, copied if its channels are not adjacent in memory, or if its positions are so far apart
    that offsets within a head do not fit 32 bits."""
    fits = x.stride(-1) == 1 and x.shape[2] * x.stride(2) < 1 << 31
    return x if fits else x.contiguous()


def empty_rows(like: Tensor) -> Tensor:
    """[B, H, T, D], in memory [B, T, H, D], as the projection that follows reads it."""
    batch, heads, length, channels = like.shape
    return like.new_empty(batch, length, heads, channels).transpose(1, 2)


@triton.jit
def program_tile(length, heads, ROWS: tl.constexpr):
    """The tile of this program, the latest first, and its batch and head."""
    tiles = tl.cdiv(length, ROWS)
    program = tl.program_id(0)
    head = program // tiles
    return tiles - 1 - program % tiles, (head // heads).to(tl.int64), (head % heads).to(tl.int64)


@triton.jit
def per_row(x, b, h, heads, length, tile, BLOCK: tl.constexpr):
    """[BLOCK]: pointers to the rows of a tile of queries in x [B, H, T'], where T' is the next
    multiple of PAD and the padding is in front, so that all tiles are aligned and rows that do not
    exist have room."""
    end = (b * heads + h + 1) * (tl.cdiv(length, PAD) * PAD)
    return x + end - (tl.cdiv(length, BLOCK) - tile) * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def positions(order, start, length, BLOCK: tl.constexpr):
    """[BLOCK]: the positions of rows start, start + 1, ..., clamped to those that exist."""
    offs = tl.minimum(tl.maximum(start + tl.arange(0, BLOCK), 0), length - 1)  # [BLOCK]
    if order is not None:
        offs = tl.load(order + offs)
    return offs


@triton.jit
def load_rows(x, offs, stride, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """[ROWS, BLOCK_D]: rows `offs` [ROWS], zeros beyond channel D."""
    offs_d = tl.arange(0, BLOCK_D)  # [BLOCK_D]
    pointers = x + offs[:, None] * stride + offs_d[None, :]  # [ROWS, BLOCK_D]
    if D == BLOCK_D:
        return tl.load(pointers)
    else:
        return tl.load(pointers, mask=(offs_d < D)[None, :], other=0.0)


@triton.jit
def store_rows(x, offs, stride, exists, value, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Stores value [ROWS, BLOCK_D] to those rows `offs` [ROWS] for which `exists` [ROWS] is set."""
    offs_d = tl.arange(0, BLOCK_D)  # [BLOCK_D]
    pointers = x + offs[:, None] * stride + offs_d[None, :]  # [ROWS, BLOCK_D]
    value = value.to(x.dtype.element_ty)
    if D == BLOCK_D:
        tl.store(pointers, value, mask=exists[:, None])
    else:
        tl.store(pointers, value, mask=exists[:, None] & (offs_d < D)[None, :])


@triton.jit
def shown(bits, mask, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """bool [ROWS, COLUMNS]: a mask of the table."""
    column = tl.arange(0, COLUMNS)[None, :]  # [1, COLUMNS]
    words = bits + (mask * 2 * ROWS + tl.arange(0, ROWS))[:, None]  # [ROWS, 1]
    word = tl.where(column < 32, tl.load(words), tl.load(words + ROWS))  # [ROWS, COLUMNS]
    return ((word >> (column % 32)) & 1) != 0


@triton.jit
def keys_of(starts, bits, tile, start, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The key tiles that a tile of queries visits: a range of tile numbers, or of table entries."""
    begin, end = 0, tl.cdiv(start + ROWS, COLUMNS)
    if bits is not None:
        begin, end = tl.load(starts + tile), tl.load(starts + tile + 1)
    return begin, end


@triton.jit
def keys_at(entries, bits, t, start, COLUMNS: tl.constexpr):
    """Turn t of the loop: its first key, whether the tile is only partly visible, and, if so, its
    mask in the table."""
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
    tile, b, h = program_tile(length, heads, ROWS)
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    start_m = first + tile * ROWS
    rows_m = start_m + tl.arange(0, ROWS)  # [ROWS]; negative where there is no query
    offs_m = positions(order, start_m, length, ROWS)  # [ROWS]
    q_tile = load_rows(q + b * q_b + h * q_h, offs_m, q_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    qk_scale = scale * LOG2_E
    m_i = tl.full((ROWS,), HIDDEN, tl.float32)  # [ROWS]: the largest score so far
    l_i = tl.zeros((ROWS,), tl.float32)  # [ROWS]: the sum of exp2(score - m_i)
    acc = tl.zeros((ROWS, BLOCK_D), tl.float32)  # [ROWS, BLOCK_D]
    begin, end = keys_of(starts, bits, tile, start_m, ROWS, COLUMNS)
    for t in range(begin, end):
        start_n, partial, mask = keys_at(entries, bits, t, start_m, COLUMNS)
        offs_n = positions(order, start_n, length, COLUMNS)  # [COLUMNS]
        k_tile = load_rows(k, offs_n, k_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        qk = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION)  # [ROWS, COLUMNS]
        if partial:
            if bits is None:
                keep = rows_m[:, None] >= (start_n + tl.arange(0, COLUMNS))[None, :]
            else:
                keep = shown(bits, mask, ROWS, COLUMNS)
            qk = tl.where(keep, qk, HIDDEN)
        m_new = tl.maximum(m_i, tl.max(qk, 1))  # [ROWS]
        p = tl.exp2(qk * qk_scale - (m_new * qk_scale)[:, None])  # [ROWS, COLUMNS]
        alpha = tl.exp2((m_i - m_new) * qk_scale)  # [ROWS]
        m_i = m_new
        l_i = l_i * alpha + tl.sum(p, 1)
        v_tile = load_rows(v, offs_n, v_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        acc = tl.dot(p.to(v_tile.dtype), v_tile, acc * alpha[:, None], input_precision=PRECISION)
    exists = rows_m >= 0  # [ROWS]
    store_rows(o + b * o_b + h * o_h, offs_m, o_t, exists, acc / l_i[:, None], D, BLOCK_D)
    lse_i = tl.where(exists, m_i * qk_scale + tl.log2(l_i), float("inf"))  # [ROWS]
    tl.store(per_row(lse, b, h, heads, length, tile, ROWS), lse_i)


@triton.jit
def query_kernel(
    q, k, v, o, do, dq, lse, delta, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t, do_b, do_h, do_t,
    dq_b, dq_h, dq_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    tile, b, h = program_tile(length, heads, ROWS)
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    start_m = first + tile * ROWS
    rows_m = start_m + tl.arange(0, ROWS)  # [ROWS]; negative where there is no query
    offs_m = positions(order, start_m, length, ROWS)  # [ROWS]
    q_tile = load_rows(q + b * q_b + h * q_h, offs_m, q_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    do_tile = load_rows(do + b * do_b + h * do_h, offs_m, do_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    o_tile = load_rows(o + b * o_b + h * o_h, offs_m, o_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    delta_i = tl.sum(o_tile.to(tl.float32) * do_tile.to(tl.float32), 1)  # [ROWS]
    tl.store(per_row(delta, b, h, heads, length, tile, ROWS), delta_i)
    lse_i = tl.load(per_row(lse, b, h, heads, length, tile, ROWS))  # [ROWS]
    qk_scale = scale * LOG2_E
    dq_acc = tl.zeros((ROWS, BLOCK_D), tl.float32)  # [ROWS, BLOCK_D]
    begin, end = keys_of(starts, bits, tile, start_m, ROWS, COLUMNS)
    for t in range(begin, end):
        start_n, partial, mask = keys_at(entries, bits, t, start_m, COLUMNS)
        offs_n = positions(order, start_n, length, COLUMNS)  # [COLUMNS]
        k_tile = load_rows(k, offs_n, k_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        v_tile = load_rows(v, offs_n, v_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        qk = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION)  # [ROWS, COLUMNS]
        p = tl.exp2(qk * qk_scale - lse_i[:, None])  # [ROWS, COLUMNS]
        if partial:
            if bits is None:
                keep = rows_m[:, None] >= (start_n + tl.arange(0, COLUMNS))[None, :]
            else:
                keep = shown(bits, mask, ROWS, COLUMNS)
            p = tl.where(keep, p, 0.0)
        dp = tl.dot(do_tile, tl.trans(v_tile), input_precision=PRECISION)  # [ROWS, COLUMNS]
        ds = p * (dp - delta_i[:, None])  # [ROWS, COLUMNS]
        dq_acc = tl.dot(ds.to(k_tile.dtype), k_tile, dq_acc, input_precision=PRECISION)
    store_rows(dq + b * dq_b + h * dq_h, offs_m, dq_t, rows_m >= 0, dq_acc * scale, D, BLOCK_D)


@triton.jit
def key_kernel(
    q, k, v, do, dk, dv, lse, delta, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, do_b, do_h, do_t, dk_b, dk_h, dk_t,
    dv_b, dv_h, dv_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    latest, b, h = program_tile(length, heads, ROWS)
    tile = tl.cdiv(length, ROWS) - 1 - latest  # the first keys are seen by the most queries
    q += b * q_b + h * q_h
    do += b * do_b + h * do_h
    start_n = tile * ROWS
    rows_n = start_n + tl.arange(0, ROWS)  # [ROWS]
    offs_n = positions(order, start_n, length, ROWS)  # [ROWS]
    k_tile = load_rows(k + b * k_b + h * k_h, offs_n, k_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    v_tile = load_rows(v + b * v_b + h * v_h, offs_n, v_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    qk_scale = scale * LOG2_E
    dk_acc = tl.zeros((ROWS, BLOCK_D), tl.float32)  # [ROWS, BLOCK_D]
    dv_acc = tl.zeros((ROWS, BLOCK_D), tl.float32)  # [ROWS, BLOCK_D]
    begin, end = (start_n - first) // COLUMNS, tl.cdiv(length, COLUMNS)
    if bits is not None:
        begin, end = tl.load(starts + tile), tl.load(starts + tile + 1)
    for t in range(begin, end):
        if bits is None:
            number = t
            start_m = first + t * COLUMNS
            partial = start_m < start_n + ROWS - 1
        else:
            entry = tl.load(entries + t)
            number = entry & COLUMN
            start_m = first + number * COLUMNS
            partial = entry > COLUMN
        rows_m = start_m + tl.arange(0, COLUMNS)  # [COLUMNS]; negative where there is no query
        offs_m = positions(order, start_m, length, COLUMNS)  # [COLUMNS]
        q_tile = load_rows(q, offs_m, q_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        lse_j = tl.load(per_row(lse, b, h, heads, length, number, COLUMNS))  # [COLUMNS]
        qk = tl.dot(k_tile, tl.trans(q_tile), input_precision=PRECISION)  # [ROWS, COLUMNS]
        p = tl.exp2(qk * qk_scale - lse_j[None, :])  # [ROWS, COLUMNS]
        if partial:
            if bits is None:
                keep = rows_m[None, :] >= rows_n[:, None]
            else:
                keep = shown(bits, entry // (COLUMN + 1) - 1, ROWS, COLUMNS)
            p = tl.where(keep, p, 0.0)
        do_tile = load_rows(do, offs_m, do_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        dv_acc = tl.dot(p.to(do_tile.dtype), do_tile, dv_acc, input_precision=PRECISION)
        delta_j = tl.load(per_row(delta, b, h, heads, length, number, COLUMNS))  # [COLUMNS]
        dp = tl.dot(v_tile, tl.trans(do_tile), input_precision=PRECISION)  # [ROWS, COLUMNS]
        ds = p * (dp - delta_j[None, :])  # [ROWS, COLUMNS]
        dk_acc = tl.dot(ds.to(q_tile.dtype), q_tile, dk_acc, input_precision=PRECISION)
    exists = rows_n < length  # [ROWS]
    store_rows(dk + b * dk_b + h * dk_h, offs_n, dk_t, exists, dk_acc * scale, D, BLOCK_D)
    store_rows(dv + b * dv_b + h * dv_h, offs_n, dv_t, exists, dv_acc, D, BLOCK_D)
