"""Things stand where the story says, apart from each other and within the picture."""

import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world1.stage import GRID, place_all  # noqa: E402
from mas_fast.data.storybook.world1.story import story  # noqa: E402
from mas_fast.data.storybook.world1.words import KINDS, PLACES  # noqa: E402

STORIES = [story("train", i) for i in range(1500)]


def ends(placed) -> tuple[float, float]:
    return placed.x - placed.width / 2, placed.x + placed.width / 2


def test_all_are_there_and_on_the_grid() -> None:
    for told in STORIES:
        placed = place_all(told)
        assert placed == place_all(told)
        expected = [g.kind for g in told.groups for _ in range(g.count)]
        assert sorted(p.kind for p in placed) == sorted(expected)
        for p in placed:
            left, right = ends(p)
            assert left > -GRID
            assert right < 1 + GRID
            assert 0.1 < p.y < 1
            assert (p.x / GRID).is_integer()
            assert p.seated or (p.y / GRID).is_integer()


def test_nothing_overlaps_unless_it_is_told() -> None:
    for told in STORIES:
        if told.relation in ("front", "behind", "on"):
            continue
        rows = {}
        for p in place_all(told):
            rows.setdefault(KINDS[p.kind].part, []).append(ends(p))
        for row in rows.values():
            row.sort()
            for (_, right), (left, _) in zip(row, row[1:], strict=False):
                assert left > right - GRID / 2


def test_relations_hold() -> None:
    seen = set()
    for told in STORIES:
        if told.relation is None:
            continue
        seen.add(told.relation)
        placed = place_all(told)
        first, second = ([p for p in placed if p.kind == g.kind] for g in told.groups)
        if told.relation == "left":
            assert max(p.x for p in first) < min(p.x for p in second)
        if told.relation == "right":
            assert min(p.x for p in first) > max(p.x for p in second)
        if told.relation in ("front", "behind"):
            near, far = (first, second) if told.relation == "front" else (second, first)
            assert min(p.y for p in near) >= max(p.y for p in far)
            assert placed.index(near[0]) > placed.index(far[0])  # painted later
        if told.relation == "on":
            (sitter,), (seat,) = first, second
            assert sitter.seated
            assert seat.y - seat.height < sitter.y < seat.y
    assert seen == {"left", "right", "beside", "front", "behind", "on"}


def test_feet_are_in_their_part_of_the_place() -> None:
    for told in STORIES:
        for p in place_all(told):
            if not p.seated:
                far, near = PLACES[told.place].parts[KINDS[p.kind].part]
                assert far - GRID <= p.y <= near + GRID
