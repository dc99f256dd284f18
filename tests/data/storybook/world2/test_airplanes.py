"""Airplanes of the second world: types, wings, windows."""

import pytest

pytest.importorskip("skia")

from drawn_things import (
    FEET,
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    assert_shines,
    drawn,
    shape,
    types_of,
)
from mas_fast.data.storybook.world2 import airplanes

# Least share of the colour that was asked for.
COLORED = {"airplane": 0.55}


@pytest.mark.parametrize("kind", airplanes.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(airplanes, kind), airplanes.WIDTHS[kind])


@pytest.mark.parametrize("kind", airplanes.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(airplanes, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(airplanes, kind), airplanes.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert airplanes.NATURAL.keys() == airplanes.WIDTHS.keys()


def test_it_is_a_jet_or_has_a_propeller() -> None:
    assert types_of(airplanes.airplane) == 2


def test_its_fin_is_at_the_rear() -> None:
    for seed in SEEDS:
        seen = shape(drawn(airplanes.airplane, 80, seed))
        top = seen[FEET - 76 : FEET - 62, :60]
        assert top.any()


def test_windows_are_lit_at_night() -> None:
    assert_shines(airplanes.airplane, 2.5, least=40)
