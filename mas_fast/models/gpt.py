"""The GPT over token streams: caption, then scene, then picture.

    model = GPT.create(preset("mini-270m"))  # GPT(config): on the meta device, for you to fill
    loss, by_stream = model.loss(tokens)     # tokens [B, S]
    logits = model(tokens)                   # {"text": [B, 63, 16384], "seg": [B, 256, 1024], ...}

Two things are unusual. Position N predicts token N + 1, and there is no begin-of-sequence token.
And the logits of a position are over the vocabulary of the one stream that it predicts, so the last
position has none and is not even computed.

Shape suffixes: B rows, T positions of this call, S positions of a whole sequence, C positions in
the KV cache, D model width, H heads, K width of a head, L layers, V vocabulary of a stream.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mas_fast import ops
from mas_fast.models.gpt_config import NORM_EPS, PRESETS, GPTConfig, preset
from mas_fast.models.gpt_layers import Block, ByStream, FlatPositions, GridPositions
from mas_fast.models.kv_cache import KVCache
from mas_fast.models.skip_init import embedding, to_empty
from mas_fast.streams import Stream
from mas_fast.utils.validate import check_int

__all__ = ["GPT", "GPTConfig", "KVCache", "PRESETS", "preset"]


class GPT(nn.Module):
    """A GPT over token streams; see the module's docstring.

    Construction allocates nothing: the weights are on the meta device until `create`, a bundle, or
    the caller's own `to_empty` and `init_weights` give them memory.

    Args:
        config: of the model.
    """

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
        cls,
        config: GPTConfig,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> GPT:
        """A GPT with random weights, the same for the same seed, device type and dtype."""
        model = to_empty(cls(config).to(dtype), device)
        model.init_weights(torch.Generator(device).manual_seed(seed))
        return model

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Initialises the weights as in GPT-2: N(0, 0.02), the projections into the residual stream
        N(0, 0.02 / sqrt(2 L)), biases 0, gains 1.
        """
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
        """Predicts the next token at every position.

        Args:
            tokens: int64 or int32 [B, T], 1 <= T <= S. Ids are trusted (on a CPU a bad one is an
                IndexError).

        Returns:
            For each stream, the logits [B, n, V] of those n of the T positions that predict it, in
            order. n may be 0; a whole sequence has length - 1 of the first stream, and length of
            the others.

        Raises:
            ValueError: tokens have a wrong shape or dtype.
        """
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
        masked: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes the loss of training, sum_s w_s loss_s / sum_s w_s, in nats, in at least fp32.

        loss_s is the mean cross-entropy of stream s over its targets. A target that is its stream's
        pad id counts for nothing; a stream of padding alone has loss 0 and keeps its weight.

        Args:
            tokens: int64 or int32 [B, S], or [B, T] of the first streams alone.
            weights: w, one for each of these streams, in place of their own.
            masked: bool, of the shape of tokens. Where it is set, the model gets the position but
                not the token, which stays a target.

        Returns:
            The loss, and the mean of each stream by name, without gradient.

        Raises:
            ValueError: tokens have a wrong shape or dtype, or are not whole streams.
        """
        self._check(tokens)
        streams = self._first(tokens.shape[1])
        count = tokens.shape[1] - 1
        predicting: list[slice] = [self.streams.predicting(s.name, count) for s in streams]
        loss, losses = ops.stream_cross_entropy(
            self._hidden(tokens[:, :-1], masked=None if masked is None else masked[:, :-1]),
            [self.head[s.name].get_parameter("weight") for s in streams],
            tokens[:, 1:],
            [positions.stop - positions.start for positions in predicting],
            weights=[s.loss_weight for s in streams] if weights is None else weights,
            ignored=[s.pad for s in streams],
        )
        return loss, {s.name: loss for s, loss in zip(streams, losses, strict=True)}

    def _first(self, length: int) -> list[Stream]:
        """The first streams, which together are `length` tokens."""
        lengths = list(itertools.accumulate(s.length for s in self.streams))
        if length not in lengths:
            expected = " or ".join(map(str, lengths))
            raise ValueError(f"tokens: found {length} in a row, expected {expected}: whole streams")
        return list(self.streams)[: lengths.index(length) + 1]

    # ------------------------------------------------------------------ a few tokens at a time

    def new_cache(self, rows: int, positions: int) -> KVCache:
        """An empty KV cache of the model's device and dtype."""
        return KVCache.empty(self.config, rows, positions, device=self.device, dtype=self.dtype)

    @torch.no_grad()
    def prefill(self, tokens: Tensor, cache: KVCache) -> Tensor:
        """Fills the first T positions of a KV cache.

        Args:
            tokens: [B, T] at positions 0..T-1, T < S.
            cache: receives their keys and values.

        Returns:
            Logits [B, V] of token T.
        """
        self._check(tokens)
        return self._next_logits(self._hidden(tokens, cache)[:, -1], tokens.shape[1] - 1)

    @torch.no_grad()
    def decode(self, tokens: Tensor, start: int, cache: KVCache) -> Tensor:
        """Computes one decode step, of one position or of several.

        Args:
            tokens: [B, T], at positions start, ...; all predict tokens of one stream.
            start: the first one's index in the whole sequence.
            cache: holds the positions before, and receives these, over what it held there.

        Returns:
            Logits [B, T, V] of tokens start + 1, ...
        """
        return self._next_logits(self._hidden(tokens, cache, start), start)

    def _next_logits(self, x_BTD: Tensor, start: int) -> Tensor:
        return self.head[self.streams.at(start + 1).name](x_BTD)

    def _hidden(
        self,
        tokens: Tensor,
        cache: KVCache | None = None,
        start: int = 0,
        masked: Tensor | None = None,
    ) -> Tensor:
        """The final, normalised states [B, T, D] of tokens [B, T] at positions start, ..."""
        x_BTD = self._embed(tokens, start, masked)
        for i, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, cache and (cache.k[i], cache.v[i]), start)
        return self.norm(x_BTD)

    def _embed(self, tokens: Tensor, start: int, masked: Tensor | None = None) -> Tensor:
        stop, offset, parts = start + tokens.shape[1], 0, []
        for stream in self.streams:
            first, last = max(start, offset), min(stop, offset + stream.length)
            if first < last:
                part = slice(first - start, last - start)
                x_BTD = self.embed[stream.name](tokens[:, part])
                if masked is not None:
                    x_BTD = x_BTD.masked_fill(masked[:, part, None], 0.0)
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
        """The weights as bundle.read_weights gives them: bf16 as its bits, all others as fp32."""
        for name, tensor in self.state_dict().items():
            tensor = tensor.cpu()
            if name.startswith("position."):
                continue
            if tensor.dtype == torch.bfloat16:
                yield name, tensor.view(torch.int16).numpy().view(np.uint16)
            else:
                yield name, tensor.float().numpy()
        for name, table in self.position.items():  # flattened in fp32, as from a bundle
            yield f"position.{name}.weight", copy.deepcopy(table).cpu().float()().detach().numpy()

    def parameters_count(self) -> int:
        """The number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self, context: int, training: bool = False) -> int:
        """Counts the floating-point operations of one token: 2 per multiply-add of matrix products.

        They are 2 per block weight and per weight of the head, and 4 D per layer and position that
        its mask shows. Training takes three times that (the backward pass: twice).

        Args:
            context: the token comes after context - 1 others, so it is at position context - 1 and
                has the head of the stream at `context`.
            training: whether to count the backward pass.
        """
        check_int("context", context, 1, self.streams.length - 1)
        c, head = self.config, self.config.dim * self.streams.at(context).vocab
        weights = c.layers * (4 * c.dim**2 + 2 * c.dim * c.mlp) + head
        return (3 if training else 1) * (2 * weights + 4 * c.dim * c.keys_seen(context - 1))

    def flops_per_sequence(self, length: int | None = None) -> int:
        """Counts the operations of training on the first `length` tokens, by default all.

        The last of them is only predicted.
        """
        length = self.streams.length if length is None else length
        return sum(self.flops_per_token(c, training=True) for c in range(1, length))

    def kv_bytes_per_token(self, dtype: torch.dtype) -> int:
        """Bytes of the keys and values of one position of one row, over all layers."""
        return 2 * self.config.layers * self.config.dim * dtype.itemsize

    def decode_bytes(
        self, position: int, rows: int, weight_dtype: torch.dtype, kv_dtype: torch.dtype
    ) -> int:
        """Counts the bytes that `decode` must read.

        They are the blocks, the final norm and one head, once, and the keys and values that each
        row's masks show. The few embedding rows, and the scales of quantised formats, are left out.

        Args:
            position: of the step.
            rows: B.
            weight_dtype: of the weights.
            kv_dtype: of the KV cache.
        """
        check_int("position", position, 0, self.streams.length - 2)
        check_int("rows", rows, 1)
        used = (self.blocks, self.norm, self.head[self.streams.at(position + 1).name])
        weights = sum(parameter.numel() for module in used for parameter in module.parameters())
        of_layer = self.kv_bytes_per_token(kv_dtype) // self.config.layers
        attended = rows * self.config.keys_seen(position) * of_layer
        return weights * weight_dtype.itemsize + attended
