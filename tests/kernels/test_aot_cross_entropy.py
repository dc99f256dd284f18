"""kernels/cross_entropy.py ahead of time: within registers and memory, on tensor cores."""

import pytest

from aot import Kernel
from mas_fast.kernels import cross_entropy, launch

TYPES = {"ignored": "i64", "rows": "i32", "vocab": "i32", "width": "i32"}
TYPES |= dict.fromkeys(("logits", "g", "x"), "*bf16") | {"scale": "*fp32", "nats": "*fp32"}
TYPES |= {"targets": "*i64", "low": "*u8", "high": "*i16"}
ALIGNED = ("vocab", "width")
# The chunks of a sum: bf16 or fp32, first, last.
SUMS = [
    ("bf16", True, False),
    ("bf16", False, False),
    ("bf16", False, True),
    ("fp32", False, False),
]


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("whole", [True, False])
def test_softmax_gradient(whole, capability) -> None:
    """A row in registers, or one that is read twice."""
    tile = launch.tile("cross_entropy", capability)
    constants = {"GRADIENT": True, "WHOLE": whole, "BLOCK_V": cross_entropy.WHOLE}
    function = cross_entropy.softmax_gradient_kernel
    compiled = Kernel(function, TYPES, constants, tile.options, ALIGNED).compile(capability)
    assert compiled.fits
    assert compiled.registers <= 128
    assert compiled.stack == 0


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("dtype", "first", "last"), SUMS)
def test_head_gradient(dtype, first, last, capability) -> None:
    tile = launch.tile("head_gradient", capability)
    constants = {"NARROW": dtype == "bf16", "FIRST": first, "LAST": last}
    constants |= {"BLOCK_V": tile.rows, "BLOCK_D": tile.columns, "BLOCK_R": 64}
    if dtype == "fp32":
        constants |= {"low": None, "high": None}
    types = TYPES | {"result": f"*{dtype}"}
    function = cross_entropy.head_gradient_kernel
    compiled = Kernel(function, types, constants, tile.options, ALIGNED).compile(capability)
    assert compiled.fits
    assert compiled.registers <= 255
    assert compiled.stack == 0
    assert compiled.tensor_cores == ("wgmma.mma_async" if capability == 90 else "mma.sync")
    assert "cp.async" in compiled.ptx  # the next rows arrive meanwhile
