"""words.py: the tables fit each other, and no caption can be read in two ways."""

import re
from collections import Counter

import pytest

from mas_fast.data.storybook.colors import CLOTHES, COATS, COLOR_SYNONYMS, COLORS, PAINTED
from mas_fast.data.storybook.world1.words import (
    COUNTS,
    HOURS,
    KINDS,
    PLACES,
    RELATIONS,
    SEASONS,
    SEATS,
    WEATHERS,
)


@pytest.mark.parametrize("name", COLORS)
def test_a_colour_is_six_digits_of_its_own(name) -> None:
    assert re.fullmatch("[0-9a-f]{6}", COLORS[name])
    assert list(COLORS.values()).count(COLORS[name]) == 1


def test_lists_of_colours_have_colours() -> None:
    for colors in (PAINTED, COATS, CLOTHES, COLOR_SYNONYMS.values()):
        assert set(colors) <= set(COLORS)
        assert len(set(colors)) == len(colors)
    assert not set(COLOR_SYNONYMS) & set(COLORS)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_where_its_places_have_a_part_for_it(name) -> None:
    kind = KINDS[name]
    assert kind.name == name == kind.names[0][0]
    assert set(kind.colors) <= set(COLORS)
    assert kind.places is None or set(kind.places) <= set(PLACES)
    assert 0 < kind.height < 1
    assert set(range(1, kind.most + 1)) <= set(COUNTS)
    for place in kind.places or ():
        assert kind.part in PLACES[place].parts, place


@pytest.mark.parametrize("name", PLACES)
def test_parts_of_a_place_lie_in_the_picture(name) -> None:
    place = PLACES[name]
    assert place.name == name
    assert place.parts
    for far, near in place.parts.values():
        assert 0 < far <= near < 1


def test_no_word_means_two_things() -> None:
    tables = [HOURS, WEATHERS, SEASONS, RELATIONS, {n: p.phrases for n, p in PLACES.items()}]
    phrases = Counter(phrase for table in tables for row in table.values() for phrase in row)
    phrases.update({form for kind in KINDS.values() for names in kind.names for form in names})
    phrases.update([*COLORS, *COLOR_SYNONYMS])
    phrases.update(word for row in COUNTS.values() for word in row)
    assert [phrase for phrase, count in phrases.items() if count > 1] == []


def test_names_of_kinds_are_their_own() -> None:
    names = [form for kind in KINDS.values() for names in kind.names for form in set(names)]
    assert len(set(names)) == len(names)


def test_seats_and_who_sits_on_them_are_kinds() -> None:
    for seat, sitting in SEATS.items():
        assert {seat, *sitting} <= set(KINDS)
