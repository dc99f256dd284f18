"""From nothing to a bundle that paints: all stages of the storybook's model, one after the other.

    run(read(AllSettings, find("all", "storybook")))          # `mas-fast train all storybook`

    scenes      painted stories -> scene shards, as any other source is prepared
    captions    -> tokenizer.json and words.txt
    segmenter   whose features pictures are compared in, if it is asked for
    vq-seg      vq-img     on the scenes; after each, vq-seg-decoder, vq-img-decoder
    for each stage of the GPT, such as gpt-1:
        gpt-1-tokens  its stories, painted, -> token shards, unless an earlier stage has them
        gpt-1         on the tokens, from the weights of the stage before

Each stage goes on where it was stopped, and one that is finished is left as it is. A training stage
that is finished says so in a file, so that another machine goes on with the bundles and these files
alone: what only finished stages needed is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from mas_fast.bundle.config import BPE_FILE
from mas_fast.bundle.extras import save_bpe, save_sampling, save_words
from mas_fast.data.prepare import Rules, prepare
from mas_fast.data.shards import SCENES, TOKENS, read_manifest
from mas_fast.data.storybook.source import StorySource, write_storybook
from mas_fast.data.storybook.world import WORLDS
from mas_fast.data.tokenize import tokenize
from mas_fast.evaluation import segmenter
from mas_fast.text.bpe import BPE
from mas_fast.text.hints import CELLS, MARK, hints
from mas_fast.training import gpt, how_long, vq
from mas_fast.training.all_settings import TRAIN, VALIDATION, AllSettings
from mas_fast.training.checkpoints import Checkpoints
from mas_fast.training.settings import Settings, plain
from mas_fast.utils.files import replace_file
from mas_fast.utils.locks import lock
from mas_fast.utils.validate import check_choice

PER_SHARD = 1000
HINTING = 4000  # stories whose hints the captions' tokenizer learns from
FINISHED = "finished.json"  # in the folder of a training stage: its settings


# ------------------------------------------------------------------ the stages


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: its name, and that of its folder.
        makes: what it makes, in words.
        done: how much of it is done, 0..1; nothing is left to do at 1 alone.
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
    (seg, seg_decoder), (img, img_decoder), gpts = s.segs(), s.imgs(), s.gpt_stages()
    tokenizers = (seg, seg_decoder, img, img_decoder)
    vq_seconds = {v.folder: cache(partial(how_long.tokenizer, v)) for v in tokenizers}
    found = [_scenes_stage(s, tokenizers), _captions_stage(s)]
    if s.segmenter is not None:
        found.append(_segmenter_stage(s, (img, img_decoder)))
    found += [_training_stage(v, vq_seconds[v.folder], vq.train) for v in tokenizers]
    encode = partial(how_long.encoding, [(v, vq_seconds[v.folder]) for v in (seg, img)])
    told: dict[str, str] = {}  # the first stage that sees what is painted under a name
    for name in gpts:
        told.setdefault(s.seen_by(name), name)
    for name, settings in gpts.items():
        if told[s.seen_by(name)] == name:
            seeing = [other for key, other in gpts.items() if s.seen_by(key) == s.seen_by(name)]
            found.append(_tokens_stage(s, name, seeing, encode))
        seconds = partial(how_long.gpt, s, settings)
        found.append(_training_stage(settings, seconds, gpt.train))
    if s.last is None:
        return found
    names = [stage.name for stage in found]
    check_choice("last", s.last, names)
    return found[: names.index(s.last) + 1]


def _training_stage(
    settings: Any, seconds: Callable[[], float], run: Callable[[Any], object]
) -> Stage:
    def done() -> float:
        if _is_finished(settings):
            return 1.0
        return min(0.999, _newest_step(settings.folder / "checkpoints") / settings.steps)

    def finish() -> None:
        run(settings)
        text = json.dumps(_told(settings), indent=2) + "\n"
        replace_file(settings.folder / FINISHED, lambda file: file.write_text(text, "utf-8"))

    return Stage(
        settings.folder.name,
        f"{settings.steps:,} steps of {settings.batch}",
        done,
        lambda: seconds() * settings.steps,
        finish,
    )


def _told(settings: Settings) -> dict[str, Any]:
    """The settings that a stage's result depends on, wherever its files lie."""
    free = settings.free() | {k for k, v in vars(settings).items() if isinstance(v, Path)}
    return {key: value for key, value in plain(settings).items() if key not in free}


def _is_finished(settings: Settings) -> bool:
    """Whether the stage's file says so; ValueError if it did with other settings."""
    file = settings.folder / FINISHED
    if not file.is_file():
        return False
    if (found := json.loads(file.read_text("utf-8"))) != (expected := _told(settings)):
        names = [key for key in expected if found.get(key) != expected[key]]
        raise ValueError(
            f"{file}: found a stage that ended with other settings {names}, expected those of now: "
            f"remove {settings.folder} to train it anew"
        )
    return True


def _scenes_stage(s: AllSettings, needed_by: Sequence[Any]) -> Stage:
    def done() -> float:
        painted = _has_shards(s.scene_shards(TRAIN), SCENES)
        return float(painted or all(map(_is_finished, needed_by)))

    return Stage(
        "scenes",
        f"{s.scenes:,} of {s.size} pixels",
        done,
        lambda: how_long.painting(s) * s.scenes / s.workers,
        lambda: _paint(s, TRAIN),
    )


def _captions_stage(s: AllSettings) -> Stage:
    return Stage(
        "captions",
        f"{s.vocab_size:,} tokens",
        lambda: float((s.bundle / BPE_FILE).is_file()),
        lambda: 2e-4 * len(s.told),
        lambda: _captions(s),
    )


def _segmenter_stage(s: AllSettings, needed_by: Sequence[Any]) -> Stage:
    assert s.segmenter is not None
    recipe = segmenter.Recipe(steps=s.segmenter, size=s.size, seed=s.seed, world=s.world)
    folder = s.folder_of("segmenter")

    def done() -> float:
        return float(all(map(_is_finished, needed_by)) or segmenter.is_trained(folder, recipe))

    def seconds() -> float:
        probe = replace(recipe, steps=1)
        return how_long.mean(lambda _: segmenter.train(probe), 2) * recipe.steps

    return Stage(
        "segmenter",
        f"{recipe.steps:,} steps of {recipe.batch}",
        done,
        seconds,
        lambda: segmenter.load_segmenter(folder, recipe, progress=True),
    )


def _tokens_stage(
    s: AllSettings, name: str, needed_by: Sequence[Any], encode: Callable[[], float]
) -> Stage:
    painted = s.seen_by(name)
    count = s.painted(painted)[1] + s.validation

    def done() -> float:
        there = all(_has_shards(s.token_shards(part), TOKENS) for part in (painted, VALIDATION))
        return float(there or all(map(_is_finished, needed_by)))

    def seconds() -> float:
        each = encode()
        if not _has_shards(s.scene_shards(painted), SCENES):
            each += how_long.painting(s)
        return each * count / s.workers

    def run() -> None:
        for part in (painted, VALIDATION):
            _paint(s, part)
            places = s.scene_shards(part), s.bundle, s.token_shards(part)
            tokenize(*places, batch=32, workers=s.workers, hints=s.hints)

    return Stage(f"{s.folder_of(name).name}-tokens", f"of {count:,} stories", done, seconds, run)


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
        if not left[stage.name]:
            continue
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


def _has_shards(shards: Path, kind: str) -> bool:
    try:
        return bool(read_manifest(shards, kind))
    except ValueError:
        return False


def _newest_step(checkpoints: Path) -> int:
    latest = Checkpoints(checkpoints, keep=1).latest()
    return int(latest.name.removeprefix("step-")) if latest else 0


def _paint(s: AllSettings, name: str) -> None:
    split, count, seed = s.painted(name)
    book, rules = s.folder / "stories" / name, Rules(s.size)
    write_storybook(book, count, s.size, split, seed, s.world)
    prepare(book, s.scene_shards(name), rules=rules, per_shard=PER_SHARD, workers=s.workers)


def _captions(s: AllSettings) -> None:
    world, file = WORLDS[s.world], s.folder / "captions.txt"
    stories = (world.story("train", i, s.seed) for i in s.told)
    lines = [caption for told in stories for caption in world.captions(told)]
    lines += _hints(s) if s.hints else []
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    replace_file(file, lambda temporary: temporary.write_text(text, "utf-8"))
    bpe = BPE.train([file], vocab_size=s.vocab_size, length=s.length)
    save_words(s.bundle, lines)
    save_bpe(s.bundle, bpe)


def _hints(s: AllSettings) -> list[str]:
    """Hints of some stories, as the tokenizer shall know them, and each cell's name."""
    source = StorySource(HINTING, 64, seed=s.seed, world=s.world)
    found = [f"; {MARK} {', '.join(CELLS)}"]
    for index in range(len(source)):
        layers = source.read(index).layers
        assert layers is not None  # a painted story has them
        scene = layers.clean()
        everything = np.ones(scene.labels.shape, bool)
        told = hints(scene.labels, everything, scene.layout)
        found.append(f"; {MARK} {', '.join(told)}")
    return found
