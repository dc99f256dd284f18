"""The operands of the nearest code's matrix products: rows and codebook in fp16, and the bounds on
what that rounds off. `kernels/vq.py` says what they are for."""

from __future__ import annotations

import math

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
import triton.language as tl
from torch import Tensor

LEAST_UNIT, MOST_UNIT = -116, 126  # exponents of the codebook's unit; all products are then normal


def pack_codes(
    codebook: Tensor, block_k: int, sizes: dict[str, int]
) -> tuple[Tensor, Tensor, Tensor, float]:
    """The codebook divided by a power of two, `unit`, in fp16 and padded to whole blocks.

    Args:
        codebook: [K, D].
        block_k: the codes of a block.
        sizes: CHUNKS and BLOCK_D of the kernels.

    Returns:
        The packed codebook, fp16 [K', CHUNKS * BLOCK_D]; half of each squared length, fp32 [K'],
        infinite in the padding; upper bounds of the largest length and of the largest rounding
        error of a code, fp32 [2]; and the unit.
    """
    count, channels = codebook.shape
    largest = max(abs(float(value)) for value in codebook.aminmax())
    unit = math.ldexp(1.0, min(max(math.frexp(largest)[1] - 1, LEAST_UNIT), MOST_UNIT))
    padded = triton.cdiv(count, block_k) * block_k
    shape = (padded, sizes["CHUNKS"] * sizes["BLOCK_D"])
    packed = torch.empty(shape, dtype=torch.float16, device=codebook.device)
    half_square = torch.empty(padded, dtype=torch.float32, device=codebook.device)
    norms = torch.empty(2, padded, dtype=torch.float32, device=codebook.device)
    tile = launch.tile("vq_pack", launch.capability(codebook))
    pack_codes_kernel[(triton.cdiv(padded, tile.rows),)](
        codebook, packed, half_square, norms, inverse=1 / unit, count=count, channels=channels,
        padded=padded, stride_n=codebook.stride(0), stride_d=codebook.stride(1),
        BLOCK_N=tile.rows, **sizes, **tile.options,
    )  # fmt: skip
    return packed, half_square, norms.amax(1), unit


def pack_rows(
    x: Tensor, norms: Tensor, unit: float, sizes: dict[str, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows, each divided by a power of two of its own, in fp16.

    Args:
        x: [N, D].
        norms: the bounds that `pack_codes` returned.
        unit: the codebook's unit.
        sizes: CHUNKS and BLOCK_D of the kernels.

    Returns:
        The packed rows, fp16 [N, CHUNKS * BLOCK_D]; the codebook's unit divided by that of each
        row, fp32 [N]; and the bound on the error of a score in units of its row, fp32 [N].
    """
    rows, channels = x.shape
    shape = (rows, sizes["CHUNKS"] * sizes["BLOCK_D"])
    packed = torch.empty(shape, dtype=torch.float16, device=x.device)
    ratio, bound = (torch.empty(rows, dtype=torch.float32, device=x.device) for _ in range(2))
    tile = launch.tile("vq_pack", launch.capability(x))
    pack_rows_kernel[(triton.cdiv(rows, tile.rows),)](
        x, norms, packed, ratio, bound, unit=unit, count=rows, channels=channels,
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
def round_rows(
    x, packed, n, count, padded, inverse, channels, stride_n, stride_d,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Stores rows n times `inverse` (a power of two each) in fp16, zeros from `count` to `padded`.
    Returns fp64 sums of squares: of the scaled rows, and of what was rounded off."""
    square = tl.zeros((BLOCK_N,), tl.float64)
    error = tl.zeros((BLOCK_N,), tl.float64)
    for chunk in range(CHUNKS):
        part = load_chunk(x, n, count, chunk, channels, stride_n, stride_d, BLOCK_D)
        part = part * inverse[:, None]
        near = part.to(tl.float16)
        d = chunk * BLOCK_D + tl.arange(0, BLOCK_D)
        at = packed + n[:, None] * (CHUNKS * BLOCK_D) + d[None, :]
        tl.store(at, near, mask=(n < padded)[:, None])
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
    x, packed, half_square, norms, inverse, count, channels, padded, stride_n, stride_d,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    scale = tl.zeros((BLOCK_N,), tl.float32) + inverse
    square, error = round_rows(
        x, packed, n, count, padded, scale, channels, stride_n, stride_d, CHUNKS, BLOCK_N, BLOCK_D
    )
    halves = tl.where(n < count, (0.5 * square).to(tl.float32), float("inf"))
    tl.store(half_square + n, halves, mask=n < padded)
    tl.store(norms + n, root_up(square), mask=n < padded)
    tl.store(norms + padded + n, root_up(error), mask=n < padded)


@triton.jit
def pack_rows_kernel(
    x, norms, packed, ratio, bound, unit, count, channels, stride_n, stride_d,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    largest = tl.zeros((BLOCK_N,), tl.float32)
    for chunk in range(CHUNKS):
        part = load_chunk(x, n, count, chunk, channels, stride_n, stride_d, BLOCK_D)
        largest = tl.maximum(largest, tl.max(tl.abs(part), 1))
    # The power of two at or below the largest value is its exponent's bits alone. A row far below
    # the codebook takes a unit near that of the codebook, since its length then matters little.
    bits = largest.to(tl.int32, bitcast=True) & 0x7F800000
    least = tl.zeros((BLOCK_N,), tl.float32) + unit / 1024
    bits = tl.minimum(tl.maximum(bits, least.to(tl.int32, bitcast=True)), 0x7E800000)
    inverse = (0x7F000000 - bits).to(tl.float32, bitcast=True)

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
