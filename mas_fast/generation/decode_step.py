"""A pass over the weights for the sequences of a generation, as a fixed list of kernel launches.

All that a pass reads and writes lies in buffers that stay where they are: also the positions, the
settings of the sampler and the tokens. So it can be captured in a CUDA graph, and its replay goes
on from wherever the pass before has left the buffers. No pass looks at a value.

A layer is five launches: LayerNorm and QKV; attention; projection and residual; LayerNorm, up and
GELU; down and residual. Then come LayerNorm and the head of the stream, the draw, and the rows of
the next pass: 5 L + 3 in all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mas_fast import ops
from mas_fast.generation.step_weights import StepWeights
from mas_fast.kernels import launch
from mas_fast.kernels.decode_attention import Partial, decode_attention
from mas_fast.kernels.forced_likelihood import add_forced_likelihood
from mas_fast.kernels.linear import linear
from mas_fast.kernels.next_rows import next_rows
from mas_fast.models.gpt_config import NORM_EPS, QK_NORM_EPS

DEPENDENT_LAUNCH = 90  # the least compute capability that has it


class DecodeStep:
    """The buffers of some sequences, and the passes over them.

    With guidance each of the `count` sequences has an unconditional partner, `count` further on,
    with the same positions and tokens but for the caption. B = count, Q all sequences, W = window,
    S positions, L layers, H heads, K width of a head.

    Attributes:
        first: int32 [Q], the position of the last token that is known, which the next pass reads
            first.
        end: int32 [B]: no position from here on is drawn.
        tokens: int32 [Q, S], those known, then guesses; -1: none.
        forced: int32 [B, S]; -1 where a token is drawn.
        guidance: fp32 [B, S].
        temperature, top_k, top_p: fp32, int32 and fp64 [streams, B]; 0 of top_k and top_p: no such
            step.
        seed, sample: int64 [B].
        after: int32 [B]: forced tokens beyond it are scored, in `likelihood`, fp64 [B].
        drawn: int32 [B, W], as ops.sample_step writes it.
        failed, advanced: int32 [B], as `next_rows` writes them.
        keys, values: [L, Q, H, S, K].
        owner, shared: int32 [Q]: what lies below position shared[q] is read from the keys and
            values of owner[q].
    """

    def __init__(self, weights: StepWeights, count: int, *, guided: bool, window: int) -> None:
        self.weights, self.count, self.guided, self.window = weights, count, guided, window
        config, device, dtype = weights.config, weights.device, weights.dtype
        sequences, length = count * (1 + guided), config.streams.length
        rows, kinds = sequences * window, (len(config.streams), count)
        self.pdl = device.type == "cuda" and launch.capability(weights.norm[0]) >= DEPENDENT_LAUNCH

        def zeros(*shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.first, self.end = zeros(sequences), zeros(count)
        self.tokens, self.forced = zeros(sequences, length), zeros(count, length)
        self.guidance = zeros(count, length, dtype=torch.float32)
        self.temperature = zeros(*kinds, dtype=torch.float32)
        self.top_k, self.top_p = zeros(*kinds), zeros(*kinds, dtype=torch.float64)
        self.seed, self.sample = (zeros(count, dtype=torch.int64) for _ in range(2))
        self.after, self.likelihood = zeros(count), zeros(count, dtype=torch.float64)
        self.drawn, self.failed, self.advanced = zeros(count, window), zeros(count), zeros(count)
        self.owner, self.shared = zeros(sequences), zeros(sequences)
        cache = (config.layers, sequences, config.heads, length, config.head_dim)
        self.keys, self.values = (torch.empty(cache, device=device, dtype=dtype) for _ in range(2))
        self._x = torch.empty(rows, config.dim, device=device, dtype=dtype)
        self._qkv = torch.empty(rows, 3 * config.dim, device=device, dtype=dtype)
        self._hidden = torch.empty(rows, config.mlp, device=device, dtype=dtype)
        self._attended = torch.empty(rows, config.dim, device=device, dtype=dtype)
        self._partial = Partial.empty(
            sequences, window, config.heads, length, config.head_dim, device=device
        )
        widest = max(stream.vocab for stream in config.streams)
        self._logits = torch.empty(rows * widest, device=device)

    def begin(self) -> None:
        """Lay out the rows of the first pass, after `first`, `end` or `tokens` were set."""
        self.drawn.fill_(-1)
        self._next()

    def draw(self, stream: str, *, score: bool = False) -> None:
        """Make a pass that draws the next tokens of each sequence, all of one stream.

        Args:
            stream: its name.
            score: whether to add up `likelihood`.
        """
        self.layers()
        logits, uncond = self.head(stream), None
        conditional = self.count * self.window
        if self.guided:
            logits, uncond = logits[:conditional], logits[conditional:]
        index = self.weights.config.streams.index(stream)
        ops.sample_step(
            logits,
            uncond,
            self.first[: self.count],
            self.forced,
            self.guidance,
            self.temperature[index],
            self.top_k[index],
            self.top_p[index],
            self.seed,
            self.sample,
            self.drawn,
            window=self.window,
            end=self.forced.shape[1],  # what is drawn beyond `end` does not count
        )
        self._next()
        if score:
            add_forced_likelihood(
                logits,
                self.forced,
                self.first[: self.count],
                self.advanced,
                self.after,
                self.likelihood,
                window=self.window,
            )

    def copy(self, other: DecodeStep, rows: Tensor, place: int) -> None:
        """Take over sequences of another step.

        Args:
            other: of the same weights, guided likewise.
            rows: int64 [n], those of its B sequences.
            place: which sequences they become here: place, ..., place + n - 1.
        """
        mine = slice(place, place + len(rows))
        for name in ("end", "forced", "guidance", "seed", "sample", "after", "likelihood"):
            getattr(self, name)[mine] = getattr(other, name)[rows]
        for name in ("temperature", "top_k", "top_p"):
            getattr(self, name)[:, mine] = getattr(other, name)[:, rows]
        position = torch.arange(self.tokens.shape[1], device=rows.device)
        for half in range(1 + self.guided):
            mine = slice(half * self.count + place, half * self.count + place + len(rows))
            theirs = rows + half * other.count
            self.first[mine], self.tokens[mine] = other.first[theirs], other.tokens[theirs]
            below = position < other.shared[theirs, None]
            holder = torch.where(below, other.owner[theirs, None], theirs[:, None])  # [n, S]
            for new, old in ((self.keys, other.keys), (self.values, other.values)):
                for new_QHSK, old_QHSK in zip(new, old, strict=True):
                    new_QHSK[mine] = old_QHSK.transpose(1, 2)[holder, position].transpose(1, 2)
            self.shared[mine] = 0

    def read(self) -> None:
        """Make a pass that only reads known tokens, and go on by a window."""
        self.layers()
        self.skip()

    def skip(self) -> None:
        """Go on by a window of known tokens."""
        self.first.add_(self.window)
        self.begin()

    def status(self) -> list[list[int]]:
        """Wait, and tell `first` and `failed` of each of the B sequences."""
        return torch.stack([self.first[: self.count], self.failed]).tolist()

    def head(self, stream: str) -> Tensor:
        """The logits of a stream, fp32 [rows, V], of the rows as the last layer has left them."""
        config, weights = self.weights.config, self.weights
        vocab = config.streams[stream].vocab
        logits = self._logits[: len(self._x) * vocab].view(len(self._x), vocab)
        head = weights.heads[stream].weight
        linear(self._x, head, logits, norm=weights.norm, eps=NORM_EPS, pdl=self.pdl)
        return logits

    def layers(self) -> None:
        """Make the part of a pass that comes before the heads."""
        config, x, pdl = self.weights.config, self._x, self.pdl
        heads = (config.heads, config.head_dim)
        qkv, attended = self._qkv.view(len(x), 3, *heads), self._attended.view(len(x), *heads)
        for layer, keys, values in zip(self.weights.layers, self.keys, self.values, strict=True):
            linear(
                x, layer.qkv.weight, self._qkv, bias=layer.qkv.bias, norm=layer.norm1, eps=NORM_EPS,
                pdl=pdl,
            )  # fmt: skip
            decode_attention(
                qkv, keys, values, self.first, attended, self._partial, window=self.window,
                visible=layer.visible, owner=self.owner, shared=self.shared, gains=layer.gains,
                eps=QK_NORM_EPS, pdl=pdl,
            )  # fmt: skip
            proj, up, down = layer.proj, layer.up, layer.down
            linear(self._attended, proj.weight, x, bias=proj.bias, residual=x, pdl=pdl)
            linear(
                x, up.weight, self._hidden, bias=up.bias, norm=layer.norm2, eps=NORM_EPS, gelu=True,
                pdl=pdl,
            )  # fmt: skip
            linear(self._hidden, down.weight, x, bias=down.bias, residual=x, pdl=pdl)

    def _next(self) -> None:
        weights = self.weights
        next_rows(
            self.drawn, self.tokens, self.first, self.end, self.failed, self.advanced, self._x,
            weights.embedding, weights.offset, weights.position, window=self.window, pdl=self.pdl,
        )  # fmt: skip
