"""Bicycles and motorcycles of the second world: wheels, saddles, lamps."""

import numpy as np
import pytest

pytest.importorskip("skia")

from drawn_things import (
    FEET,
    MIDDLE,
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
from mas_fast.data.storybook.world2 import cycles

# Least share of the colour that was asked for.
COLORED = {"bicycle": 0.25, "motorcycle": 0.18}


@pytest.mark.parametrize("kind", cycles.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(cycles, kind), cycles.WIDTHS[kind])


@pytest.mark.parametrize("kind", cycles.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(cycles, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(cycles, kind), cycles.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert cycles.NATURAL.keys() == cycles.WIDTHS.keys()


@pytest.mark.parametrize("kind", cycles.WIDTHS)
def test_it_stands_on_two_wheels(kind: str) -> None:
    for seed in SEEDS:
        assert parts_at(drawn(getattr(cycles, kind), 100, seed), -0.04, 100) == 2


def test_one_sees_through_the_wheels_of_a_bicycle() -> None:
    seen = shape(drawn(cycles.bicycle, 100))
    wheel = seen[FEET - 69 : FEET, MIDDLE + 17 : MIDDLE + 87]
    assert wheel.mean() < 0.5


@pytest.mark.parametrize("kind", cycles.WIDTHS)
def test_the_saddle_is_where_it_says(kind: str) -> None:
    x, y = cycles.SEATS[kind]
    for seed in SEEDS:
        column = shape(drawn(getattr(cycles, kind), 100, seed))[:FEET, MIDDLE + round(100 * x)]
        top = (FEET - int(np.nonzero(column)[0].min())) / 100
        assert top == pytest.approx(y, abs=0.05)


@pytest.mark.parametrize("kind, count", [("bicycle", 3), ("motorcycle", 2)])
def test_types(kind: str, count: int) -> None:
    assert types_of(getattr(cycles, kind)) == count


@pytest.mark.parametrize("kind", cycles.WIDTHS)
def test_lamps_are_lit_at_night(kind: str) -> None:
    assert_shines(getattr(cycles, kind), cycles.WIDTHS[kind])
