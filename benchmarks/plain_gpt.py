"""The peer of subject "training": a GPT as nanoGPT writes one, in plain PyTorch.

Pre-LN blocks over F.scaled_dot_product_attention; then either one head over the vocabularies of all
streams together, as nanoGPT has it, or one for each stream. The losses are F.cross_entropy of
logits that are held whole."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import NORM_EPS, GPTConfig


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(dim, NORM_EPS), nn.LayerNorm(dim, NORM_EPS)
        self.c_attn, self.c_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.c_fc, self.c_out = nn.Linear(dim, mlp), nn.Linear(mlp, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        parts = self.c_attn(self.ln_1(x)).split(D, dim=2)
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(B, T, D))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class PlainGPT(nn.Module):
    """A GPT whose forward(tokens [B, S]) returns the loss.

    Args:
        config: its shape.
        split: whether there is a head for each stream. Otherwise there is one over everything, and
            the ids of a stream follow those of the ones before it.
    """

    def __init__(self, config: GPTConfig, split: bool) -> None:
        super().__init__()
        self.streams, self.split = config.streams, split
        vocab = sum(stream.vocab for stream in config.streams)
        self.wte = nn.Embedding(vocab, config.dim)
        self.wpe = nn.Embedding(config.streams.length, config.dim)
        self.h = nn.ModuleList(
            Block(config.dim, config.heads, config.mlp) for _ in range(config.layers)
        )
        self.ln_f = nn.LayerNorm(config.dim, NORM_EPS)
        sizes = [stream.vocab for stream in config.streams] if split else [vocab]
        self.heads = nn.ModuleList(nn.Linear(config.dim, size, bias=False) for size in sizes)
        starts, start = [], 0
        for stream in config.streams:
            starts += [start] * stream.length
            start += stream.vocab
        self.register_buffer("starts", torch.tensor(starts), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        ids = tokens + self.starts
        x = self.wte(ids[:, :-1]) + self.wpe.weight[:-1]
        for block in self.h:
            x = block(x)
        x = self.ln_f(x)
        total, weights = 0.0, 0.0
        if not self.split:
            logits = self.heads[0](x)
        for i, stream in enumerate(self.streams):
            span = self.streams.predicting(stream.name)
            of = self.heads[i](x[:, span]) if self.split else logits[:, span]
            targets = (tokens if self.split else ids)[:, span.start + 1 : span.stop + 1]
            pad = -100 if stream.pad is None else stream.pad
            loss = F.cross_entropy(of.flatten(0, 1), targets.flatten(), ignore_index=pad)
            total, weights = total + stream.loss_weight * loss, weights + stream.loss_weight
        return total / weights

    @torch.no_grad()
    def copy(self, model: GPT) -> PlainGPT:
        """Copy the weights of a GPT of ours; those of one head over everything are its heads'.

        Args:
            model: the GPT.

        Returns:
            This model.
        """
        names = [stream.name for stream in self.streams]
        self.wte.weight.copy_(torch.cat([model.embed[name].weight for name in names]))
        self.wpe.weight.copy_(torch.cat([model.position[name]() for name in names]))
        heads = [model.head[name].weight for name in names]
        for head, weight in zip(
            self.heads, heads if self.split else [torch.cat(heads)], strict=True
        ):
            head.weight.copy_(weight)
        self.ln_f.load_state_dict(model.norm.state_dict())
        for mine, its in zip(self.h, model.blocks, strict=True):
            pairs = (mine.ln_1, its.norm1), (mine.ln_2, its.norm2)
            pairs += (mine.c_attn, its.attention.qkv), (mine.c_proj, its.attention.proj)
            pairs += (mine.c_fc, its.mlp.up), (mine.c_out, its.mlp.down)
            for layer, other in pairs:
                layer.load_state_dict(other.state_dict())
        return self
