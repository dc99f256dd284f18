"""telling.py: what stories may say, and which are never told in training."""

import pytest

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.seats import sits
from mas_fast.data.storybook.world2.story import is_held_out
from mas_fast.data.storybook.world2.telling import LACKING, SPLITS, story
from mas_fast.data.storybook.world2.where import places_of
from mas_fast.data.storybook.world2.words import (
    HOURS,
    PATTERNS,
    PLACES,
    RELATIONS,
    SEASONS,
    SIZES,
    WEATHERS,
)


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
        assert told.relation in (None, "far", *RELATIONS)
        assert set(told.without) <= set(PLACES[told.place].lacks)
        kinds = [KINDS[group.kind] for group in told.groups]
        assert len(kinds) in (1, 2, 3)
        assert len({kind.label for kind in kinds}) == len(kinds)
        assert not {LACKING.get(name) for name in told.without} & {kind.label for kind in kinds}
        for kind, group in zip(kinds, told.groups, strict=True):
            assert told.place in places_of(kind)
            assert 1 <= group.count <= kind.most
            assert group.color in (None, *kind.colors)
            assert group.size is None or (group.size in SIZES and kind.sizes)
            assert group.pattern is None or (group.pattern in PATTERNS and kind.patterned)
            assert group.pose is None or group.pose in kind.poses
        for n in range(1, len(kinds)):
            assert told.part(n) is not None
        assert told.part(0) is not None or told.relation == "on"
        if told.relation == "on":
            assert sits(*(kind.name for kind in kinds[:2]))


def test_everything_is_told() -> None:
    told = stories("train", 4000)
    groups = [group for one in told for group in one.groups]
    assert {group.kind for group in groups} == set(KINDS)
    assert {one.place for one in told} == set(PLACES)
    assert {one.relation for one in told} == {None, "far", *RELATIONS}
    assert {group.count for group in groups} == {1, 2, 3, 4}
    assert {group.size for group in groups} == {None, *SIZES}
    assert {group.pattern for group in groups} == {None, *PATTERNS}
    assert {name for one in told for name in one.without} == {
        lack for place in PLACES.values() for lack in place.lacks
    }
    mostly = sum(len(one.groups) < 3 for one in told) / len(told)
    assert 0.9 < mostly < 0.99


def test_held_out_triples_are_told_in_the_test_alone() -> None:
    assert not any(told.is_held_out() for told in stories("train", 2000))
    assert not any(told.is_held_out() for told in stories("validation"))
    assert [told.is_held_out() for told in stories("test", 100)] == [False, True] * 50


def test_each_part_of_a_held_out_triple_is_known() -> None:
    seen = stories("train", 8000)
    pairs = {(g.kind, g.color) for told in seen for g in told.groups}
    places = {(g.kind, told.place) for told in seen for g in told.groups}
    for told in stories("test", 200):
        for group in told.groups:
            if is_held_out(group.kind, group.color, told.place):
                assert (group.kind, group.color) in pairs
                assert (group.kind, told.place) in places


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
