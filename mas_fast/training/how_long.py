"""How long the stages of train_all take on this machine, from doing a little of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mas_fast.data.storybook.source import StorySource
from mas_fast.data.tokenize import codes_stream
from mas_fast.evaluation.segmenter import save_segmenter
from mas_fast.models.gpt import GPT
from mas_fast.models.segmenter import Segmenter
from mas_fast.models.vqvae import VQVAE
from mas_fast.streams import Stream, Streams
from mas_fast.training import vq
from mas_fast.training.all_settings import AllSettings
from mas_fast.training.gpt_loss import GPTLoss
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.optim import optimizer
from mas_fast.training.trainer import Part
from mas_fast.training.vq_settings import ImgSettings, SegSettings
from mas_fast.utils.devices import in_bf16

PROBED = 8  # stories that are painted


def painting(s: AllSettings) -> float:
    """Seconds in which a story is painted."""
    source = StorySource(PROBED + 1, s.size, seed=s.seed, world=s.world)
    return mean(lambda n: source[n % len(source)], PROBED)


def tokenizer(settings: SegSettings | ImgSettings) -> float:
    """Seconds of a step of a tokenizer, the mean of those with and without a discriminator."""
    config = settings.config()
    shape = settings.batch, config.resolution, config.resolution
    batch: dict[str, Any]
    if config.input == "labels":
        batch = {"labels": torch.zeros(shape, dtype=torch.uint8), "edges": torch.zeros(shape) > 0}
    else:
        batch = {"image": torch.rand(shape[0], 3, *shape[1:]) * 2 - 1}
        batch |= dict.fromkeys(("object_boxes", "face_boxes"), [[]] * shape[0])
    with TemporaryDirectory() as folder:
        if isinstance(settings, ImgSettings) and settings.perceptual is not None:
            save_segmenter(Path(folder), Segmenter([0]), "random")
            settings = replace(settings, perceptual=Path(folder))
        parts = vq.parts(VQVAE.create(config, seed=0), settings)
    seconds = _step(parts[:1], batch, settings.precision, 0)
    if len(parts) == 1 or (start := parts[1].start) >= settings.steps:
        return seconds
    share = start / settings.steps
    return share * seconds + (1 - share) * _step(parts, batch, settings.precision, start)


def encoding(tokenizers: Sequence[tuple[Any, Callable[[], float]]]) -> float:
    """Seconds in which a story is encoded: a forward pass without the decoder, a sixth of a step's
    arithmetic.

    Args:
        tokenizers: the settings of each, and what tells the seconds of a step.
    """
    return sum(seconds() / settings.batch for settings, seconds in tokenizers) / 6


def gpt(s: AllSettings, settings: GPTSettings) -> float:
    """Seconds of a step of the GPT, the mean of those with and without pictures."""
    streams = [Stream("text", s.length, s.vocab_size, pad=0)]
    for name, (first, _) in (("seg", s.segs()), ("img", s.imgs())):
        streams.append(codes_stream(name, first.config()))
    config = settings.config(Streams(streams))
    model = GPT.create(config, seed=0)
    loss = GPTLoss(model, settings)
    part = Part("gpt", model, loss, optimizer(model, settings), prepare=loss.prepare)
    tokens = [torch.randint(1, x.vocab, (settings.batch, x.length)) for x in config.streams]
    draws = torch.ones(settings.batch, dtype=torch.float64)
    batch = {"tokens": torch.cat(tokens, 1), "draw": draws}
    every = settings.image_every
    seconds = _step([part], batch, settings.precision, every - 1) / every
    if every > 1:
        seconds += _step([part], batch, settings.precision, 0) * (1 - 1 / every)
    return seconds


def mean(call: Callable[[int], object], times: int) -> float:
    """The mean of the seconds of `times` calls after a first one."""
    call(0)
    start = time.perf_counter()
    for n in range(times):
        call(1 + n)
    return (time.perf_counter() - start) / times


def _step(parts: Sequence[Part], batch: dict, precision: str, number: int) -> float:
    def step(_: int) -> None:
        for part in parts:
            if part.prepare:
                part.prepare([batch], number)
        for part in parts:
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16(precision, "cpu")):
                part.loss(batch, number)[0].backward()
            part.optimizer.step()
            part.optimizer.zero_grad()

    return mean(step, 2)
