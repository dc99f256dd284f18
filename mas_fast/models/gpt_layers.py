"""The layers of the GPT. Shape suffixes as in gpt.py."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast import ops
from mas_fast.models.gpt_config import NORM_EPS, QK_NORM_EPS, GPTConfig
from mas_fast.models.skip_init import embedding
from mas_fast.ops.attention_masks import seen


class Attention(nn.Module):
    """Self-attention under a mask, softmax scale 1 / sqrt(K)."""

    q_norm: nn.Module
    k_norm: nn.Module

    def __init__(self, config: GPTConfig, mask: str) -> None:
        super().__init__()
        self.heads, self.mask, self.layout = config.heads, mask, config.mask_layout
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        if config.qk_norm:
            self.q_norm = nn.RMSNorm(config.head_dim, eps=QK_NORM_EPS)
            self.k_norm = nn.RMSNorm(config.head_dim, eps=QK_NORM_EPS)
        else:
            self.q_norm = self.k_norm = nn.Identity()
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(self, x_BTD: Tensor, cache: tuple[Tensor, Tensor] | None, start: int) -> Tensor:
        B, T, _ = x_BTD.shape
        q_BHTK, k_BHTK, v_BHTK = (
            self.qkv(x_BTD).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )
        q_BHTK, k_BHTK = self.q_norm(q_BHTK), self.k_norm(k_BHTK)
        if cache is None:
            y_BHTK = ops.attention(q_BHTK, k_BHTK, v_BHTK, mask=self.mask, **self.layout)
        else:
            for new, store in zip((k_BHTK, v_BHTK), cache, strict=True):
                store[:, :, start : start + T] = new
            y_BHTK = self._cached(q_BHTK, cache, start)
        return self.proj(y_BHTK.transpose(1, 2).reshape(B, T, -1))

    def _cached(self, q_BHTK: Tensor, cache: tuple[Tensor, Tensor], start: int) -> Tensor:
        """Attends from the queries at `start`, ... to the KV cache, which has their keys already.

        Queries from position 0 on have a square mask. Later ones meet the keys that they see one
        after the other: so each gets what it would get alone, and never meets a key that is hidden.
        """
        T = q_BHTK.shape[2]
        if start or T == 1:
            parts = []
            for position, q_BH1K in enumerate(q_BHTK.split(1, 2), start):
                shown = seen(self.mask, position, **self.layout)
                k_BHCK, v_BHCK = (_taken(x, shown) for x in cache)
                parts.append(F.scaled_dot_product_attention(q_BH1K, k_BHCK, v_BHCK))
            return torch.cat(parts, 2)
        k_BHTK, v_BHTK = (store[:, :, :T] for store in cache)
        if self.mask == "causal":
            return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True)
        return ops.attention(q_BHTK, k_BHTK, v_BHTK, mask=self.mask, **self.layout)


def _taken(x_BHCK: Tensor, shown: list[range]) -> Tensor:
    """The positions of `shown`; a view if they are one range."""
    parts = [x_BHCK[:, :, part.start : part.stop : part.step] for part in shown]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


class MLP(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.dim, config.mlp)
        self.down = nn.Linear(config.mlp, config.dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x_BTD)))


class Block(nn.Module):
    """Attention and MLP, each after a LayerNorm and beside a residual connection."""

    def __init__(self, config: GPTConfig, mask: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.attention = Attention(config, mask)
        self.norm2 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.mlp = MLP(config)

    def forward(
        self, x_BTD: Tensor, cache: tuple[Tensor, Tensor] | None = None, start: int = 0
    ) -> Tensor:
        x_BTD = x_BTD + self.attention(self.norm1(x_BTD), cache, start)
        return x_BTD + self.mlp(self.norm2(x_BTD))


class FlatPositions(nn.Module):
    """One learned row per position."""

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(length, dim))

    def forward(self) -> Tensor:  # [length, D]
        return self.weight


class GridPositions(nn.Module):
    """Position (r, c) of an h x w grid in raster order is row[r] + column[c]."""

    def __init__(self, grid: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.row = embedding(grid[0], dim)
        self.column = embedding(grid[1], dim)

    def forward(self) -> Tensor:  # [h * w, D]
        return (self.row.weight[:, None] + self.column.weight).flatten(0, 1)


class ByStream(nn.ModuleDict):
    """One module per stream, whatever the stream's name.

    A ModuleDict refuses the names of its own attributes, such as "keys" or "type".
    """

    def add_module(self, name: str, module: nn.Module) -> None:  # type: ignore[override]  # never None
        self._modules[name] = module
