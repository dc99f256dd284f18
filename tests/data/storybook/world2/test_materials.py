"""Colours that stand out, glass, lamps, patterns."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, Light, box
from mas_fast.data.storybook.world2 import materials
from mas_fast.data.storybook.world2.look import Look

RED, WHITE, BLACK = (0.8, 0.2, 0.15), (0.96, 0.95, 0.92), (0.15, 0.15, 0.17)
WALL = box(0.1, 0.1, 0.9, 0.9)


def look(night: bool = False, pattern: str | None = None) -> Look:
    return Look(np.random.default_rng(0), night=night, pattern=pattern)


def test_an_accent_shows_on_dark_and_on_bright_colours() -> None:
    assert sum(materials.accent(RED)) < sum(RED)
    assert sum(materials.accent(BLACK)) > sum(BLACK)


@pytest.mark.parametrize("color", [RED, WHITE, BLACK])
def test_trim_stands_out(color) -> None:
    assert materials.apart(materials.trim(color), color) > 0.6


def test_a_colour_that_stands_out_is_never_the_wall() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        assert materials.standing_out(generator, (RED, WHITE), RED) == WHITE


def test_glass_is_blue_by_day_and_lit_at_night() -> None:
    means = []
    for night in (False, True):
        canvas = Canvas(64, Light((0.3, 0.3, 0.3)) if night else Light())
        with canvas.segment("car"):
            materials.glass(canvas, [WALL], look(night))
        means.append(canvas.pixels()[20:44, 20:44].reshape(-1, 3).mean(0))
    day, night_mean = means
    assert day[2] > day[0] + 30
    assert night_mean[0] > 220
    assert night_mean[0] > night_mean[2] + 50


def test_glass_without_light_behind_it_stays_dark_at_night() -> None:
    canvas = Canvas(64, Light((0.3, 0.3, 0.3)))
    with canvas.segment("car"):
        materials.glass(canvas, [WALL], look(night=True), lit=False)
    assert canvas.pixels().max() < 90


@pytest.mark.parametrize("pattern", ["striped", "spotted"])
def test_a_pattern_stays_within_its_shape(pattern: str) -> None:
    canvas = Canvas(64)
    with canvas.segment("car"):
        canvas.fill(WALL, RED)
        materials.patterned(canvas, WALL, RED, look(pattern=pattern), size=0.1)
    pixels = canvas.pixels().astype(int)
    cream = pixels[..., 2] > 150
    assert 0.1 < cream[8:56, 8:56].mean() < 0.6
    assert not pixels[:5].any()
    assert not pixels[:, :5].any()


def test_stripes_turn() -> None:
    rows = []
    for turn in (0, 90):
        canvas = Canvas(64)
        materials.patterned(canvas, WALL, RED, look(pattern="striped"), size=0.1, turn=turn)
        rows.append(canvas.pixels()[10:54, 10:54, 0].astype(int))
    along, upright = rows
    assert np.abs(np.diff(along, axis=1)).max() == 0
    assert np.abs(np.diff(upright, axis=0)).max() == 0
    assert np.abs(np.diff(upright, axis=1)).max() > 100
