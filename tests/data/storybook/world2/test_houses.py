"""Houses of the second world: styles, walls, lit windows."""

import pytest

pytest.importorskip("skia")

from drawn_things import (
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    assert_shines,
    drawn,
    share_of,
    types_of,
)
from mas_fast.data.storybook.world2 import houses

# Least share of the colour that was asked for.
COLORED = {"house": 0.3}


@pytest.mark.parametrize("kind", houses.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(houses, kind), houses.WIDTHS[kind])


@pytest.mark.parametrize("kind", houses.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(houses, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(houses, kind), houses.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert houses.NATURAL.keys() == houses.WIDTHS.keys()


def test_there_are_six_styles_and_more() -> None:
    assert types_of(houses.house) >= 6


def test_windows_are_lit_at_night() -> None:
    assert_shines(houses.house, 1.4, least=60)


def test_a_white_house_has_frames_that_show() -> None:
    white = (0.96, 0.95, 0.93)
    for seed in SEEDS:
        assert share_of(drawn(houses.house, 120, seed, color=white), white) < 0.9
