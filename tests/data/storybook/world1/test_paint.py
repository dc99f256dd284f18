"""A painted story shows what it tells, in the picture and in the annotation."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world1.paint import paint  # noqa: E402
from mas_fast.data.storybook.world1.story import story  # noqa: E402
from mas_fast.data.storybook.world1.words import KINDS  # noqa: E402
from mas_fast.scene import COCO_NAMES, PERSON  # noqa: E402
from mas_fast.scene.labels import COCO_THINGS  # noqa: E402

STORIES = [story("train", i) for i in range(150)]


def test_every_thing_is_there_as_often_as_told() -> None:
    classes = set()
    for told in STORIES:
        _, layers = paint(told, 128)
        found = {
            label: len(np.unique(layers.instances[layers.panoptic == label]))
            for label in np.unique(layers.panoptic)
        }
        classes |= set(found)
        counts = {}
        for group in told.groups:
            label = COCO_NAMES.index(KINDS[group.kind].label)
            counts[label] = group.count if label < COCO_THINGS else 1
        assert {n: c for n, c in found.items() if n < COCO_THINGS or n in counts} == counts
        parts = layers.human > 0
        assert (layers.panoptic[parts] == PERSON).all()
        assert parts[layers.face > 0].all()
    assert len(classes) >= 30


def test_the_same_story_is_the_same_picture() -> None:
    (one, of_one), (two, of_two) = (paint(STORIES[0], 128) for _ in range(2))
    assert np.array_equal(one, two)
    assert of_one.clean() == of_two.clean()
    other, _ = paint(STORIES[1], 128)
    assert not np.array_equal(one, other)


def test_sizes() -> None:
    small, large = (paint(STORIES[0], size) for size in (64, 256))
    assert small[0].shape == (64, 64, 3)
    assert large[0].shape == (256, 256, 3)
    shrunk = large[1].resize(64, 64)
    assert (shrunk.panoptic == small[1].panoptic).mean() > 0.95
    for size in (16, 5000, 1.5):
        with pytest.raises((ValueError, TypeError), match="size: found"):
            paint(STORIES[0], size)
