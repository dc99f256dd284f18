"""A painted story shows what it tells, in the picture and in the annotation."""

import time

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world2.kinds import KINDS  # noqa: E402
from mas_fast.data.storybook.world2.paint import paint  # noqa: E402
from mas_fast.data.storybook.world2.telling import story  # noqa: E402
from mas_fast.scene import COCO_NAMES, PERSON  # noqa: E402
from mas_fast.scene.labels import COCO_THINGS  # noqa: E402

STORIES = [story("train", i) for i in range(300)]
LACKED = {
    "trees": ("tree-merged",),
    "flowers": ("flower",),
    "people": ("person",),
    "buildings": ("building-other-merged", "house"),
}


def instances(layers) -> dict[str, int]:
    """Number of instances of each class in a picture."""
    return {
        COCO_NAMES[label]: len(np.unique(layers.instances[layers.panoptic == label]))
        for label in np.unique(layers.panoptic)
        if label < len(COCO_NAMES)
    }


def test_every_thing_is_there_as_often_as_told() -> None:
    classes = set()
    for told in STORIES:
        _, layers = paint(told, 128)
        found = instances(layers)
        classes |= set(found)
        counts = {}
        for group in told.groups:
            label = KINDS[group.kind].label
            counts[label] = group.count if COCO_NAMES.index(label) < COCO_THINGS else 1
        things = {n: c for n, c in found.items() if COCO_NAMES.index(n) < COCO_THINGS}
        stuff = {n: found.get(n) for n in counts if n not in things}
        assert things | stuff == counts, told
        parts = layers.human > 0
        assert (layers.panoptic[parts] == PERSON).all()
        assert parts[layers.face > 0].all()
    assert len(classes) >= 60


def test_each_thing_is_seen() -> None:
    """At 128 pixels, whatever is before it."""
    for told in STORIES:
        _, layers = paint(told, 128)
        for group in told.groups:
            label = COCO_NAMES.index(KINDS[group.kind].label)
            numbers = np.unique(layers.instances[layers.panoptic == label])
            for number in numbers:
                assert (layers.instances == number).sum() >= 30, (told, group)


def test_what_a_story_is_without_is_not_there() -> None:
    seen = set()
    for told in (story("train", i) for i in range(1500)):
        for name in told.without:
            if name in LACKED:
                seen.add(name)
                found = instances(paint(told, 64)[1])
                kinds = {KINDS[group.kind].label for group in told.groups}
                assert not set(LACKED[name]) & set(found) - kinds, told
    assert seen == set(LACKED)


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


def test_speed() -> None:
    """60 scenes a second; a busy machine gets three times as long."""
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        for told in STORIES[:40]:
            paint(told, 256)
        best = min(best, (time.process_time() - start) / 40)
    assert best < 3 / 60, f"{1000 * best:.1f} ms"
