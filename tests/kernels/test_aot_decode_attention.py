"""kernels/decode_attention.py ahead of time: within registers and memory, and nothing is read
before the kernel ahead has ended."""

import re

import pytest

from aot import GPUS, Kernel
from mas_fast.kernels import decode_attention

TYPES = dict.fromkeys(("part_out", "part_lse"), "*fp32") | dict.fromkeys(("eps", "scale"), "fp32")
TYPES |= dict.fromkeys(("first", "done", "visible", "owner", "shared"), "*i32")
TYPES |= {"heads": "i32", "positions": "i32", "stride_b": "i32"}
CAUSAL = {"visible": None, "q_gain": None, "k_gain": None}
CASES = {
    "causal": ("bf16", 64, 1, CAUSAL),
    "all": ("bf16", 64, 8, {}),
    "wide": ("bf16", 128, 16, CAUSAL),
    "fp32": ("fp32", 64, 1, CAUSAL),
}


@pytest.mark.parametrize("capability", GPUS)
@pytest.mark.parametrize("name", CASES)
def test_decode_attention(name, capability) -> None:
    dtype, channels, window, absent = CASES[name]
    tensors = dict.fromkeys(("qkv", "keys", "values", "out", "q_gain", "k_gain"), f"*{dtype}")
    pdl = capability >= 90
    constants = absent | {
        "SPLITS": 9, "BLOCK_S": 16, "WINDOW": window, "ROWS": decode_attention.ROWS,
        "KEYS": decode_attention.KEYS, "D": channels, "BLOCK_D": channels, "PDL": pdl,
    }  # fmt: skip
    options = {"num_warps": decode_attention.warps(channels)}
    options |= {"launch_pdl": True} if pdl else {}
    function = decode_attention.decode_attention_kernel
    compiled = Kernel(function, TYPES | tensors, constants, options).compile(capability)
    assert compiled.fits
    assert compiled.programs >= (2 if name in ("causal", "all") else 1)
    assert compiled.stack == 0
    if dtype == "bf16":
        assert compiled.tensor_cores == "mma.sync"
        assert re.search(r"ld\.global[^;]*\.v4", compiled.ptx)  # 16 bytes at once
    waits = [found.start() for found in re.finditer("griddepcontrol.wait", compiled.ptx)]
    assert len(waits) == pdl
    if pdl:
        assert "ld.global" not in compiled.ptx[: waits[0]]
        assert "griddepcontrol.launch_dependents" in compiled.ptx[waits[0] :]
