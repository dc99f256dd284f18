"""Furniture of the second world: seats, covers, lit lamps."""

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
    height_of,
    shape,
    types_of,
)
from mas_fast.data.storybook.world2 import furniture

DRAW = {kind: getattr(furniture, kind) for kind in furniture.WIDTHS if kind != "table"}
DRAW["table"] = furniture.dining_table

COLORED = {
    "chair": 0.8,
    "couch": 0.85,
    "bed": 0.45,
    "table": 0.95,
    "lamp": 0.5,
    "fridge": 0.85,
}  # least share of the colour that was asked for


@pytest.mark.parametrize("kind", furniture.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(DRAW[kind], furniture.WIDTHS[kind])


@pytest.mark.parametrize("kind", furniture.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(DRAW[kind])


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(DRAW[kind], furniture.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert furniture.NATURAL.keys() == furniture.WIDTHS.keys()


@pytest.mark.parametrize("kind", furniture.SEATS)
def test_there_is_something_below_a_seat(kind: str) -> None:
    x, y = furniture.SEATS[kind]
    height = height_of(furniture.WIDTHS[kind])
    for seed in SEEDS:
        seen = shape(drawn(DRAW[kind], height, seed))
        row, column = FEET - round(height * y) + 2, MIDDLE + round(height * x)
        assert seen[row, column - 4 : column + 5].all()


def test_nothing_stands_above_a_table_and_a_bed() -> None:
    for kind in ("table", "bed"):
        x, y = furniture.SEATS[kind]
        column = shape(drawn(DRAW[kind], 90))[:FEET, MIDDLE + round(90 * x)]
        assert (FEET - int(column.argmax())) / 90 == pytest.approx(y, abs=0.06)


@pytest.mark.parametrize("kind, count", [("chair", 3), ("table", 2), ("lamp", 3)])
def test_types(kind: str, count: int) -> None:
    assert types_of(DRAW[kind]) >= count


def test_a_couch_has_two_cushions_or_three_and_pillows() -> None:
    assert len({drawn(furniture.couch, 60, n).pixels().tobytes() for n in range(30)}) > 6


def test_a_bed_has_its_cover_striped_or_spotted() -> None:
    plain, striped, spotted = (
        drawn(furniture.bed, 90, pattern=pattern).pixels()
        for pattern in (None, "striped", "spotted")
    )
    assert (plain != striped).any(-1).sum() > 500
    assert (plain != spotted).any(-1).sum() > 300


def test_a_lamp_is_lit_at_night() -> None:
    assert_shines(furniture.lamp, furniture.WIDTHS["lamp"], least=400)
