"""Stories: what they may say, and which are never told in training."""

import itertools

import pytest

from mas_fast.data.storybook.world1.story import SPLITS, can_be, is_held_out, story
from mas_fast.data.storybook.world1.words import HOURS, KINDS, PLACES, RELATIONS, SEASONS, WEATHERS
from mas_fast.scene import COCO_NAMES


def stories(split: str, count: int = 600):
    return [story(split, i) for i in range(count)]


def test_a_story_is_a_function_of_seed_split_and_index() -> None:
    assert story("train", 7) == story("train", 7)
    assert len({story(split, 7, seed) for split in SPLITS for seed in (0, 1)}) == 6


@pytest.mark.parametrize("split", SPLITS)
def test_what_stories_say_is_in_the_tables(split) -> None:
    for told in stories(split):
        assert told.hour in HOURS
        assert told.weather in WEATHERS
        assert told.season in SEASONS
        assert told.relation is None or told.relation in RELATIONS
        kinds = [KINDS[group.kind] for group in told.groups]
        assert len(kinds) in (1, 2)
        assert len({kind.label for kind in kinds}) == len(kinds)
        for kind, group in zip(kinds, told.groups, strict=True):
            assert can_be(kind, told.place)
            assert 1 <= group.count <= kind.most
            assert (group.color in kind.colors) if kind.colors else group.color is None


def test_held_out_triples_are_told_in_the_test_alone() -> None:
    assert not any(told.is_held_out() for told in stories("train", 2000))
    assert not any(told.is_held_out() for told in stories("validation"))
    assert [told.is_held_out() for told in stories("test", 100)] == [False, True] * 50


def test_each_part_of_a_held_out_triple_is_known() -> None:
    seen = stories("train", 6000)
    pairs = {(g.kind, g.color) for told in seen for g in told.groups}
    places = {(g.kind, told.place) for told in seen for g in told.groups}
    for told in stories("test", 200):
        for group in told.groups:
            if is_held_out(group.kind, group.color, told.place):
                assert (group.kind, group.color) in pairs
                assert (group.kind, told.place) in places


def test_every_kind_has_a_place_and_a_class() -> None:
    for kind in KINDS.values():
        assert kind.label in COCO_NAMES
        assert any(can_be(kind, place) for place in PLACES)
    told = {(g.kind, s.place) for s in stories("train", 6000) for g in s.groups}
    assert told == {(k.name, p) for k in KINDS.values() for p in PLACES if can_be(k, p)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dev", 0), r"split: found 'dev', expected one of \['train'"),
        (("train", -1), "index: found -1"),
        (("train", 0, -1), "seed: found -1"),
    ],
)
def test_bad_arguments(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        story(*arguments)


def test_words_are_told_apart() -> None:
    nouns = [form for kind in KINDS.values() for names in kind.names for form in names]
    assert len({*nouns}) == len(nouns) - 1  # one sheep, two sheep
    phrases = itertools.chain.from_iterable(place.phrases for place in PLACES.values())
    assert len({*phrases}) == sum(len(place.phrases) for place in PLACES.values())
