"""sizes.py: rows have room, and small things can be told from big ones."""

import pytest

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.sizes import (
    LEAST,
    far_height,
    row_heights,
    seat_height,
    usual_height,
)
from mas_fast.data.storybook.world2.words import LAND, ON, ROAD, SIZES, TABLETOP


def test_a_thing_alone_has_the_height_of_its_kind() -> None:
    assert row_heights([("dog", None, None)], LAND) == [KINDS["dog"].heights[LAND]]


@pytest.mark.parametrize("size", SIZES)
def test_small_and_big_are_ratios(size) -> None:
    for count in (1, 2):
        (height, *_) = row_heights([("cat", size, None), ("ball", None, None)][:count], LAND)
        assert height == pytest.approx(SIZES[size] * usual_height("cat", LAND, count))
    assert SIZES["small"] < 0.75 < 1.15 < SIZES["big"]


def test_a_full_row_is_lower() -> None:
    full = row_heights([("bus", None, None), ("bus", None, None)], ROAD)
    assert full[0] < usual_height("bus", ROAD, 2)
    assert sum(full) * KINDS["bus"].width < 0.9
    assert row_heights([("bus", "big", None), ("bus", None, None)], ROAD) is None
    assert row_heights([("car", None, None)] * 4, ROAD) is None
    assert row_heights([("dog", None, None)] * 5, LAND) is None


def test_nothing_is_too_low() -> None:
    assert row_heights([("ball", "small", None)], LAND) is None
    assert min(row_heights([("apple", None, None)] * 4, TABLETOP)) >= LEAST


def test_far_things_are_low() -> None:
    assert 0.1 <= far_height("house", LAND) < 0.6 * usual_height("house", LAND, 4)
    assert far_height("boat", LAND) >= 0.1


def test_who_sits_on_a_low_thing_is_low() -> None:
    usual = usual_height("horse", LAND)
    assert seat_height("man", "horse", usual) == KINDS["man"].heights[ON]
    assert seat_height("man", "horse", usual / 2) == KINDS["man"].heights[ON] / 2
