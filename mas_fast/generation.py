"""Caption tokens in, scene and picture tokens out.

    tokens = generate_tokens(model, prompt, num_samples=4, guidance={"seg": 3.0, "img": 5.0})
    tokens = generate_tokens("my-bundle", prompt, engine="cpp", forced=scene)  # a scene given
    engine = CppEngine("my-bundle", dtype="int8")  # packs the weights once, for any number of calls
    for tokens in stream_tokens(engine, prompt, every=16): ...

Two engines behind one protocol: EagerEngine (PyTorch, any device) and CppEngine (mas_fast._engine).
Sampling is a pure function of (logits, seed, sample, position): a picture depends on the model, its
prompt, the seed and its sample index, and not on what else is in the batch. So two prompts of one
batch draw with the same random numbers. The eager engine's logits themselves may differ in their
last bits with the size of the batch.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mas_fast import cpp_engine, ops
from mas_fast.bundle import load_gpt, read_config, read_weights
from mas_fast.cpp_engine import Progress
from mas_fast.models.gpt import GPT
from mas_fast.request import Request, request
from mas_fast.streams import Streams
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int


class Run(Protocol):
    """A generation under way: all rows have reached `position`, and end at `stop`.

    tokens: int64 [B * samples, S], row b * samples + n; -1 where not yet drawn.
    """

    position: int
    stop: int
    tokens: Tensor

    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        """Go on by `count` positions (0: to the end), calling progress(position, stop) after each.
        Returns the position reached."""


class Engine(Protocol):
    """A model made ready, for any number of runs."""

    streams: Streams

    def start(self, what: Request) -> Run: ...


class EagerEngine:
    """Plain PyTorch, on the device and in the dtype of the GPT."""

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.streams = model.streams

    def start(self, what: Request) -> Run:
        return _EagerRun(self.model, what)


class _EagerRun:
    def __init__(self, model: GPT, what: Request) -> None:
        self.model, self.request, self.stop = model, what, what.stop
        self.guided = what.null is not None
        forced = torch.from_numpy(what.forced).long().to(model.device)
        self.forced = forced.repeat_interleave(what.samples, 0)
        self.tokens = torch.full_like(self.forced, -1)
        numbers = torch.arange(what.samples, device=model.device) + what.first_sample
        self.sample = numbers.repeat(len(forced))
        # What every row forces is prefilled in one pass, and once for all samples of a prompt.
        drawn = (what.forced[:, : self.stop] < 0).any(0)
        self.position = int(drawn.argmax()) if drawn.any() else self.stop
        prefix = forced[:, : self.position]
        self.tokens[:, : self.position] = self.forced[:, : self.position]
        if self.position == self.stop:
            return
        if self.guided:
            unconditional = prefix.clone()
            unconditional[:, : len(what.null)] = torch.from_numpy(what.null)
            prefix = torch.cat([prefix, unconditional])
        cache = model.new_cache(len(prefix), self.position)
        self.logits = model.prefill(prefix, cache).repeat_interleave(what.samples, 0)
        self.cache = cache.repeat(what.samples, self.stop - 1)

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
        streams, what = self.model.streams, self.request
        how = asdict(what.sampling[streams.index(streams.at(self.position).name)])
        cond, uncond = self.logits.float(), None
        if self.guided:
            cond, uncond = cond.chunk(2)
            if how["guidance"] == 1:  # u + 1 * (c - u) is rounded, c is not
                uncond = None
        drawn = ops.sample(
            cond, uncond=uncond, seed=what.seed, sample=self.sample, position=self.position, **how
        )
        forced = self.forced[:, self.position]
        return torch.where(forced >= 0, forced, drawn)


class CppEngine(cpp_engine.CppEngine):
    """cpp_engine.CppEngine, with its options, of a GPT or of the bundle at a path, which is mapped,
    not loaded. Its runs' tokens are tensors."""

    def __init__(self, model: GPT | str | os.PathLike, **options) -> None:
        if isinstance(model, GPT):
            super().__init__(model.config, _numpy_weights(model), **options)
        else:
            super().__init__(read_config(model), read_weights(model), **options)

    def start(self, what: Request) -> Run:
        return _CppRun(super().start(what).run)


class _CppRun(cpp_engine.CppRun):
    @property
    def tokens(self) -> Tensor:
        return torch.from_numpy(super().tokens)


def _numpy_weights(model: GPT) -> Iterator[tuple[str, np.ndarray]]:
    """As bundle.read_weights, from a module: bf16 as its bits, any other dtype as fp32."""
    for name, tensor in model.state_dict().items():
        tensor = tensor.cpu()
        if name.startswith("position."):
            continue
        if tensor.dtype == torch.bfloat16:
            yield name, tensor.view(torch.int16).numpy().view(np.uint16)
        else:
            yield name, tensor.float().numpy()
    for name, table in model.position.items():  # made flat in fp32, as from a bundle
        yield f"position.{name}.weight", copy.deepcopy(table).cpu().float()().detach().numpy()


def generate_tokens(
    model: GPT | str | os.PathLike | Engine,
    prompt,
    *,
    engine: str | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    progress: bool | Progress | None = None,
    **options,
) -> Tensor:
    """Draw every token that is not given -> int64 [B * num_samples, S], on the engine's device; row
    b * num_samples + n is sample n of prompt b; -1 from position `stop` on.

    model: a GPT, the path of a bundle, or an engine, which serves many calls.
    engine: "eager" (the default) or "cpp", where model is not one already.
    dtype, kv_dtype: those of CppEngine; the eager engine computes in the GPT's own.
    progress: True for a bar, or a callable that gets (position, stop).
    prompt, options: those of request.request: num_samples, forced, null, guidance, temperature,
        top_k, top_p, seed, first_sample, stop.

    ValueError or TypeError names what was found and what is allowed.
    """
    runner = _as_engine(model, engine, dtype, kv_dtype)
    run = runner.start(request(runner.streams, prompt, **options))
    with _reporter(progress, run) as report:
        run.advance(progress=report)
    return run.tokens


def stream_tokens(
    model: GPT | str | os.PathLike | Engine,
    prompt,
    *,
    every: int = 1,
    engine: str | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    **options,
) -> Iterator[Tensor]:
    """As generate_tokens, in steps: the tokens so far, after each `every` positions and at the
    end."""
    check_int("every", every, 1)
    runner = _as_engine(model, engine, dtype, kv_dtype)
    run = runner.start(request(runner.streams, prompt, **options))

    def steps() -> Iterator[Tensor]:  # apart, so that bad arguments raise at the call
        while run.position < run.stop:
            run.advance(every)
            yield run.tokens.clone()

    return steps()


def _as_engine(model, engine: str | None, dtype: str | None, kv_dtype: str | None) -> Engine:
    dtypes = {"dtype": dtype, "kv_dtype": kv_dtype}
    dtypes = {name: value for name, value in dtypes.items() if value is not None}
    if isinstance(model, EagerEngine | CppEngine):
        if engine is not None or dtypes:
            found = f"found engine={engine!r} and {dtypes} beside a {type(model).__name__}"
            raise ValueError(f"{found}, expected None: it has its own")
        return model
    if not isinstance(model, GPT | str | os.PathLike):
        name = type(model).__name__
        raise TypeError(f"model: found {name}, expected a GPT, the path of a bundle or an engine")
    if engine == "cpp":
        return CppEngine(model, **dtypes)
    if engine not in (None, "eager"):
        raise ValueError(f"engine: found {engine!r}, expected 'eager' or 'cpp'")
    if dtypes:
        raise ValueError(f"found {dtypes}, expected None: engine 'eager' has the GPT's own dtype")
    return EagerEngine(model if isinstance(model, GPT) else load_gpt(model))


@contextmanager
def _reporter(progress: bool | Progress | None, run: Run) -> Iterator[Progress | None]:
    """What run.advance reports to: the caller's function, one that moves a bar, or None."""
    if progress is not True:
        yield progress or None
        return
    with progress_bar(total=run.stop, initial=run.position, unit="token") as bar:
        yield lambda position, _: bar.update(position - bar.n)
