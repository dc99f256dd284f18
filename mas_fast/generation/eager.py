"""The engine in plain PyTorch, on any device."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from mas_fast import ops
from mas_fast.generation.engine import Progress
from mas_fast.generation.request import Request
from mas_fast.models.gpt import GPT
from mas_fast.utils.validate import check_int


class EagerEngine:
    """Plain PyTorch, on the device and in the dtype of the GPT."""

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.streams = model.streams

    def start(self, request: Request) -> _EagerRun:
        return _EagerRun(self.model, request)


class _EagerRun:
    def __init__(self, model: GPT, request: Request) -> None:
        self.model, self.request, self.stop = model, request, request.stop
        self.guided = request.null is not None
        forced = torch.from_numpy(request.forced).long().to(model.device)
        self.forced = forced.repeat_interleave(request.samples, 0)
        self.tokens = torch.full_like(self.forced, -1)
        numbers = torch.arange(request.samples, device=model.device) + request.first_sample
        self.sample = numbers.repeat(len(forced))
        # What every row forces is prefilled in one pass, and once for all samples of a prompt.
        drawn = (request.forced[:, : self.stop] < 0).any(0)
        self.position = int(drawn.argmax()) if drawn.any() else self.stop
        prefix = forced[:, : self.position]
        self.tokens[:, : self.position] = self.forced[:, : self.position]
        if self.position == self.stop:
            return
        if request.null is not None:
            unconditional = prefix.clone()
            unconditional[:, : len(request.null)] = torch.from_numpy(request.null)
            prefix = torch.cat([prefix, unconditional])
        cache = model.new_cache(len(prefix), self.position)
        self.logits = model.prefill(prefix, cache).repeat_interleave(request.samples, 0)
        self.cache = cache.repeat(request.samples, self.stop - 1)

    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        check_int("count", count, 0)
        end = min(self.position + count, self.stop) if count else self.stop
        while self.position < end:
            token = self._draw()
            self.tokens[:, self.position] = token
            self.position += 1
            if self.position < self.stop:
                both = token.repeat(2) if self.guided else token
                self.logits = self.model.decode(both, self.position - 1, self.cache)
            if progress:
                progress(self.position, self.stop)
        return self.position

    def _draw(self) -> Tensor:
        """The tokens [B * samples] at `position`, drawn or forced."""
        streams, request = self.model.streams, self.request
        how = asdict(request.sampling[streams.index(streams.at(self.position).name)])
        cond, uncond = self.logits.float(), None
        if self.guided:
            cond, uncond = cond.chunk(2)
            if how["guidance"] == 1:  # u + 1 * (c - u) is rounded, c is not
                uncond = None
        drawn = ops.sample(
            cond,
            uncond=uncond,
            seed=request.seed,
            sample=self.sample,
            position=self.position,
            **how,
        )
        forced = self.forced[:, self.position]
        return torch.where(forced >= 0, forced, drawn)
