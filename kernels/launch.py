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

    @property
    def options(self) -> dict[str, int]:
        return {"num_warps": self.warps, "num_stages": self.stages}


# kernel -> {least compute capability: tile}. Operands are 16-bit unless the name says fp32.
TILES = {
    "nearest": {80: Tile(64, 64, 4, 3), 90: Tile(128, 64, 8, 4)},
    "vq_pairs": {80: Tile(128, 0, 4, 1)},
    "vq_rescore": {80: Tile(16, 64, 4, 2)},
    "vq_pack": {80: Tile(16, 0, 4, 1)},
    "vq_statistics": {80: Tile(32, 128, 4, 2)},
    "cross_entropy": {80: Tile(1, 16384, 16, 1)},
    "head_gradient": {80: Tile(128, 128, 8, 3), 90: Tile(128, 256, 8, 3)},
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
    "linear_16": {80: Tile(16, 16, 4, 4)},  # outputs x rows, for up to 16 rows
    "linear_32": {80: Tile(32, 32, 4, 3)},
}


def tile(kernel: str, capability: int) -> Tile:
    """The tile of a kernel for a compute capability such as 90, or the nearest one below."""
    table = TILES[kernel]
    return table[max((c for c in table if c <= capability), default=min(table))]


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
