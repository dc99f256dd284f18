"""What stands on a table in the second world: flowers, patterns, fillings."""

import numpy as np
import pytest

pytest.importorskip("skia")

from drawn_things import (
    FEET,
    RED,
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    drawn,
    shape,
    share_of,
    types_of,
)
from mas_fast.data.storybook.world2 import table

COLORED = {
    "vase": 0.33,
    "bottle": 0.55,
    "cup": 0.75,
    "bowl": 0.45,
}  # least share of the colour that was asked for


@pytest.mark.parametrize("kind", table.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(table, kind), table.WIDTHS[kind])


@pytest.mark.parametrize("kind", table.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(table, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(table, kind), table.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert table.NATURAL.keys() == table.WIDTHS.keys()


@pytest.mark.parametrize("kind", ["vase", "cup", "bowl"])
def test_it_is_striped_or_spotted(kind: str) -> None:
    draw = getattr(table, kind)
    plain, *patterned = (drawn(draw, 100, pattern=p) for p in (None, "striped", "spotted"))
    for canvas in patterned:
        assert (plain.pixels() != canvas.pixels()).any(-1).sum() > 200
        assert share_of(canvas, RED) > 0.18


@pytest.mark.parametrize("kind, count", [("vase", 2), ("bottle", 2), ("cup", 2), ("bowl", 3)])
def test_types(kind: str, count: int) -> None:
    assert types_of(getattr(table, kind)) >= count


def test_one_sees_through_the_handle_of_a_cup() -> None:
    for seed in SEEDS:
        row = shape(drawn(table.cup, 100, seed))[FEET - 47]
        assert (np.diff(row.astype(int)) == 1).sum() == 2  # the cup, and the handle's far side
