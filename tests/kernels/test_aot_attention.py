"""kernels/attention.py ahead of time: within registers and memory, on tensor cores."""

import pytest

from aot import Kernel
from mas_fast.kernels import attention, launch

FUNCTIONS = {
    "forward": attention.forward_kernel,
    "queries": attention.query_kernel,
    "keys": attention.key_kernel,
}
TENSORS = ("q", "k", "v", "o", "do", "dq", "dk", "dv")
STRIDES = tuple(f"{x}_{i}" for x in TENSORS for i in "bht")
TABLE = ("order", "starts", "entries", "bits")
TYPES = dict.fromkeys(("first", "length", "heads", *STRIDES), "i32") | {"scale": "fp32"}
TYPES |= dict.fromkeys(("lse", "delta"), "*fp32") | dict.fromkeys(TABLE, "*i32")
# Causal, with all that a column mask needs, of many channels, and without tensor cores:
# dtype, channels, whether causal.
KINDS = {
    "": ("bf16", 64, True),
    "_pattern": ("bf16", 64, False),
    "_128": ("bf16", 128, False),
    "_fp32": ("fp32", 64, False),
}
# On sm_90 two programs of 256 threads, or three of 128, share a multiprocessor: 128 and 168
# registers; dk and dv with the scores of both take more.
REGISTERS = {
    "forward": {80: 168, 90: 128},
    "queries": {80: 208, 90: 144},
    "keys": {80: 255, 90: 248},
}


def kernel(name: str, kind: str, capability: int) -> Kernel:
    dtype, channels, causal = KINDS[kind]
    tile = launch.tile(f"attention_{name}{kind}", capability)
    constants = {"ROWS": tile.rows, "COLUMNS": tile.columns, "D": channels, "BLOCK_D": channels}
    constants |= dict.fromkeys(TABLE if causal else ())
    types = TYPES | dict.fromkeys(TENSORS, f"*{dtype}")
    return Kernel(FUNCTIONS[name], types, constants, tile.options, aligned=STRIDES)


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiles_without_spilling(name, kind, capability) -> None:
    compiled = kernel(name, kind, capability).compile(capability)
    assert compiled.fits
    assert compiled.registers <= (REGISTERS[name][capability] if kind in ("", "_pattern") else 255)
    if kind == "_fp32":  # it is there to be right, and spills a little
        assert compiled.stack <= 16
        return
    assert compiled.stack == 0
    assert compiled.tensor_cores == ("wgmma.mma_async" if capability == 90 else "mma.sync")
    assert "cp.async" in compiled.ptx  # the next tile arrives meanwhile
