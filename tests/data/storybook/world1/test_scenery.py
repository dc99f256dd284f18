"""What the places of the storybook share."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas  # noqa: E402
from mas_fast.data.storybook.world1.scenery import (  # noqa: E402
    HORIZONS,
    around,
    choose_horizon,
    choose_side,
    draw_field,
    draw_hills,
    draw_mountains,
    draw_rocks,
    draw_sea,
    draw_tufts,
)
from mas_fast.data.storybook.world1.words import SEASONS  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES, VOID  # noqa: E402


def rows_of(canvas: Canvas, name: str) -> np.ndarray:
    return np.nonzero(canvas.layers().panoptic == COCO_NAMES.index(name))[0] / 128


def test_choices() -> None:
    generator = np.random.default_rng(0)
    assert {choose_horizon(generator) for _ in range(50)} == set(HORIZONS)
    assert {choose_side(generator) for _ in range(50)} == {-1, 1}
    assert (around(-1, 0.3), around(1, 0.3)) == pytest.approx((0.2, 0.8))


@pytest.mark.parametrize("season", SEASONS)
def test_fields_and_hills(season: str) -> None:
    name = "snow" if season == "winter" else "grass-merged"
    canvas = Canvas(128)
    draw_hills(canvas, season, 0.5, np.random.default_rng(1))
    assert 0.38 < rows_of(canvas, name).min() < 0.5
    draw_field(canvas, season, [0.6, 0.6])
    labels, before = canvas.layers().panoptic, canvas.pixels()
    assert set(np.unique(labels)) == {COCO_NAMES.index(name), VOID}
    assert (labels[80:] == COCO_NAMES.index(name)).all()
    red, green, blue = np.median(before[80:].reshape(-1, 3), 0)
    assert min(red, green, blue) > 200 if season == "winter" else green >= red > 1.2 * blue
    draw_tufts(canvas, season, 0.7, 0.9, np.random.default_rng(2))
    changed = np.nonzero((canvas.pixels() != before).any(-1))[0] / 128
    assert len(changed)
    assert 0.66 < changed.min()
    assert changed.max() < 0.92
    assert (canvas.layers().panoptic == labels).all()


def test_mountains_sea_and_rocks() -> None:
    for seed in range(6):
        canvas = Canvas(128)
        draw_mountains(canvas, 0.5, np.random.default_rng(seed), (0.3, 0.15, 0.25))
        rows = rows_of(canvas, "mountain-merged")
        assert 0.1 < rows.min() < 0.2
        assert rows.max() < 0.56
        assert (canvas.pixels().min(-1) > 225).sum() > 60  # snow on them
        draw_sea(canvas, 0.5, 0.9, np.random.default_rng(seed), 5)
        assert (canvas.layers().panoptic[65:] == COCO_NAMES.index("sea")).all()
        draw_rocks(canvas, 0.5, 0.8, 0.1)
        rows = rows_of(canvas, "rock-merged")
        assert 0.69 < rows.min()
        assert rows.max() < 0.81
        assert len(rows) > 120
