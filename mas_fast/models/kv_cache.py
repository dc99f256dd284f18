"""The KV cache of the GPT in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mas_fast.models.gpt_config import GPTConfig


@dataclass
class KVCache:
    """Keys and values of the positions seen so far, written in place, owned by the caller.

    Attributes:
        k: [L, B, H, C, K]: L layers, B rows, H heads, C positions, K channels of a head.
        v: the same.
    """

    k: Tensor
    v: Tensor

    @classmethod
    def empty(
        cls,
        config: GPTConfig,
        rows: int,
        positions: int,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> KVCache:
        """Uninitialised room for `positions` positions of `rows` sequences."""
        shape = (config.layers, rows, config.heads, positions, config.head_dim)
        return cls(*(torch.empty(shape, device=device, dtype=dtype) for _ in range(2)))

    def repeat(self, samples: int, positions: int) -> KVCache:
        """Copies the cache for several samples of each row.

        Args:
            samples: how many times each row is repeated, in succession.
            positions: the room of the copy, at least C.
        """
        copies = []
        for old in (self.k, self.v):
            layers, rows, heads, filled, width = old.shape
            new = old.new_empty((layers, rows * samples, heads, positions, width))
            new[..., :filled, :] = old.repeat_interleave(samples, dim=1)
            copies.append(new)
        return KVCache(*copies)

    def select(self, rows: Tensor) -> KVCache:
        """Copies some of the rows, int64 [n], in this order."""
        return KVCache(self.k[:, rows], self.v[:, rows])
