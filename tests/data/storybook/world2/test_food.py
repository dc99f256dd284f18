"""Food of the second world: fruit, pizza, cake."""

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
from mas_fast.data.storybook.world2 import food

COLORED = {
    "banana": 0.75,
    "apple": 0.85,
    "orange fruit": 0.75,
    "cake": 0.28,
}  # least share of the colour that was asked for


@pytest.mark.parametrize("kind", food.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(food, kind.replace(" ", "_")), food.WIDTHS[kind])


@pytest.mark.parametrize("kind", food.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(food, kind.replace(" ", "_")))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(food, kind.replace(" ", "_")), food.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert food.NATURAL.keys() == food.WIDTHS.keys()


@pytest.mark.parametrize("kind, count", [("banana", 2), ("orange fruit", 2), ("cake", 4)])
def test_types(kind: str, count: int) -> None:
    assert types_of(getattr(food, kind.replace(" ", "_"))) == count


def test_a_pizza_is_whole_or_lacks_a_slice_and_has_three_toppings() -> None:
    assert len({drawn(food.pizza, 80, seed).pixels().tobytes() for seed in range(40)}) == 6


def test_candles_burn_at_night() -> None:
    lit = [lit_pixels(food.cake, 100, seed, True) for seed in SEEDS]
    assert max(lit) > 20
    assert min(lit) == 0  # a cherry instead
