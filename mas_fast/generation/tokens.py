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

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mas_fast.bundle import load_gpt
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.engine import Engine, Progress, Run
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int


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
    return torch.as_tensor(run.tokens)


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
            yield torch.as_tensor(run.tokens).clone()

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
