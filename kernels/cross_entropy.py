"""What mas_fast/ops/cross_entropy_chunked.py needs on a GPU beside cuBLAS: logits into gradients,
in place, and the gradient of a head's weight summed over chunks without a copy of it in fp32.

The sums of a 16-bit gradient are kept as the upper 24 bits of fp32: 16 of them in the gradient's
own memory and 8 in `rest`, so half a gradient is needed beside it instead of two. Each chunk rounds
at 2^-16 of the sum, 128 times finer than bf16; the last chunk leaves the gradient in its dtype.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
import triton.language as tl
from torch import Tensor

WHOLE = 16384  # a row of so many logits is read once and stays in registers


def softmax_gradient(
    logits: Tensor, targets: Tensor, scale: Tensor, ignored: int, gradient: bool
) -> Tensor:
    """fp32 [R]: the cross-entropy of each row, 0 where the target is `ignored`, NaN where it is no
    id. Where `gradient` is set, logits [R, V] become scale * (softmax - one-hot), rows of zeros
    where it is ignored. targets: int64 [R]; scale: fp32 []."""
    rows, vocab = logits.shape
    nats = torch.empty(rows, dtype=torch.float32, device=logits.device)
    tile = launch.tile("cross_entropy", launch.capability(logits))
    if rows:
        with launch.guard(logits):
            softmax_gradient_kernel[(rows,)](
                logits, targets, scale, nats, ignored, vocab, GRADIENT=gradient,
                WHOLE=vocab <= WHOLE, BLOCK_V=min(triton.next_power_of_2(vocab), tile.columns),
                **tile.options,
            )  # fmt: skip
    return nats


def new_rest(result: Tensor) -> Tensor | None:
    """What `add_weight_gradient` needs beside a 16-bit gradient."""
    return None if result.dtype == torch.float32 else torch.empty_like(result, dtype=torch.uint8)


def add_weight_gradient(
    result: Tensor, rest: Tensor | None, g: Tensor, x: Tensor, first: bool, last: bool
) -> None:
    """result [V, D] += g^T x, of 16-bit g [R, V] and x [R, D], all contiguous. `result`: fp32, or
    16-bit with a `rest`; the first chunk does not read it, the last one leaves it whole."""
    (rows, vocab), width = g.shape, x.shape[1]
    tile = launch.tile("head_gradient", launch.capability(g))
    grid = (triton.cdiv(vocab, tile.rows) * triton.cdiv(width, tile.columns),)
    high = None if rest is None else result.view(torch.int16)
    with launch.guard(g):
        head_gradient_kernel[grid](
            g, x, result, rest, high, rows, vocab, width, NARROW=rest is not None, FIRST=first,
            LAST=last, BLOCK_V=tile.rows, BLOCK_D=tile.columns, BLOCK_R=64, **tile.options,
        )  # fmt: skip


@triton.jit
def softmax_gradient_kernel(
    logits, targets, scale, nats, ignored, vocab,
    GRADIENT: tl.constexpr, WHOLE: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    v = tl.arange(0, BLOCK_V)
    target = tl.load(targets + row)
    counted = target != ignored
    known = (target >= 0) & (target < vocab)
    at = logits + row * vocab
    own = tl.load(at + target, mask=known, other=float("nan")).to(tl.float32)
    factor = tl.where(counted, tl.load(scale), 0.0)
    if WHOLE:
        x = tl.load(at + v, mask=v < vocab, other=float("-inf")).to(tl.float32)
        largest = tl.max(x, 0)
        e = tl.exp(x - largest)
        total = tl.sum(e, 0)
        if GRADIENT:
            out = e * (factor / total) - tl.where(v == target, factor, 0.0)
            tl.store(at + v, out.to(logits.dtype.element_ty), mask=v < vocab)
    else:
        largest = tl.full((), float("-inf"), tl.float32)
        sums = tl.zeros((BLOCK_V,), tl.float32)
        for start in range(0, vocab, BLOCK_V):
            x = tl.load(at + start + v, mask=start + v < vocab, other=float("-inf")).to(tl.float32)
            above = tl.maximum(largest, tl.max(x, 0))
            sums = sums * tl.exp(largest - above) + tl.exp(x - above)
            largest = above
        total = tl.sum(sums, 0)
        if GRADIENT:
            for start in range(0, vocab, BLOCK_V):
                inside = start + v < vocab
                x = tl.load(at + start + v, mask=inside, other=float("-inf")).to(tl.float32)
                out = tl.exp(x - largest) * (factor / total)
                out -= tl.where(start + v == target, factor, 0.0)
                tl.store(at + start + v, out.to(logits.dtype.element_ty), mask=inside)
    tl.store(nats + row, tl.where(counted, largest + tl.log(total) - own, 0.0))


@triton.jit
def join(high, low):
    """The fp32 value whose upper 24 bits are int16 `high` and uint8 `low`."""
    bits = (high.to(tl.int32) << 16) | (low.to(tl.int32) << 8)
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def split(value):
    """int16 and uint8: the upper 24 bits of fp32 values, rounded; infinities and NaN stay so."""
    bits = value.to(tl.int32, bitcast=True)
    finite = (bits & 0x7F800000) != 0x7F800000
    bits = tl.where(finite, bits + 0x80, bits)
    return (bits >> 16).to(tl.int16), ((bits >> 8) & 0xFF).to(tl.uint8)


@triton.jit
def head_gradient_kernel(
    g, x, result, rest, high, rows, vocab, width,
    NARROW: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr,
    BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    # The tiles of one block of the vocabulary are neighbours: they share its columns of g.
    tiles = tl.cdiv(width, BLOCK_D)
    v = (tl.program_id(0) // tiles) * BLOCK_V + tl.arange(0, BLOCK_V)
    d = (tl.program_id(0) % tiles) * BLOCK_D + tl.arange(0, BLOCK_D)
    r = tl.arange(0, BLOCK_R)
    at_g = g + r[None, :].to(tl.int64) * vocab + v[:, None]  # transposed
    at_x = x + r[:, None].to(tl.int64) * width + d[None, :]
    total = tl.zeros((BLOCK_V, BLOCK_D), tl.float32)
    for start in range(0, rows, BLOCK_R):
        row = start + r < rows
        a = tl.load(at_g, mask=row[None, :] & (v < vocab)[:, None], other=0.0)
        b = tl.load(at_x, mask=row[:, None] & (d < width)[None, :], other=0.0)
        total = tl.dot(a, b, total)
        at_g += BLOCK_R * vocab
        at_x += BLOCK_R * width
    # By halves: the old sums of a whole tile would not fit into registers beside the new ones.
    halves = tl.permute(tl.reshape(total, (BLOCK_V, 2, BLOCK_D // 2)), (0, 2, 1))
    left, right = tl.split(halves)
    d = (tl.program_id(0) % tiles) * BLOCK_D + tl.arange(0, BLOCK_D // 2)
    add_tile(left, result, rest, high, v, d, vocab, width, NARROW, FIRST, LAST)
    d += BLOCK_D // 2
    add_tile(right, result, rest, high, v, d, vocab, width, NARROW, FIRST, LAST)


@triton.jit
def add_tile(
    total, result, rest, high, v, d, vocab, width,
    NARROW: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Adds a tile of fp32 to rows v and columns d of the sum."""
    at = v[:, None].to(tl.int64) * width + d[None, :]
    inside = (v < vocab)[:, None] & (d < width)[None, :]
    if not FIRST:
        if NARROW:
            total += join(
                tl.load(high + at, mask=inside, other=0), tl.load(rest + at, mask=inside, other=0)
            )
        else:
            total += tl.load(result + at, mask=inside, other=0.0)
    if NARROW and not LAST:
        upper, lower = split(total)
        tl.store(high + at, upper, mask=inside)
        tl.store(rest + at, lower, mask=inside)
    else:
        tl.store(result + at, total.to(result.dtype.element_ty), mask=inside)
