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
    """Plain PyTorch, on the device and in the dtype of the GPT.

    `speculate="auto"` is 1 here: PyTorch's products may round otherwise for another number of
    rows, so that near ties may fall otherwise in a window. Where that does not matter, ask for
    windows by number.
    """

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.streams = model.streams

    def start(self, request: Request) -> _EagerRun:
        return _EagerRun(self.model, request)


class _EagerRun:
    """A generation under way; csrc/core/run.h says what a pass over a window of guesses does.

    The cache holds what comes before token `position - 1`, which the next pass reads first. What a
    pass wrote there of wrong guesses, the next one overwrites.
    """

    def __init__(self, model: GPT, request: Request) -> None:
        self.model, self.request, self.stop = model, request, request.stop
        self.widest = 1 if request.speculate == "auto" else request.speculate
        self.guided = request.null is not None
        forced = torch.from_numpy(request.forced).long().to(model.device)
        self.forced = forced.repeat_interleave(request.samples, 0)
        self.guesses = self.forced.clone()  # the tokens up to `position`, then guesses; -1: none
        numbers = torch.arange(request.samples, device=model.device) + request.first_sample
        self.sample = numbers.repeat(len(forced))
        # What every row forces is prefilled in one pass, and once for all samples of a prompt.
        drawn = (request.forced[:, : self.stop] < 0).any(0)
        self.position = int(drawn.argmax()) if drawn.any() else self.stop
        prefix = forced[:, : self.position]
        if self.position == self.stop:
            return
        if request.null is not None:
            unconditional = prefix.clone()
            unconditional[:, : len(request.null)] = torch.from_numpy(request.null)
            prefix = torch.cat([prefix, unconditional])
        cache = model.new_cache(len(prefix), self.position)
        first = model.prefill(prefix, cache).repeat_interleave(request.samples, 0)
        self.prefilled: Tensor | None = first[:, None]  # until it is drawn from
        self.cache = cache.repeat(request.samples, self.stop - 1)

    @property
    def tokens(self) -> Tensor:
        tokens = self.guesses.clone()
        tokens[:, self.position :] = -1
        return tokens

    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        check_int("count", count, 0)
        end = min(self.position + count, self.stop) if count else self.stop
        while self.position < end:
            window = min(self._window(), end - self.position)
            try:
                drawn = self._draw(self._logits(window))
            except ValueError:  # a NaN, which may come of a wrong guess
                if window == 1:
                    raise
                drawn = self._draw(self._logits(1))
            guesses = self.guesses[:, self.position : self.position + drawn.shape[1]]
            right = (drawn == guesses).all(0)[:-1]
            guesses.copy_(drawn)
            self.position += 1 + int(right.cumprod(0).sum())
            self.prefilled = None
            if progress:
                progress(self.position, self.stop)
        return self.position

    def _window(self) -> int:
        """How many positions the next pass draws, to the end of their stream at most."""
        if self.prefilled is not None:
            return 1
        streams = self.model.streams
        of_stream = streams.slice(streams.at(self.position).name)
        return min(self.widest, of_stream.stop - self.position)

    def _logits(self, window: int) -> Tensor:
        """[B * samples, with guidance twice, window, V]: of the tokens from `position` on."""
        if self.prefilled is not None:
            return self.prefilled
        first = self.position - 1
        last = first + window
        for position in range(self.position, last):  # without a guess: as the token to the left
            starts = self.model.streams.at(position - 1) != self.model.streams.at(position)
            left, here = self.guesses[:, position - 1 : position + 1].unbind(1)
            here.copy_(torch.where(here < 0, 0 if starts else left, here))
        read = self.guesses[:, first:last].repeat(1 + self.guided, 1)
        return self.model.decode(read, first, self.cache)

    def _draw(self, logits: Tensor) -> Tensor:
        """The tokens [B * samples, window] from `position` on, drawn or forced."""
        streams, request, window = self.model.streams, self.request, logits.shape[1]
        how = asdict(request.sampling[streams.index(streams.at(self.position).name)])
        cond, uncond = logits.float().flatten(0, 1), None
        if self.guided:
            cond, uncond = cond.chunk(2)
            if how["guidance"] == 1:  # u + 1 * (c - u) is rounded, c is not
                uncond = None
        positions = torch.arange(window, device=logits.device) + self.position
        drawn = ops.sample(
            cond,
            uncond=uncond,
            seed=request.seed,
            sample=self.sample.repeat_interleave(window),
            position=positions.repeat(len(self.sample)),
            **how,
        ).view(-1, window)
        forced = self.forced[:, self.position : self.position + window]
        return torch.where(forced >= 0, forced, drawn)
