"""The linear layers of a decode step: few rows, and each weight is read once from memory.

One launch is LayerNorm (or the combination of attention's partial results), the product, the bias,
and GELU or the residual sum. A program owns BLOCK_N outputs of ROWS rows and walks over the inputs
in blocks. A block is SLICES groups of GROUP inputs, which a batched product takes at once: every
slice has sums of its own, so that the warps of a program share out the inputs and none waits for a
long chain of products that depend on each other.

The sum of an output has one order, whatever the number of rows and the tile: in each slice the
groups one after the other, then the slices. Weights are the rows of the product and come first, so
that it is of 16 x 8 x 16 elements for any number of rows.

With programmatic dependent launch the first AHEAD blocks of weights are on their way to registers
before the program waits for the kernel that makes its rows.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from . import packed_weight
from .packed_weight import PackedWeight

GROUP = tl.constexpr(packed_weight.GROUP)
# The levels of int4, a byte each, in two words.
LEVELS_LOW, LEVELS_HIGH = (
    tl.constexpr(int.from_bytes([level % 256 for level in half], "little", signed=True))
    for half in (packed_weight.LEVELS[:8], packed_weight.LEVELS[8:])
)
SLICES = tl.constexpr(8)
BLOCK_K = tl.constexpr(8 * packed_weight.GROUP)
AHEAD_BYTES = 32 << 10  # of a program's weights, read before it waits: 64 registers of 128 threads


@dataclass(frozen=True)
class PartialAttention:
    """Attention to parts of the keys. Its combination is sum_s out_s 2^lse_s / sum_s 2^lse_s.

    Attributes:
        out: fp32 [R, H, SPLITS, D], the attention to each part; D is a power of two.
        lse: fp32 [R, H, SPLITS], log2 of the sum of the exponentials of a part's scores; -inf where
            nothing of the part is seen, and `out` means nothing.
    """

    out: Tensor
    lse: Tensor


def linear(
    x: Tensor | PartialAttention,
    weight: PackedWeight,
    out: Tensor,
    *,
    bias: Tensor | None = None,
    norm: tuple[Tensor, Tensor] | None = None,
    eps: float = 1e-5,
    gelu: bool = False,
    residual: Tensor | None = None,
    pdl: bool = False,
) -> Tensor:
    """out = f(norm(x) W^T + bias) + residual, where f is GELU or nothing. Sums are fp32.

    Tensors are contiguous. A row of the result has the same bits whatever the other rows are.

    Args:
        x: [R, K], or what combines to [R, H * D]. Its dtype, or that of `out` for PartialAttention,
            is the one in which the product takes its operands; a weight that is not quantized has
            it, too.
        weight: W [N, K].
        out: [R, N], which is written.
        bias: [N].
        norm: the gain and the bias of a LayerNorm, [K] each.
        eps: what the LayerNorm adds to the variance.
        gelu: whether to apply GELU: x Phi(x).
        residual: [R, N]; it may be `out`.
        pdl: programmatic dependent launch: the kernel begins while the one before it still runs,
            and waits for its end only after the first weights are under way. Needs sm_90.

    Returns:
        `out`.

    Raises:
        ValueError: if shapes do not fit each other.
    """
    check(x, weight, out, bias=bias, norm=norm, residual=residual)
    rows = len(out)
    tile = launch.tile("linear_16" if rows <= 16 else "linear_32", launch.capability(out))
    source, lse, splits, head = x, None, None, None
    if isinstance(x, PartialAttention):
        source, lse, (splits, head) = x.out, x.lse, x.out.shape[2:]
    gain, shift = norm or (None, None)
    grid = (triton.cdiv(weight.outputs, tile.rows), triton.cdiv(rows, tile.columns))
    with launch.guard(out):
        linear_kernel[grid](
            source, lse, weight.values, weight.scales, bias, gain, shift, residual, out, rows,
            weight.outputs, eps, K=weight.inputs, SPLITS=splits, HEAD=head, FORM=weight.dtype,
            AHEAD=ahead(weight, tile), GELU=gelu, PDL=pdl, BLOCK_N=tile.rows, ROWS=tile.columns, **tile.options,
            **({"launch_pdl": True} if pdl else {}),
        )  # fmt: skip
    return out


def ahead(weight: PackedWeight, tile: launch.Tile) -> int:
    """The number of blocks of weights that a program reads before it waits."""
    blocks = triton.cdiv(weight.inputs, BLOCK_K.value)
    row = weight.values.shape[1] * weight.values.element_size()  # bytes
    return min(blocks, max(1, AHEAD_BYTES * blocks // (tile.rows * row)))


def check(
    x: Tensor | PartialAttention,
    weight: PackedWeight,
    out: Tensor,
    *,
    bias: Tensor | None,
    norm: tuple[Tensor, Tensor] | None,
    residual: Tensor | None,
) -> None:
    """Checks the arguments of `linear`."""
    rows, outputs, inputs = len(out), weight.outputs, weight.inputs
    wanted = [("out", out, [rows, outputs])]
    if isinstance(x, PartialAttention):
        heads, splits, head = x.out.shape[1:]
        if head & (head - 1) or head > BLOCK_K.value or heads * head != inputs:
            allowed = f"a power of two <= {BLOCK_K.value}, and {inputs} in all"
            raise ValueError(f"x: found {heads} heads of {head}, expected {allowed}")
        wanted += [("x.out", x.out, [rows, heads, splits, head])]
        wanted += [("x.lse", x.lse, [rows, heads, splits])]
    else:
        wanted += [("x", x, [rows, inputs])]
    if bias is not None:
        wanted += [("bias", bias, [outputs])]
    if norm is not None:
        wanted += [("norm[0]", norm[0], [inputs]), ("norm[1]", norm[1], [inputs])]
    if residual is not None:
        wanted += [("residual", residual, [rows, outputs])]
    for name, tensor, shape in wanted:
        if list(tensor.shape) != shape or not tensor.is_contiguous():
            found = f"{list(tensor.shape)} of strides {list(tensor.stride())}"
            raise ValueError(f"{name}: found {found}, expected {shape}, contiguous")


@triton.jit
def load_weights(values, scales, offs_n, block, K: tl.constexpr, FORM: tl.constexpr):
    """A block of the weights of outputs offs_n [BLOCK_N] as they are stored, [SLICES, BLOCK_N,
    GROUP], for int4 [SLICES, BLOCK_N, GROUP / 2]; and their scales [SLICES, BLOCK_N, 1], if groups
    have any, else None."""
    groups: tl.constexpr = tl.cdiv(K, GROUP)
    unit: tl.constexpr = GROUP // 2 if FORM == "int4" else GROUP
    width: tl.constexpr = groups * unit if FORM == "int4" else K
    group = block * SLICES + tl.arange(0, SLICES)[:, None, None]
    offs = group * unit + tl.arange(0, unit)[None, None, :]  # [SLICES, 1, unit]
    pointers = values + offs_n[None, :, None] * width + offs  # [SLICES, BLOCK_N, unit]
    if K // BLOCK_K * BLOCK_K == K:
        weights = tl.load(pointers)
    else:
        weights = tl.load(pointers, mask=offs < width, other=0.0)
    unit_scales = None
    if FORM == "int8" or FORM == "int4":
        pointers = scales + offs_n[None, :, None] * groups + group  # [SLICES, BLOCK_N, 1]
        unit_scales = tl.load(pointers, mask=group < groups, other=0.0)
    return weights, unit_scales


@triton.jit
def int4_levels(places):
    """int8 [SLICES, BLOCK_N, GROUP]: the levels at the places that bytes hold in pairs."""
    place = tl.join(places & 15, places >> 4)
    place = tl.reshape(place, (SLICES, places.shape[1], GROUP)).to(tl.int64)
    word = tl.where(place < 8, LEVELS_LOW, LEVELS_HIGH)
    return (word >> ((place & 7) * 8)).to(tl.int8)


@triton.jit
def load_rows(
    x, lse, offs_r, rows, block, K: tl.constexpr, SPLITS: tl.constexpr, HEAD: tl.constexpr
):
    """fp32 [ROWS, BLOCK_K]: a block of rows offs_r [ROWS]; zeros where there is nothing."""
    if lse is None:
        offs_k = block * BLOCK_K + tl.arange(0, BLOCK_K)  # [BLOCK_K]
        inside = (offs_r < rows)[:, None] & (offs_k < K)[None, :]  # [ROWS, BLOCK_K]
        return tl.load(x + offs_r[:, None] * K + offs_k[None, :], mask=inside, other=0.0).to(
            tl.float32
        )
    else:
        return combine(x, lse, offs_r, rows, block, K, SPLITS, HEAD)


@triton.jit
def combine(
    parts, lse, offs_r, rows, block, K: tl.constexpr, SPLITS: tl.constexpr, HEAD: tl.constexpr
):
    """fp32 [ROWS, BLOCK_K]: what attention's partial results come to, a block of heads at once."""
    offs_h = block * (BLOCK_K // HEAD) + tl.arange(0, BLOCK_K // HEAD)  # [heads]
    inside = (offs_r < rows)[:, None] & (offs_h < K // HEAD)[None, :]  # [ROWS, heads]
    first = (offs_r[:, None] * (K // HEAD) + offs_h[None, :]) * SPLITS  # [ROWS, heads]
    offs_d = tl.arange(0, HEAD)[None, None, :]
    m_i = tl.full(first.shape, float("-inf"), tl.float32)  # [ROWS, heads]
    for split in tl.static_range(SPLITS):
        part_lse = tl.load(lse + first + split, mask=inside, other=float("-inf"))
        m_i = tl.maximum(m_i, part_lse)
    m_i = tl.where(m_i == float("-inf"), 0.0, m_i)  # where nothing is seen the sum is zero
    l_i = tl.zeros(first.shape, tl.float32)  # [ROWS, heads]
    acc = tl.zeros((first.shape[0], BLOCK_K // HEAD, HEAD), tl.float32)
    for split in tl.static_range(SPLITS):
        part_lse = tl.load(lse + first + split, mask=inside, other=float("-inf"))
        p = tl.exp2(part_lse - m_i)  # [ROWS, heads]
        pointers = parts + (first + split)[:, :, None] * HEAD + offs_d  # [ROWS, heads, HEAD]
        part = tl.load(pointers, mask=inside[:, :, None], other=0.0)
        acc += p[:, :, None] * tl.where((p > 0)[:, :, None], part, 0.0)
        l_i += p
    acc /= tl.where(l_i > 0, l_i, 1.0)[:, :, None]
    return tl.reshape(acc, (first.shape[0], BLOCK_K))


@triton.jit
def statistics(
    x, lse, offs_r, rows, eps, K: tl.constexpr, SPLITS: tl.constexpr, HEAD: tl.constexpr
):
    """[ROWS] each: the mean and 1 / sqrt(variance + eps) of rows. Squares are summed about the mean
    of each block, and moved to that of all (Chan et al., 1983): no digits cancel."""
    mean = tl.zeros(offs_r.shape, tl.float32)
    squares = tl.zeros(offs_r.shape, tl.float32)
    for block in tl.static_range(tl.cdiv(K, BLOCK_K)):
        before: tl.constexpr = block * BLOCK_K
        count: tl.constexpr = min(BLOCK_K, K - before)
        part = load_rows(x, lse, offs_r, rows, block, K, SPLITS, HEAD)  # [ROWS, BLOCK_K]
        part_mean = tl.sum(part, 1) / count
        centred = part - part_mean[:, None]
        if count < BLOCK_K:
            centred = tl.where((tl.arange(0, BLOCK_K) < count)[None, :], centred, 0.0)
        delta = part_mean - mean
        share: tl.constexpr = count / (before + count)
        mean += delta * share
        squares += tl.sum(centred * centred, 1) + delta * delta * (before * share)
    return mean, 1.0 / tl.sqrt(squares / K + eps)


@triton.jit
def add_block(
    acc, weights, scales, x, lse, gain, shift, mean, rstd, offs_r, rows, block,
    dtype: tl.constexpr, K: tl.constexpr, SPLITS: tl.constexpr, HEAD: tl.constexpr,
    FORM: tl.constexpr,
):  # fmt: skip
    """acc [SLICES, BLOCK_N, ROWS] plus the products of a block."""
    part = load_rows(x, lse, offs_r, rows, block, K, SPLITS, HEAD)  # [ROWS, BLOCK_K]
    if gain is not None:
        offs_k = block * BLOCK_K + tl.arange(0, BLOCK_K)  # [BLOCK_K]
        factor = tl.load(gain + offs_k, mask=offs_k < K, other=0.0).to(tl.float32)
        offset = tl.load(shift + offs_k, mask=offs_k < K, other=0.0).to(tl.float32)
        part = (part - mean[:, None]) * rstd[:, None] * factor[None, :] + offset[None, :]
    sliced = tl.reshape(part.to(dtype), (part.shape[0], SLICES, GROUP))
    sliced = tl.permute(sliced, (1, 2, 0))  # [SLICES, GROUP, ROWS]
    if FORM == "int4":
        weights = int4_levels(weights)
    if scales is None:
        return tl.dot(weights.to(dtype), sliced, acc, input_precision="ieee")
    else:
        # Levels are exact in 16 bits, and a weight would not be: a scale meets the sum of a group.
        return acc + tl.dot(weights.to(dtype), sliced, input_precision="ieee") * scales.to(
            tl.float32
        )


@triton.jit
def linear_kernel(
    x, lse, values, scales, bias, gain, shift, residual, out, rows, outputs, eps,
    K: tl.constexpr, SPLITS: tl.constexpr, HEAD: tl.constexpr, FORM: tl.constexpr,
    AHEAD: tl.constexpr, GELU: tl.constexpr, PDL: tl.constexpr, BLOCK_N: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    dtype: tl.constexpr = x.dtype.element_ty if lse is None else out.dtype.element_ty
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)  # [BLOCK_N]
    offs_r = tl.program_id(1) * ROWS + tl.arange(0, ROWS)  # [ROWS]
    # Outputs that do not exist are clamped to one that does: no load of weights needs their mask.
    real_n = tl.minimum(offs_n, outputs - 1).to(tl.int64)  # [BLOCK_N]
    first = ()
    for block in tl.static_range(AHEAD):
        first = first + (load_weights(values, scales, real_n, block, K, FORM),)
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    mean, rstd = 0.0, 1.0
    if gain is not None:
        mean, rstd = statistics(x, lse, offs_r, rows, eps, K, SPLITS, HEAD)
    acc = tl.zeros((SLICES, BLOCK_N, ROWS), tl.float32)
    for block in tl.static_range(AHEAD):
        acc = add_block(
            acc, first[block][0], first[block][1], x, lse, gain, shift, mean, rstd, offs_r, rows,
            block, dtype, K, SPLITS, HEAD, FORM,
        )  # fmt: skip
    for block in range(AHEAD, tl.cdiv(K, BLOCK_K)):
        weights, unit_scales = load_weights(values, scales, real_n, block, K, FORM)
        acc = add_block(
            acc, weights, unit_scales, x, lse, gain, shift, mean, rstd, offs_r, rows, block, dtype,
            K, SPLITS, HEAD, FORM,
        )  # fmt: skip
    result = tl.sum(acc, 0)  # [BLOCK_N, ROWS]
    if FORM == "fp8":
        result *= tl.load(scales + real_n)[:, None]
    if bias is not None:
        result += tl.load(bias + real_n).to(tl.float32)[:, None]
    if GELU:
        result = 0.5 * result * (1.0 + tl.erf(result * 0.7071067811865476))
    offs = offs_r[None, :].to(tl.int64) * outputs + offs_n[:, None]  # [BLOCK_N, ROWS]
    exists = (offs_r < rows)[None, :] & (offs_n < outputs)[:, None]
    if residual is not None:
        result += tl.load(residual + offs, mask=exists, other=0.0).to(tl.float32)
    tl.store(out + offs, result.to(out.dtype.element_ty), mask=exists)
