"""Hills, mountains, fields, rocks."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box  # noqa: E402
from mas_fast.data.storybook.world2.brush import Brush  # noqa: E402
from mas_fast.data.storybook.world2.land import (  # noqa: E402
    draw_field,
    draw_hills,
    draw_light,
    draw_mountains,
    draw_rocks,
    line_at,
    rolling,
)
from mas_fast.data.storybook.world2.light import Sky  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

MOUNTAIN, SNOW, GRASS = (COCO_NAMES.index(n) for n in ("mountain-merged", "snow", "grass-merged"))


def easel(season: str = "summer", seed: int = 0, sun: float = -0.6) -> Brush:
    canvas = Canvas(128)
    with canvas.segment("sky-other-merged"):
        canvas.fill(box(0, 0, 1, 1), (0.5, 0.7, 0.9))
    return Brush(canvas, season, Sky("day", "clear", sun), (), np.random.default_rng(seed))


def test_lines_stay_in_their_band_and_differ() -> None:
    lines = [rolling(easel(seed=seed), 0.6, 0.1) for seed in range(30)]
    assert all(0.5 <= h <= 0.6 for line in lines for h in line)
    assert np.std(lines, axis=0).min() > 0.01
    assert max(np.ptp(line) for line in lines) > 0.05


def test_line_at() -> None:
    at = line_at([0.4, 0.6])
    assert at(0.5) == pytest.approx(0.5)
    assert at(1.0) > 0.59


@pytest.mark.parametrize(("season", "label"), [("summer", GRASS), ("winter", SNOW)])
def test_a_field_is_that_of_the_season(season: str, label: int) -> None:
    brush = easel(season)
    draw_field(brush, [0.5, 0.5, 0.5], bottom=0.8)
    mask = brush.canvas.layers().panoptic == label
    assert mask[65:102].all()
    assert not mask[:63].any()
    assert not mask[106:].any()


def test_hills_are_hazier_than_fields() -> None:
    brush = easel()
    draw_hills(brush, 0.5)
    draw_field(brush, [0.6] * 3)
    pixels = brush.canvas.pixels().astype(float)
    hills = pixels[60:66].mean((0, 1))
    near = pixels[90:].mean((0, 1))
    assert hills[2] - hills[1] > near[2] - near[1] + 30  # bluer
    assert (brush.canvas.layers().panoptic[66] == GRASS).all()


def test_mountains_have_peaks_a_lit_and_a_shaded_face() -> None:
    tops = set()
    for seed in range(8):
        brush = easel(seed=seed)
        draw_mountains(brush, 0.5, 0.2, 0.2)
        mask = brush.canvas.layers().panoptic == MOUNTAIN
        rows, columns = np.nonzero(mask)
        assert rows.min() / 128 == pytest.approx(0.2, abs=0.03)
        assert mask[65:67].all()
        tops.add(int(columns[rows.argmin()]) // 16)
        peak = int(columns[rows == rows.min()].mean())
        row = rows.min() + 14
        left, right = (
            brush.canvas.pixels()[row, x].astype(int).sum() for x in (peak - 8, peak + 8)
        )
        assert left > right
    assert len(tops) > 2


def test_rocks_and_light() -> None:
    brush = easel("winter")
    draw_field(brush, [0.4] * 3)
    draw_rocks(brush, 0.5, 0.8, 0.1)
    rocks = np.nonzero(brush.canvas.layers().panoptic == COCO_NAMES.index("rock-merged"))
    assert rocks[0].max() / 128 == pytest.approx(0.8, abs=0.02)
    assert rocks[0].min() / 128 == pytest.approx(0.71, abs=0.03)
    before = brush.canvas.pixels().astype(int)
    draw_light(brush, 0.4)
    change = (brush.canvas.pixels() - before)[110:]
    warmth = change[..., 0] - change[..., 2]
    assert warmth[:, :20].mean() > warmth[:, -20:].mean() + 5
    assert not (brush.canvas.pixels() - before)[:50].any()
