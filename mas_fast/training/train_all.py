"""From nothing to a bundle that paints: all stages of the storybook's model, one after the other.

    run(read(AllSettings, find("all", "storybook")))          # `mas-fast train all storybook`

    scenes      painted stories -> scene shards, as any other source is prepared
    captions    -> tokenizer.json and words.txt
    vq-seg      vq-img     on the scenes; after each, vq-seg-decoder, vq-img-decoder
    tokens      -> token shards
    gpt         on the tokens
    gpt-pictures     on from there, with an eye on the pictures
    gpt-scenes       on from there, with an eye on the scenes

Each stage goes on where it was stopped, and one that is finished is left as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from mas_fast.bundle.config import BPE_FILE
from mas_fast.bundle.extras import save_bpe, save_sampling, save_words
from mas_fast.data.prepare import Rules, prepare
from mas_fast.data.shards import SCENES, TOKENS, read_manifest
from mas_fast.data.storybook.source import StorySource, write_storybook
from mas_fast.data.storybook.world1.captions import captions
from mas_fast.data.storybook.world1.story import story
from mas_fast.data.tokenize import codes_stream, tokenize
from mas_fast.models.gpt import GPT
from mas_fast.models.vqvae import VQVAE
from mas_fast.streams import Stream, Streams
from mas_fast.text.bpe import BPE
from mas_fast.training import gpt, vq
from mas_fast.training.all_settings import AllSettings
from mas_fast.training.checkpoints import Checkpoints
from mas_fast.training.gpt_loss import GPTLoss
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.optim import optimizer
from mas_fast.training.trainer import Part
from mas_fast.training.vq_settings import ImgSettings, SegSettings
from mas_fast.utils.files import replace_file
from mas_fast.utils.locks import lock

PER_SHARD = 1000
PROBED = 8  # stories that are painted to see how long one takes


# ------------------------------------------------------------------ the stages


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: its name, and that of its folder.
        makes: what it makes, in words.
        done: how much of it is done, 0..1.
        seconds: how long all of it takes here, measured by doing a little of it.
        run: runs it.
    """

    name: str
    makes: str
    done: Callable[[], float]
    seconds: Callable[[], float]
    run: Callable[[], object]


def stages(s: AllSettings) -> list[Stage]:
    """The stages, in the order in which they run.

    Raises:
        ValueError: settings are unfit.
    """
    (seg, seg_decoder), (img, img_decoder), gpts = s.segs(), s.imgs(), s.gpts()
    seg_seconds, img_seconds = (cache(partial(_vq_seconds, v)) for v in (seg, img))

    def training(
        settings: Any, seconds: Callable[[], float], run: Callable[[Any], object]
    ) -> Stage:
        name = settings.folder.name
        return Stage(
            name,
            f"{settings.steps:,} steps of {settings.batch}",
            lambda: _newest_step(settings.folder / "checkpoints") / settings.steps,
            lambda: seconds() * settings.steps,
            lambda: run(settings),
        )

    scenes = s.scenes + s.validation
    encode = 1 / 6  # of a step's arithmetic: forward, without the decoder
    return [
        Stage(
            "scenes",
            f"{scenes:,} of {s.size} pixels",
            lambda: float(_finished(s.scene_shards("validation"), SCENES)),
            lambda: _paint_seconds(s) * scenes / s.workers,
            lambda: _scenes(s),
        ),
        Stage(
            "captions",
            f"{s.vocab_size:,} tokens",
            lambda: float((s.bundle / BPE_FILE).is_file()),
            lambda: 2e-4 * len(s.told),
            lambda: _captions(s),
        ),
        training(seg, seg_seconds, vq.train),
        training(seg_decoder, partial(_vq_seconds, seg_decoder), vq.train),
        training(img, img_seconds, vq.train),
        training(img_decoder, partial(_vq_seconds, img_decoder), vq.train),
        Stage(
            "tokens",
            f"of {scenes:,} scenes",
            lambda: float(_finished(s.token_shards("validation"), TOKENS)),
            lambda: (
                scenes
                * (seg_seconds() / seg.batch + img_seconds() / img.batch)
                * encode
                / s.workers
            ),
            lambda: _tokens(s),
        ),
        *(training(stage, partial(_gpt_seconds, s, stage), gpt.train) for stage in gpts),
    ]


def run(s: AllSettings, say: Callable[[str], object] = print) -> Path:
    """Run what is left of all stages.

    Args:
        s: the settings.
        say: gets the plan and, before each stage, the time that is left, by the speed measured at
            the start.

    Returns:
        The bundle.

    Raises:
        ValueError: another run is writing to the folder.
    """
    with lock(s.folder, "wait for it, or give another folder (--folder)"):
        return _run(s, say)


def _run(s: AllSettings, say: Callable[[str], object]) -> Path:
    all_stages = stages(s)
    left = {stage.name: (1 - stage.done()) for stage in all_stages}
    seconds = {x.name: x.seconds() * left[x.name] if left[x.name] else 0.0 for x in all_stages}
    for stage in all_stages:
        say(f"{stage.name:14} {stage.makes:28} {_state(left[stage.name], seconds[stage.name])}")
    for n, stage in enumerate(all_stages):
        remaining = sum(seconds[later.name] for later in all_stages[n:])
        say(f"\n== {stage.name} ({n + 1} of {len(all_stages)}); left in all: {_about(remaining)}")
        stage.run()
    save_sampling(s.bundle, s.sampling)
    return s.bundle


def _state(left: float, seconds: float) -> str:
    if left <= 0:
        return "done"
    return _about(seconds) + (f" for the {left:.0%} that are left" if left < 1 else "")


def _about(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    hours = f"{minutes // 60} h " if minutes >= 60 else ""
    return f"about {hours}{minutes % 60} min"


def _finished(shards: Path, kind: str) -> bool:
    try:
        return bool(read_manifest(shards, kind))
    except ValueError:
        return False


def _newest_step(checkpoints: Path) -> int:
    latest = Checkpoints(checkpoints, keep=1).latest()
    return int(latest.name.removeprefix("step-")) if latest else 0


def _scenes(s: AllSettings) -> None:
    for split, count in (("train", s.scenes), ("validation", s.validation)):
        book = s.folder / "stories" / split
        write_storybook(book, count, s.size, split, s.seed)
        prepare(
            book,
            s.scene_shards(split),
            rules=Rules(s.size),
            per_shard=PER_SHARD,
            workers=s.workers,
        )


def _captions(s: AllSettings) -> None:
    file = s.folder / "captions.txt"
    told = (caption for i in s.told for caption in captions(story("train", i, s.seed)))
    lines = "".join(f"{caption}\n" for caption in told)
    replace_file(file, lambda temporary: temporary.write_text(lines, "utf-8"))
    bpe = BPE.train([file], vocab_size=s.vocab_size, length=s.length)
    save_words(s.bundle, lines.splitlines())
    save_bpe(s.bundle, bpe)


def _tokens(s: AllSettings) -> None:
    for split in ("train", "validation"):
        tokenize(
            s.scene_shards(split), s.bundle, s.token_shards(split), batch=32, workers=s.workers
        )


# ------------------------------------------------------------------ how long


def _paint_seconds(s: AllSettings) -> float:
    source = StorySource(PROBED + 1, s.size, seed=s.seed)
    return _seconds(lambda n: source[n % len(source)], PROBED)


def _vq_seconds(settings: SegSettings | ImgSettings) -> float:
    """Seconds of one step."""
    config = settings.config()
    part, *_ = vq.parts(VQVAE.create(config, seed=0), settings)
    shape = settings.batch, config.resolution, config.resolution
    batch: dict[str, Any]
    if config.input == "labels":
        batch = {"labels": torch.zeros(shape, dtype=torch.uint8), "edges": torch.zeros(shape) > 0}
    else:
        batch = {"image": torch.rand(shape[0], 3, *shape[1:]) * 2 - 1}
        batch |= dict.fromkeys(("object_boxes", "face_boxes"), [[]] * shape[0])
    return _step_seconds(part, batch, settings.precision)


def _gpt_seconds(s: AllSettings, settings: GPTSettings) -> float:
    """Seconds of one step, the mean of those with and without pictures."""
    streams = [Stream("text", s.length, s.vocab_size, pad=0)]
    for name, (tokenizer, _) in (("seg", s.segs()), ("img", s.imgs())):
        streams.append(codes_stream(name, tokenizer.config()))
    config = settings.config(Streams(streams))
    model = GPT.create(config, seed=0)
    loss = GPTLoss(model, settings)
    part = Part("gpt", model, loss, optimizer(model, settings), prepare=loss.prepare)
    tokens = [torch.randint(1, x.vocab, (settings.batch, x.length)) for x in config.streams]
    draws = torch.ones(settings.batch, dtype=torch.float64)
    batch = {"tokens": torch.cat(tokens, 1), "draw": draws}
    every = settings.image_every
    seconds = _step_seconds(part, batch, settings.precision, every - 1) / every
    if every > 1:
        seconds += _step_seconds(part, batch, settings.precision, 0) * (1 - 1 / every)
    return seconds


def _step_seconds(part: Part, batch: dict, precision: str, number: int = 0) -> float:
    def step(_: int) -> None:
        if part.prepare:
            part.prepare([batch], number)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            part.loss(batch, number)[0].backward()
        part.optimizer.step()
        part.optimizer.zero_grad()

    return _seconds(step, 2)


def _seconds(call: Callable[[int], object], times: int) -> float:
    """The mean of `times` calls after a first one."""
    call(0)
    start = time.perf_counter()
    for n in range(times):
        call(1 + n)
    return (time.perf_counter() - start) / times
