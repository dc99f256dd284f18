"""Objects of the storybook: seats, roofs, panels."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world1 import objects
from mas_fast.data.storybook.canvas import Canvas, Light

RED, WHITE = (0.81, 0.16, 0.15), (0.95, 0.95, 0.93)


def drawn(draw, color=RED, seed: int = 0, light: Light = Light(), **more) -> Canvas:  # noqa: B008
    """An object 80 pixels high, its foot 32 pixels above the bottom of 160."""
    canvas = Canvas(160, light)
    with canvas.segment("house"), canvas.at(0.5, 0.8, 0.5):
        draw(canvas, color, np.random.default_rng(seed), **more)
    return canvas


def shape(canvas: Canvas) -> np.ndarray:
    return canvas.layers().panoptic != 255


def test_a_ball_is_round() -> None:
    found = shape(drawn(objects.ball))
    assert found.sum() == pytest.approx(np.pi * 40**2, rel=0.02)


def test_a_bench_has_its_seat_where_it_says() -> None:
    for seed in range(6):
        canvas = drawn(objects.bench, seed=seed)
        row = canvas.pixels()[round(128 - 80 * objects.SEAT)].astype(int)
        assert (row[10:150, 0] - row[10:150, 2] > 100).mean() > 0.95  # red all along
        below = shape(canvas)[115]
        assert (np.diff(below.astype(int)) == 1).sum() == 2  # two legs


def test_an_umbrella_is_a_roof_on_a_thin_pole() -> None:
    for seed in range(6):
        rows = shape(drawn(objects.umbrella, seed=seed)).sum(1)
        assert rows[80:90].max() > 60
        assert rows[100:126].max() < 10


def test_a_kite_has_a_string_without_a_label() -> None:
    canvas = drawn(objects.kite)
    drawn_alone = (canvas.pixels().sum(-1) > 200) & ~shape(canvas)
    assert drawn_alone.sum() > 20
    assert np.nonzero(drawn_alone)[1].min() < 48


def test_the_gable_or_the_long_side_of_a_house() -> None:
    tops = [int(shape(drawn(objects.house, seed=n))[58].sum()) for n in range(24)]
    assert 5 < sum(top > 50 for top in tops) < 19


def test_a_house_has_lit_windows_at_night() -> None:
    dark = Light((0.25, 0.28, 0.4))
    day, night = (drawn(objects.house, light=dark, night=lit).pixels() for lit in (False, True))
    assert (day[..., 0] > 150).sum() == 0
    assert (night[..., 0] > 150).sum() > 200


def test_a_white_house_has_frames_that_show() -> None:
    pixels = drawn(objects.house, WHITE).pixels().astype(int)
    wood = np.abs(pixels - 255 * np.array(objects.WOOD)).sum(-1) < 60
    assert wood[90:100].sum() > 10  # above the door, below the roof
