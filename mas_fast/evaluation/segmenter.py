"""A small segmenter of the storybook's pictures, to measure whether a picture follows its scene.

    segmenter = load_segmenter("runs/storybook-segmenter")      # trained there first, if need be
    classes = segmenter.segment(pictures)           # uint8 [64, 64] each, of pictures of 128 pixels

It tells COCO's panoptic classes apart; a person is one with all its parts. It never sees a model's
picture: it learns from freshly painted stories of the training split, half of them blurred, since a
tokenizer's pictures lose their finest lines. The same recipe gives the same weights (on one machine
and for one number of threads).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mas_fast.data.storybook.source import StorySource
from mas_fast.evaluation.faithfulness import class_map
from mas_fast.scene.labels import COCO_NAMES
from mas_fast.scene.layers import Layers
from mas_fast.utils.files import replace_file
from mas_fast.utils.locks import lock
from mas_fast.utils.progress import progress_bar

FILE, ENTRY = "segmenter.safetensors", "mas_fast"
WIDTHS = (24, 48, 96, 128)  # at 1/2, 1/4, 1/8 and 1/16 of the picture
HEAD = 32
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
        lr: highest learning rate.
        seed: seed of the stories and the first weights.
        version: of the network and of what is done to its pictures.
        world: of the stories, one of `world.WORLDS`.
    """

    steps: int = 6000
    batch: int = 8
    size: int = 128
    lr: float = 6e-3
    seed: int = 0
    version: int = 2
    world: int = 1


class Block(nn.Sequential):
    """A convolution, batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Segmenter(nn.Module):
    """A U-Net that reads 2 x 2 pixels at a time (140M multiplications for 128 pixels).

    Args:
        classes: the classes of COCO that it tells apart: with all 133, softmax is two thirds of a
            training step.
    """

    classes: Tensor

    def __init__(self, classes: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("classes", torch.tensor(classes, dtype=torch.uint8))
        *widths, deep = WIDTHS
        self.down = nn.ModuleList(
            Block(inputs, outputs, stride=1 if i == 0 else 2)
            for i, (inputs, outputs) in enumerate(zip((12, *widths), WIDTHS, strict=True))
        )
        self.middle = nn.Sequential(Block(deep, deep), Block(deep, deep))
        above = list(zip(WIDTHS[1:], widths, strict=True))[::-1]
        self.across = nn.ModuleList(nn.Conv2d(below, width, 1) for below, width in above)
        self.up = nn.ModuleList(
            Block(width, HEAD if width == widths[0] else width) for _, width in above
        )
        self.head = nn.Conv2d(HEAD, len(classes), 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch has it

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pictures.

        Args:
            x: [B, 3, H, W] in [-1, 1], H and W multiples of 16.

        Returns:
            [B, classes, H / 2, W / 2].
        """
        *kept, y = self.scales(x)
        for across, up, skip in zip(self.across, self.up, reversed(kept), strict=True):
            y = up(F.interpolate(across(y), scale_factor=2.0) + skip)
        return self.head(y)

    def scales(self, x: Tensor) -> list[Tensor]:
        """What the network sees at 1/2, 1/4, 1/8 and 1/16 of the picture.

        Args:
            x: [B, 3, H, W] in [-1, 1], H and W multiples of 16.

        Returns:
            [B, WIDTHS[i], H / 2 ** (i + 1), W / 2 ** (i + 1)] each.
        """
        y = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        kept = []
        for block in self.down:
            y = block(y)
            kept.append(y)
        return [*kept[:-1], y + self.middle(y)]

    @torch.no_grad()
    def features(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Features for a Frechet distance: the mean of each channel of each scale.

        Args:
            pictures: uint8 [H, W, 3] each, H and W multiples of 16.

        Returns:
            fp32 [N, sum of WIDTHS].
        """
        found = (self.scales(_tensor(picture[None])) for picture in pictures)
        return torch.cat([torch.cat([y.mean((2, 3)) for y in scales], 1) for scales in found])

    @torch.no_grad()
    def segment(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The class of each pixel, one picture at a time: no result depends on its neighbours.

        Args:
            pictures: uint8 [H, W, 3] each, H and W multiples of 16.

        Returns:
            uint8 [H / 2, W / 2] each, as faithfulness.class_map.
        """
        logits = (self(_tensor(picture[None])) for picture in pictures)
        return [self.classes[x.argmax(1)[0]].numpy() for x in logits]


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
            state = train(recipe, progress=progress).state_dict()
            made = {name: value.contiguous() for name, value in state.items()}
            replace_file(file, lambda temporary: save_file(made, temporary, {ENTRY: entry}))
            weights = made
    try:
        model = Segmenter(weights["classes"].tolist())
        model.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{file}: found other weights than a segmenter's") from error
    return model.eval()


def _entry(recipe: Recipe) -> str:
    """The recipe and a checksum of some stories: another drawing asks for another segmenter."""
    stories, checksum = (
        StorySource(PROBED, recipe.size, "train", recipe.seed, world=recipe.world),
        0,
    )
    for index in range(len(stories)):
        pixels, layers = _story(stories, index)
        checksum = zlib.crc32(pixels.data, zlib.crc32(layers.clean().labels.data, checksum))
    return json.dumps({**asdict(recipe), "stories": checksum})


def _read(file: Path, entry: str) -> dict[str, Tensor] | None:
    """None unless the file was made by that recipe."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as content:
            if (content.metadata() or {}).get(ENTRY) != entry:
                return None
            return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{file}: {error}, expected what this command wrote, or no file"
        ) from error


def train(recipe: Recipe, *, progress: bool = False) -> Segmenter:
    """Train a segmenter; each story is painted once.

    Classes weigh by the root of their rarity: a bird is 1% of its picture, and mean IoU counts it
    like the sky.

    Raises:
        ImportError: skia is not installed.
    """
    source = StorySource(
        recipe.steps * recipe.batch, recipe.size, "train", recipe.seed, world=recipe.world
    )
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
    for step in progress_bar(range(recipe.steps), desc="segmenter", unit="step", show=progress):
        pictures, labels = _batch(source, step * recipe.batch, recipe.batch)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(pictures).permute(0, 2, 3, 1)  # contiguous: channels are last
        logits = logits.reshape(-1, len(classes)).float()
        loss = F.cross_entropy(logits, numbers[labels.flatten()], weights, ignore_index=UNKNOWN)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


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
    pictures = _tensor(np.stack([pixels for pixels, _ in stories]))
    blurred = F.avg_pool2d(F.pad(pictures[::2], (1, 1, 1, 1), mode="replicate"), 3, 1)
    pictures[::2] = blurred
    side = source.size // 2
    labels = np.stack([class_map(layers.resize(side, side).clean()) for _, layers in stories])
    return pictures, torch.from_numpy(labels.astype(np.int64))


def _story(source: StorySource, index: int) -> tuple[np.ndarray, Layers]:
    sample = source.read(index)
    assert sample.layers is not None  # a painted story has them
    return sample.pixels, sample.layers


def _tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> [B, 3, H, W] in [-1, 1]."""
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
