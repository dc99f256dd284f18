"""kernels/linear.py ahead of time: within registers and memory, on tensor cores, with the weights
on their way before the wait."""

import re

import pytest
import torch

from aot import GPUS, Kernel
from mas_fast.kernels.linear import BITS, linear_kernel, plan
from mas_fast.kernels.packed_weight import PackedWeight

# Of a model of width 1024: (K, N), and what is done besides the product.
LAYERS = {
    "qkv": (1024, 3072, {"norm"}),
    "proj": (1024, 1024, {"combine", "residual"}),
    "up": (1024, 4096, {"norm", "gelu"}),
    "down": (4096, 1024, {"residual"}),
    "head": (1024, 16384, {"norm", "logits"}),
}
VALUES = {"bf16": "*bf16", "fp32": "*fp32", "int8": "*i8", "int4": "*u8", "fp8": "*fp8e4nv"}
SCALES = {"int8": "*bf16", "int4": "*bf16", "fp8": "*fp32"}


def compiled(layer, dtype, rows, capability, narrow=1):
    """The kernel of a layer, of a `narrow`th of the width, and its sizes."""
    inputs, outputs, extras = LAYERS[layer]
    inputs, outputs = inputs // narrow, outputs // narrow
    weight = PackedWeight(dtype, inputs, torch.empty(outputs, inputs, device="meta"))
    blocks, options = plan(weight, rows, capability)
    operand = "*fp32" if dtype == "fp32" else "*bf16"
    types = dict.fromkeys(("x", "bias", "gain", "shift", "residual", "out"), operand)
    types |= {"rows": "i32", "outputs": "i32", "eps": "fp32", "lse": "*fp32"}
    types |= {"values": VALUES[dtype], "scales": SCALES.get(dtype)}
    absent = {"scales"} - SCALES.keys() if dtype in SCALES else {"scales"}
    absent |= set() if "norm" in extras else {"gain", "shift"}
    absent |= set() if "residual" in extras else {"residual"}
    pdl = capability >= 90
    constants = blocks | {"K": inputs, "FORM": dtype, "GELU": "gelu" in extras, "PDL": pdl}
    if "combine" in extras:
        types["x"] = "*fp32"
        constants |= {"SPLITS": 4, "HEAD": 64}
    else:
        absent |= {"lse", "SPLITS", "HEAD"}
    if "logits" in extras:
        types["out"] = "*fp32"
        absent |= {"bias"}
    constants |= dict.fromkeys(absent)
    options = options | ({"launch_pdl": True} if pdl else {})
    return Kernel(linear_kernel, types, constants, options, ("outputs",)).compile(capability), blocks
