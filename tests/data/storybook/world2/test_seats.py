"""seats.py: who sits on what are kinds, in poses."""

import pytest

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.seats import SEATS, sits


@pytest.mark.parametrize("name", SEATS)
def test_a_seat_and_who_is_on_it(name) -> None:
    seat = SEATS[name]
    assert {name, *seat.poses} <= set(KINDS)
    assert set(seat.poses.values()) <= {"sit", "ride", "stand", "perch", "lie", None}
    assert 0 < seat.y <= 1
    assert abs(seat.x) < KINDS[name].width / 2


def test_sits() -> None:
    assert sits("man", "horse")
    assert not sits("horse", "man")
    assert not sits("horse", "bench")
