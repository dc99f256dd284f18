"""A small segmenter of the storybook's pictures, to measure whether a picture follows its scene.

    segmenter = load_segmenter("runs/storybook-segmenter")      # trained there first, if need be
    classes = segmenter.segment(pictures)           # uint8 [64, 64] each, of pictures of 128 pixels

It tells COCO's panoptic classes apart; a person is one with all its parts. It never sees a model's
picture: it learns from freshly painted stories of the training split, half of them blurred, since a
tokenizer's pictures lose their finest lines. The same recipe gives the same weights (on one machine
and for one number of threads).
"""

from __future__ import annotations

import functools
import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mas_fast.data.storybook.source import StorySource
from mas_fast.evaluation.faithfulness import class_map
from mas_fast.models.segmenter import Segmenter, to_tensor
from mas_fast.scene.labels import COCO_NAMES
from mas_fast.scene.layers import Layers
from mas_fast.utils.devices import in_bf16
from mas_fast.utils.files import replace_file
from mas_fast.utils.locks import lock
from mas_fast.utils.progress import progress_bar

FILE, ENTRY = "segmenter.safetensors", "mas_fast"
PARTIAL = "segmenter.partial"  # of a training that was stopped
PARTIAL_EVERY = 250  # steps
PROBED = 8  # stories
CLASSES = len(COCO_NAMES)
WEIGHED = 256  # stories in which classes are counted
RAREST = 1e-4  # share of the pixels: what is rarer weighs no more
UNKNOWN = -1  # a class that none of those has


@dataclass(frozen=True)
class Recipe:
    """What the weights depend on.

    Attributes:
        steps: optimizer updates.
        batch: stories per step.
        size: side of a painted story in pixels, a multiple of 16.
        world: of the stories.
        lr: highest learning rate.
        seed: seed of the stories and the first weights.
        version: of the network and of what is done to its pictures.
    """

    steps: int = 6000
    batch: int = 8
    size: int = 128
    world: int = 1
    lr: float = 6e-3
    seed: int = 0
    version: int = 2


def load_segmenter(
    folder: str | os.PathLike, recipe: Recipe | None = None, *, progress: bool = False
) -> Segmenter:
    """The segmenter of a recipe.

    It is read from `folder` if it was made there by this recipe, of stories that look as they do
    now; else it is trained and written there.

    Args:
        folder: where its file is or will be.
        recipe: None for the default.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the file is no segmenter's, or another process is training one there.
    """
    recipe, file = recipe or Recipe(), Path(folder) / FILE
    entry = _entry(recipe)
    weights = _read(file, entry)
    if weights is None:
        with lock(file.parent, "wait until it has trained the segmenter there"):
            partial = file.with_name(PARTIAL)
            trained = train(recipe, partial=partial, progress=progress)
            save_segmenter(file.parent, trained, entry)
            partial.unlink(missing_ok=True)
            return trained
    return _made_of(weights, file)


def save_segmenter(folder: Path, model: Segmenter, entry: str) -> None:
    """Write a segmenter to a folder, with an entry that says what it was made by."""
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    replace_file(folder / FILE, lambda temporary: save_file(weights, temporary, {ENTRY: entry}))


def is_trained(folder: str | os.PathLike, recipe: Recipe) -> bool:
    """Whether `load_segmenter` has nothing to train."""
    return _read(Path(folder) / FILE, _entry(recipe)) is not None


def read_segmenter(folder: str | os.PathLike) -> Segmenter:
    """The segmenter that `load_segmenter` left in a folder, of whatever recipe.

    Raises:
        ValueError: there is none.
    """
    file = Path(folder) / FILE
    weights = _read(file)
    if weights is None:
        raise ValueError(f"{file}: found no such file, expected a segmenter's")
    return _made_of(weights, file)


def _made_of(weights: dict[str, Tensor], file: Path) -> Segmenter:
    try:
        model = Segmenter(weights["classes"].tolist())
        model.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{file}: found other weights than a segmenter's") from error
    return model.eval()


def _entry(recipe: Recipe) -> str:
    """The recipe and a checksum of some stories: another drawing asks for another segmenter."""
    stories, checksum = _source(recipe, PROBED), 0
    for index in range(len(stories)):
        pixels, layers = _story(stories, index)
        checksum = zlib.crc32(pixels.data, zlib.crc32(layers.clean().labels.data, checksum))
    return json.dumps({**asdict(recipe), "stories": checksum})


def _read(file: Path, entry: str | None = None) -> dict[str, Tensor] | None:
    """None unless there is a file, and it was made by that recipe."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as content:
            if entry not in (None, (content.metadata() or {}).get(ENTRY)):
                return None
            return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{file}: {error}, expected what this command wrote, or no file"
        ) from error


def train(recipe: Recipe, *, partial: Path | None = None, progress: bool = False) -> Segmenter:
    """Train a segmenter; each story is painted once.

    Classes weigh by the root of their rarity: a bird is 1% of its picture, and mean IoU counts it
    like the sky.

    Args:
        recipe: the recipe.
        partial: file where it keeps how far it is, to go on from there.
        progress: whether to show a progress bar.

    Raises:
        ImportError: skia is not installed.
    """
    source = _source(recipe, recipe.steps * recipe.batch)
    classes, weights = _classes(source)
    numbers = torch.full((CLASSES,), UNKNOWN)
    numbers[classes] = torch.arange(len(classes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = Segmenter(classes.tolist()).train()
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=recipe.steps + 1, pct_start=0.15
    )
    learning: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    first = _resume(partial, recipe, learning)
    left = range(first, recipe.steps)
    for step in progress_bar(left, desc="segmenter", unit="step", show=progress):
        pictures, labels = _batch(source, step * recipe.batch, recipe.batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16("auto", "cpu")):
            logits = model(pictures).permute(0, 2, 3, 1)  # contiguous: channels are last
        logits = logits.reshape(-1, len(classes)).float()
        loss = F.cross_entropy(logits, numbers[labels.flatten()], weights, ignore_index=UNKNOWN)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if partial is not None and (step + 1) % PARTIAL_EVERY == 0:
            states: dict[str, Any] = {name: part.state_dict() for name, part in learning.items()}
            states |= {"step": step + 1, "recipe": asdict(recipe)}
            replace_file(partial, functools.partial(torch.save, states))
    return model.eval()


def _resume(partial: Path | None, recipe: Recipe, learning: dict[str, Any]) -> int:
    """Put what `partial` kept of this recipe's training into its parts; returns the steps done."""
    if partial is None or not partial.is_file():
        return 0
    states = torch.load(partial, weights_only=True)
    if states["recipe"] != asdict(recipe):
        return 0
    for name, part in learning.items():
        part.load_state_dict(states[name])
    return states["step"]


def _source(recipe: Recipe, stories: int) -> StorySource:
    return StorySource(stories, recipe.size, "train", recipe.seed, recipe.world)


def _classes(source: StorySource) -> tuple[Tensor, Tensor]:
    """The classes of the stories, int64 [C], and their weights, float32 [C], 1 on average over the
    pixels."""
    _, labels = _batch(source, 0, min(WEIGHED, len(source)))
    classes, counts = labels.unique(return_counts=True)
    share = counts / labels.numel()
    weights = (share + RAREST).rsqrt()
    return classes, weights / (weights * share).sum()


def _batch(source: StorySource, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, H, W], every other one blurred, and labels int64 [B, H / 2, W / 2]."""
    stories = [_story(source, index) for index in range(first, first + count)]
    pictures = to_tensor(np.stack([pixels for pixels, _ in stories]))
    blurred = F.avg_pool2d(F.pad(pictures[::2], (1, 1, 1, 1), mode="replicate"), 3, 1)
    pictures[::2] = blurred
    side = source.size // 2
    labels = np.stack([class_map(layers.resize(side, side).clean()) for _, layers in stories])
    return pictures, torch.from_numpy(labels.astype(np.int64))


def _story(source: StorySource, index: int) -> tuple[np.ndarray, Layers]:
    sample = source.read(index)
    assert sample.layers is not None  # a painted story has them
    return sample.pixels, sample.layers
