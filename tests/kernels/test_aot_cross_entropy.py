"""kernels/cross_entropy.py ahead of time: within registers and memory, on tensor cores."""

import pytest

from aot import CAPABILITIES, GPUS, Kernel
from mas_fast.kernels import cross_entropy, launch

TYPES = dict.fromkeys(("vocab", "width", "length"), "i32") | {"ignored": "i64"}
TYPES |= dict.fromkeys((f"{x}_{i}" for x in ("target", "nats") for i in "bt"), "i32")
TYPES |= dict.fromkeys((f"{x}_{i}" for x in ("old", "new") for i in "btd"), "i32")
TYPES |= dict.fromkeys((f"{x}_{n}" for x in ("old", "new") for n in ("rows", "length")), "i32")
TYPES |= dict.fromkeys(("logits", "g", "x", "old", "new"), "*bf16")
TYPES |= dict.fromkeys(("scale", "nats", "unit"), "*fp32")
TYPES |= {"targets": "*i64", "low": "*u8", "high": "*i16"}
ALIGNED = ("vocab", "width", "old_b", "old_t", "new_b", "new_t")
# The chunks of a sum: bf16 or fp32, first, last.
SUMS = [
    ("bf16", True, False),
    ("bf16", False, False),
    ("bf16", False, True),
    ("fp32", False, False),
]


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("whole", [True, False])
def test_softmax_gradient(whole, capability) -> None:
    """A row in registers, or one that is read twice; beside another one."""
    tile = launch.tile("cross_entropy", capability)
    constants = {"GRADIENT": True, "WHOLE": whole, "target_t": 1, "nats_t": 1}
    constants |= {"BLOCK_V": cross_entropy.WHOLE if whole else tile.columns}
    function = cross_entropy.softmax_gradient_kernel
    compiled = Kernel(function, TYPES, constants, tile.options, ALIGNED).compile(capability)
    assert compiled.fits
    assert compiled.programs >= 2
    assert compiled.stack == 0


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("unit", [True, False])
def test_exchange(unit, capability) -> None:
    tile = launch.tile("cross_entropy_rows", capability)
    constants = {"BLOCK_D": tile.columns, "old_d": 1, "new_d": 1} | ({} if unit else {"unit": None})
    types = TYPES | {"rows": "*fp16", "old": "*fp32"} if unit else TYPES | {"rows": "*bf16"}
    function = cross_entropy.exchange_kernel
    compiled = Kernel(function, types, constants, tile.options, ALIGNED).compile(capability)
    assert compiled.fits
    assert compiled.programs * compiled.threads == GPUS[capability].threads
    assert compiled.stack == 0
    assert "ld.global.v4" in compiled.ptx  # 16 bytes a thread


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(("dtype", "first", "last"), SUMS)
def test_head_gradient(dtype, first, last, capability) -> None:
    tile = launch.tile("head_gradient", capability)
    constants = {"NARROW": dtype == "bf16", "FIRST": first, "LAST": last}
    constants |= {"BLOCK_V": tile.rows, "BLOCK_D": tile.columns, "BLOCK_R": 64}
    if dtype == "fp32":
        constants |= {"low": None, "high": None}
    types = TYPES | {"rows": "i32", "result": f"*{dtype}"}
    function = cross_entropy.head_gradient_kernel
    compiled = Kernel(function, types, constants, tile.options, ALIGNED).compile(capability)
    assert compiled.fits
    assert compiled.shared <= tile.shared << 10
    assert compiled.registers <= 255
    assert compiled.stack == 0
    assert compiled.tensor_cores == GPUS[capability].tensor_cores
    assert "cp.async" in compiled.ptx  # the next rows arrive meanwhile
