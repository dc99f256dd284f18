"""Boats of the second world: types, sails, lanterns."""

from collections import Counter

import numpy as np
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
from mas_fast.data.storybook.world2 import boats

# Least share of the colour that was asked for.
COLORED = {"boat": 0.4}


@pytest.mark.parametrize("kind", boats.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(boats, kind), boats.WIDTHS[kind])


@pytest.mark.parametrize("kind", boats.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(boats, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(boats, kind), boats.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert boats.NATURAL.keys() == boats.WIDTHS.keys()


def test_there_are_four_types() -> None:
    assert types_of(boats.boat) == 4


def test_every_other_boat_sails() -> None:
    kinds = Counter(shape(drawn(boats.boat, 60, seed)).tobytes() for seed in range(60))
    ((_, most),) = kinds.most_common(1)
    assert 20 < most < 40


def test_the_bow_is_higher_than_the_stern() -> None:
    for seed in SEEDS:
        seen = shape(drawn(boats.boat, 100, seed))[:FEET]
        columns = np.nonzero(seen.any(0))[0]
        bow, stern = (np.nonzero(seen[:, x])[0].min() for x in (columns[-3], columns[2]))
        assert bow < stern


def test_lamps_and_portholes_are_lit_at_night() -> None:
    assert_shines(boats.boat, 1.5)
