"""Buses and trucks of the second world: types, wheels, lit windows."""

import pytest

pytest.importorskip("skia")

from drawn_things import (
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    assert_shines,
    drawn,
    lit_pixels,
    parts_at,
    types_of,
)
from mas_fast.data.storybook.world2 import buses_and_trucks

# Least share of the colour that was asked for.
COLORED = {"bus": 0.4, "truck": 0.3}


@pytest.mark.parametrize("kind", buses_and_trucks.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(buses_and_trucks, kind), buses_and_trucks.WIDTHS[kind])


@pytest.mark.parametrize("kind", buses_and_trucks.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(buses_and_trucks, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(buses_and_trucks, kind), buses_and_trucks.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert buses_and_trucks.NATURAL.keys() == buses_and_trucks.WIDTHS.keys()


def test_it_stands_on_its_wheels() -> None:
    wheels = {parts_at(drawn(buses_and_trucks.truck, 90, seed), -0.04, 90) for seed in SEEDS}
    assert wheels == {2, 3}  # a tipper has two axles at the rear
    for seed in SEEDS:
        assert parts_at(drawn(buses_and_trucks.bus, 90, seed), -0.04, 90) == 2


def test_a_bus_has_one_deck_or_two() -> None:
    assert types_of(buses_and_trucks.bus) == 2


def test_there_are_three_types_of_truck_and_three_loads_of_a_pickup() -> None:
    assert types_of(buses_and_trucks.truck) == 5


@pytest.mark.parametrize("kind", buses_and_trucks.WIDTHS)
def test_lamps_are_lit_at_night(kind: str) -> None:
    assert_shines(getattr(buses_and_trucks, kind), buses_and_trucks.WIDTHS[kind])


def test_the_windows_of_a_bus_are_lit_at_night() -> None:
    for seed in SEEDS:
        assert lit_pixels(buses_and_trucks.bus, 90, seed, True) > 800
