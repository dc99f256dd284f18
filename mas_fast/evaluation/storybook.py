"""How good a model of the storybook is: each figure beside its goal, its ceiling and its floor.

    found = evaluate_storybook(load(), segment=load_segmenter(folder).segment)
    Console().print(found.table())                                  # `mas-fast eval storybook`
    found.sheet().save("sheet.png"); found.save("results")

The model gets the captions of stories that training never saw, every other one with a (thing,
colour, place) that it never saw together. Only captions, scenes and pictures are judged.

value    the model's scenes and pictures
ceiling  the true scenes through VQ-SEG, the true pictures through VQ-IMG: what a perfect GPT gives
floor    the same results with each other's captions (of tokenizers: with each other's originals)
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mas_fast.bundle.torch_io import load_vq
from mas_fast.data.storybook.source import StorySource
from mas_fast.evaluation.faithfulness import METRICS, class_map, faithfulness, rates
from mas_fast.evaluation.metrics import ConfusionMatrix, ImageQuality
from mas_fast.evaluation.reconstruction import spread
from mas_fast.models.torch_codec import TorchCodec
from mas_fast.pipelines.torch_pipeline import Model
from mas_fast.scene.labels import MINI158
from mas_fast.scene.open import square
from mas_fast.scene.scene import Scene
from mas_fast.utils.contact_sheet import sheet
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")

GOALS = {
    "recall": 0.9,
    "recall, unseen": 0.8,
    "precision": 0.8,
    "counts": 0.7,
    "left, right": 0.8,
    "colours": 0.7,
    "VQ-SEG mIoU": 0.85,
    "VQ-IMG PSNR": 24.0,
    "scene given, mIoU": 0.6,
}
SHOWN = 10  # captions on the sheet
NAN = float("nan")

Segment = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class Row:
    """One figure, NaN where there is none.

    Attributes:
        name: what is measured.
        value: of the model.
        ceiling: of the true scenes and pictures, through the tokenizers.
        floor: of the same results with each other's captions.
    """

    name: str
    value: float
    ceiling: float = NAN
    floor: float = NAN

    @property
    def goal(self) -> float:
        """What is to be reached; NaN where there is no goal."""
        return GOALS.get(self.name, NAN)

    @property
    def reached(self) -> bool | None:
        """Whether the value reaches the goal; None where there is none."""
        return None if math.isnan(self.goal) else self.value >= self.goal


@dataclass
class Drawn:
    """Captions with their scenes and pictures, as many of each.

    Attributes:
        captions: the captions.
        scenes: their scenes.
        pictures: their pictures, uint8 [H, W, 3].
    """

    captions: list[str]
    scenes: list[Scene]
    pictures: list[np.ndarray]

    def rates(self, captions: Sequence[str] | None = None) -> dict[str, float]:
        """faithfulness.METRICS, of its own captions or of others."""
        told = zip(captions or self.captions, self.scenes, self.pictures, strict=True)
        return rates(faithfulness(*parts) for parts in told)


@dataclass
class Quality:
    """How good a model is.

    Attributes:
        bundle: path of the bundle.
        seed: seed of the model's sampling.
        rows: the figures.
        truth: the true scenes and pictures of the captions.
        drawn: those of the model.
        given: those of the model where it was given the true scene.
    """

    bundle: str
    seed: int
    rows: list[Row]
    truth: Drawn = field(repr=False)
    drawn: Drawn = field(repr=False)
    given: Drawn = field(repr=False)

    def to_dict(self) -> dict:
        """Plain values for JSON; null where there is no number."""
        metrics = {}
        for row in self.rows:
            values = {"goal": row.goal, **asdict(row)}
            name = values.pop("name")
            metrics[name] = {k: v if math.isfinite(v) else None for k, v in values.items()}
        count = len(self.drawn.captions)
        return {"bundle": self.bundle, "captions": count, "seed": self.seed, "metrics": metrics}

    def table(self) -> Table:
        """A table for rich's console."""
        from rich.table import Table

        title = f"{len(self.drawn.captions)} captions, seed {self.seed}: {self.bundle}"
        table = Table("", title=title)
        for name in ("goal", "value", "ceiling", "floor"):
            table.add_column(name, justify="right")
        table.add_column("reached")
        for row in self.rows:
            values = (row.goal, row.value, row.ceiling, row.floor)
            reached = {None: "", True: "yes", False: "no"}[row.reached]
            table.add_row(row.name, *(_text(value) for value in values), reached)
        return table

    def sheet(self) -> Image.Image:
        """A sheet of some captions.

        Each row has the model's scene and picture, the true ones, and the model's picture of the
        true scene.
        """
        rows, told = [], []
        for n in spread(len(self.drawn.captions), SHOWN).tolist():
            scenes = (self.drawn.scenes[n].colors(), self.truth.scenes[n].colors())
            ours, true, given = (x.pictures[n] for x in (self.drawn, self.truth, self.given))
            rows.append([scenes[0], ours, scenes[1], true, given])
            told.append(self.drawn.captions[n])
        return sheet(rows, told)

    def save(self, folder: str | os.PathLike) -> None:
        """Write what faithfulness was measured on: captions.txt, NNN.png, NNN.scene.png."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = self.drawn
        text = "".join(f"{line}\n" for line in drawn.captions)
        (folder / "captions.txt").write_text(text, "utf-8")
        for n, (scene, pixels) in enumerate(zip(drawn.scenes, drawn.pictures, strict=True)):
            Image.fromarray(pixels).save(folder / f"{n:03}.png")
            scene.save(folder / f"{n:03}.scene.png")


def evaluate_storybook(
    model: Model, segment: Segment, *, count: int = 500, seed: int = 0, progress: bool = False
) -> Quality:
    """Measure a model with scenes, with its own sampling.

    Args:
        model: the model.
        segment: maps pictures, uint8 [H, W, 3], to what faithfulness.class_map would say of their
            scenes, at half their size or any other (evaluation/segmenter.py).
        count: captions, at least 2.
        seed: seed of the model's sampling.
        progress: whether to show progress bars.

    Raises:
        ValueError: the model has no scenes, or its pictures are smaller than 32 pixels.
        ImportError: skia is not installed.
    """
    check_int("count", count, 2)
    seg, img_decoder = model.seg, model.img
    if seg is None:
        raise ValueError(f"{model.path}: found a GPT without scenes, expected one with them")
    assert isinstance(img_decoder, TorchCodec)  # a Model has one
    size = img_decoder.config.resolution
    source = StorySource(count, size, "test")

    def bar(items: Sequence[T], name: str) -> Iterable[T]:
        return progress_bar(items, desc=name, show=progress)

    truth = Drawn([], [], [])
    for index in bar(range(count), "stories"):
        sample = source.read(index)
        assert sample.layers is not None  # a painted story has them
        truth.captions.append(sample.captions[0])
        # Edges are drawn at the size of the picture, as in the data it was trained on.
        scene = square(sample.layers.clean(), model.size)
        assert isinstance(scene, Scene)
        truth.scenes.append(scene)
        truth.pictures.append(sample.pixels)

    with_encoder = load_vq(model.path, "vq_img", img_decoder.model.device, torch.float32)
    img = TorchCodec(f"{model.path}: vq_img", with_encoder)  # the model's own has no encoder
    through = Drawn(truth.captions, [], [])
    for scene, picture in zip(bar(truth.scenes, "tokenizers"), truth.pictures, strict=True):
        codes = seg.encode([scene])
        through.scenes += cast(list[Scene], seg.decode(codes))
        codes = img.encode([picture])
        through.pictures += cast(list[np.ndarray], img.decode(codes))

    def drawn(scene: list[Scene] | None) -> Drawn:
        out = model.generate(truth.captions, scene=scene, seed=seed, progress=progress)
        return Drawn(out.captions, out.scenes, [np.asarray(image) for image in out.images])

    ours, given = drawn(None), drawn(truth.scenes)
    others = _others(count)
    rows = _faithful(ours, through, others) + _tokenizers(truth, through, others)
    rows += _followed(truth, given, through, others, segment)
    return Quality(str(model.path), seed, rows, truth, ours, given)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def _others(count: int) -> np.ndarray:
    """Another index for each of 0 .. count - 1: int [count]."""
    order = np.random.default_rng(0).permutation(count)
    others = np.empty(count, int)
    others[order] = np.roll(order, 1)
    return others


def _faithful(ours: Drawn, through: Drawn, others: np.ndarray) -> list[Row]:
    values, ceilings = ours.rates(), through.rates()
    floors = ours.rates([ours.captions[n] for n in others])
    return [Row(name, values[name], ceilings[name], floors[name]) for name in METRICS]


def _tokenizers(truth: Drawn, through: Drawn, others: np.ndarray) -> list[Row]:
    def quality(order: Sequence[int] | np.ndarray) -> dict[str, float]:
        measured = ImageQuality()
        for n, picture in zip(order, truth.pictures, strict=True):
            measured.add(_tensor(picture), _tensor(through.pictures[n]))
        return measured.result()

    true, decoded = ([_labels(scene) for scene in x.scenes] for x in (truth, through))
    value, floor = quality(range(len(others))), quality(others)
    return [
        Row("VQ-SEG mIoU", _miou(decoded, true), floor=_miou([decoded[n] for n in others], true)),
        Row("VQ-IMG PSNR", value["psnr"], floor=floor["psnr"]),
        Row("VQ-IMG SSIM", value["ssim"], floor=floor["ssim"]),
    ]


def _followed(
    truth: Drawn, given: Drawn, through: Drawn, others: np.ndarray, segment: Segment
) -> list[Row]:
    """The classes that the segmenter finds in a picture against those of the scene that was given,
    at the size of the former. The ceiling is of the true picture through VQ-IMG."""
    given_classes, ceiling, ours = (segment(x.pictures) for x in (given, through, truth))
    scenes = [
        class_map(scene.resize(*classes.shape))
        for scene, classes in zip(truth.scenes, given_classes, strict=True)
    ]
    figures = (
        _miou(x, scenes) for x in (given_classes, ceiling, [given_classes[n] for n in others], ours)
    )
    value, top, floor, true = figures
    return [
        Row("scene given, mIoU", value, top, floor),
        Row("segmenter on true pictures, mIoU", true),
    ]


def _miou(guesses: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> float:
    matrix = ConfusionMatrix(MINI158.edge_channel)
    for guess, labels in zip(guesses, true, strict=True):
        matrix.add(torch.from_numpy(guess), torch.from_numpy(labels))
    return matrix.mean_iou()


def _labels(scene: Scene) -> np.ndarray:
    return scene.to(MINI158).labels


def _text(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.1f}" if value > 1 else f"{value:.3f}"
