"""The peer of subjects "gpu_decode" and "gpu_batch": decoding as gpt-fast does it.

Keys and values lie in buffers of the whole length, the position is a tensor, so every step is the
same program: it is compiled whole by torch.compile (max-autotune), and a CUDA graph holds one step.
The step ends with gpt-fast's sampling (top-k by a pivot, then the exponential race, which does not
wait for the GPU), after the guidance. The model is plain_gpt.py, and each stream has its own head,
so there is a graph for each stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks import gpu
from benchmarks.plain_gpt import Block, PlainGPT
from mas_fast.models.gpt import GPT

MATH = partial(sdpa_kernel, SDPBackend.MATH)  # torch.compile generates it, as in gpt-fast


class StaticKV(nn.Module):
    """Decode steps over static buffers.

    Args:
        model: whose weights are taken, on their device and in their dtype.
        batch: pictures; each has a conditional row, and `batch` rows further on an unconditional
            one.
        guidance: of all positions.
        top_k: of all positions.
        compiled: whether steps are compiled.
    """

    def __init__(
        self, model: GPT, batch: int, *, guidance: float, top_k: int, compiled: bool
    ) -> None:
        super().__init__()
        config, length = model.config, model.streams.length
        shape = (2 * batch, config.heads, length, config.head_dim)
        with torch.device(model.device):
            self.gpt = PlainGPT(config, split=True).to(model.dtype).copy(model).eval()
            self.keys = [torch.zeros(shape, dtype=model.dtype) for _ in range(config.layers)]
            self.values = [torch.zeros(shape, dtype=model.dtype) for _ in range(config.layers)]
            self.causal = torch.ones(length, length, dtype=torch.bool).tril()
            # What a step reads and writes: the position that it reads, and the tokens so far.
            self.position = torch.zeros(1, dtype=torch.int64)
            self.tokens = torch.zeros(2 * batch, length, dtype=torch.int64)
        self.guidance, self.top_k = guidance, top_k
        self.streams, self.compiled = config.streams, compiled
        self.replays: dict[str, Callable[[], object]] = {}

    @torch.inference_mode()
    def begin(self, tokens: Tensor) -> None:
        """Read the prompt, and draw the first token after it.

        Args:
            tokens: ids [2 batch, P] of the first stream, those of the unconditional rows last.
        """
        self.logits(tokens)
        self.position -= 1
        self.known = tokens.shape[1]
        self.steps(1)

    @torch.inference_mode()
    def steps(self, count: int) -> None:
        """Draw the next `count` tokens of every picture."""
        for position in range(self.known, self.known + count):
            name = self.streams.at(position).name
            if name not in self.replays:
                self.replays[name] = self._made(self._head(position))
            self.replays[name]()
        self.known += count

    @torch.inference_mode()
    def logits(self, tokens: Tensor) -> Tensor:
        """Predict the token after some, step by step: [2 batch, V]."""
        self.tokens[:, : tokens.shape[1]] = tokens
        self.position.zero_()
        for _ in range(tokens.shape[1]):
            x = hidden(self)
            self.position += 1
        return self._head(tokens.shape[1])(x)

    def _head(self, position: int) -> nn.Module:
        """The head that predicts the token at a position."""
        return self.gpt.heads[self.streams.index(self.streams.at(position).name)]

    def _made(self, head: nn.Module) -> Callable[[], object]:
        """Compile and capture a step, and leave the state as it is."""
        function = step
        if self.compiled:
            options = {"mode": "max-autotune-no-cudagraphs", "fullgraph": True, "dynamic": False}
            function = torch.compile(step, **options)
        state = [self.tokens, self.position, *self.keys, *self.values]
        before = [tensor.clone() for tensor in state]
        with MATH():
            replay = gpu.captured(self.tokens.device.type, lambda: function(self, head))
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
        return replay


def hidden(model: StaticKV) -> Tensor:
    """Compute one position: the normalised states [2 batch, D]; keys and values are kept."""
    gpt, position = model.gpt, model.position
    ids = model.tokens.index_select(1, position)[:, 0] + gpt.starts.index_select(0, position)
    x = gpt.wte(ids) + gpt.wpe.weight.index_select(0, position)
    shown = model.causal.index_select(0, position)[None, None]
    for block, keys, values in zip(gpt.h, model.keys, model.values, strict=True):
        x = x + attend(block, block.ln_1(x), keys, values, position, shown)
        x = x + block.c_out(F.gelu(block.c_fc(block.ln_2(x))))
    return gpt.ln_f(x)


def attend(
    block: Block, x: Tensor, keys: Tensor, values: Tensor, position: Tensor, shown: Tensor
) -> Tensor:
    rows, dim = x.shape
    q, k, v = (
        part.view(rows, 1, block.heads, -1).transpose(1, 2)
        for part in block.c_attn(x).split(dim, dim=1)
    )
    keys.index_copy_(2, position, k)
    values.index_copy_(2, position, v)
    y = F.scaled_dot_product_attention(q, keys, values, attn_mask=shown)
    return block.c_proj(y.transpose(1, 2).reshape(rows, dim))


def step(model: StaticKV, head: nn.Module) -> None:
    """Read the token at `position`, draw the next one of each picture, and move on."""
    cond, uncond = head(hidden(model)).float().chunk(2)
    logits = uncond + model.guidance * (cond - uncond)
    pivot = torch.topk(logits, min(model.top_k, logits.shape[1])).values[:, -1:]
    weights = logits.masked_fill(logits < pivot, -torch.inf).softmax(-1)
    race = torch.empty_like(weights).exponential_(1)
    token = (weights / race).argmax(-1).repeat(2)
    model.position.add_(1)
    model.tokens.index_copy_(1, model.position, token[:, None])
