"""Modules without initial values. PyTorch's own ways to skip them import torch._dynamo and sympy on
the meta device: 1.2 s of the 1.5 s of CPU time in which a small model was loaded.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def embedding(count: int, width: int) -> nn.Embedding:
    """nn.Embedding(count, width) without initial values."""
    return nn.Embedding.from_pretrained(torch.empty(count, width), freeze=False)


def to_empty(module: Module, device: torch.device | str) -> Module:
    """module.to_empty(device=device): uninitialised tensors of the same strides."""
    return module._apply(
        lambda t: torch.empty_strided(t.size(), t.stride(), dtype=t.dtype, device=device)
    )
