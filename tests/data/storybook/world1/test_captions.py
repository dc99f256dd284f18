"""Captions say what is in the story, and can be read back."""

import pytest

from mas_fast.data.storybook.world1.captions import CAPTIONS, captions, read_caption
from mas_fast.data.storybook.world1.story import Group, story
from mas_fast.data.storybook.world1.words import KINDS


def test_the_first_caption_says_everything() -> None:
    for i in range(1500):
        told = story("test", i)
        found = read_caption(captions(told)[0])
        assert found.groups == told.groups
        assert found.relation == told.relation


def test_other_captions_say_less_and_nothing_else() -> None:
    silent = 0
    for i in range(500):
        told = story("train", i)
        said = captions(told)
        assert len(said) == CAPTIONS
        assert captions(told) == said
        for caption in said[1:]:
            found = read_caption(caption)
            assert found.relation in (None, told.relation)
            for group, true in zip(found.groups, told.groups, strict=True):
                assert (group.kind, group.count) == (true.kind, true.count)
                assert group.color in (None, true.color)
                silent += KINDS[true.kind].colors != () and group.color is None
    assert silent > 100


@pytest.mark.parametrize(
    ("caption", "groups", "relation"),
    [
        ("A RED house beside a lake  at dusk", [Group("house", "red", 1)], None),
        ("two puppies", [Group("dog", None, 2)], None),
        (
            "three men in green shirts to the left of an orange automobile in a street",
            [Group("man", "green", 3), Group("car", "orange", 1)],
            "left",
        ),
        (
            "a grey cat on one bench in the park",
            [Group("cat", "gray", 1), Group("bench", None, 1)],
            "on",
        ),
        ("the quick brown fox", [], None),
        ("", [], None),
    ],
)
def test_reading_captions_of_others(caption, groups, relation) -> None:
    found = read_caption(caption)
    assert list(found.groups) == groups
    assert found.relation == relation
