"""words.py: the tables fit each other, and no phrase can be read in two ways."""

import re
from collections import Counter

import pytest

from mas_fast.data.storybook.colors import CLOTHES, COATS, COLOR_SYNONYMS, COLORS, PAINTED
from mas_fast.data.storybook.world2 import words
from mas_fast.data.storybook.world2.words import (
    COUNTS,
    FAR,
    GARMENTS,
    HOURS,
    LACKS,
    PATTERNS,
    PLACES,
    POSES,
    RELATIONS,
    SEASONS,
    SIZE_SYNONYMS,
    SIZES,
    WEATHERS,
)
from mas_fast.scene.labels import LIP_NAMES


@pytest.mark.parametrize("name", COLORS)
def test_a_colour_is_six_digits_of_its_own(name) -> None:
    assert re.fullmatch("[0-9a-f]{6}", COLORS[name])
    assert list(COLORS.values()).count(COLORS[name]) == 1


def test_lists_of_colours_have_colours() -> None:
    lists = (PAINTED, COATS, CLOTHES, words.CLOTH, words.WOOD)
    for colors in (*lists, COLOR_SYNONYMS.values()):
        assert set(colors) <= set(COLORS)
        assert len(set(colors)) == len(colors)
    assert set(SIZE_SYNONYMS.values()) == set(SIZES)


@pytest.mark.parametrize("name", PLACES)
def test_parts_of_a_place_lie_in_the_picture(name) -> None:
    place = PLACES[name]
    assert place.name == name
    assert place.parts
    for far, near in place.parts.values():
        assert 0 < far <= near < 1
    for part, y in place.far.items():
        assert y <= place.parts[part][0]
    assert set(place.lacks) <= set(LACKS)
    assert not (place.indoors and place.lacks)


def test_no_phrase_means_two_things() -> None:
    phrases = Counter(phrase for row in RELATIONS.values() for phrase in row)
    places = {name: place.phrases for name, place in PLACES.items()}
    for table in (HOURS, WEATHERS, SEASONS, LACKS, places):
        for row in table.values():
            phrases.update({*row.long, *row.short, *row.on})
    phrases.update([*FAR, *COLORS, *COLOR_SYNONYMS, *SIZES, *SIZE_SYNONYMS, *PATTERNS])
    phrases.update(POSES.values())
    phrases.update(word for row in COUNTS.values() for word in row)
    assert [phrase for phrase, count in phrases.items() if count > 1] == []


def test_garments_are_parts_of_people() -> None:
    assert set(GARMENTS.values()) <= set(LIP_NAMES)


@pytest.mark.parametrize(
    ("season", "place", "cold"),
    [("winter", "park", True), ("summer", "snow", True), ("autumn", "park", False)],
)
def test_who_wears_a_coat(season, place, cold) -> None:
    assert words.is_cold(season, place) == cold
