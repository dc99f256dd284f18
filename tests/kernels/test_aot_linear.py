"""kernels/linear.py ahead of time: within registers and memory, on tensor cores, the weights on
their way before the wait, and sums in an order that rows do not change."""

import re

import pytest
import torch

from aot import Kernel
from mas_fast.kernels.linear import BITS, linear_kernel, plan
from mas_fast.kernels.packed_weight import PackedWeight

# Of a model of width 1024: (K, N), and what is done besides the product.
LAYERS = {
    "qkv": (1024, 3072, {"norm"}),
    "proj": (1024, 1024, {"residual"}),
    "up": (1024, 4096, {"norm", "gelu"}),
    "down": (4096, 1024, {"residual"}),
    "head": (1024, 16384, {"norm", "logits"}),
}
VALUES = {"bf16": "*bf16", "fp32": "*fp32", "int8": "*i8", "int4": "*u8", "fp8": "*fp8e4nv"}
SCALES = {"int8": "*bf16", "int4": "*bf16", "fp8": "*fp32"}


def compiled(layer, dtype, rows, capability, narrower=1):
    """The kernel of a layer, of a model that is so many times narrower, and its sizes."""
    inputs, outputs, extras = LAYERS[layer]
    inputs, outputs = inputs // narrower, outputs // narrower
    weight = PackedWeight(dtype, inputs, torch.empty(outputs, inputs, device="meta"))
    blocks, options = plan(weight, rows, capability)
    operand = "*fp32" if dtype == "fp32" else "*bf16"
    types = dict.fromkeys(("x", "bias", "gain", "shift", "residual", "out"), operand)
    types |= {"rows": "i32", "outputs": "i32", "eps": "fp32"}
    types |= {"values": VALUES[dtype], "scales": SCALES.get(dtype)}
    pdl = capability >= 90
    constants = blocks | {"K": inputs, "FORM": dtype, "GELU": "gelu" in extras, "PDL": pdl}
    absent = {"gain", "shift", "residual", "scales"}
    if "norm" in extras:
        absent -= {"gain", "shift"}
    if "residual" in extras:
        absent -= {"residual"}
    if dtype in SCALES:
        absent -= {"scales"}
    if "logits" in extras:
        types["out"] = "*fp32"
        absent |= {"bias"}
    constants |= dict.fromkeys(absent)
    options = options | ({"launch_pdl": True} if pdl else {})
    return Kernel(linear_kernel, types, constants, options, ("outputs",)).compile(
        capability
    ), blocks


def bytes_loaded(ptx):
    """By the vector loads of a thread from global memory, in code without loops."""
    loads = re.findall(r"ld\.global(?:\.\w+)*?\.v(\d)\.b(\d+)", ptx)
    return sum(int(count) * int(bits) // 8 for count, bits in loads)


def check(layer, dtype, rows, capability, narrower=1, registers=255):
    code, blocks = compiled(layer, dtype, rows, capability, narrower)
    assert code.fits
    assert code.registers <= registers
    assert code.stack == 0
    if dtype != "fp32":
        # Of 16 x 8 x 16 elements, whatever the number of rows; never wgmma or tcgen05.
        assert set(re.findall(r"mma\.\S+", code.ptx)) == {
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
        }
    if capability >= 90:
        assert code.ptx.count("griddepcontrol.wait") == 1
        assert code.ptx.count("griddepcontrol.launch_dependents") == 1
        before = bytes_loaded(code.ptx[: code.ptx.index("griddepcontrol.wait")])
        weights = blocks["AHEAD"] * blocks["BLOCK_N"] * 8 * blocks["STEP"] * BITS[dtype] // 8
        assert before * code.threads == weights
    return code


@pytest.mark.parametrize("rows", [2, 16, 128])
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer, capability, rows) -> None:
    check(layer, "bf16", rows, capability, registers=128 if rows == 2 and capability == 90 else 255)


@pytest.mark.parametrize("capability", [86, 89, 100, 120])
@pytest.mark.parametrize(
    ("layer", "rows"), [("up", 2), ("up", 128), ("proj", 2), ("down", 2), ("down", 16)]
)
def test_other_architectures(layer, rows, capability) -> None:
    check(layer, "bf16", rows, capability)


@pytest.mark.parametrize("rows", [2, 128])
@pytest.mark.parametrize("dtype", ["int8", "int4", "fp8"])
@pytest.mark.parametrize("layer", ["proj", "up", "down"])
def test_quantized_weights(layer, dtype, rows) -> None:
    check(layer, dtype, rows, 90)


@pytest.mark.parametrize(("dtype", "capability"), [("int8", 80), ("int4", 80), ("fp8", 89)])
def test_the_first_architectures_of_quantized_weights(dtype, capability) -> None:
    check("up", dtype, 2, capability)


@pytest.mark.parametrize("layer", ["qkv", "proj", "down"])
def test_fp32(layer) -> None:
    check(layer, "fp32", 2, 80)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_width_of_the_storybook(layer) -> None:
    check(layer, "bf16", 2, 90, narrower=4)


def layouts(ttgir, axis):
    """Of every sum over an axis: how that lies in registers, lanes and warps."""
    pattern = rf"tt\.reduce\S+ <\{{axis = {axis} : i32.*?\}}\) : \(tensor<\S+ (#\w+)>\)"
    found = []
    for name in re.findall(pattern, ttgir, re.S):
        text = re.search(rf"^{name} = (.*)", ttgir, re.M)[1]
        lists = re.findall(r"(sizePerThread|threadsPerWarp|warpsPerCTA) = \[([^]]*)\]", text)
        found.append({key: values.split(", ")[axis] for key, values in lists})
    return found


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_sums_have_one_order(dtype) -> None:
    """The mean and the variance of a row, and the sum over slices, lie alike in lanes and warps
    whatever the number of rows: so they are added up alike."""
    found = [compiled("up", dtype, rows, 90)[0].ttgir for rows in (2, 16, 128)]
    for axis, sums in ((1, 2), (0, 1)):
        orders = [layouts(ttgir, axis) for ttgir in found]
        assert len(orders[0]) == sums
        assert orders[0] == orders[1] == orders[2]
    assert orders[0] == [{"warpsPerCTA": "8"}]  # a slice to a warp
