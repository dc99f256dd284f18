"""How well a storybook's model goes on from what it is given: a part of a scene, or a picture of
which a region is drawn anew in another colour.

given in part, kept    the paint that was given against the drawn scene there, mean IoU
given in part, joint   captions of which the whole drawn scene and its picture show everything
edited, outside kept   tokens outside of the region that are the source's
edited, colours        edited things that have the colour that the new caption says
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mas_fast.data.storybook.world import World
from mas_fast.evaluation.faithfulness import LEAST, class_map, faithfulness
from mas_fast.evaluation.likeness import agreement
from mas_fast.evaluation.quality import Drawn, Row
from mas_fast.pipelines.edit import erase
from mas_fast.pipelines.output import Generation
from mas_fast.pipelines.torch_pipeline import Model
from mas_fast.scene.labels import COCO_NAMES, MINI158, VOID
from mas_fast.scene.scene import Scene

SIDES = (0.4, 0.75)  # of the rectangle that is given, ratio to the scene's
EDITED = 100  # pictures, at most


def part_of(scene: Scene, generator: np.random.Generator) -> Scene:
    """Keep a rectangle of a scene, and leave the rest void.

    Args:
        scene: the scene.
        generator: chooses the rectangle.

    Returns:
        The scene with void outside of a rectangle whose sides are SIDES of its own.
    """
    kept = []
    for side in scene.labels.shape:
        length = round(side * generator.uniform(*SIDES))
        first = int(generator.integers(side - length + 1))
        kept.append(slice(first, first + length))
    inside = np.zeros(scene.labels.shape, bool)
    inside[tuple(kept)] = True
    labels = np.where(inside, scene.labels, VOID).astype(np.uint8)
    return Scene(labels, scene.edges & inside, scene.layout)


def continued(
    model: Model, world: World, truth: Drawn, through: Drawn, seed: int, progress: bool
) -> list[Row]:
    """Measure scenes that are given in part.

    Args:
        model: the model.
        world: the world of the captions.
        truth: captions, true scenes and pictures.
        through: the same through the tokenizers.
        seed: seed of the model's sampling.
        progress: whether to show a progress bar.

    Returns:
        "given in part, kept" and "given in part, joint".
    """
    generator = np.random.default_rng(0)
    parts = [part_of(scene, generator) for scene in truth.scenes]
    out = model.generate(truth.captions, scene=parts, seed=seed, progress=progress)
    drawn = Drawn(out.captions, out.scenes, [np.asarray(image) for image in out.images])
    paint = [part.to(MINI158).labels for part in parts]
    kept, top = (
        agreement([scene.to(MINI158).labels for scene in x.scenes], paint) for x in (drawn, through)
    )
    return [
        Row("given in part, kept", kept, top),
        Row("given in part, joint", drawn.rates(world)["joint"], through.rates(world)["joint"]),
    ]


def edited(
    model: Model, world: World, stories: Sequence[Any], out: Generation, seed: int
) -> list[Row]:
    """Measure edits: the first thing of a story in another colour, the scene as it is.

    Args:
        model: the model.
        world: the world of the stories.
        stories: those whose first captions were drawn.
        out: what was drawn.
        seed: seed of the edits.

    Returns:
        "edited, outside kept" and "edited, colours".
    """
    right = asked = same = outside = 0
    for n, told in enumerate(stories):
        first = told.groups[0]
        label = COCO_NAMES.index(world.kinds[first.kind].label)
        mask = class_map(out.scenes[n]) == label
        colors = [c for c in world.kinds[first.kind].colors if c != first.color]
        if asked == EDITED or not colors or mask.mean() < LEAST:
            continue
        color = colors[told.generator(3).integers(len(colors))]
        story = replace(told, groups=(replace(first, color=color), *told.groups[1:]))
        caption = world.captions(story)[0]
        region = _box(mask, out.images[n].size[0])
        new = model.edit(out, index=n, region=region, caption=caption, what="picture", seed=seed)
        alone = world.captions(replace(story, groups=story.groups[:1], relation=None))[0]
        score = faithfulness(alone, new.scenes[0], np.asarray(new.images[0]), world)
        right, asked = right + score["colours"][0], asked + score["colours"][1]
        sides = {"img": model.img.config.resolution}
        kept = erase(out.tokens[n], model.streams, region, "picture", sides) >= 0
        kept[model.streams.slice("text")] = False  # the caption is another
        same += int((new.tokens[0] == out.tokens[n])[kept].sum())
        outside += int(kept.sum())
    ratio = right / asked if asked else float("nan")
    kept_share = same / outside if outside else float("nan")
    return [Row("edited, outside kept", kept_share), Row("edited, colours", ratio)]


def _box(mask: np.ndarray, side: int) -> tuple[int, int, int, int]:
    """The box around a mask, in pixels of a picture."""
    rows, columns = np.nonzero(mask)
    scale = side / len(mask)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    left, top, right, bottom = (round(float(value) * scale) for value in box)
    return left, top, right, bottom
