"""kernels/forced_likelihood.py ahead of time: within registers."""

import pytest

from aot import GPUS, Kernel
from mas_fast.kernels.forced_likelihood import forced_likelihood_kernel

TYPES = {"logits": "*fp32", "total": "*fp64"} | dict.fromkeys(("vocab", "length", "window"), "i32")
TYPES |= dict.fromkeys(("forced", "first", "advanced", "after"), "*i32")


@pytest.mark.parametrize("capability", GPUS)
def test_forced_likelihood(capability) -> None:
    options = {"num_warps": 8}
    kernel = Kernel(forced_likelihood_kernel, TYPES, {"BLOCK_V": 1024}, options, ("vocab",))
    compiled = kernel.compile(capability)
    assert compiled.fits
    assert compiled.registers <= 128
    # The assembler keeps to 40 registers, with which a multiprocessor of sm_86 has all its threads.
    assert compiled.stack <= 16
