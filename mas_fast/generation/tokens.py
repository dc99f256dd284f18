"""Caption tokens in, scene and picture tokens out.

    tokens = generate_tokens(model, prompt, num_samples=4, guidance={"seg": 3.0, "img": 5.0})
    tokens = generate_tokens("my-bundle", prompt, engine="cpp", forced=scene)  # a scene given
    tokens = generate_tokens(model, prompt, null=negative, guidance={"img": [5.0, 2.0]})
    engine = make_engine("cpp", "my-bundle", dtype="int8")  # packs the weights, for many calls
    for tokens in stream_tokens(engine, prompt, every=16): ...

All engines are behind one protocol; engines.ENGINES lists them.
Sampling is a pure function of (logits, seed, sample, position): a picture depends on the model, its
prompt, the seed and its sample index, and not on what else is in the batch. So two prompts of one
batch draw with the same random numbers. The eager engine's logits themselves may differ in their
last bits with the size of the batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mas_fast.generation.engine import Engine, Progress, Run
from mas_fast.generation.engines import make_engine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int


def generate_tokens(
    model: GPT | str | os.PathLike | Engine,
    prompt: object,
    *,
    engine: str | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    progress: bool | Progress | None = None,
    **options: Any,
) -> Tensor:
    """Draw every token that is not given.

    Args:
        model: a GPT, the path of a bundle, or an engine, which serves many calls.
        prompt: as request.request's.
        engine: one of engines.ENGINES, where model is not one already; None: "eager".
        dtype: in which the GPT computes, as make_engine's.
        kv_dtype: in which keys and values are kept, as make_engine's.
        progress: True for a bar, or a callable that gets (position, stop) after each pass.
        options: those of request.request: num_samples, forced, null, guidance, temperature, top_k,
            top_p, seed, first_sample, stop, speculate, score_forced.

    Returns:
        int64 [B * num_samples, S], on the engine's device. Row b * num_samples + n is sample n of
        prompt b; -1 from position `stop` on.

    Raises:
        ValueError: names what was found and what is allowed.
        TypeError: the same, for a wrong type.
    """
    runner = _as_engine(model, engine, dtype, kv_dtype)
    run = runner.start(request(runner.streams, prompt, **options))
    with _reporter(progress, run) as report:
        run.advance(progress=report)
    return torch.as_tensor(run.tokens)


def stream_tokens(
    model: GPT | str | os.PathLike | Engine,
    prompt: object,
    *,
    every: int = 1,
    engine: str | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    **options: Any,
) -> Iterator[Tensor]:
    """Draw tokens as `generate_tokens` does, in steps.

    Args:
        model: as in `generate_tokens`.
        prompt: as in `generate_tokens`.
        every: positions of a step, the most that a pass draws.
        engine: as in `generate_tokens`.
        dtype: as in `generate_tokens`.
        kv_dtype: as in `generate_tokens`.
        options: as in `generate_tokens`.

    Yields:
        The tokens so far, after each `every` positions and at the end.

    Raises:
        ValueError: at the call, names what was found and what is allowed.
        TypeError: the same, for a wrong type.
    """
    check_int("every", every, 1)
    runner = _as_engine(model, engine, dtype, kv_dtype)
    run = runner.start(request(runner.streams, prompt, **options))

    def steps() -> Iterator[Tensor]:  # apart, so that bad arguments raise at the call
        while run.position < run.stop:
            run.advance(every)
            yield torch.as_tensor(run.tokens).clone()

    return steps()


def _as_engine(
    model: GPT | str | os.PathLike | Engine,
    engine: str | None,
    dtype: str | None,
    kv_dtype: str | None,
) -> Engine:
    if isinstance(model, GPT | str | os.PathLike):
        return make_engine(engine or "eager", model, dtype=dtype, kv_dtype=kv_dtype)
    if not isinstance(model, Engine):
        name = type(model).__name__
        raise TypeError(f"model: found {name}, expected a GPT, the path of a bundle or an engine")
    if engine is not None or dtype is not None or kv_dtype is not None:
        problem = f"found {engine!r} with dtypes {dtype!r}, {kv_dtype!r}"
        raise ValueError(f"engine: {problem}, expected None: a {type(model).__name__} has its own")
    return model


@contextmanager
def _reporter(progress: bool | Progress | None, run: Run) -> Iterator[Progress | None]:
    """What run.advance reports to: the caller's function, one that moves a bar, or None."""
    if progress is not True:
        yield progress or None
        return
    with progress_bar(total=run.stop, initial=run.position, unit="token") as bar:
        yield lambda position, _: bar.update(position - bar.n)
