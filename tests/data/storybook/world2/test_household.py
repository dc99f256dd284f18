"""Things of a room in the second world: plants, screens, books, clocks."""

import pytest

pytest.importorskip("skia")

from drawn_things import (
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    drawn,
    lit_pixels,
    types_of,
)
from mas_fast.data.storybook.world2 import household

COLORED = {
    "potted plant": 0.28,
    "tv": 0.18,
    "laptop": 0.25,
    "book": 0.33,
    "clock": 0.33,
    "teddy bear": 0.6,
}  # least share of the colour that was asked for


@pytest.mark.parametrize("kind", household.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(household, kind.replace(" ", "_")), household.WIDTHS[kind])


@pytest.mark.parametrize("kind", household.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(household, kind.replace(" ", "_")))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(household, kind.replace(" ", "_")), household.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert household.NATURAL.keys() == household.WIDTHS.keys()


@pytest.mark.parametrize("kind", ["tv", "laptop"])
def test_screens_shine_at_night(kind: str) -> None:
    draw = getattr(household, kind)
    for seed in SEEDS:
        assert lit_pixels(draw, 90, seed, False) == 0
        assert lit_pixels(draw, 90, seed, True) > 200


@pytest.mark.parametrize("kind, count", [("potted plant", 4), ("tv", 2), ("book", 3)])
def test_types(kind: str, count: int) -> None:
    assert types_of(getattr(household, kind.replace(" ", "_"))) >= count


def test_clocks_show_different_hours() -> None:
    assert len({drawn(household.clock, 100, n).pixels().tobytes() for n in range(8)}) == 8


def test_a_pot_is_spotted() -> None:
    plain, spotted = (
        drawn(household.potted_plant, 100, pattern=p).pixels() for p in (None, "spotted")
    )
    assert (plain != spotted).any(-1).sum() > 100
