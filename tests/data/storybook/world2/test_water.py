"""Water resembles what stands above it."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box  # noqa: E402
from mas_fast.data.storybook.world2.brush import Brush  # noqa: E402
from mas_fast.data.storybook.world2.light import PALETTES, Sky  # noqa: E402
from mas_fast.data.storybook.world2.sky import draw_sky, sun_at  # noqa: E402
from mas_fast.data.storybook.world2.water import (  # noqa: E402
    LAKE,
    draw_sea,
    draw_swell,
    draw_water,
    glitter,
    ripple,
    winding,
)
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

WATER, SEA = COCO_NAMES.index("water-other"), COCO_NAMES.index("sea")


def easel(sky: Sky, without: tuple[str, ...] = ()) -> Brush:
    canvas, generator = Canvas(128), np.random.default_rng(0)
    draw_sky(canvas, sky, without, generator)
    return Brush(canvas, "summer", sky, without, generator)


@pytest.mark.parametrize("hour", PALETTES)
def test_a_tree_is_mirrored(hour: str) -> None:
    brush = easel(Sky(hour, "clear", -0.8))
    with brush.canvas.segment("tree-merged"):
        brush.fill(box(0.6, 0.35, 0.75, 0.5), (0.1, 0.2, 0.1))
        brush.fill(box(0.85, 0.35, 0.95, 0.5), (0.9, 0.3, 0.1))
    draw_water(brush, box(0, 0.5, 1, 0.8), 0.5, 0.8, LAKE, "water-other")
    assert (brush.canvas.layers().panoptic[65:102] == WATER).all()
    pixels = brush.canvas.pixels().astype(float)
    above, below = pixels[46:64][::-1].reshape(-1, 3), pixels[64:82].reshape(-1, 3)
    for channel in range(3):
        assert np.corrcoef(above[:, channel], below[:, channel])[0, 1] > 0.6
    dark, light = pixels[64:78, 78:94].mean(), pixels[64:78, 50:70].mean()
    assert dark < light - 8


def test_rain_breaks_the_image() -> None:
    contrast = {}
    for weather in ("clear", "rain"):
        brush = easel(Sky("day", weather), ("clouds", "sun"))
        with brush.canvas.segment("tree-merged"):
            brush.canvas.fill(box(0.5, 0.2, 1, 0.5), (0, 0, 0), lit=False)
            brush.canvas.fill(box(0.0, 0.2, 0.5, 0.5), (1, 1, 1), lit=False)
        draw_water(brush, box(0, 0.5, 1, 0.8), 0.5, 0.8, LAKE, "water-other")
        rows = brush.canvas.pixels()[64:80].astype(float)
        contrast[weather] = rows[:, :50].mean() - rows[:, -50:].mean()
    assert contrast["clear"] > 1.3 * contrast["rain"] > 30


@pytest.mark.parametrize("hour", PALETTES)
def test_glitter_is_below_the_sun(hour: str) -> None:
    sky = Sky(hour, "clear", 0.7)
    change = []
    for without in ((), ("sun",)):
        brush = easel(sky, without)
        before = brush.canvas.pixels().astype(int)
        glitter(brush, 0.5, 0.8)
        change.append(np.abs(brush.canvas.pixels() - before).sum(-1))
    rows, columns = np.nonzero(change[0])
    assert 62 < rows.min() < rows.max() < 105
    assert columns.mean() / 128 == pytest.approx(sun_at(sky), abs=0.03)
    assert not change[1].any()


def test_the_sea_begins_at_the_horizon() -> None:
    brush = easel(Sky())
    draw_sea(brush, 0.5, 1.0)
    labels = brush.canvas.layers().panoptic
    assert (labels[64:] == SEA).all()
    assert not (labels[:64] == SEA).any()
    rows = brush.canvas.pixels()[64:].astype(float).mean((1, 2))
    assert rows[:10].mean() > rows[-10:].mean() + 10  # darker towards us
    before = brush.canvas.pixels().astype(int)
    draw_swell(brush, [0.7, 0.7, 0.7])
    change = brush.canvas.pixels() - before
    assert change[91:98].mean() < -3
    assert not change[:86].any()
    assert not change[106:].any()


def test_shapes() -> None:
    bounds = ripple(0.5, 0.6, 0.1, 0.01).getBounds()
    assert (bounds.left(), bounds.right()) == pytest.approx((0.4, 0.6))
    bounds = winding(0.5, 0.7, 0.5, 1).getBounds()
    assert (bounds.top(), bounds.bottom()) == pytest.approx((0.5, 0.7), abs=0.02)
    other = winding(0.5, 0.7, 0.5, -1).getBounds()
    assert other.left() + bounds.right() == pytest.approx(1, abs=0.01)
