"""What mas_fast/ops/cross_entropy_chunked.py needs on a GPU besides cuBLAS: it moves the rows of a
chunk, turns logits into their gradients in place, and sums the gradient of a head's weight over
chunks without an fp32 copy.

The sums of a 16-bit gradient are kept as the upper 24 bits of fp32: 16 of them in the gradient's
own memory and 8 in `rest`, which takes half a gradient of extra memory instead of two. Each chunk
rounds at 2^-16 of the sum, 128 times finer than bf16; the last one leaves the gradient in its
dtype.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
import triton.language as tl
from torch import Tensor

# A row of at most this many logits is read once and stays in registers: 64 a thread, so that a
# multiprocessor has two rows, of which one is computed while the other is read or written.
WHOLE = 16384


def exchange(rows: Tensor, old: Tensor | None, new: Tensor | None, unit: Tensor | None) -> None:
    """Stores what `rows` hold in `old`, times `unit` if there is one, and then loads `new`.

    Args:
        rows: [R, D], contiguous.
        old: [B, T, D] of at most R rows, of any strides, or None.
        new: as `old`; the number of rows may be another.
        unit: fp32 [], or None for 1.
    """
    shapes = [(0, 0) if x is None else (x.shape[0] * x.shape[1], x.shape[1]) for x in (old, new)]
    strides = [(0, 0, 0) if x is None else x.stride() for x in (old, new)]
    width = rows.shape[1]
    tile = launch.tile("cross_entropy_rows", launch.capability(rows))
    grid = (max(count for count, _ in shapes), triton.cdiv(width, tile.columns))
    if all(grid):
        with launch.guard(rows):
            exchange_kernel[grid](
                rows, old, new, unit, *shapes[0], *strides[0], *shapes[1], *strides[1],
                width=width, BLOCK_D=tile.columns, **tile.options,
            )  # fmt: skip


def softmax_gradient(
    logits: Tensor, targets: Tensor, scale: Tensor, ignored: int, nats: Tensor, gradient: bool
) -> None:
    """The cross-entropy of each row and, if asked for, its gradient in place of the logits.

    Args:
        logits: [B * T, V], contiguous. With `gradient` they become scale * (softmax - one-hot), and
            0 in rows whose target is ignored.
        targets: int64 or int32 [B, T], of any strides.
        scale: fp32 [].
        ignored: the target that counts for nothing.
        nats: fp32 [B, T], of any strides: 0 where the target is ignored, NaN where it is no id.
        gradient: whether to form the gradient.
    """
    rows, vocab = logits.shape
    whole = vocab <= WHOLE
    tile = launch.tile("cross_entropy", launch.capability(logits))
    if rows:
        with launch.guard(logits):
            softmax_gradient_kernel[(rows,)](
                logits, targets, scale, nats, targets.shape[1], *targets.stride(), *nats.stride(),
                ignored=ignored, vocab=vocab, GRADIENT=gradient, WHOLE=whole,
                BLOCK_V=triton.next_power_of_2(vocab) if whole else tile.columns, **tile.options,
            )  # fmt: skip


def new_scratch(result: Tensor) -> Tensor | None:
    """The low bits that `add_weight_gradient` keeps beside a 16-bit gradient; None for fp32."""
    return None if result.dtype == torch.float32 else torch.empty_like(result, dtype=torch.uint8)


def add_weight_gradient(
    result: Tensor, scratch: Tensor | None, g: Tensor, x: Tensor, first: bool, last: bool
) -> None:
    """result += g^T x.

    Args:
        result: [V, D], fp32, or 16-bit with a `scratch`.
        scratch: what `new_scratch` gave for `result`.
        g: 16-bit [R, V]. Like all others, contiguous.
        x: 16-bit [R, D].
        first: the first chunk, which does not read `result`.
        last: the last chunk, which leaves the sum in the dtype of `result`.
    """
    (rows, vocab), width = g.shape, x.shape[1]
    tile = launch.tile("head_gradient", launch.capability(g))
    grid = (triton.cdiv(vocab, tile.rows) * triton.cdiv(width, tile.columns),)
    high = None if scratch is None else result.view(torch.int16)
    with launch.guard(g):
        head_gradient_kernel[grid](
            g, x, result, scratch, high, rows=rows, vocab=vocab, width=width,
            NARROW=scratch is not None, FIRST=first, LAST=last,
            BLOCK_V=tile.rows, BLOCK_D=tile.columns, BLOCK_R=64, **tile.options,
        )  # fmt: skip


@triton.jit
def place(row, length, stride_b, stride_t):
    """The offset of a row in [B, T, ...]."""
    return (row // length) * stride_b + (row % length) * stride_t


@triton.jit
def exchange_kernel(
    rows, old, new, unit,
    old_rows, old_length, old_b, old_t, old_d, new_rows, new_length, new_b, new_t, new_d, width,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)  # [BLOCK_D]
    inside = offs_d < width
    row_ptrs = rows + row * width + offs_d
    if old is not None:
        if row < old_rows:
            values = tl.load(row_ptrs, mask=inside)
            if unit is not None:
                values = values.to(tl.float32) * tl.load(unit)
            at = old + place(row, old_length, old_b, old_t) + offs_d.to(tl.int64) * old_d
            tl.store(at, values.to(old.dtype.element_ty), mask=inside)
            tl.debug_barrier()  # below, no thread writes what another one has not read
    if new is not None:
        if row < new_rows:
            at = new + place(row, new_length, new_b, new_t) + offs_d.to(tl.int64) * new_d
            values = tl.load(at, mask=inside)
            tl.store(row_ptrs, values.to(rows.dtype.element_ty), mask=inside)


@triton.jit
def softmax_gradient_kernel(
    logits, targets, scale, nats, length, target_b, target_t, nats_b, nats_t, ignored, vocab,
    GRADIENT: tl.constexpr, WHOLE: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    offs_v = tl.arange(0, BLOCK_V)  # [BLOCK_V]
    target = tl.load(targets + place(row, length, target_b, target_t)).to(tl.int64)
    counted = target != ignored
    is_id = (target >= 0) & (target < vocab)
    row_logits = logits + row * vocab
    target_logit = tl.load(row_logits + target, mask=is_id, other=float("nan")).to(tl.float32)
    factor = tl.where(counted, tl.load(scale), 0.0)
    if WHOLE:
        inside = offs_v < vocab  # [BLOCK_V]
        x = tl.load(row_logits + offs_v, mask=inside, other=float("-inf")).to(tl.float32)
        m_i = tl.max(x, 0)
        p = tl.exp(x - m_i)  # [BLOCK_V]
        l_i = tl.sum(p, 0)
        if GRADIENT:
            dx = p * (factor / l_i) - tl.where(offs_v == target, factor, 0.0)  # [BLOCK_V]
            tl.store(row_logits + offs_v, dx.to(logits.dtype.element_ty), mask=inside)
    else:
        # The online softmax: m_i is the largest logit so far, l_v the sums of exp(x - m_i).
        m_i = tl.full((), float("-inf"), tl.float32)
        l_v = tl.zeros((BLOCK_V,), tl.float32)  # [BLOCK_V], one sum per column of the block
        for start in range(0, vocab, BLOCK_V):
            offs = start + offs_v  # [BLOCK_V]
            x = tl.load(row_logits + offs, mask=offs < vocab, other=float("-inf")).to(tl.float32)
            m_new = tl.maximum(m_i, tl.max(x, 0))
            alpha = tl.exp(m_i - m_new)
            l_v = l_v * alpha + tl.exp(x - m_new)
            m_i = m_new
        l_i = tl.sum(l_v, 0)
        if GRADIENT:
            for start in range(0, vocab, BLOCK_V):
                offs = start + offs_v  # [BLOCK_V]
                inside = offs < vocab
                x = tl.load(row_logits + offs, mask=inside, other=float("-inf")).to(tl.float32)
                dx = tl.exp(x - m_i) * (factor / l_i)  # [BLOCK_V]
                dx -= tl.where(offs == target, factor, 0.0)
                tl.store(row_logits + offs, dx.to(logits.dtype.element_ty), mask=inside)
    lse = m_i + tl.log(l_i)
    loss = tl.where(counted, lse - target_logit, 0.0)
    tl.store(nats + place(row, length, nats_b, nats_t), loss)


@triton.jit
def join(high, low):
    """The fp32 value whose upper 24 bits are int16 `high` and uint8 `low`."""
    bits = (high.to(tl.int32) << 16) | (low.to(tl.int32) << 8)
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def split(value):
    """int16 and uint8: the upper 24 bits of fp32 values, rounded; infinities and NaN are kept."""
    bits = value.to(tl.int32, bitcast=True)
    finite = (bits & 0x7F800000) != 0x7F800000
    bits = tl.where(finite, bits + 0x80, bits)
    return (bits >> 16).to(tl.int16), ((bits >> 8) & 0xFF).to(tl.uint8)


@triton.jit
def head_gradient_kernel(
    g, x, result, low, high, rows, vocab, width,
    NARROW: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr,
    BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    # The tiles of one block of the vocabulary are neighbours: they share its columns of g.
    tiles = tl.cdiv(width, BLOCK_D)
    offs_v = (tl.program_id(0) // tiles) * BLOCK_V + tl.arange(0, BLOCK_V)  # [BLOCK_V]
    offs_d = (tl.program_id(0) % tiles) * BLOCK_D + tl.arange(0, BLOCK_D)  # [BLOCK_D]
    offs_r = tl.arange(0, BLOCK_R)  # [BLOCK_R]
    g_ptrs = g + offs_r[None, :].to(tl.int64) * vocab + offs_v[:, None]  # [BLOCK_V, BLOCK_R]
    x_ptrs = x + offs_r[:, None].to(tl.int64) * width + offs_d[None, :]  # [BLOCK_R, BLOCK_D]
    acc = tl.zeros((BLOCK_V, BLOCK_D), tl.float32)  # [BLOCK_V, BLOCK_D]
    for start in range(0, rows, BLOCK_R):
        inside = start + offs_r < rows  # [BLOCK_R]
        g_tile = tl.load(g_ptrs, mask=inside[None, :] & (offs_v < vocab)[:, None], other=0.0)
        x_tile = tl.load(x_ptrs, mask=inside[:, None] & (offs_d < width)[None, :], other=0.0)
        acc = tl.dot(g_tile, x_tile, acc)
        g_ptrs += BLOCK_R * vocab
        x_ptrs += BLOCK_R * width
    # In halves: the old sums of a whole tile would not fit into registers beside the new ones.
    halves = tl.permute(tl.reshape(acc, (BLOCK_V, 2, BLOCK_D // 2)), (0, 2, 1))
    left, right = tl.split(halves)  # [BLOCK_V, BLOCK_D // 2] each
    offs_d = (tl.program_id(0) % tiles) * BLOCK_D + tl.arange(0, BLOCK_D // 2)
    add_tile(left, result, low, high, offs_v, offs_d, vocab, width, NARROW, FIRST, LAST)
    offs_d += BLOCK_D // 2
    add_tile(right, result, low, high, offs_v, offs_d, vocab, width, NARROW, FIRST, LAST)


@triton.jit
def add_tile(
    acc, result, low, high, offs_v, offs_d, vocab, width,
    NARROW: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Adds an fp32 tile, acc, to rows offs_v and columns offs_d of the sum."""
    offs = offs_v[:, None].to(tl.int64) * width + offs_d[None, :]  # [rows, columns]
    inside = (offs_v < vocab)[:, None] & (offs_d < width)[None, :]  # [rows, columns]
    if not FIRST:
        if NARROW:
            upper = tl.load(high + offs, mask=inside, other=0)
            lower = tl.load(low + offs, mask=inside, other=0)
            acc += join(upper, lower)
        else:
            acc += tl.load(result + offs, mask=inside, other=0.0)
    if NARROW and not LAST:
        upper, lower = split(acc)
        tl.store(high + offs, upper, mask=inside)
        tl.store(low + offs, lower, mask=inside)
    else:
        tl.store(result + offs, acc.to(result.dtype.element_ty), mask=inside)
