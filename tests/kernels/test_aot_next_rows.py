"""kernels/next_rows.py ahead of time: nothing is spilled, and nothing is read before the kernel
ahead has ended."""

import pytest

from aot import GPUS, Kernel
from mas_fast.kernels import next_rows

TYPES = dict.fromkeys(("drawn", "tokens", "first", "end", "failed", "advanced", "offset"), "*i32")
TYPES |= dict.fromkeys(("x", "embedding", "position"), "*bf16")
TYPES |= dict.fromkeys(("sequences", "length", "channels"), "i32")


@pytest.mark.parametrize("capability", GPUS)
@pytest.mark.parametrize("window", [1, 8, 16])
def test_next_rows(window, capability) -> None:
    pdl = capability >= 90
    constants = {"WINDOW": window, "BLOCK_W": window, "BLOCK_D": 256, "PDL": pdl}
    options = {"num_warps": 8} | ({"launch_pdl": True} if pdl else {})
    function = next_rows.next_rows_kernel
    kernel = Kernel(function, TYPES, constants, options, aligned=("channels",))
    compiled = kernel.compile(capability)
    assert compiled.fits
    assert compiled.registers <= 128
    assert compiled.stack == 0
    if pdl:
        before, after = compiled.ptx.split("griddepcontrol.wait")
        assert "ld.global" not in before
        assert "griddepcontrol.launch_dependents" in after
