"""stage.py: what a story claims is true of where its things stand."""

from dataclasses import replace

import pytest

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.seats import SEATS
from mas_fast.data.storybook.world2.sizes import GRID, LEAST, LEAST_FAR, usual_height
from mas_fast.data.storybook.world2.stage import place_all
from mas_fast.data.storybook.world2.story import Group
from mas_fast.data.storybook.world2.telling import story
from mas_fast.data.storybook.world2.words import AIR, ON, PLACES, RELATIONS

STORIES = [story("train", i) for i in range(3000)]
STAGED = [(told, place_all(told)) for told in STORIES]


def parts(told, placed):
    return [[p for p in placed if p.group == n] for n in range(len(told.groups))]


def hidden(figure, others) -> float:
    """The share of a figure's width that others stand before."""
    columns = [figure.x + figure.width * (i / 100 - 0.495) for i in range(100)]
    return sum(any(abs(x - o.x) < o.width / 2 for o in others) for x in columns) / 100


def test_all_are_there_and_on_the_grid() -> None:
    for told, placed in STAGED:
        assert placed == place_all(told)
        assert [len(group) for group in parts(told, placed)] == [g.count for g in told.groups]
        for p in placed:
            group = told.groups[p.group]
            assert (p.kind, p.color, p.pattern) == (group.kind, group.color, group.pattern)
            assert 0 <= p.x - p.width / 2
            assert p.x + p.width / 2 <= 1
            assert 0 <= p.y - p.height
            assert p.height >= (LEAST_FAR if p.far else LEAST)
            if p.part != ON:
                assert (p.x / GRID).is_integer()
                assert (p.y / GRID).is_integer()


def test_nothing_overlaps_unless_it_is_told() -> None:
    for told, placed in STAGED:
        related = told.relation in ("front", "behind", "on")
        for n, p in enumerate(placed):
            for other in placed[:n]:
                pair = {p.group, other.group}
                assert not p.overlaps(other) or (related and pair == {0, 1})


def test_left_right_beside() -> None:
    for told, placed in STAGED:
        first, second, *third = (*parts(told, placed), [])
        third = [p for p in (third or [[]])[0] if p.part == first[0].part]
        if told.relation == "left":
            assert max(p.x for p in first) < min(p.x for p in second + third)
        if told.relation == "right":
            assert min(p.x for p in first) > max(p.x for p in second + third)
        if told.relation == "beside":
            both = sorted([*first, *second, *third], key=lambda p: p.x)
            assert not third or both[1 : 1 + len(first)] == sorted(first, key=lambda p: p.x)
            for one, two in zip(both, both[1:], strict=False):
                assert two.x - two.width / 2 - one.x - one.width / 2 < 0.08


def test_before_and_behind() -> None:
    for told, placed in STAGED:
        if told.relation in ("front", "behind"):
            near, (far,) = parts(told, placed)[:2][:: 1 if told.relation == "front" else -1]
            assert min(p.y for p in near) >= far.y + 0.08
            assert 0 < hidden(far, near) <= 0.6
            assert placed.index(near[0]) > placed.index(far)  # painted later


def test_above_and_below() -> None:
    for told, placed in STAGED:
        if told.relation in ("above", "below"):
            upper, lower = parts(told, placed)[:2][:: 1 if told.relation == "above" else -1]
            assert all(p.part == AIR for p in upper)
            assert max(p.y for p in upper) <= min(p.y - p.height for p in lower)
            middles = [sum(p.x for p in row) / len(row) for row in (upper, lower)]
            assert abs(middles[0] - middles[1]) < 0.1


def test_on() -> None:
    for told, placed in STAGED:
        if told.relation == "on":
            (sitter,), (seat,) = parts(told, placed)[:2]
            assert sitter.part == ON
            assert sitter.pose == SEATS[seat.kind].poses[sitter.kind]
            assert placed.index(sitter) > placed.index(seat)
            assert abs(sitter.x - seat.x) < seat.width / 2
            assert seat.y - seat.height - GRID / 8 <= sitter.y < seat.y


def test_far_things_are_small_and_at_the_far_line() -> None:
    for told, placed in STAGED:
        assert any(p.far for p in placed) == (told.relation == "far")
        for p in placed:
            if p.far:
                assert p.group == len(told.groups) - 1
                assert p.height <= 0.5 * usual_height(p.kind, p.part) or p.height == LEAST_FAR
                if p.part != AIR:
                    assert abs(p.y - PLACES[told.place].far[p.part]) <= GRID


def test_small_and_big_things_are() -> None:
    found = set()
    for told, placed in STAGED:
        apart = told.relation in ("front", "behind")
        for p in placed:
            size = told.groups[p.group].size
            if size is None:
                continue
            row = [o for o in placed if o.part == p.part and not o.far]
            row = [o for o in row if o.group == p.group or not apart]
            ratio = p.height / usual_height(p.kind, p.part, len(row))
            assert ratio < 0.75 if size == "small" else ratio > 1.15
            found.add(size)
    assert found == {"small", "big"}


def test_feet_are_in_their_part_of_the_place() -> None:
    for told, placed in STAGED:
        for p in placed:
            if p.part not in (ON, AIR) and not p.far:
                far, near = PLACES[told.place].parts[p.part]
                assert far - GRID <= p.y <= near + GRID


def test_all_relations_were_looked_at() -> None:
    assert {told.relation for told in STORIES} == {None, "far", *RELATIONS}
    assert {p.kind for _, placed in STAGED for p in placed} == set(KINDS)


def test_a_story_without_room_is_refused() -> None:
    full = replace(STORIES[0], place="street", groups=(Group("bus", "red", 4),), relation=None)
    with pytest.raises(ValueError, match="expected things that have room"):
        place_all(full)
