"""Shapes in the light of the hour."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box, ellipse  # noqa: E402
from mas_fast.data.storybook.world2.brush import Brush, trail  # noqa: E402
from mas_fast.data.storybook.world2.light import PALETTES, Sky, palette_of  # noqa: E402


def brush(sky: Sky = Sky(), season: str = "summer", **more) -> Brush:  # noqa: B008
    generator = np.random.default_rng(0)
    return Brush(Canvas(64), season, sky, more.pop("without", ()), generator, **more)


@pytest.mark.parametrize("hour", PALETTES)
def test_far_things_have_the_colour_of_the_air(hour: str) -> None:
    one, haze = brush(Sky(hour)), palette_of(Sky(hour)).haze
    assert one.tone((0.2, 0.9, 0.1), 1.0) == pytest.approx(haze)
    gaps = [np.abs(np.subtract(one.tone((1, 0.9, 0.1), far), haze)).sum() for far in (0, 0.3, 0.7)]
    assert gaps[0] > gaps[1] > gaps[2]


def test_fog_is_nearer_and_night_is_blue() -> None:
    def gap(sky: Sky) -> float:
        return float(np.abs(np.subtract(brush(sky).tone((1, 0, 0)), palette_of(sky).haze)).sum())

    assert gap(Sky("day", "fog")) < gap(Sky("day"))
    red, _, blue = brush(Sky("night")).tone((0.8, 0.8, 0.8))
    assert blue > 1.3 * red
    lamp = brush(Sky("night"), indoors=True).tone((0.8, 0.8, 0.8))
    assert lamp[0] > lamp[2]


def test_the_side_to_the_sun_is_lit() -> None:
    for sun in (-0.8, 0.8):
        one = brush(Sky("day", "clear", sun))
        with one.canvas.segment("tree-merged"):
            one.solid(ellipse(0.5, 0.5, 0.4), (0.5, 0.5, 0.5))
        row = one.canvas.pixels()[32, :, 0].astype(int)
        left, right = row[8:12].mean(), row[52:56].mean()
        assert (left > right + 10) == (sun < 0)
        assert (right > left + 10) == (sun > 0)


def test_a_shadow_falls_away_from_the_sun() -> None:
    for sun in (-0.8, 0.8):
        one = brush(Sky("dusk", "clear", sun))
        with one.canvas.segment("snow"):
            one.fill(box(0, 0, 1, 1), (1, 1, 1))
        before = one.canvas.pixels().astype(int)
        one.shadow(0.5, 0.5, 0.3)
        columns = np.nonzero((before - one.canvas.pixels()).sum(-1))[1]
        assert (columns.mean() - 31.5) * sun < -3


def test_what_may_be_there() -> None:
    seasons = ("spring", "summer", "autumn", "winter")
    assert [brush(season=s).flowers for s in seasons] == [True, True, False, False]
    assert [brush(season=s).winter for s in seasons] == [False, False, False, True]
    none = brush(without=("trees", "flowers", "buildings"))
    assert not none.trees
    assert not none.flowers
    assert not none.buildings


def test_a_trail_narrows() -> None:
    bounds = trail(lambda y: 0.5, 0.5, 1.0, 0.02, 0.3).computeTightBounds()
    assert (bounds.left(), bounds.right()) == pytest.approx((0.35, 0.65), abs=0.001)
    canvas = Canvas(64)
    with canvas.segment("road"):
        canvas.fill(trail(lambda y: 0.5, 0.5, 1.0, 0.02, 0.3), (1, 1, 1))
    widths = (canvas.pixels()[33:63, :, 0] > 128).sum(1)
    assert (np.diff(widths) >= 0).all()
    assert widths[0] < 6 < 16 < widths[-1]
