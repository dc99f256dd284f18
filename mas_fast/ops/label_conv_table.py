"""A 3x3 convolution over the one-hot channels of a label map as a sum of table rows: nine chosen by
the labels around a pixel, and one chosen by the nine edge bits around it.

    table = label_table(weight, bias, edges=True)           # [R, O]
    rows = label_rows(labels, edges, labels_with_channel)   # int32 [B H W, 10]
    table[rows].sum(1)                                      # [B H W, O]

`bag` does that in PyTorch. The C++ operator makes the table itself; `register` tells PyTorch what
it needs to know of that operator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE_PATTERNS = 512


def label_table(weight: Tensor, bias: Tensor, edges: bool) -> Tensor:
    """The table of a convolution; differentiable.

    Args:
        weight: [O, C, 3, 3], where C is the number of labels L, or L + 1 with edges.
        bias: [O].
        edges: whether the last channel is that of the edges.

    Returns:
        [9 (L + 1) + 512, O], or 1 instead of 512 without edges: for each of the nine taps, the rows
        of the labels and a row of zeros for void; then, for each edge pattern, the bias plus its
        edge taps.
    """
    count = weight.shape[1] - edges
    taps = weight[:, :count].permute(2, 3, 1, 0).flatten(0, 1)
    taps = F.pad(taps, (0, 0, 0, 1)).flatten(0, 1)
    constant = bias[None]
    if edges:
        patterns = torch.arange(EDGE_PATTERNS, device=weight.device)
        bits = (patterns[:, None] >> torch.arange(9, device=weight.device)) & 1
        constant = constant + bits.to(weight.dtype) @ weight[:, -1].flatten(1).t()
    return torch.cat([taps, constant])


def label_rows(labels: Tensor, edges: Tensor | None, count: int) -> Tensor:
    """The rows of the table that each pixel adds up.

    Args:
        labels: uint8 [B, H, W]; those below `count` have a channel.
        edges: bool [B, H, W], or None.
        count: the number of labels that have a channel.

    Returns:
        int32 [B H W, 10].
    """
    rows = torch.empty(*labels.shape, 10, dtype=torch.int32, device=labels.device)
    taps = torch.arange(9, dtype=torch.int32, device=labels.device) * (count + 1)
    padded = F.pad(labels.clamp(max=count), (1, 1, 1, 1), value=count)
    around = padded.unfold(1, 3, 1).unfold(2, 3, 1)  # [B, H, W, 3, 3]
    torch.add(around, taps.view(3, 3), out=rows[..., :9].unflatten(3, (3, 3)))
    rows[..., 9] = 9 * (count + 1)
    if edges is not None:
        bits = F.pad(edges.int(), (1, 1, 1, 1))
        across = bits[..., :-2] + 2 * bits[..., 1:-1] + 4 * bits[..., 2:]
        rows[..., 9] += across[:, :-2] + 8 * across[:, 1:-1] + 64 * across[:, 2:]
    return rows.view(-1, 10)


def bag(labels: Tensor, edges: Tensor | None, weight: Tensor, bias: Tensor) -> Tensor:
    """`ops.label_conv` by embedding_bag, but channels-last: [B, H, W, O]."""
    table = label_table(weight, bias, edges is not None)
    rows = label_rows(labels, edges, weight.shape[1] - (edges is not None))
    return F.embedding_bag(rows, table, mode="sum").view(*labels.shape, len(bias))


def register() -> None:
    """Registers shapes of the C++ operators for tracing, and gradients."""
    torch.library.register_fake("mas_fast::label_conv", _fake)
    torch.library.register_fake("mas_fast::label_conv_backward", _backward_fake)
    torch.library.register_autograd("mas_fast::label_conv", _backward, setup_context=_context)


def _fake(weight, bias, labels, edges) -> Tensor:
    return weight.new_empty(*labels.shape, weight.shape[0])


def _backward_fake(grad, labels, edges, channels) -> tuple[Tensor, Tensor]:
    outputs = grad.shape[3]
    return grad.new_empty(outputs, channels, 3, 3), grad.new_empty(outputs)


def _context(ctx, inputs, output) -> None:
    weight, _, labels, edges = inputs
    ctx.channels = weight.shape[1]
    ctx.save_for_backward(labels, edges)


def _backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
    labels, edges = ctx.saved_tensors
    gradients = torch.ops.mas_fast.label_conv_backward
    return (*gradients(grad.contiguous(), labels, edges, ctx.channels), None, None)
