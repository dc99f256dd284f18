"""The halves of a tokenizer as they are exported: plain tensor operations, and no custom operator.

    graph = Encoder(model, torch.float32)     # image, or labels and edges -> codes
    graph = Decoder(model, torch.float16)     # codes -> image or logits, fp32

Surprising here: a label map becomes the first layer's output by ten lookups a pixel, so that its
one-hot channels do not exist in a graph either; and the nearest code is decided in fp64, whatever
the rest computes in.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast.models.quantizer import Gumbel
from mas_fast.models.vqvae import VQVAE, LabelConv2d
from mas_fast.ops.label_conv_table import label_table

CODES = 2048  # how many distances of a vector exist at once
CANDIDATES = 4  # of the nearest codes, decided between by the exact distance


class Encoder(nn.Module):
    """The encoder of a tokenizer with fp32 weights.

    Args:
        model: the tokenizer.
        dtype: of the arithmetic up to the last convolution of the encoder. The codebook's 1x1
            convolution and the choice of the code, which follow, are fp32 and fp64.
    """

    def __init__(self, model: VQVAE, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.encoder = _plain(model.encoder).to(dtype)
        if isinstance(model.encoder.conv_in, LabelConv2d):
            self.encoder.conv_in = LabelRows(model.encoder.conv_in, dtype)
        self.quant_conv = _plain(model.quant_conv)
        quantize = model.quantize
        self.choose = (
            Likeliest(quantize) if isinstance(quantize, Gumbel) else Nearest(quantize.table)
        )

    def forward(self, x: Tensor, edges: Tensor | None = None) -> Tensor:
        """Codes, as VQVAE.encode without its checks; a label that has no channel is void."""
        if x.is_floating_point():
            z = self.encoder(x.to(self.dtype))
        else:
            z = self.encoder(x, edges)
        return self.choose(self.quant_conv(z.float()))


class Decoder(nn.Module):
    """The decoder of a tokenizer, computing in `dtype`; its result is fp32."""

    table: Tensor

    def __init__(self, model: VQVAE, dtype: torch.dtype) -> None:
        super().__init__()
        self.post_quant_conv = _plain(model.post_quant_conv).to(dtype)
        self.decoder = _plain(model.decoder).to(dtype)
        self.register_buffer("table", model.quantize.table.detach().to(dtype))

    def forward(self, codes: Tensor) -> Tensor:
        """Image or logits, as VQVAE.decode without its checks."""
        z = F.embedding(codes, self.table).permute(0, 3, 1, 2)
        return self.decoder(self.post_quant_conv(z)).float()


class LabelRows(nn.Module):
    """LabelConv2d as ten lookups a pixel in the rows of label_table.

    One is for each of the nine labels around the pixel, one for the pattern of edge bits. They are
    added up in fp32, then rounded to `dtype`.
    """

    table: Tensor

    def __init__(self, conv: LabelConv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.labels, self.dtype = conv.labels, dtype
        table = label_table(conv.weight.detach(), conv.bias.detach(), conv.has_edges)
        self.register_buffer("table", table)

    def forward(self, labels: Tensor, edges: Tensor | None = None) -> Tensor:
        """The convolution of labels uint8 [B, H, W] and edges bool [B, H, W]: [B, O, H, W]."""
        _, H, W = labels.shape
        void = self.labels
        around = F.pad(labels.int().clamp(max=void), (1, 1, 1, 1), value=void)
        last = torch.zeros_like(labels, dtype=torch.int32)
        if edges is not None:
            bits = F.pad(edges.int(), (1, 1, 1, 1))
        y: Tensor | None = None
        for tap in range(9):
            rows, columns = slice(tap // 3, tap // 3 + H), slice(tap % 3, tap % 3 + W)
            part = F.embedding(around[:, rows, columns] + tap * (void + 1), self.table)
            y = part if y is None else y + part
            if edges is not None:
                last = last + bits[:, rows, columns] * (1 << tap)
        assert y is not None
        y = y + F.embedding(last + 9 * (void + 1), self.table)
        return y.permute(0, 3, 1, 2).to(self.dtype)


class Nearest(nn.Module):
    """reference.vq_nearest to the bit.

    |c|^2 - 2 x . c in fp64 finds the candidates, among some codes at a time; the sum of squared
    differences, channel after channel in fp64, decides, ties to the lowest id. A code that repeats
    one of a lower id is never a candidate, so any number of equal codes leaves room for the others.
    For NaN the result is no id but K.
    """

    table: Tensor
    squares: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        table = table.detach().float().contiguous()
        squares = table.double().square().sum(1)
        first = torch.full((len(table),), len(table))
        same = torch.unique(table, dim=0, return_inverse=True)[1]
        ids = torch.arange(len(table))
        first.scatter_reduce_(0, same, ids, "amin")
        squares[first[same] != ids] = torch.inf
        self.register_buffer("table", table)
        self.register_buffer("squares", squares)

    def forward(self, z: Tensor) -> Tensor:
        """The code of each vector of z, fp32 [B, D, h, w]: int64 [B, h, w]."""
        x = z.permute(0, 2, 3, 1).flatten(0, 2).double()  # [N, D]
        candidates = []
        for start in range(0, len(self.table), CODES):
            part = slice(start, start + CODES)
            codes = self.table[part].double()
            score = self.squares[part] - 2 * (x @ codes.t())
            score, ids = score.topk(min(CANDIDATES, len(codes)), largest=False)
            candidates.append((score, ids + start))
        scores, ids = (torch.cat(parts, 1) for parts in zip(*candidates, strict=True))
        if len(candidates) > 1:
            ids = ids.gather(1, scores.topk(CANDIDATES, largest=False)[1])
        difference = x[:, None] - F.embedding(ids, self.table).double()
        # A running sum is added up in order, where a sum may be by halves.
        distance = difference.square().cumsum(2)[:, :, -1]
        best = distance.amin(1, keepdim=True)
        codes = torch.where(distance == best, ids, len(self.table)).amin(1)
        return codes.view(z.shape[0], *z.shape[2:])


class Likeliest(nn.Module):
    """The code of quantizer.Gumbel without noise."""

    def __init__(self, quantizer: Gumbel) -> None:
        super().__init__()
        self.proj = _plain(quantizer.proj)

    def forward(self, z: Tensor) -> Tensor:
        """The code of each vector of z, fp32 [B, D, h, w]: int64 [B, h, w]."""
        return self.proj(z).argmax(1)


def _plain(module: nn.Module) -> nn.Module:
    """A copy with ordinary strides."""
    plain = copy.deepcopy(module)
    plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch has it
    return plain.requires_grad_(False)
