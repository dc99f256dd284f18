"""Fences, houses, bridges and tracks of the storybook."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box, rgb  # noqa: E402
from mas_fast.data.storybook.world1.sky import light_of  # noqa: E402
from mas_fast.data.storybook.world1.structures import (  # noqa: E402
    LAMPLIGHT,
    draw_barn,
    draw_bridge,
    draw_fence,
    draw_houses,
    draw_roadway,
    draw_track,
)
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402


def share(canvas: Canvas, name: str, top: float, bottom: float) -> float:
    """Of the rows from top to bottom, what is of that class."""
    rows = canvas.layers().panoptic[round(top * 128) : round(bottom * 128)]
    return float((rows == COCO_NAMES.index(name)).mean())


def test_a_fence_is_all_that_is_within_it() -> None:
    canvas = Canvas(128)
    with canvas.segment("grass-merged"):
        canvas.fill(box(0, 0, 1, 1), rgb("8cc457"))
    draw_fence(canvas, 0.7, 0.1, rgb("ffffff"))
    assert share(canvas, "fence-merged", 0.61, 0.7) == 1
    assert share(canvas, "grass-merged", 0.0, 0.59) == share(canvas, "grass-merged", 0.72, 1) == 1
    colors = canvas.pixels()[78:89].reshape(-1, 3).astype(int)
    green = (colors[:, 1] > colors[:, 2] + 60).mean()  # shows through
    assert 0.2 < green < 0.7


def test_houses_stand_in_a_row_and_are_lit_at_night() -> None:
    lamps = np.round(255 * np.array(LAMPLIGHT))
    for hour in ("day", "night"):
        for seed in range(12):
            canvas = Canvas(128, light_of(hour, "clear"))
            draw_houses(canvas, 0.66, np.random.default_rng(seed))
            assert share(canvas, "building-other-merged", 0.4, 0.66) == 1
            assert share(canvas, "building-other-merged", 0.0, 0.05) == 0
            assert share(canvas, "building-other-merged", 0.68, 1) == 0
            lit = (np.abs(canvas.pixels() - lamps).max(-1) < 4).sum()
            assert (lit > 60) == (hour == "night")


def test_a_bridge_leaves_the_river_in_sight() -> None:
    looks = set()
    for seed in range(12):
        canvas = Canvas(128)
        with canvas.segment("river"):
            canvas.fill(box(0, 0, 1, 1), rgb("6cbfe0"))
        draw_bridge(canvas, 0.66, np.random.default_rng(seed))
        assert share(canvas, "bridge", 0.635, 0.715) == 1
        assert share(canvas, "river", 0.84, 1) == 1
        assert 0.2 < share(canvas, "river", 0.76, 0.82) < 0.9
        looks.add(canvas.pixels().tobytes())
    assert len(looks) == 3  # iron, and stone with two or three arches


def test_track_road_and_barn() -> None:
    canvas = Canvas(128)
    draw_track(canvas, 0.85)
    with canvas.segment("road"):
        draw_roadway(canvas, 0.2, 0.4, rgb("80838b"))
    assert share(canvas, "railroad", 0.79, 0.92) == share(canvas, "road", 0.21, 0.39) == 1
    assert len(np.unique(canvas.layers().panoptic)) == 3
    for winter in (False, True):
        canvas = Canvas(128)
        draw_barn(canvas, 0.5, 0.9, 0.5, winter)
        found = canvas.layers().panoptic == COCO_NAMES.index("building-other-merged")
        rows, columns = np.nonzero(found)
        assert 0.38 < rows.min() / 128
        assert rows.max() / 128 < 0.93
        assert columns.min() / 128 > 0.19
        assert columns.max() / 128 < 0.91
        assert found.sum() > 0.6 * 64**2
        roof = canvas.pixels()[52:60, 60:68].reshape(-1, 3).mean()
        assert (roof > 150) == winter
