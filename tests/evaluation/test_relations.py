"""relations.py: boxes stand in for things; each relation alone, and what it is not."""

import numpy as np
import pytest

from mas_fast.evaluation.relations import RELATIONS, extent, holds, is_far


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[top:bottom, left:right] = True
    return mask


BENCH = box(40, 20, 56, 50)
THINGS = {
    "left of it": (box(40, 2, 56, 16), {"left", "beside"}),
    "right of it, farther": (box(30, 52, 50, 62), {"right", "beside", "behind"}),
    "before it": (box(44, 30, 60, 36), {"left", "front"}),
    "on it": (box(36, 30, 48, 36), {"left", "behind", "on"}),
    "in the air over it": (box(4, 40, 12, 46), {"right", "behind", "above"}),
    "in the air, touching": (box(30, 40, 42, 46), {"right", "behind", "on"}),
    "below it": (box(57, 20, 63, 40), {"left", "front", "below"}),
}


@pytest.mark.parametrize("name", THINGS)
def test_which_relations_hold(name) -> None:
    mask, expected = THINGS[name]
    assert {relation for relation in RELATIONS if holds(relation, mask, BENCH)} == expected


def test_inverse_relations() -> None:
    for mask, _ in THINGS.values():
        for one, other in (("left", "right"), ("front", "behind"), ("above", "below")):
            assert holds(one, mask, BENCH) == holds(other, BENCH, mask)
        assert holds("beside", mask, BENCH) == holds("beside", BENCH, mask)


def test_a_thing_is_not_on_what_it_only_meets() -> None:
    assert not holds("on", box(30, 0, 48, 20), BENCH)  # its middle is beside
    assert not holds("on", box(10, 30, 36, 36), BENCH)  # it hovers


def test_far() -> None:
    assert is_far(box(30, 10, 42, 30))
    assert not is_far(box(30, 10, 46, 30))
    assert is_far(box(30, 4, 40, 12) | box(30, 40, 40, 48))


def test_stray_pixels_are_left_out() -> None:
    mask = box(40, 20, 56, 50)
    mask[0, 0] = True
    assert extent(mask, 0) == (40, 55)
    assert extent(mask, 1) == (20, 49)


def test_unknown() -> None:
    with pytest.raises(KeyError):
        holds("inside", BENCH, BENCH)
