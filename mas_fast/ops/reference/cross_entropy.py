"""The definition of the loss over streams in plain PyTorch: any device.

It is arithmetic in the dtype of its inputs, so implementations are equal to it within bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mas_fast.ops.reference.checks import to_integer, to_real


def stream_cross_entropy(
    hidden: Tensor,
    heads: Sequence[Tensor],
    targets: Tensor,
    lengths: Sequence[int],
    *,
    weights: Sequence[float] | None = None,
    ignored: Sequence[int | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Defines `ops.stream_cross_entropy`.

    It has second derivatives, and looks at targets that are on a CPU.
    """
    stream_weights, ignored_ids = check_stream_cross_entropy(
        hidden, heads, targets, lengths, weights, ignored
    )
    check_targets(targets, [len(head) for head in heads], lengths, ignored_ids)
    losses = []
    hiddens, ids = hidden.split(lengths, 1), targets.split(lengths, 1)
    for x, head, target, skipped in zip(hiddens, heads, ids, ignored_ids, strict=True):
        logits = F.linear(x.flatten(0, 1), head)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        target = target.flatten().long()
        counted = (
            torch.ones_like(target, dtype=torch.bool) if skipped is None else target != skipped
        )
        kept = target.masked_fill(~counted, 0)[:, None]
        nats = logits.logsumexp(1) - logits.gather(1, kept)[:, 0]
        losses.append(torch.where(counted, nats, 0).sum() / counted.sum().clamp(min=1))
    weighted = [weight * each for weight, each in zip(stream_weights, losses, strict=True)]
    return sum(weighted[1:], weighted[0]) / sum(stream_weights), torch.stack(losses).detach()


def check_stream_cross_entropy(
    hidden: Tensor,
    heads: Sequence[Tensor],
    targets: Tensor,
    lengths: Sequence[int],
    weights: Sequence[float] | None,
    ignored: Sequence[int | None] | None,
) -> tuple[list[float], list[int | None]]:
    """Checks the arguments of `ops.stream_cross_entropy` without looking at the values of a tensor.

    Returns:
        The weights and the ignored ids, one per stream.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape, device or value.
    """
    for name, tensor in (("hidden", hidden), *((f"heads[{i}]", h) for i, h in enumerate(heads))):
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{name}: found {kind}, expected a floating-point tensor")
    if hidden.dim() != 3 or hidden.shape[2] < 1:
        raise ValueError(f"hidden: found {list(hidden.shape)}, expected [batch, positions, width]")
    autocast = torch.is_autocast_enabled(hidden.device.type)
    for i, head in enumerate(heads):
        if head.dtype != hidden.dtype and not autocast:
            raise TypeError(
                f"heads[{i}]: found {head.dtype}, expected {hidden.dtype}, like hidden; "
                "they may differ under torch.autocast alone"
            )
        if head.dim() != 2 or head.shape[0] < 1 or head.shape[1] != hidden.shape[2]:
            raise ValueError(
                f"heads[{i}]: found {list(head.shape)}, expected [vocabulary, {hidden.shape[2]}]"
            )
        if head.device != hidden.device:
            raise ValueError(
                f"heads[{i}]: found it on {head.device}, expected {hidden.device}, like hidden"
            )
    if not isinstance(targets, Tensor) or targets.dtype not in (torch.int64, torch.int32):
        kind = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
        raise TypeError(f"targets: found {kind}, expected an int64 or int32 tensor")
    if targets.shape != hidden.shape[:2] or targets.device != hidden.device:
        raise ValueError(
            f"targets: found {list(targets.shape)} on {targets.device}, "
            f"expected {list(hidden.shape[:2])} on {hidden.device}"
        )
    count = len(heads)
    weights = [1.0] * count if weights is None else list(weights)
    ignored = [None] * count if ignored is None else list(ignored)
    for name, values in (("lengths", lengths), ("weights", weights), ("ignored", ignored)):
        if len(values) != count or not count:
            raise ValueError(
                f"{name}: found {list(values)}, "
                f"expected one entry for each of the {count} heads (at least 1)"
            )
    if any(to_integer("lengths", n) < 0 for n in lengths) or sum(lengths) != hidden.shape[1]:
        raise ValueError(
            f"lengths: found {list(lengths)}, "
            f"expected integers >= 0 that add up to the {hidden.shape[1]} positions of hidden"
        )
    if not all(0 <= to_real("weights", w) < math.inf for w in weights) or not sum(weights) > 0:
        raise ValueError(f"weights: found {list(weights)}, expected finite ones >= 0, not all 0")
    for value in ignored:
        if value is not None:
            to_integer("ignored", value)
    return [float(w) for w in weights], ignored


def check_targets(
    targets: Tensor, vocabs: Sequence[int], lengths: Sequence[int], ignored: Sequence[int | None]
) -> None:
    """Checks targets on a CPU. Those on a GPU are trusted: to look at them would be to wait for it.

    Raises:
        ValueError: a target is neither in 0..vocab - 1 of its stream nor its ignored id; names the
            first one.
    """
    if targets.device.type != "cpu":
        return
    parts = zip(targets.split(lengths, 1), vocabs, ignored, strict=True)
    for stream, (target, vocab, skipped) in enumerate(parts):
        if not target.numel():
            continue
        least, most = (int(value) for value in target.aminmax())
        if 0 <= least and most < vocab:
            continue
        wrong = (target < 0) | (target >= vocab)
        if skipped is not None:
            wrong &= target.long() != skipped
        if wrong.any():
            row, position = wrong.nonzero()[0].tolist()
            raise ValueError(
                f"targets: found {int(target[row, position])} in row {row}, "
                f"position {position + sum(lengths[:stream])}, "
                f"expected 0..{vocab - 1} in stream {stream}"
                f"{'' if skipped is None else f', or {skipped}, which is ignored'}"
            )
