"""What every launcher needs: block sizes by architecture, and the right device.

Importing this module pins TRITON_DEFAULT_FP_FUSION, whose default differs between releases of
Triton: multiplications and additions fuse, except in kernels launched with enable_fp_fusion=False.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # before the first import of triton

import torch  # noqa: E402


@dataclass(frozen=True)
class Tile:
    """The block of a program: rows x columns of the result, and how it runs."""

    rows: int
    columns: int
    warps: int
    stages: int
    shared: int = 99  # KiB that a program has at most; no architecture since sm_80 has less
    maxnreg: int | None = None  # registers that a thread has at most

    @property
    def options(self) -> dict[str, int]:
        options = {"num_warps": self.warps, "num_stages": self.stages}
        return options if self.maxnreg is None else options | {"maxnreg": self.maxnreg}


# KiB of shared memory that a program can have, by compute capability (CUDA programming guide,
# "Compute Capabilities"). What is between two has that of the lower one.
SHARED = {80: 163, 86: 99, 87: 163, 89: 99, 90: 227, 120: 99}

# kernel -> {least compute capability: tile}. Operands are 16-bit unless the name says fp32.
TILES = {
    "nearest": {80: Tile(64, 64, 4, 3), 90: Tile(128, 64, 8, 4, shared=193)},
    "nearest_list": {80: Tile(64, 64, 4, 2), 90: Tile(128, 64, 8, 4, shared=201)},
    "vq_pairs": {80: Tile(128, 0, 4, 1)},
    "vq_rescore": {80: Tile(16, 64, 4, 1)},
    "vq_pack": {80: Tile(16, 0, 4, 1)},
    "vq_statistics": {80: Tile(32, 128, 4, 2)},
    "cross_entropy": {
        80: Tile(1, 8192, 8, 1),
        90: Tile(1, 8192, 8, 1, maxnreg=128),
        120: Tile(1, 8192, 8, 1),
    },
    "cross_entropy_rows": {80: Tile(1, 1024, 4, 1)},
    "head_gradient": {80: Tile(128, 128, 8, 3), 90: Tile(128, 256, 8, 3, shared=145)},
    "attention_forward": {80: Tile(64, 64, 4, 2), 90: Tile(128, 64, 8, 2)},
    "attention_queries": {80: Tile(64, 32, 4, 2), 90: Tile(128, 64, 8, 2)},
    "attention_keys": {80: Tile(64, 32, 4, 2), 90: Tile(64, 64, 4, 2)},
    "attention_forward_pattern": {80: Tile(64, 64, 4, 2)},
    "attention_queries_pattern": {80: Tile(64, 32, 4, 2), 90: Tile(64, 64, 4, 2)},
    "attention_keys_pattern": {80: Tile(64, 32, 4, 2), 90: Tile(64, 64, 4, 2)},
    "attention_forward_128": {80: Tile(64, 64, 4, 2)},
    "attention_queries_128": {80: Tile(64, 32, 4, 2), 90: Tile(64, 64, 4, 2)},
    "attention_keys_128": {80: Tile(64, 32, 4, 2)},
    "attention_forward_fp32": {80: Tile(16, 32, 4, 1)},
    "attention_queries_fp32": {80: Tile(16, 32, 4, 1)},
    "attention_keys_fp32": {80: Tile(32, 16, 4, 1)},
    # outputs x rows
    "linear": {80: Tile(16, 16, 8, 4)},
    "linear_wide": {80: Tile(32, 8, 8, 2, maxnreg=128), 100: Tile(32, 8, 8, 2)},
    "linear_rows": {80: Tile(32, 32, 8, 2), 90: Tile(32, 64, 8, 3, shared=161)},
}


def tile(kernel: str, capability: int) -> Tile:
    """The tile of a kernel for a compute capability such as 90, or the nearest one below, that its
    shared memory holds. Below 80 it is that of 80."""
    table, capability = TILES[kernel], max(80, capability)
    held = SHARED[max(c for c in SHARED if c <= capability)]
    return table[max(c for c in table if c <= capability and table[c].shared <= held)]


def capability(tensor: torch.Tensor) -> int:
    """The compute capability of the tensor's device, such as 90; 80 for the interpreter."""
    if tensor.device.type != "cuda":
        return 80
    major, minor = torch.cuda.get_device_capability(tensor.device)
    return 10 * major + minor


def guard(tensor: torch.Tensor) -> contextlib.AbstractContextManager:
    """A context in which kernels are launched on the tensor's device."""
    if tensor.device.type != "cuda":
        return contextlib.nullcontext()
    return torch.cuda.device(tensor.device)
