"""Cars of the second world: types, wheels, lamps."""

import numpy as np
import pytest

pytest.importorskip("skia")

from drawn_things import (
    DARK,
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    assert_shines,
    drawn,
    parts_at,
    shape,
    types_of,
)
from mas_fast.data.storybook.world2 import cars

# Least share of the colour that was asked for.
COLORED = {"car": 0.33}


@pytest.mark.parametrize("kind", cars.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(cars, kind), cars.WIDTHS[kind])


@pytest.mark.parametrize("kind", cars.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(cars, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(cars, kind), cars.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert cars.NATURAL.keys() == cars.WIDTHS.keys()


def test_it_stands_on_two_wheels() -> None:
    for seed in SEEDS:
        assert parts_at(drawn(cars.car, 80, seed), -0.04, 80) == 2


def test_there_are_four_types() -> None:
    assert types_of(cars.car) == 4


def test_its_lamps_are_lit_at_night() -> None:
    assert_shines(cars.car, 2.5)


def test_a_beam_lies_ahead_and_has_no_label() -> None:
    day, night = (drawn(cars.car, 60, night=lit, light=DARK) for lit in (False, True))
    assert (day.layers().panoptic == night.layers().panoptic).all()
    columns = np.nonzero((day.pixels() != night.pixels()).any(-1) & ~shape(night))[1]
    assert (columns > 180).sum() > 50
    assert (columns > 180).mean() > 0.97  # the rest are edges of the rear lamps
