"""What a GPT minimises, over the passes and processes of a step."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mas_fast.models.gpt import GPT
from mas_fast.streams import Streams
from mas_fast.training.gpt_settings import GPTSettings


class GPTLoss(nn.Module):
    """A GPT and what it minimises: the mean over the targets of all passes and processes.

    That mean does not depend on how the padding is spread over them: `prepare` finds, for each
    pass, the weights that sum to it. In a step that does not see the last stream, it counts as one
    that is guessed, each token alike.
    """

    def __init__(self, model: GPT, settings: GPTSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def prepare(self, batches: list[dict], step: int) -> None:
        """Drop captions, and put the share of the targets into the batches of a step's passes.

        They are on the host: what is counted here makes weights of numbers, and a look at them
        would otherwise wait for the device.
        """
        s, streams = self.settings, self.model.streams
        text = streams["text"]
        drops = s.caption_drop_last is None or step >= s.steps - s.caption_drop_last
        for batch in batches:
            if drops and s.caption_drop:
                dropped = (batch["draw"] < s.caption_drop)[:, None]
                batch["tokens"][:, streams.slice("text")].masked_fill_(dropped, text.pad)
        counts = torch.stack([targets(streams, batch["tokens"]) for batch in batches])
        totals, passes = counts.sum(0), len(batches)
        if dist.is_initialized():
            dist.all_reduce(totals)
            passes *= dist.get_world_size()
        shares = torch.where(totals > 0, counts * passes / totals.clamp(min=1), 1.0)
        for batch, share in zip(batches, shares.tolist(), strict=True):
            batch["shares"] = share

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one pass, and that of each stream."""
        tokens, shares, streams = batch["tokens"], batch["shares"], list(self.model.streams)
        stream_weights = [stream.loss_weight for stream in streams]
        total, guess = sum(stream_weights), 0.0
        if (step + 1) % self.settings.image_every:
            last = streams.pop()
            tokens, shares = tokens[:, : -last.length], shares[:-1]
            stream_weights = stream_weights[:-1]
            guess = last.loss_weight / total * math.log(last.vocab)
        masked = batch.get("masked")
        if masked is not None:
            masked = masked[:, : tokens.shape[1]].clone()
            masked[:, : -streams[-1].length] = False
        weights = [weight * share for weight, share in zip(stream_weights, shares, strict=True)]
        scale = sum(weights) / total
        loss, losses = self.model.loss(tokens, weights if scale else None, masked)
        means = zip(losses.items(), shares, strict=True)
        return scale * loss + guess, {name: share * value for (name, value), share in means}


def targets(streams: Streams, tokens: Tensor) -> Tensor:
    """The number of tokens of each stream that are predicted: float64 [streams].

    Args:
        streams: the streams.
        tokens: int64 [B, S].
    """
    counts = []
    for stream in streams:
        # A slice; Streams.slice hides the type of that name from mypy.
        positions: Any = streams.predicting(stream.name)
        ids = tokens[:, positions.start + 1 : positions.stop + 1]
        counted = torch.ones_like(ids) if stream.pad is None else ids.ne(stream.pad)
        counts.append(counted.sum())
    return torch.stack(counts).double()
