"""The engine in plain PyTorch, on any device."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mas_fast import ops
from mas_fast.generation.engine import Progress, kept_rows
from mas_fast.generation.ids import sequences_of
from mas_fast.generation.request import Request
from mas_fast.models.gpt import GPT
from mas_fast.models.kv_cache import KVCache
from mas_fast.utils.validate import check_int


class EagerEngine:
    """Plain PyTorch, on the device and in the dtype of the GPT.

    PyTorch's products may round otherwise for another number of rows, so that near ties may fall
    otherwise in a window, or once `Run.keep` has left fewer rows. So `speculate="auto"` is 1 here;
    where near ties do not matter, ask for windows by number.
    """

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.streams = model.streams
        self.rows = rows_at_once(model)

    def start(self, request: Request) -> _EagerRun:
        return _EagerRun(self.model, request)

    @torch.no_grad()
    def logits(self, tokens: object) -> dict[str, np.ndarray]:
        known = torch.from_numpy(sequences_of(tokens, self.streams)).to(self.model.device)
        return {name: part.float().cpu().numpy() for name, part in self.model(known).items()}


def rows_at_once(model: GPT) -> int:
    """How many rows PyTorch is to draw at once, on the device of the model.

    On a GPU those are 64, or as many as have room for their keys and values, with guidance, in half
    of its memory. By arithmetic, in bf16 the 128 rows of a pass of the 270M preset read six times
    as many bytes of keys and values as of weights, so that more rows would have little to share.
    """
    if model.device.type != "cuda":
        return 16
    memory = torch.cuda.get_device_properties(model.device).total_memory
    of_row = 2 * model.streams.length * model.kv_bytes_per_token(model.dtype)
    return max(1, min(64, memory // 2 // of_row))


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
        # The forced tokens of a row that are scored: those after the first one that it draws.
        self.scored = (self.forced >= 0) & ((self.forced < 0).cumsum(1) > 0)
        self.forced_log_likelihood = torch.zeros_like(self.sample, dtype=torch.float64)
        # What every row forces is prefilled in one pass, and once for all samples of a prompt.
        drawn = (request.forced[:, : self.stop] < 0).any(0)
        self.position = int(drawn.argmax()) if drawn.any() else self.stop
        prefix = forced[:, : self.position]
        self.prefilled: Tensor | None = None  # the first logits, until they are drawn from
        self.cache: KVCache | None = None
        if self.position == self.stop:
            return
        if request.null is not None:
            unconditional = prefix.clone()
            unconditional[:, : request.null.shape[1]] = torch.from_numpy(request.null)
            prefix = torch.cat([prefix, unconditional])
        cache = model.new_cache(len(prefix), self.position)
        first = model.prefill(prefix, cache).repeat_interleave(request.samples, 0)
        self.prefilled = first[:, None]
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
            logits = self._logits(window)
            try:
                drawn = self._draw(logits)
            except ValueError:  # a NaN, which may come of a wrong guess
                if window == 1:
                    raise
                logits = self._logits(1)
                drawn = self._draw(logits)
            guesses = self.guesses[:, self.position : self.position + drawn.shape[1]]
            right = (drawn == guesses).all(0)[:-1]
            guesses.copy_(drawn)
            drew = 1 + int(right.cumprod(0).sum())
            if self.request.score_forced:
                self._score(logits[:, :drew])
            self.position += drew
            self.prefilled = None
            if progress:
                progress(self.position, self.stop)
        return self.position

    def keep(self, rows: Sequence[int]) -> None:
        count = len(self.sample)
        kept = torch.from_numpy(kept_rows(rows, count)).to(self.sample.device)
        self.forced, self.guesses = self.forced[kept], self.guesses[kept]
        self.sample, self.scored = self.sample[kept], self.scored[kept]
        self.forced_log_likelihood = self.forced_log_likelihood[kept]
        both = torch.cat([kept, kept + count]) if self.guided else kept
        if self.cache is not None:
            self.cache = self.cache.select(both)
        if self.prefilled is not None:
            self.prefilled = self.prefilled[both]

    def _window(self) -> int:
        """How many positions the next pass draws, to the end of their stream at most."""
        if self.prefilled is not None:
            return 1
        streams = self.model.streams
        of_stream = streams.slice(streams.at(self.position).name)
        return min(self.widest, of_stream.stop - self.position)

    def _logits(self, window: int) -> Tensor:
        """[rows, with guidance twice, window, V]: of the tokens from `position` on."""
        if self.prefilled is not None:
            return self.prefilled
        assert self.cache is not None
        first = self.position - 1
        last = first + window
        for position in range(self.position, last):  # without a guess: as the token to the left
            starts = self.model.streams.at(position - 1) != self.model.streams.at(position)
            left, here = self.guesses[:, position - 1 : position + 1].unbind(1)
            here.copy_(torch.where(here < 0, 0 if starts else left, here))
        read = self.guesses[:, first:last].repeat(1 + self.guided, 1)
        return self.model.decode(read, first, self.cache)

    def _draw(self, logits: Tensor) -> Tensor:
        """The tokens [rows, window] from `position` on, drawn or forced."""
        window = logits.shape[1]
        forced = self.forced[:, self.position : self.position + window]
        guidance = self.request.guidance[self.position : self.position + window].tolist()
        drawn, first = [], 0
        for scale, equal in itertools.groupby(guidance):
            last = first + len([*equal])
            drawn.append(self._sample(logits[:, first:last], self.position + first, scale))
            first = last
        return torch.where(forced >= 0, forced, torch.cat(drawn, 1))

    def _sample(self, logits: Tensor, start: int, guidance: float) -> Tensor:
        """The tokens [rows, window] from `start` on, all with the same guidance."""
        streams, request, window = self.model.streams, self.request, logits.shape[1]
        how = request.sampling[streams.index(streams.at(start).name)]
        cond, uncond = logits.float().flatten(0, 1), None
        if self.guided:
            cond, uncond = cond.chunk(2)
            if guidance == 1:  # u + 1 * (c - u) is rounded, c is not
                uncond = None
        positions = torch.arange(window, device=logits.device) + start
        return ops.sample(
            cond,
            uncond=uncond,
            seed=request.seed,
            sample=self.sample.repeat_interleave(window),
            position=positions.repeat(len(self.sample)),
            guidance=guidance,
            temperature=how.temperature,
            top_k=how.top_k,
            top_p=how.top_p,
        ).view(-1, window)

    def _score(self, logits: Tensor) -> None:
        """Adds the forced tokens from `position` on, whose logits these are, one after the other,
        so that the sum is the same at any width."""
        total = self.forced_log_likelihood.clone()
        for index in range(logits.shape[1]):
            rows = self.scored[:, self.position + index].nonzero()[:, 0]
            known = logits[rows, index].float().double()
            largest = known.amax(-1, keepdim=True)  # which may be infinite
            known = (known - largest).masked_fill(known == largest, 0).log_softmax(-1)
            tokens = self.forced[rows, self.position + index]
            total[rows] += known.gather(1, tokens[:, None])[:, 0]
        self.forced_log_likelihood = total
