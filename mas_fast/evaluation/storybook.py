"""How good a model of the storybook is: each figure beside its goal, its ceiling and its floor.

    found = evaluate_storybook(load(), load_segmenter(folder, recipe), 2)
    Console().print(found.table())                                  # `mas-fast eval storybook`
    found.sheet().save("sheet.png"); found.save("results")

The model gets the captions of stories that training never saw, every other one with a (thing,
colour, place) that it never saw together. Only captions, scenes and pictures are judged.

value    the model's scenes and pictures
ceiling  the true scenes through VQ-SEG, the true pictures through VQ-IMG: what a perfect GPT gives
floor    the same results with each other's captions (of tokenizers: with each other's originals)
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from mas_fast.bundle.torch_io import load_vq
from mas_fast.data.storybook.source import StorySource
from mas_fast.data.storybook.world import WORLDS, World
from mas_fast.evaluation.faithfulness import METRICS, class_map
from mas_fast.evaluation.given_in_part import continued, edited
from mas_fast.evaluation.likeness import agreement, statistics_of, variety
from mas_fast.evaluation.metrics import ImageQuality, frechet_distance, sharpness
from mas_fast.evaluation.quality import Drawn, Quality, Row
from mas_fast.models.torch_codec import TorchCodec
from mas_fast.pipelines.torch_pipeline import Model
from mas_fast.scene.labels import MINI158
from mas_fast.scene.open import square
from mas_fast.scene.scene import Scene
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_choice, check_int

T = TypeVar("T")
TRUE_PICTURES = 2000  # of the validation split, for the Frechet distance
VARIED, SEEDS = 24, 4  # captions, and pictures of each, for the variety over seeds


class Eye(Protocol):
    """What judges pictures: models/segmenter.py."""

    def segment(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What faithfulness.class_map would say of the scenes of pictures, uint8 [H, W, 3] each,
        at half their size or any other."""

    def means(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Features of pictures, [N, D]."""


def evaluate_storybook(
    model: Model, eye: Eye, number: int, *, count: int = 500, seed: int = 0, progress: bool = False
) -> Quality:
    """Measure a model with scenes, with its own sampling.

    Args:
        model: the model.
        eye: judges the pictures.
        number: one of WORLDS, whose stories the captions tell.
        count: captions, at least 2.
        seed: seed of the model's sampling.
        progress: whether to show progress bars.

    Raises:
        ValueError: there is no such world, the model has no scenes, or its pictures are smaller
            than 32 pixels.
        ImportError: skia is not installed.
    """
    check_int("count", count, 2)
    check_choice("world", number, WORLDS)
    world = WORLDS[number]
    seg, img_decoder = model.seg, model.img
    if seg is None:
        raise ValueError(f"{model.path}: found a GPT without scenes, expected one with them")
    assert isinstance(img_decoder, TorchCodec)  # a Model has one
    size = img_decoder.config.resolution
    source = StorySource(count, size, "test", world=number)

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

    def paint(scene: list[Scene] | None):
        return model.generate(truth.captions, scene=scene, seed=seed, progress=progress)

    def drawn(out) -> Drawn:
        return Drawn(out.captions, out.scenes, [np.asarray(image) for image in out.images])

    out = paint(None)
    ours, given = drawn(out), drawn(paint(truth.scenes))
    others = _others(count)
    rows = _faithful(ours, through, others, world) + _tokenizers(truth, through, others)
    rows += _followed(truth, given, through, others, eye)
    rows += _alike(truth, ours, through, eye, _true_pictures(number, size, progress))
    rows.append(_varied(model, world, eye, size, seed))
    rows += continued(model, world, truth, through, seed, progress)
    stories = [world.story("test", index, 0) for index in range(count)]
    rows += edited(model, world, stories, out, seed)
    return Quality(str(model.path), number, seed, rows, truth, ours, given)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def _others(count: int) -> np.ndarray:
    """Another index for each of 0 .. count - 1: int [count]."""
    order = np.random.default_rng(0).permutation(count)
    others = np.empty(count, int)
    others[order] = np.roll(order, 1)
    return others


def _faithful(ours: Drawn, through: Drawn, others: np.ndarray, world: World) -> list[Row]:
    values, ceilings = ours.rates(world), through.rates(world)
    floors = ours.rates(world, [ours.captions[n] for n in others])
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
        Row(
            "VQ-SEG mIoU",
            agreement(decoded, true),
            floor=agreement([decoded[n] for n in others], true),
        ),
        Row("VQ-IMG PSNR", value["psnr"], floor=floor["psnr"]),
        Row("VQ-IMG SSIM", value["ssim"], floor=floor["ssim"]),
    ]


def _followed(
    truth: Drawn, given: Drawn, through: Drawn, others: np.ndarray, eye: Eye
) -> list[Row]:
    """The classes that the segmenter finds in a picture against those of the scene that was given,
    at the size of the former. The ceiling is of the true picture through VQ-IMG."""
    given_classes, ceiling, ours = (eye.segment(x.pictures) for x in (given, through, truth))
    scenes = [
        class_map(scene.resize(*classes.shape))
        for scene, classes in zip(truth.scenes, given_classes, strict=True)
    ]
    figures = (
        agreement(x, scenes)
        for x in (given_classes, ceiling, [given_classes[n] for n in others], ours)
    )
    value, top, floor, true = figures
    return [
        Row("scene given, mIoU", value, top, floor),
        Row("segmenter on true pictures, mIoU", true),
    ]


def _true_pictures(number: int, size: int, progress: bool) -> list[np.ndarray]:
    """Pictures of stories that are none of those asked for."""
    source = StorySource(TRUE_PICTURES, size, "validation", world=number)
    indices = progress_bar(range(TRUE_PICTURES), desc="true pictures", show=progress)
    return [source.read(index).pixels for index in indices]


def _alike(
    truth: Drawn, ours: Drawn, through: Drawn, eye: Eye, pictures: list[np.ndarray]
) -> list[Row]:
    """Sharpness beside the true pictures of the same captions, and the distance from all."""
    true = statistics_of(eye.means(pictures))
    ratios, distances = [], []
    for each in (ours, through):
        pairs = zip(truth.pictures, each.pictures, strict=True)
        ratios.append(statistics.mean(float(sharpness(_tensor(x), _tensor(y))) for x, y in pairs))
        distances.append(frechet_distance(statistics_of(eye.means(each.pictures)), true))
    return [Row("sharpness", *ratios), Row("Frechet distance", *distances)]


def _varied(model: Model, world: World, eye: Eye, size: int, seed: int) -> Row:
    """How much pictures of one caption differ, and how much the true ones do: those of stories
    that differ in their number alone."""
    stories = [world.story("test", index, 0) for index in range(VARIED)]
    told = [world.captions(story)[0] for story in stories]
    out = model.generate(told, num_images=SEEDS, seed=seed)
    drawn = eye.means([np.asarray(image) for image in out.images]).view(VARIED, SEEDS, -1)
    numbers = [[replace(story, number=story.number ^ n) for n in range(SEEDS)] for story in stories]
    painted = [world.paint(story, size)[0] for row in numbers for story in row]
    true = eye.means(painted).view(VARIED, SEEDS, -1)
    spread = true.flatten(0, 1).std(0)
    return Row("variety over seeds", variety([*drawn], spread), variety([*true], spread))


def _labels(scene: Scene) -> np.ndarray:
    return scene.to(MINI158).labels
