"""The kernels of fused attention; attention.py launches them.

One program owns a tile of rows and walks over the tiles of columns that they need. The softmax is
the online softmax of FlashAttention (arXiv 2205.14135, 2307.08691), whose names are used here (m_i,
l_i, acc, alpha, qk, delta): the scores never leave the chip, sums are fp32, exponentials have base
2 with the factor log2(e) / sqrt(D) folded into the one multiplication that precedes them. The
forward pass keeps log2 of the sum of each row, `lse`.

The backward pass has two kernels and no atomics, so equal input gives equal bits. `query_kernel`
owns queries and gives dq and, on the way, delta, the row sums of o * do; `key_kernel` owns keys and
gives dk and dv from transposed scores. It has lse and delta of a row side by side, `lse_delta`.

Rows that do not exist are clamped to rows that do: no load of a row needs a mask, nothing is stored
for them, and as columns they are hidden. Tiles of queries are aligned to the end of the sequence.
The empty part of a tile is then at the beginning, where it costs least under a causal mask; at the
end it would cost most.
"""

from __future__ import annotations

from . import launch  # noqa: F401  isort: skip  (pins Triton's settings before it is imported)

import triton
import triton.language as tl

from . import tiles

COLUMN = tl.constexpr(tiles.COLUMN)
PAD = tl.constexpr(tiles.PAD)
# Finite, so that a row that has seen no column yet does not become NaN; a power of two, so that its
# product with any factor is exact and the exponential of "hidden - hidden" is 1.
HIDDEN = tl.constexpr(-(2.0**100))
PRECISION = tl.constexpr("ieee")  # of fp32 inputs
LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def program_tile(length, heads, ROWS: tl.constexpr):
    """The tile of this program, the latest first, and its batch and head."""
    tiles = tl.cdiv(length, ROWS)
    program = tl.program_id(0)
    head = program // tiles
    return tiles - 1 - program % tiles, (head // heads).to(tl.int64), (head % heads).to(tl.int64)


@triton.jit
def per_row(b, h, heads, length, tile, BLOCK: tl.constexpr):
    """The index of the first row of a tile of queries in [B, H, T'], where T' is the next multiple
    of PAD and the padding is in front, so that all tiles are aligned and rows that do not exist
    have room."""
    end = (b * heads + h + 1) * (tl.cdiv(length, PAD) * PAD)
    return end - (tl.cdiv(length, BLOCK) - tile) * BLOCK


@triton.jit
def query_positions(order, start, BLOCK: tl.constexpr):
    """[BLOCK]: the positions of queries start, start + 1, ..., clamped to those that exist: tiles
    of queries end with the sequence."""
    offs = tl.maximum(start + tl.arange(0, BLOCK), 0)  # [BLOCK]
    if order is not None:
        offs = tl.load(order + offs)
    return offs


@triton.jit
def key_positions(order, start, length, BLOCK: tl.constexpr):
    """[BLOCK]: the positions of keys start, start + 1, ..., clamped to those that exist: tiles of
    keys begin with the sequence."""
    offs = tl.minimum(start + tl.arange(0, BLOCK), length - 1)  # [BLOCK]
    if order is not None:
        offs = tl.load(order + offs)
    return offs


@triton.jit
def load_rows(x, offs, stride, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """[ROWS, BLOCK_D]: rows `offs` [ROWS], zeros beyond channel D."""
    offs_d = tl.arange(0, BLOCK_D)  # [BLOCK_D]
    pointers = x + (offs[:, None] * stride + offs_d[None, :])  # [ROWS, BLOCK_D]
    if D == BLOCK_D:
        return tl.load(pointers)
    else:
        return tl.load(pointers, mask=(offs_d < D)[None, :], other=0.0)


@triton.jit
def store_rows(x, offs, stride, exists, value, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Stores value [ROWS, BLOCK_D] to those rows `offs` [ROWS] for which `exists` [ROWS] is set."""
    offs_d = tl.arange(0, BLOCK_D)  # [BLOCK_D]
    pointers = x + (offs[:, None] * stride + offs_d[None, :])  # [ROWS, BLOCK_D]
    value = value.to(x.dtype.element_ty)
    if D == BLOCK_D:
        tl.store(pointers, value, mask=exists[:, None])
    else:
        tl.store(pointers, value, mask=exists[:, None] & (offs_d < D)[None, :])


@triton.jit
def keys_of(starts, bits, tile, start, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The key tiles that a tile of queries visits: a range of tile numbers, or of table entries."""
    begin, end = 0, tl.cdiv(start + ROWS, COLUMNS)
    if bits is not None:
        begin, end = tl.load(starts + tile), tl.load(starts + tile + 1)
    return begin, end


@triton.jit
def keys_at(entries, bits, t, column, start, COLUMNS: tl.constexpr):
    """Turn t of the loop: its first key, whether the tile is only partly visible, and its entry in
    the table.

    Without a table the first key is t * COLUMNS, and `column` is too, counted from turn to turn: if
    it were the same value, the pipeline would keep that of each tile that it loads ahead, and what
    is compared with it, in registers (on sm_90 that of queries would spill with 128; it has 122).
    """
    if bits is None:
        entry = 0
        first_key = t * COLUMNS
        partial = column + COLUMNS > start + 1
    else:
        entry = tl.load(entries + t)
        first_key = (entry & COLUMN) * COLUMNS
        partial = entry > COLUMN
    return first_key, partial, entry


@triton.jit
def scores(
    a, b, partial, bits, entry, queries, keys,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BIAS: tl.constexpr,
):  # fmt: skip
    """[ROWS, COLUMNS]: a [ROWS, BLOCK_D] times b [COLUMNS, BLOCK_D], transposed; HIDDEN for pairs
    that a partly visible tile hides. The positions `queries` and `keys` are [ROWS, 1] and
    [1, COLUMNS], or the other way round.

    With BIAS the product starts from what hides. Tensor cores that are fed from registers
    (mma.sync) want the next product in sight of this one, with no branch between, to lay both out
    alike; wgmma does that anyway, and starts from nothing in fewer instructions.
    """
    if BIAS:
        bias = tl.zeros((ROWS, COLUMNS), tl.float32)  # [ROWS, COLUMNS]
        if partial:
            bias = tl.where(visible(bits, entry, queries, keys, ROWS, COLUMNS), 0.0, HIDDEN)
        return tl.dot(a, tl.trans(b), bias, input_precision=PRECISION)
    else:
        qk = tl.dot(a, tl.trans(b), input_precision=PRECISION)
        if partial:
            qk = tl.where(visible(bits, entry, queries, keys, ROWS, COLUMNS), qk, HIDDEN)
        return qk


@triton.jit
def visible(bits, entry, queries, keys, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """bool [ROWS, COLUMNS]: which pairs of a partly visible tile the mask shows."""
    if bits is None:
        return queries >= keys
    else:
        mask = entry // (COLUMN + 1) - 1
        column = tl.arange(0, COLUMNS)[None, :]  # [1, COLUMNS]
        words = bits + (mask * 2 * ROWS + tl.arange(0, ROWS))[:, None]  # [ROWS, 1]
        word = tl.where(column < 32, tl.load(words), tl.load(words + ROWS))  # [ROWS, COLUMNS]
        return ((word >> (column % 32)) & 1) != 0


@triton.jit
def forward_kernel(
    q, k, v, o, lse, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    BIAS: tl.constexpr,
):  # fmt: skip
    tile, b, h = program_tile(length, heads, ROWS)
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    start_m = first + tile * ROWS
    rows_m = start_m + tl.arange(0, ROWS)  # [ROWS]; negative where there is no query
    offs_m = query_positions(order, start_m, ROWS)  # [ROWS]
    q_tile = load_rows(q + b * q_b + h * q_h, offs_m, q_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    qk_scale = scale * LOG2_E
    m_i = tl.full((ROWS,), HIDDEN, tl.float32)  # [ROWS]: the largest score so far
    l_i = tl.zeros((ROWS,), tl.float32)  # [ROWS]: the sum of exp2(score - m_i)
    acc = tl.zeros((ROWS, BLOCK_D), tl.float32)  # [ROWS, BLOCK_D]
    begin, end = keys_of(starts, bits, tile, start_m, ROWS, COLUMNS)
    column = begin * COLUMNS  # see `keys_at`
    for t in range(begin, end):
        start_n, partial, entry = keys_at(entries, bits, t, column, start_m, COLUMNS)
        offs_n = key_positions(order, start_n, length, COLUMNS)  # [COLUMNS]
        k_tile = load_rows(k, offs_n, k_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        keys = column + tl.arange(0, COLUMNS)  # [COLUMNS]
        qk = scores(
            q_tile, k_tile, partial, bits, entry, rows_m[:, None], keys[None, :],
            ROWS, COLUMNS, BIAS,
        )  # fmt: skip
        m_new = tl.maximum(m_i, tl.max(qk, 1))  # [ROWS]
        p = tl.exp2(qk * qk_scale - (m_new * qk_scale)[:, None])  # [ROWS, COLUMNS]
        alpha = tl.exp2((m_i - m_new) * qk_scale)  # [ROWS]
        m_i = m_new
        l_i = l_i * alpha + tl.sum(p, 1)
        v_tile = load_rows(v, offs_n, v_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        acc = tl.dot(p.to(v_tile.dtype), v_tile, acc * alpha[:, None], input_precision=PRECISION)
        column += COLUMNS
    exists = rows_m >= 0  # [ROWS]
    store_rows(o + b * o_b + h * o_h, offs_m, o_t, exists, acc * (1 / l_i)[:, None], D, BLOCK_D)
    lse_i = tl.where(exists, m_i * qk_scale + tl.log2(l_i), float("inf"))  # [ROWS]
    tl.store(lse + per_row(b, h, heads, length, tile, ROWS) + tl.arange(0, ROWS), lse_i)


@triton.jit
def query_kernel(
    q, k, v, o, do, dq, lse, lse_delta, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t, do_b, do_h, do_t,
    dq_b, dq_h, dq_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    BIAS: tl.constexpr,
):  # fmt: skip
    tile, b, h = program_tile(length, heads, ROWS)
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    start_m = first + tile * ROWS
    rows_m = start_m + tl.arange(0, ROWS)  # [ROWS]; negative where there is no query
    offs_m = query_positions(order, start_m, ROWS)  # [ROWS]
    q_tile = load_rows(q + b * q_b + h * q_h, offs_m, q_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    do_tile = load_rows(do + b * do_b + h * do_h, offs_m, do_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    o_tile = load_rows(o + b * o_b + h * o_h, offs_m, o_t, D, BLOCK_D)  # [ROWS, BLOCK_D]
    delta_i = tl.sum(o_tile.to(tl.float32) * do_tile.to(tl.float32), 1)  # [ROWS]
    row = per_row(b, h, heads, length, tile, ROWS)
    lse_i = tl.load(lse + row + tl.arange(0, ROWS))  # [ROWS]
    pairs = tl.join(lse_i, delta_i).reshape([2 * ROWS])  # [2 ROWS]
    tl.store(lse_delta + 2 * row + tl.arange(0, 2 * ROWS), pairs)
    qk_scale = scale * LOG2_E
    dq_acc = tl.zeros((ROWS, BLOCK_D), tl.float32)  # [ROWS, BLOCK_D]
    begin, end = keys_of(starts, bits, tile, start_m, ROWS, COLUMNS)
    column = begin * COLUMNS  # see `keys_at`
    for t in range(begin, end):
        start_n, partial, entry = keys_at(entries, bits, t, column, start_m, COLUMNS)
        offs_n = key_positions(order, start_n, length, COLUMNS)  # [COLUMNS]
        k_tile = load_rows(k, offs_n, k_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        v_tile = load_rows(v, offs_n, v_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        keys = column + tl.arange(0, COLUMNS)  # [COLUMNS]
        qk = scores(
            q_tile, k_tile, partial, bits, entry, rows_m[:, None], keys[None, :],
            ROWS, COLUMNS, BIAS,
        )  # fmt: skip
        p = tl.exp2(qk * qk_scale - lse_i[:, None])  # [ROWS, COLUMNS]
        dp = tl.dot(do_tile, tl.trans(v_tile), input_precision=PRECISION)  # [ROWS, COLUMNS]
        ds = p * (dp - delta_i[:, None])  # [ROWS, COLUMNS]
        dq_acc = tl.dot(ds.to(k_tile.dtype), k_tile, dq_acc, input_precision=PRECISION)
        column += COLUMNS
    store_rows(dq + b * dq_b + h * dq_h, offs_m, dq_t, rows_m >= 0, dq_acc * scale, D, BLOCK_D)


@triton.jit
def key_kernel(
    q, k, v, do, dk, dv, lse_delta, order, starts, entries, bits, first, length, heads, scale,
    q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, do_b, do_h, do_t, dk_b, dk_h, dk_t,
    dv_b, dv_h, dv_t,
    D: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    BIAS: tl.constexpr,
):  # fmt: skip
    latest, b, h = program_tile(length, heads, ROWS)
    tile = tl.cdiv(length, ROWS) - 1 - latest  # the first keys are seen by the most queries
    q += b * q_b + h * q_h
    do += b * do_b + h * do_h
    lse_delta += 2 * per_row(b, h, heads, length, 0, COLUMNS)
    start_n = tile * ROWS
    rows_n = start_n + tl.arange(0, ROWS)  # [ROWS]
    offs_n = key_positions(order, start_n, length, ROWS)  # [ROWS]
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
            entry = 0
            number = t
            start_m = first + t * COLUMNS
            partial = start_m < start_n + ROWS - 1
        else:
            entry = tl.load(entries + t)
            number = entry & COLUMN
            start_m = first + number * COLUMNS
            partial = entry > COLUMN
        rows_m = start_m + tl.arange(0, COLUMNS)  # [COLUMNS]; negative where there is no query
        offs_m = query_positions(order, start_m, COLUMNS)  # [COLUMNS]
        q_tile = load_rows(q, offs_m, q_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        # One number for each thread: loaded as [COLUMNS], all threads would copy what each needs.
        pairs = tl.load(lse_delta + number * 2 * COLUMNS + tl.arange(0, 2 * COLUMNS))
        lse_j, delta_j = tl.split(pairs.reshape([COLUMNS, 2]))  # [COLUMNS]
        qk = scores(
            k_tile, q_tile, partial, bits, entry, rows_m[None, :], rows_n[:, None],
            ROWS, COLUMNS, BIAS,
        )  # fmt: skip
        p = tl.exp2(qk * qk_scale - lse_j[None, :])  # [ROWS, COLUMNS]
        do_tile = load_rows(do, offs_m, do_t, D, BLOCK_D)  # [COLUMNS, BLOCK_D]
        dv_acc = tl.dot(p.to(do_tile.dtype), do_tile, dv_acc, input_precision=PRECISION)
        dp = tl.dot(v_tile, tl.trans(do_tile), input_precision=PRECISION)  # [ROWS, COLUMNS]
        ds = p * (dp - delta_j[None, :])  # [ROWS, COLUMNS]
        dk_acc = tl.dot(ds.to(q_tile.dtype), q_tile, dk_acc, input_precision=PRECISION)
    exists = rows_n < length  # [ROWS]
    store_rows(dk + b * dk_b + h * dk_h, offs_n, dk_t, exists, dk_acc * scale, D, BLOCK_D)
    store_rows(dv + b * dv_b + h * dv_h, offs_n, dv_t, exists, dv_acc, D, BLOCK_D)
