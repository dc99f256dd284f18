"""The operands of the nearest code's matrix products: rows and codebook in fp16, and the bounds on
what that rounds off. `kernels/vq.py` says what they are for."""

from __future__ import annotations

import math

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
import triton.language as tl
from torch import Tensor

# A unit is the exponent of the largest value, as fp32 has it. Between 2^-116 and 2^126 that of the
# codebook makes all products normal.
EXPONENT = tl.constexpr(0x7F800000)
LEAST_UNIT, MOST_UNIT = tl.constexpr((127 - 116) << 23), tl.constexpr((127 + 126) << 23)


def pack_codes(
    codebook: Tensor, block_k: int, sizes: dict[str, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The codebook divided by a power of two, `unit`, in fp16 and padded to whole blocks.

    Args:
        codebook: [K, D].
        block_k: the codes of a block.
        sizes: CHUNKS and BLOCK_D of the kernels.

    Returns:
        The packed codebook, fp16 [K', CHUNKS * BLOCK_D]; half of each squared length, fp32 [K'],
        infinite in the padding; upper bounds of the largest length and of the largest rounding
        error of a code, fp32 [2], the latter NaN where a value is not finite; and the largest
        value, fp32 [], whose exponent is that of the unit.
    """
    count, channels = codebook.shape
    largest = torch.linalg.vector_norm(codebook, math.inf, dtype=torch.float32)
    padded = triton.cdiv(count, block_k) * block_k
    shape = (padded, sizes["CHUNKS"] * sizes["BLOCK_D"])
    packed = torch.empty(shape, dtype=torch.float16, device=codebook.device)
    half_square = torch.empty(padded, dtype=torch.float32, device=codebook.device)
    norms = torch.empty(2, padded, dtype=torch.float32, device=codebook.device)
    tile = launch.tile("vq_pack", launch.capability(codebook))
    pack_codes_kernel[(triton.cdiv(padded, tile.rows),)](
        codebook, largest, packed, half_square, norms, count=count, channels=channels,
        padded=padded, stride_n=codebook.stride(0), stride_d=codebook.stride(1),
        BLOCK_N=tile.rows, **sizes, **tile.options,
    )  # fmt: skip
    return packed, half_square, norms.amax(1), largest


def pack_rows(
    x: Tensor, norms: Tensor, largest: Tensor, sizes: dict[str, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows, each divided by a power of two of its own, in fp16.

    Args:
        x: [N, D].
        norms: the bounds that `pack_codes` returned.
        largest: the largest value of the codebook, from there too.
        sizes: CHUNKS and BLOCK_D of the kernels.

    Returns:
        The packed rows, fp16 [N, CHUNKS * BLOCK_D]; the codebook's unit divided by that of each
        row, fp32 [N]; and the bound on the error of a score in units of its row, fp32 [N], NaN
        where a value of the row or the codebook is not finite.
    """
    rows, channels = x.shape
    shape = (rows, sizes["CHUNKS"] * sizes["BLOCK_D"])
    packed = torch.empty(shape, dtype=torch.float16, device=x.device)
    ratio, bound = (torch.empty(rows, dtype=torch.float32, device=x.device) for _ in range(2))
    tile = launch.tile("vq_pack", launch.capability(x))
    pack_rows_kernel[(triton.cdiv(rows, tile.rows),)](
        x, norms, largest, packed, ratio, bound, count=rows, channels=channels,
        stride_n=x.stride(0), stride_d=x.stride(1), BLOCK_N=tile.rows, **sizes, **tile.options,
    )  # fmt: skip
    return packed, ratio, bound


@triton.jit
def load_chunk(x, n, count, chunk, channels, stride_n, stride_d, BLOCK_D: tl.constexpr):
    """fp32 [rows, BLOCK_D]: channels of rows n, zeros where there are none."""
    d = chunk * BLOCK_D + tl.arange(0, BLOCK_D)
    at = x + n[:, None] * stride_n + d[None, :] * stride_d
    inside = (n < count)[:, None] & (d < channels)[None, :]
    return tl.load(at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def unit_of(largest, least):
    """The bits of the power of two at or below `largest`, at least those of `least`, and the
    inverse of that power."""
    bits = largest.to(tl.int32, bitcast=True) & EXPONENT
    bits = tl.minimum(tl.maximum(bits, least), MOST_UNIT)
    return bits, ((254 << 23) - bits).to(tl.float32, bitcast=True)


@triton.jit
def round_rows(
    x, packed, n, count, padded, inverse, channels, stride_n, stride_d,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Stores rows n times `inverse` (a power of two each) in fp16, zeros from `count` to `padded`
    and where a value is not finite. Returns fp64 sums of squares: of the scaled rows, and of what
    was rounded off, which is NaN if a value is not finite."""
    square = tl.zeros((BLOCK_N,), tl.float64)
    error = tl.zeros((BLOCK_N,), tl.float64)
    for chunk in range(CHUNKS):
        part = load_chunk(x, n, count, chunk, channels, stride_n, stride_d, BLOCK_D)
        part = part * inverse[:, None]
        near = part.to(tl.float16)
        d = chunk * BLOCK_D + tl.arange(0, BLOCK_D)
        at = packed + n[:, None] * (CHUNKS * BLOCK_D) + d[None, :]
        tl.store(at, tl.where(tl.abs(part) < float("inf"), near, 0.0), mask=(n < padded)[:, None])
        rounded_off = part - near.to(tl.float32)  # exact
        square += tl.sum(part.to(tl.float64) * part.to(tl.float64), 1)
        error += tl.sum(rounded_off.to(tl.float64) * rounded_off.to(tl.float64), 1)
    return square, error


@triton.jit
def root_up(square):
    """The root of fp64 sums as fp32 that are not below it."""
    return (tl.sqrt(square) * (1.0 + 1.0 / 4096)).to(tl.float32) + 1e-37


@triton.jit
def pack_codes_kernel(
    x, largest, packed, half_square, norms, count, channels, padded, stride_n, stride_d,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    _, inverse = unit_of(tl.zeros((BLOCK_N,), tl.float32) + tl.load(largest), LEAST_UNIT)
    square, error = round_rows(
        x, packed, n, count, padded, inverse, channels, stride_n, stride_d, CHUNKS, BLOCK_N, BLOCK_D
    )
    halves = (0.5 * square).to(tl.float32)
    halves = tl.where((n < count) & (square < float("inf")), halves, float("inf"))
    tl.store(half_square + n, halves, mask=n < padded)
    tl.store(norms + n, root_up(square), mask=n < padded)
    tl.store(norms + padded + n, root_up(error), mask=n < padded)


@triton.jit
def pack_rows_kernel(
    x, norms, largest, packed, ratio, bound, count, channels, stride_n, stride_d,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    most = tl.zeros((BLOCK_N,), tl.float32)
    for chunk in range(CHUNKS):
        part = load_chunk(x, n, count, chunk, channels, stride_n, stride_d, BLOCK_D)
        most = tl.maximum(most, tl.max(tl.abs(part), 1))
    # A row far below the codebook takes a unit near that of the codebook, 2^-10 of it, since its
    # length then matters little.
    unit_bits, _ = unit_of(tl.zeros((BLOCK_N,), tl.float32) + tl.load(largest), LEAST_UNIT)
    unit = unit_bits.to(tl.float32, bitcast=True)
    _, inverse = unit_of(most, unit_bits - (10 << 23))

    square, error = round_rows(
        x, packed, n, count, count, inverse, channels, stride_n, stride_d, CHUNKS, BLOCK_N, BLOCK_D
    )
    row_ratio, row_error = tl.maximum(unit * inverse, 1e-30), root_up(error)
    length = root_up(square) + row_error  # of the rounded row, too
    code, code_error = tl.load(norms), tl.load(norms + 1)
    # Sums on tensor cores lose at most 2^-22 of the terms' absolute sum at every addition.
    roundings = CHUNKS * BLOCK_D + 16
    products = roundings * 2.4e-7 * length * (code + code_error)
    row_bound = length * code_error + row_error * code + products + 2.4e-7 * row_ratio * code * code
    # The definition's own rounding, of distances that are the score times 2 / ratio.
    apart = length + row_ratio * code
    row_bound += roundings * 1.2e-16 * apart * apart / row_ratio
    tl.store(ratio + n, row_ratio, mask=n < count)
    tl.store(bound + n, row_bound + 1e-30, mask=n < count)
