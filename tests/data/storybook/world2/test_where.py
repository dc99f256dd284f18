"""where.py: parts of places, and relations that can be seen there."""

import pytest

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.where import part_of, places_of, relations


@pytest.mark.parametrize(
    ("kind", "pose", "place", "part"),
    [
        ("bird", None, "beach", "air"),
        ("bird", "stand", "beach", "land"),
        ("bird", "stand", "sea", None),
        ("duck", None, "lake", "water"),
        ("duck", None, "farm", "land"),
        ("duck", None, "beach", None),
        ("cup", None, "tabletop", "tabletop"),
        ("cup", None, "kitchen", None),
        ("cat", "lie", "kitchen", "floor"),
    ],
)
def test_parts(kind, pose, place, part) -> None:
    assert part_of(KINDS[kind], pose, place) == part


def test_what_needs_a_table_is_where_tables_are() -> None:
    assert set(places_of(KINDS["cup"])) == {"tabletop", "kitchen", "living room", "garden"}


@pytest.mark.parametrize(
    ("place", "kind", "other", "found"),
    [
        ("kitchen", "cup", "table", {"on"}),
        ("kitchen", "cup", "fridge", set()),
        ("park", "kite", "bench", {None, "above"}),
        ("park", "bench", "kite", {None, "below", "far"}),
        ("street", "boy", "bench", {"left", "right", "beside", "on", None}),
        ("lake", "man", "boat", {None, "front", "far"}),
        ("meadow", "horse", "house", {"left", "right", "beside", "front", "far", None}),
        ("meadow", "house", "man", {"left", "right", "beside", "behind", "far", None}),
        ("meadow", "cat", "giraffe", {"left", "right", "beside", "front", "far", None}),
    ],
)
def test_relations(place, kind, other, found) -> None:
    parts = [part_of(KINDS[name], None, place) for name in (kind, other)]
    assert set(relations(place, KINDS[kind], KINDS[other], *parts)) == found
