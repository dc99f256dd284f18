"""The linear layers of a decode step: few rows, and each weight is read once from memory.

One launch is LayerNorm, the product, the bias, and GELU or the residual sum. A program owns BLOCK_N
outputs of ROWS rows. Its inputs are dealt out to SLICES slices, SPAN at a time, and a batched
product takes STEP inputs of every slice at once: each slice has sums of its own, so that the warps
of a program share out the inputs and none waits for a long chain of products.

The sum of an output has one order, whatever the number of rows and the tile: in each slice its
inputs one after the other, then the slices. Weights are the first operand of the product, so that
the tensor cores' shape does not depend on the number of rows.

The first AHEAD steps' weights are on their way to registers before the rows are looked at; with
programmatic dependent launch, before the kernel that makes the rows has ended.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from . import packed_weight
from .packed_weight import PackedWeight

BITS = {"fp32": 32, "bf16": 16, "fp16": 16, "int8": 8, "fp8": 8, "int4": 4}  # of a weight
MAX_AHEAD = 8  # steps that are written out one by one
SLICES = tl.constexpr(8)
GROUP = tl.constexpr(packed_weight.GROUP)
# The levels of int4, a byte each, in two words.
LEVELS_LOW, LEVELS_HIGH = (
    tl.constexpr(int.from_bytes([level % 256 for level in half], "little", signed=True))
    for half in (packed_weight.LEVELS[:8], packed_weight.LEVELS[8:])
)
BLOCK_S = tl.constexpr(256)  # inputs of a row that statistics take at once


def linear(
    x: Tensor,
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
        x: [R, K]. The product's operands have its dtype, and so has a weight that is not quantized.
        weight: W [N, K].
        out: [R, N], which is written; another tensor than x.
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
        ValueError: if shapes do not fit each other, or the device cannot do `pdl`.
    """
    check(x, weight, out, bias=bias, norm=norm, residual=residual)
    rows, capability = len(out), launch.capability(out)
    if pdl and capability < 90:
        raise ValueError(f"pdl: found compute capability {capability}, expected 90 or more")
    gain, shift = norm or (None, None)
    blocks, options = plan(weight, rows, capability)
    grid = triton.cdiv(weight.outputs, blocks["BLOCK_N"]), triton.cdiv(rows, blocks["ROWS"])
    with launch.guard(out):
        linear_kernel[grid](
            x, weight.values, weight.scales, bias, gain, shift, residual, out, rows, weight.outputs,
            eps, K=weight.inputs, FORM=weight.dtype, GELU=gelu, PDL=pdl, **blocks, **options,
            **({"launch_pdl": True} if pdl else {}),
        )  # fmt: skip
    return out


def plan(weight: PackedWeight, rows: int, capability: int) -> tuple[dict[str, int], dict[str, int]]:
    """The kernel's sizes for a weight and a number of rows, and how it is launched.

    SPAN, on which the order of a sum depends, does not depend on the number of rows.
    """
    # Larger blocks would take more registers than there are beside levels that become operands.
    name = "linear"
    if rows > 16 and weight.dtype != "int4":
        name = "linear_rows"
    elif rows <= 8 and weight.outputs > 2048 and BITS[weight.dtype] == 16:
        name = "linear_wide"
    tile = launch.tile(name, capability)
    span = 64
    if weight.inputs <= 1024:
        span = max(32, triton.next_power_of_2(weight.inputs) // SLICES.value)  # a single step
    if weight.dtype in ("fp32", "int8", "int4"):
        span = GROUP.value
    # Beside the sums of all groups those of one take registers, too.
    most = min(tile.columns, 32) if weight.dtype == "int8" else tile.columns
    height = max(8, min(most, triton.next_power_of_2(rows)))
    step = min(span, 2048 // tile.rows) if height == 8 else 32
    steps = triton.cdiv(weight.inputs, SLICES.value * span) * (span // step)
    bits = BITS[weight.dtype] * tile.rows * SLICES.value * step  # of a step's weights
    registers = 16 if name == "linear_rows" else 64  # of a thread; 32 bits of 32 in a warp
    ahead = min(steps, MAX_AHEAD, max(1, registers * 32 * 32 * tile.warps // bits))
    blocks = {"SPAN": span, "STEP": step, "AHEAD": ahead, "BLOCK_N": tile.rows, "ROWS": height}
    return blocks, tile.options


def check(
    x: Tensor,
    weight: PackedWeight,
    out: Tensor,
    *,
    bias: Tensor | None,
    norm: tuple[Tensor, Tensor] | None,
    residual: Tensor | None,
) -> None:
    """Checks the arguments of `linear`."""
    rows, outputs, inputs = len(out), weight.outputs, weight.inputs
    if weight.dtype in packed_weight.FLOATS and weight.values.dtype != x.dtype:
        raise ValueError(f"weight: found {weight.values.dtype}, expected {x.dtype}, as x has it")
    wanted = [("x", x, [rows, inputs]), ("out", out, [rows, outputs])]
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
def inputs_at(step, SPAN: tl.constexpr, STEP: tl.constexpr, UNIT: tl.constexpr):
    """int32 [SLICES * STEP / UNIT]: every UNIT-th of the inputs that slices have in a step."""
    parts: tl.constexpr = SPAN // STEP
    first = step // parts * (SLICES * SPAN) + step % parts * STEP
    unit = tl.arange(0, SLICES * STEP // UNIT)
    return first + unit // (STEP // UNIT) * SPAN + unit % (STEP // UNIT) * UNIT


@triton.jit
def load_weights(
    values, scales, offs_n, step, K: tl.constexpr, FORM: tl.constexpr, SPAN: tl.constexpr,
    STEP: tl.constexpr,
):  # fmt: skip
    """A tuple: the weights of outputs offs_n [BLOCK_N] in a step as they are stored, [BLOCK_N,
    SLICES, STEP], for int4 [BLOCK_N, SLICES, STEP / 2]; and the scales of groups, if they have any,
    [SLICES, BLOCK_N, 1]."""
    groups: tl.constexpr = (K + GROUP - 1) // GROUP
    pair: tl.constexpr = 2 if FORM == "int4" else 1  # weights in a value
    width: tl.constexpr = groups * (GROUP // 2) if FORM == "int4" else K
    offs_k = inputs_at(step, SPAN, STEP, STEP)  # [SLICES]
    offs = (offs_k // pair)[:, None] + tl.arange(0, STEP // pair)[None, :]  # [SLICES, STEP / pair]
    pointers = values + (offs_n * width)[:, None, None] + offs[None, :, :]
    if K // (SLICES * SPAN) * (SLICES * SPAN) == K:
        weights = tl.load(pointers)
    else:
        weights = tl.load(pointers, mask=(offs < width)[None, :, :], other=0.0)
    if FORM == "int8" or FORM == "int4":
        group = (offs_k // GROUP)[:, None, None]
        pointers = scales + (offs_n * groups)[None, :, None] + group  # [SLICES, BLOCK_N, 1]
        return weights, tl.load(pointers, mask=group < groups, other=0.0)
    else:
        return (weights,)


@triton.jit
def int4_levels(places):
    """int8 [BLOCK_N, SLICES, STEP]: the levels at the places that bytes hold in pairs."""
    place = tl.join(places & 15, places >> 4)
    place = tl.reshape(place, (places.shape[0], SLICES, 2 * places.shape[2])).to(tl.int64)
    word = tl.where(place < 8, LEVELS_LOW, LEVELS_HIGH)
    return (word >> ((place & 7) * 8)).to(tl.int8)


@triton.jit
def load_block(x, offs_r, rows, before, K: tl.constexpr):
    """fp32 [ROWS, BLOCK_S]: inputs before, before + 1, ... of rows; zeros where there are none."""
    offs_k = before + tl.arange(0, BLOCK_S)  # [BLOCK_S]
    inside = (offs_r < rows)[:, None] & (offs_k < K)[None, :]
    block = tl.load(x + offs_r[:, None] * K + offs_k[None, :], mask=inside, other=0.0)
    return block.to(tl.float32)


@triton.jit
def statistics(x, offs_r, rows, eps, K: tl.constexpr):
    """[ROWS] each: the mean and 1 / sqrt(variance + eps) of rows, in two passes. Blocks are added
    up before their columns are: that order does not depend on the number of rows."""
    total = tl.zeros((offs_r.shape[0], BLOCK_S), tl.float32)
    for before in tl.static_range(0, K, BLOCK_S):
        total += load_block(x, offs_r, rows, before, K)
    mean = tl.sum(total, 1) / K
    total = tl.zeros((offs_r.shape[0], BLOCK_S), tl.float32)
    for before in tl.static_range(0, K, BLOCK_S):
        centred = load_block(x, offs_r, rows, before, K) - mean[:, None]
        if before + BLOCK_S > K:
            centred = tl.where((tl.arange(0, BLOCK_S) < K - before)[None, :], centred, 0.0)
        total += centred * centred
    return mean, 1.0 / tl.sqrt(tl.sum(total, 1) / K + eps)


@triton.jit
def load_rows(
    x, gain, shift, mean, rstd, offs_r, rows, step, K: tl.constexpr, SPAN: tl.constexpr,
    STEP: tl.constexpr,
):  # fmt: skip
    """[ROWS, SLICES, STEP]: the inputs of a step, normed if there is a gain; zeros for rows that do
    not exist."""
    offs_k = inputs_at(step, SPAN, STEP, 1)  # [SLICES * STEP]
    inside = (offs_r < rows)[:, None] & (offs_k < K)[None, :]  # [ROWS, SLICES * STEP]
    part = tl.load(x + offs_r[:, None] * K + offs_k[None, :], mask=inside, other=0.0)
    if gain is not None:
        factor = tl.load(gain + offs_k, mask=offs_k < K, other=0.0).to(tl.float32)
        offset = tl.load(shift + offs_k, mask=offs_k < K, other=0.0).to(tl.float32)
        part = (part.to(tl.float32) - mean[:, None]) * rstd[:, None] * factor[None, :]
        part += offset[None, :]
    return tl.reshape(part, (part.shape[0], SLICES, STEP))


@triton.jit
def add_step(
    acc, weights, x, gain, shift, mean, rstd, offs_r, rows, step, K: tl.constexpr,
    FORM: tl.constexpr, SPAN: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """acc [SLICES, BLOCK_N, ROWS] plus the products of a step."""
    dtype: tl.constexpr = x.dtype.element_ty
    part = load_rows(x, gain, shift, mean, rstd, offs_r, rows, step, K, SPAN, STEP)
    part = tl.permute(part.to(dtype), (1, 2, 0))  # [SLICES, STEP, ROWS]
    values = weights[0]
    if FORM == "int4":
        values = int4_levels(values)
    elif FORM == "fp8":
        values = values.to(tl.float32)  # sm_89 does not convert fp16, on the way to bf16, to that
    values = tl.permute(values.to(dtype), (1, 0, 2))  # [SLICES, BLOCK_N, STEP]
    if FORM == "int8" or FORM == "int4":
        # Levels are exact in 16 bits, and a weight would not be: a scale meets the sum of a group.
        return acc + tl.dot(values, part, input_precision="ieee") * weights[1].to(tl.float32)
    else:
        return tl.dot(values, part, acc, input_precision="ieee")


@triton.jit(do_not_specialize=["rows"])
def linear_kernel(
    x, values, scales, bias, gain, shift, residual, out, rows, outputs, eps,
    K: tl.constexpr, FORM: tl.constexpr, GELU: tl.constexpr, PDL: tl.constexpr,
    SPAN: tl.constexpr, STEP: tl.constexpr, AHEAD: tl.constexpr, BLOCK_N: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)  # [BLOCK_N]
    offs_r = tl.program_id(1) * ROWS + tl.arange(0, ROWS)  # [ROWS]
    # Outputs that do not exist are clamped to one that does: no load of weights needs their mask.
    real_n = tl.minimum(offs_n, outputs - 1).to(tl.int64)  # [BLOCK_N]
    offs = offs_r[None, :].to(tl.int64) * outputs + offs_n[:, None]  # [BLOCK_N, ROWS]
    exists = (offs_r < rows)[None, :] & (offs_n < outputs)[:, None]
    ahead = ()
    for step in tl.static_range(AHEAD):
        ahead = ahead + (load_weights(values, scales, real_n, step, K, FORM, SPAN, STEP),)
    if bias is not None:
        added = tl.load(bias + real_n)  # [BLOCK_N]
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    if residual is not None:
        kept = tl.load(residual + offs, mask=exists, other=0.0)
    mean, rstd = 0.0, 1.0
    if gain is not None:
        mean, rstd = statistics(x, offs_r, rows, eps, K)
    acc = tl.zeros((SLICES, BLOCK_N, ROWS), tl.float32)
    for step in tl.static_range(AHEAD):
        acc = add_step(
            acc, ahead[step], x, gain, shift, mean, rstd, offs_r, rows, step, K, FORM, SPAN, STEP,
        )  # fmt: skip
    for step in range(AHEAD, tl.cdiv(K, SLICES * SPAN) * (SPAN // STEP)):
        weights = load_weights(values, scales, real_n, step, K, FORM, SPAN, STEP)
        acc = add_step(
            acc, weights, x, gain, shift, mean, rstd, offs_r, rows, step, K, FORM, SPAN, STEP,
        )  # fmt: skip
    result = tl.sum(acc, 0)  # [BLOCK_N, ROWS]
    if FORM == "fp8":
        result *= tl.load(scales + real_n)[:, None]
    if bias is not None:
        result += added.to(tl.float32)[:, None]
    if GELU:
        result = 0.5 * result * (1.0 + tl.erf(result * 0.7071067811865476))
    if residual is not None:
        result += kept.to(tl.float32)
    tl.store(out + offs, result.to(out.dtype.element_ty), mask=exists)
