"""Trains of the second world: types, wagons, lit windows."""

import pytest

pytest.importorskip("skia")

from drawn_things import (
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    assert_shines,
    drawn,
    parts_at,
    types_of,
)
from mas_fast.data.storybook.world2 import trains

# Least share of the colour that was asked for.
COLORED = {"train": 0.33}


@pytest.mark.parametrize("kind", trains.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(trains, kind), trains.WIDTHS[kind])


@pytest.mark.parametrize("kind", trains.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(trains, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(trains, kind), trains.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert trains.NATURAL.keys() == trains.WIDTHS.keys()


def test_a_steam_engine_pulls_one_wagon_or_two_and_there_are_two_more_types() -> None:
    assert types_of(trains.train) == 4


def test_it_runs_on_many_wheels() -> None:
    assert {parts_at(drawn(trains.train, 60, n), -0.02, 60) for n in SEEDS} >= {4, 6}


def test_windows_are_lit_at_night() -> None:
    assert_shines(trains.train, 3.4, least=200)
