"""The GPT over token streams: caption, then scene, then picture.

    model = GPT.create(preset("mini-270m"))  # GPT(config): on the meta device, for you to fill
    loss, by_stream = model.loss(tokens)     # tokens [B, S]
    logits = model(tokens)                   # {"text": [B, 63, 16384], "seg": [B, 256, 1024], ...}

Surprising here: position N predicts token N + 1 and there is no begin-of-sequence token; each
position's logits are over the vocabulary of the one stream that it predicts, so the last position
has none and is not even computed.

Shape suffixes: B rows, T positions of this call, S positions of a whole sequence, C positions in
the KV cache, D model width, H heads, K width of a head, L layers, V vocabulary of a stream.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast import ops
from mas_fast.models.gpt_config import NORM_EPS, PRESETS, QK_NORM_EPS, GPTConfig, preset
from mas_fast.models.skip_init import embedding, to_empty
from mas_fast.ops.attention_masks import seen
from mas_fast.streams import Stream
from mas_fast.utils.validate import check_int

__all__ = ["GPT", "GPTConfig", "KVCache", "PRESETS", "preset"]


@dataclass
class KVCache:
    """Keys and values of the positions seen so far: two tensors [L, B, H, C, K], written in
    place, owned by the caller."""

    k: Tensor
    v: Tensor

    @classmethod
    def empty(
        cls, config: GPTConfig, rows: int, positions: int, *, device, dtype: torch.dtype
    ) -> KVCache:
        """Room for `positions` positions of `rows` sequences, uninitialised."""
        shape = (config.layers, rows, config.heads, positions, config.head_dim)
        return cls(*(torch.empty(shape, device=device, dtype=dtype) for _ in range(2)))

    def repeat(self, samples: int, positions: int) -> KVCache:
        """A copy with each row `samples` times in succession and room for `positions` >= C
        positions."""
        out = []
        for old in (self.k, self.v):
            layers, rows, heads, filled, width = old.shape
            new = old.new_empty((layers, rows * samples, heads, positions, width))
            new[..., :filled, :] = old.repeat_interleave(samples, dim=1)
            out.append(new)
        return KVCache(*out)


class Attention(nn.Module):
    """Self-attention under a mask, softmax scale 1 / sqrt(K)."""

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
        """The queries from `start` on against the cache, which has their keys and values already:
        one query, or several that begin at position 0, so that the mask is square."""
        T = q_BHTK.shape[2]
        assert start == 0 or T == 1
        if T == 1:
            shown = seen(self.mask, start, **self.layout)
            return F.scaled_dot_product_attention(q_BHTK, *(_taken(x, shown) for x in cache))
        k_BHTK, v_BHTK = (store[:, :, :T] for store in cache)
        if self.mask == "causal":
            return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True)
        return ops.attention(q_BHTK, k_BHTK, v_BHTK, mask=self.mask, **self.layout)


def _taken(x_BHCK: Tensor, shown: list[range]) -> Tensor:
    """The positions of `shown`; of one range a view."""
    parts = [x_BHCK[:, :, part.start : part.stop : part.step] for part in shown]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


class MLP(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.dim, config.mlp)
        self.down = nn.Linear(config.mlp, config.dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x_BTD)))


class Block(nn.Module):
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
    """One module per stream, whatever the stream's name: a ModuleDict refuses names of its own
    attributes, such as "keys" or "type"."""

    def add_module(self, name: str, module: nn.Module) -> None:
        self._modules[name] = module


class GPT(nn.Module):
    """See the module's docstring. Construction allocates nothing: the weights are on the meta
    device until `create`, a bundle, or the caller's own `to_empty` and `init_weights` give them
    memory."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.streams = config.streams
        with torch.device("meta"):
            self.embed = ByStream({s.name: embedding(s.vocab, config.dim) for s in self.streams})
            self.position = ByStream({s.name: self._positions(s) for s in self.streams})
            self.blocks = nn.ModuleList(Block(config, mask) for mask in config.masks)
            self.norm = nn.LayerNorm(config.dim, eps=NORM_EPS)
            self.head = ByStream(
                {s.name: nn.Linear(config.dim, s.vocab, bias=False) for s in self.streams}
            )

    def _positions(self, stream: Stream) -> nn.Module:
        if grid := self.config.grid(stream):
            return GridPositions(grid, self.config.dim)
        return FlatPositions(stream.length, self.config.dim)

    @classmethod
    def create(
        cls, config: GPTConfig, *, device="cpu", dtype: torch.dtype = torch.float32, seed: int = 0
    ) -> GPT:
        """A GPT with random weights, the same for the same seed, device type and dtype."""
        model = to_empty(cls(config).to(dtype), device)
        model.init_weights(torch.Generator(device).manual_seed(seed))
        return model

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """As in GPT-2: N(0, 0.02), the projections into the residual stream
        N(0, 0.02 / sqrt(2 L)), biases 0, gains 1."""
        residual = 0.02 * (2 * self.config.layers) ** -0.5
        for name, module in self.named_modules():
            if isinstance(module, nn.LayerNorm | nn.RMSNorm):
                nn.init.ones_(module.weight)
            elif isinstance(module, nn.Linear | nn.Embedding | FlatPositions):
                std = residual if name.endswith(("attention.proj", "mlp.down")) else 0.02
                nn.init.normal_(module.weight, 0.0, std, generator)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)

    @property
    def device(self) -> torch.device:
        return self.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.norm.weight.dtype

    # ------------------------------------------------------------------ whole sequences

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """tokens: int64 or int32 [B, T], 1 <= T <= S -> for each stream the logits [B, n, V] of
        those n of the T positions that predict it, in order (n may be 0; a whole sequence has
        length - 1 of the first stream, length of the others). ValueError for another shape or
        dtype; ids are trusted (on a CPU a bad one is an IndexError)."""
        self._check(tokens)
        T = min(tokens.shape[1], self.streams.length - 1)
        x_BTD = self._hidden(tokens[:, :T])
        return {
            s.name: self.head[s.name](x_BTD[:, self.streams.predicting(s.name, T)])
            for s in self.streams
        }

    def loss(
        self,
        tokens: Tensor,
        weights: Sequence[float] | None = None,
        unseen: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """tokens [B, S], or [B, T] of the first streams alone -> (the weighted mean over those
        streams, each one's mean cross-entropy over its targets, without gradient), in nats, in at
        least fp32. A target that is its stream's pad id counts for nothing; a stream all of whose
        targets are padding has loss 0 and keeps its weight. weights: of these streams, in place of
        their own. unseen: bool, of the shape of tokens; where it is set the model gets the position
        and not the token, which stays a target. Formula: sum_s w_s loss_s / sum_s w_s."""
        self._check(tokens)
        streams = self._first(tokens.shape[1])
        predicting = [self.streams.predicting(s.name, tokens.shape[1] - 1) for s in streams]
        loss, losses = ops.stream_cross_entropy(
            self._hidden(tokens[:, :-1], unseen=None if unseen is None else unseen[:, :-1]),
            [self.head[s.name].weight for s in streams],
            tokens[:, 1:],
            [where.stop - where.start for where in predicting],
            weights=[s.loss_weight for s in streams] if weights is None else weights,
            ignored=[s.pad for s in streams],
        )
        return loss, {s.name: loss for s, loss in zip(streams, losses, strict=True)}

    def _first(self, length: int) -> list[Stream]:
        """The first streams, which are `length` tokens together."""
        lengths = list(itertools.accumulate(s.length for s in self.streams))
        if length not in lengths:
            expected = " or ".join(map(str, lengths))
            raise ValueError(f"tokens: found {length} in a row, expected {expected}: whole streams")
        return list(self.streams)[: lengths.index(length) + 1]

    # ------------------------------------------------------------------ one token at a time

    def new_cache(self, rows: int, positions: int) -> KVCache:
        """An empty cache of the model's device and dtype."""
        return KVCache.empty(self.config, rows, positions, device=self.device, dtype=self.dtype)

    @torch.no_grad()
    def prefill(self, tokens: Tensor, cache: KVCache) -> Tensor:
        """tokens [B, T] at positions 0..T-1, T < S -> logits [B, V] for token T; fills the
        cache's first T positions."""
        self._check(tokens)
        return self._next_logits(self._hidden(tokens, cache), tokens.shape[1] - 1)

    @torch.no_grad()
    def decode(self, tokens: Tensor, position: int, cache: KVCache) -> Tensor:
        """tokens [B] at `position` -> logits [B, V] for token position + 1. The cache holds the
        positions before and receives this one."""
        return self._next_logits(self._hidden(tokens[:, None], cache, position), position)

    def _next_logits(self, x_BTD: Tensor, position: int) -> Tensor:
        return self.head[self.streams.at(position + 1).name](x_BTD[:, -1])

    def _hidden(
        self,
        tokens: Tensor,
        cache: KVCache | None = None,
        start: int = 0,
        unseen: Tensor | None = None,
    ) -> Tensor:
        """tokens [B, T] at positions start.. -> the final, normalised states [B, T, D]."""
        x_BTD = self._embed(tokens, start, unseen)
        for i, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, cache and (cache.k[i], cache.v[i]), start)
        return self.norm(x_BTD)

    def _embed(self, tokens: Tensor, start: int, unseen: Tensor | None = None) -> Tensor:
        stop, offset, parts = start + tokens.shape[1], 0, []
        for stream in self.streams:
            first, last = max(start, offset), min(stop, offset + stream.length)
            if first < last:
                here = slice(first - start, last - start)
                x_BTD = self.embed[stream.name](tokens[:, here])
                if unseen is not None:
                    x_BTD = x_BTD.masked_fill(unseen[:, here, None], 0.0)
                table = self.position[stream.name]()
                parts.append(x_BTD + table[first - offset : last - offset])
            offset += stream.length
        return torch.cat(parts, dim=1)

    def _check(self, tokens: Tensor) -> None:
        if tokens.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                f"tokens: found dtype {tokens.dtype}, expected torch.int64 or torch.int32"
            )
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= self.streams.length:
            raise ValueError(
                f"tokens: found shape {list(tokens.shape)}, expected [B, 1..{self.streams.length}]"
            )

    # ------------------------------------------------------------------ what it costs

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """As bundle.read_weights: bf16 as its bits, any other dtype as fp32."""
        for name, tensor in self.state_dict().items():
            tensor = tensor.cpu()
            if name.startswith("position."):
                continue
            if tensor.dtype == torch.bfloat16:
                yield name, tensor.view(torch.int16).numpy().view(np.uint16)
            else:
                yield name, tensor.float().numpy()
        for name, table in self.position.items():  # made flat in fp32, as from a bundle
            yield f"position.{name}.weight", copy.deepcopy(table).cpu().float()().detach().numpy()

    def parameters_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self, context: int, training: bool = False) -> int:
        """Floating-point operations (2 per multiply-add, matrix products only) of the token that
        comes after `context` - 1 others, so that sits at position context - 1 and has the head of
        the stream at `context`: 2 per block weight and per weight of that head, 4 D per layer and
        position that its mask shows. Training takes three times that (backward: twice)."""
        check_int("context", context, 1, self.streams.length - 1)
        c, head = self.config, self.config.dim * self.streams.at(context).vocab
        weights = c.layers * (4 * c.dim**2 + 2 * c.dim * c.mlp) + head
        return (3 if training else 1) * (2 * weights + 4 * c.dim * c.keys_seen(context - 1))

    def flops_per_sequence(self, length: int | None = None) -> int:
        """Those of training on the first `length` tokens, by default all; the last of them is only
        predicted."""
        length = self.streams.length if length is None else length
        return sum(self.flops_per_token(c, training=True) for c in range(1, length))

    def kv_bytes_per_token(self, dtype: torch.dtype) -> int:
        """Bytes of keys and values of one position of one row, over all layers."""
        return 2 * self.config.layers * self.config.dim * dtype.itemsize

    def decode_bytes(
        self, position: int, rows: int, weight_dtype: torch.dtype, kv_dtype: torch.dtype
    ) -> int:
        """Bytes that `decode` at `position` must read: the blocks, the final norm and one head
        once, and the keys and values that each row's masks show. The few embedding rows, and the
        scales of quantised formats, are left out."""
        check_int("position", position, 0, self.streams.length - 2)
        check_int("rows", rows, 1)
        used = (self.blocks, self.norm, self.head[self.streams.at(position + 1).name])
        weights = sum(parameter.numel() for module in used for parameter in module.parameters())
        of_layer = self.kv_bytes_per_token(kv_dtype) // self.config.layers
        attended = rows * self.config.keys_seen(position) * of_layer
        return weights * weight_dtype.itemsize + attended
