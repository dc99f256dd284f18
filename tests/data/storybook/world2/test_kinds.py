"""kinds.py: every kind of thing has a class, a place, and a name that no other has."""

import pytest

from mas_fast.data.storybook.colors import COLORS
from mas_fast.data.storybook.world2.kinds import KINDS, garment_of
from mas_fast.data.storybook.world2.seats import SEATS
from mas_fast.data.storybook.world2.where import places_of
from mas_fast.data.storybook.world2.words import COUNTS, GARMENTS, ON, PLACES, POSES
from mas_fast.scene.labels import COCO_NAMES


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_fits_the_tables(name) -> None:
    kind = KINDS[name]
    assert kind.name == name
    assert kind.label in COCO_NAMES
    assert set(kind.colors) <= set(COLORS)
    assert set(kind.poses) <= set(POSES)
    assert kind.places is None or set(kind.places) <= set(PLACES)
    assert kind.garment is None or kind.garment in GARMENTS
    assert all(0.13 < height < 0.7 for height in kind.heights.values())
    assert set(range(1, kind.most + 1)) <= set(COUNTS)
    assert places_of(kind)
    assert (ON not in kind.heights) or any(name in seat.poses for seat in SEATS.values())


def test_there_are_many() -> None:
    assert len({kind.label for kind in KINDS.values()}) > 50


def test_names_are_their_own() -> None:
    names = [form for kind in KINDS.values() for names in kind.names for form in set(names)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("kind", "season", "garment"),
    [
        ("man", "summer", "shirt"),
        ("woman", "summer", "dress"),
        ("girl", "winter", "coat"),
        ("dog", "winter", None),
    ],
)
def test_what_people_wear(kind, season, garment) -> None:
    assert garment_of(KINDS[kind], season, "park") == garment
