"""Bushes, flowers, tufts, reeds and a cactus."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box  # noqa: E402
from mas_fast.data.storybook.world2.brush import Brush  # noqa: E402
from mas_fast.data.storybook.world2.greens import (  # noqa: E402
    draw_bush,
    draw_cactus,
    draw_flowers,
    draw_reeds,
    draw_stalks,
    meadow_flowers,
    tufts,
)
from mas_fast.data.storybook.world2.light import Sky  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

TREE, FLOWER, GRASS = (COCO_NAMES.index(n) for n in ("tree-merged", "flower", "grass-merged"))


def labels(draw, *args, season: str = "summer", without: tuple[str, ...] = ()) -> np.ndarray:
    canvas = Canvas(128)
    with canvas.segment("wall-other-merged"):
        canvas.fill(box(0, 0, 1, 1), (0.5, 0.5, 0.5))
    draw(Brush(canvas, season, Sky(), without, np.random.default_rng(0)), *args)
    return canvas.layers().panoptic


@pytest.mark.parametrize(
    ("draw", "label", "half", "area"),
    [
        (draw_bush, TREE, 1.1, 0.9),
        (draw_flowers, FLOWER, 1.7, 1.2),
        (draw_stalks, FLOWER, 0.7, 0.2),
        (draw_reeds, GRASS, 0.8, 0.15),
        (draw_cactus, TREE, 0.4, 0.2),
    ],
)
def test_it_stands_where_it_is_put(draw, label: int, half: float, area: float) -> None:
    rows, columns = np.nonzero(labels(draw, 0.5, 0.8, 0.25) == label)
    assert rows.max() / 128 == pytest.approx(0.8, abs=0.02)
    assert 0.8 - 0.25 * 1.35 < rows.min() / 128 < 0.8 - 0.25 * 0.75
    assert np.abs(columns / 128 - 0.5).max() < half * 0.25
    assert len(rows) > area * (128 * 0.25) ** 2


def test_single_flowers_keep_the_middle_free() -> None:
    rows, columns = np.nonzero(labels(meadow_flowers, 0.6, 0.9, 30) == FLOWER)
    assert len(rows) > 100
    assert 0.55 < rows.min() / 128 < rows.max() / 128 < 0.93
    assert not ((columns > 48) & (columns < 80)).any()


@pytest.mark.parametrize("draw", [draw_flowers, draw_stalks])
def test_flowers_have_their_time(draw) -> None:
    for season in ("autumn", "winter"):
        assert not (labels(draw, 0.5, 0.8, 0.2, season=season) == FLOWER).any()
        assert not (labels(meadow_flowers, 0.6, 0.9, 9, season=season) == FLOWER).any()


def test_none_without_them() -> None:
    for draw in (draw_bush, draw_cactus):
        assert not (labels(draw, 0.5, 0.8, 0.2, without=("trees",)) == TREE).any()
    for draw in (draw_flowers, draw_stalks):
        assert not (labels(draw, 0.5, 0.8, 0.2, without=("flowers",)) == FLOWER).any()


def test_tufts() -> None:
    bounds = tufts([(0.3, 0.5), (0.6, 0.7)], 0.05).getBounds()
    assert bounds.top() == pytest.approx(0.45, abs=0.005)
    assert bounds.bottom() == pytest.approx(0.7)
