"""captions.py: captions say what is in the story, in three registers."""

import re
from collections import Counter

import pytest

from mas_fast.data.storybook.world2.captions import (
    CAPTIONS,
    CHATTY,
    MOST_WORDS,
    WORD,
    captions,
)
from mas_fast.data.storybook.world2.claims import Claims, read_caption
from mas_fast.data.storybook.world2.story import Group, Story
from mas_fast.data.storybook.world2.telling import story
from mas_fast.data.storybook.world2.words import HOURS, SEASONS, WEATHERS

STORIES = [story("train", i) for i in range(3000)]
TOLD = [(told, captions(told)) for told in STORIES]
LOOKS = ("color", "size", "pattern", "pose")


def contained(claims: Claims, told: Story) -> bool:
    """Whether the story has all that is claimed."""
    kinds = [(g.kind, g.count) for g in claims.groups] == [(g.kind, g.count) for g in told.groups]
    return kinds and all(
        said is None or said == true
        for said, true in (
            *((getattr(claims, a), getattr(told, a))
              for a in ("relation", "place", "hour", "weather", "season")),
            *((getattr(g, a), getattr(t, a))
              for g, t in zip(claims.groups, told.groups, strict=True) for a in LOOKS),
            *((name in told.without, True) for name in claims.without),
        )
    )  # fmt: skip


def test_the_first_caption_says_everything() -> None:
    for told, (first, *_) in TOLD:
        found = read_caption(first)
        assert found.groups == told.groups
        assert (found.relation, found.place) == (told.relation, told.place)
        assert found.without == told.without
        assert (found.hour or next(iter(HOURS))) == told.hour
        assert (found.weather or next(iter(WEATHERS))) == told.weather
        assert (found.season or next(iter(SEASONS))) == told.season


def test_no_caption_says_what_is_not_so() -> None:
    for told, said in TOLD:
        assert len(said) == CAPTIONS
        for caption in said:
            assert contained(read_caption(caption), told), caption


def test_other_captions_say_less() -> None:
    silent = Counter()
    for told, (_, *others) in TOLD:
        for found in map(read_caption, others):
            silent["relation"] += found.relation != told.relation
            silent["place"] += found.place is None
            silent["without"] += found.without != told.without
            silent["pose"] += any(
                g.pose != t.pose for g, t in zip(found.groups, told.groups, strict=True)
            )
    assert min(silent[name] for name in ("relation", "place", "without", "pose")) > 100


def test_a_story_is_told_in_three_registers() -> None:
    openings = tuple(before for before, _ in CHATTY)
    for _, (first, *others) in TOLD:
        chatty = [caption.startswith(openings) for caption in others]
        assert not first.startswith(openings)
        assert sum(chatty) in (1, 2)
        # No telegram has an article.
        plain = [
            not asked and not re.search(r"\b(a|an|one|the (?!distance))\b", caption)
            for caption, asked in zip(others, chatty, strict=True)
        ]
        assert any(plain), others


def test_captions_are_short_and_of_few_words() -> None:
    words = [WORD.findall(caption) for _, said in TOLD for caption in said]
    assert max(map(len, words)) <= MOST_WORDS
    assert len({word for caption in words for word in caption}) < 500


def test_the_same_story_has_the_same_captions() -> None:
    assert all(captions(told) == said for told, said in TOLD[:50])


def test_articles() -> None:
    for _, said in TOLD:
        for caption in said:
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption)


@pytest.mark.parametrize(
    ("place", "kinds", "right", "wrong"),
    [
        ("bridge", ("car",), "on a bridge", "by a bridge"),
        ("bridge", ("boat",), "by a bridge", "on a bridge"),
        ("bridge", ("car", "boat"), "by a bridge", "on a bridge"),
        ("railway", ("bird",), "beside a railway", "on a railway"),
        ("beach", ("kite",), "at the beach", "on the beach"),
        ("beach", ("dog",), "on the beach", "in a beach"),
        ("lake", ("boat",), "on a lake", "beside a lake"),
        ("lake", ("dog",), "beside a lake", "on a lake"),
    ],
)
def test_what_is_not_on_a_place_is_by_it(place, kinds, right, wrong) -> None:
    groups = tuple(Group(kind, None, 1) for kind in kinds)
    said = [
        caption
        for number in range(60)
        for caption in captions(Story(place, "day", "clear", "summer", groups, None, (), number))
    ]
    assert any(right in caption for caption in said)
    assert not any(wrong in caption for caption in said)
