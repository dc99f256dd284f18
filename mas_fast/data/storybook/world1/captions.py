"""From a story to captions, and from a caption back to its claims."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mas_fast.data.storybook.colors import COLOR_SYNONYMS, COLORS
from mas_fast.data.storybook.world1.story import Group, Story
from mas_fast.data.storybook.world1.words import (
    COUNTS,
    HOURS,
    KINDS,
    PLACES,
    RELATIONS,
    SEASONS,
    WEATHERS,
)

T = TypeVar("T")
CAPTIONS = 4  # of each story; the first says everything
OPENINGS = ("a picture of", "an illustration of", "a drawing of")
# How often a caption mentions an optional fact.
SAYS = {"color": 0.8, "place": 0.9, "hour": 0.75, "weather": 0.6, "season": 0.6, "relation": 0.85}


def captions(story: Story) -> list[str]:
    """Write the captions of a story.

    Args:
        story: the story.

    Returns:
        CAPTIONS different wordings; the first leaves nothing out.
    """
    generator = story.generator(0)
    return [_caption(story, generator, complete=n == 0) for n in range(CAPTIONS)]


def _caption(story: Story, generator: np.random.Generator, complete: bool) -> str:
    def says(aspect: str) -> bool:
        return bool(generator.random() < SAYS[aspect]) or complete

    def choose(values: Sequence[T]) -> T:
        return values[int(generator.integers(len(values)))]

    things = [_things(group, says("color"), choose) for group in story.groups]
    relation = story.relation if says("relation") else None
    if len(things) == 1:
        scene = things[0]
    elif relation is None:
        scene = f"{things[0]} and {things[1]}"
    else:
        scene = f"{things[0]} {choose(RELATIONS[relation])} {things[1]}"
    about = [choose(PLACES[story.place].phrases)] if says("place") else []
    circumstances = []
    for aspect, table in (("hour", HOURS), ("weather", WEATHERS), ("season", SEASONS)):
        value = getattr(story, aspect)
        usual = value == next(iter(table))
        if says(aspect) and (not usual or generator.random() < 0.15):
            circumstances.append(choose(table[value]))
    generator.shuffle(circumstances)
    if circumstances and generator.random() < 0.25:
        return f"{', '.join(circumstances)}, {' '.join([scene, *about])}"
    if generator.random() < 0.1:
        scene = f"{choose(OPENINGS)} {scene}"
    return " ".join([scene, *about, *circumstances])


def _things(group: Group, says_color: bool, choose: Callable) -> str:
    """Name the things of a group: "a red house", "two men in blue shirts"."""
    kind, many = KINDS[group.kind], group.count > 1
    noun = choose(kind.names)[many]
    color = group.color if says_color else None
    garment = ""
    if color and kind.garment:
        garment = f" in {color} {kind.garment}{'es' if kind.garment.endswith('s') else 's'}"
        garment = garment if many else f" in {_article(color)} {color} {kind.garment}"
        color = None
    words = f"{color} {noun}" if color else noun
    count = choose(COUNTS[group.count])
    return f"{_article(words) if count == 'a' else count} {words}{garment}"


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


# ------------------------------------------------------------------ back again


@dataclass(frozen=True)
class Claims:
    """The claims of a caption.

    Attributes:
        groups: its things; a colour is None if the caption names none.
        relation: relation of the first two groups, or None.
        place: the place, None if the caption names none.
        hour: the hour, the usual one if the caption names none.
        weather: the weather, the usual one if the caption names none.
        without: nothing, as no caption of this world denies anything.
    """

    groups: tuple[Group, ...]
    relation: str | None
    place: str | None
    hour: str
    weather: str
    without: tuple[str, ...] = ()


_NOUNS = {form: (kind.name, many) for kind in KINDS.values() for names in kind.names
          for many, form in enumerate(names)}  # fmt: skip
_NUMBERS = {word: count for count, words in COUNTS.items() for word in words} | {"an": 1}
_COLOR_WORDS = {name: name for name in COLORS} | COLOR_SYNONYMS
_RELATION_WORDS = {phrase: name for name, phrases in RELATIONS.items() for phrase in phrases}
_PLACE_WORDS = {phrase: place.name for place in PLACES.values() for phrase in place.phrases}
_HOUR_WORDS, _WEATHER_WORDS = (
    {phrase: name for name, phrases in table.items() for phrase in phrases}
    for table in (HOURS, WEATHERS)
)


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_GROUP = re.compile(
    rf"\b(?P<count>{_any(_NUMBERS)})\s+(?:(?P<color>{_any(_COLOR_WORDS)})\s+)?"
    rf"(?P<noun>{_any(_NOUNS)})\b"
    rf"(?:\s+in\s+(?:an?\s+)?(?P<worn>{_any(_COLOR_WORDS)})\s+(?:shirt|dress)(?:s|es)?\b)?"
)


def read_caption(caption: str) -> Claims:
    """Read the claims of a caption.

    Args:
        caption: any text.

    Returns:
        Its claims about things of the storybook; none if it has no such things.
    """
    text = " ".join(caption.lower().split())
    matches = list(_GROUP.finditer(text))
    groups = []
    for match in matches:
        kind, _ = _NOUNS[match["noun"]]
        word = match["worn"] or match["color"]
        count = _NUMBERS[match["count"]]
        groups.append(Group(kind, word and _COLOR_WORDS[word], count))
    relation = None
    if len(matches) == 2:
        relation = _RELATION_WORDS.get(text[matches[0].end() : matches[1].start()].strip())
    hour = _said(_HOUR_WORDS, text) or next(iter(HOURS))
    weather = _said(_WEATHER_WORDS, text) or next(iter(WEATHERS))
    return Claims(tuple(groups), relation, _said(_PLACE_WORDS, text), hour, weather)


def _said(phrases: dict[str, str], text: str) -> str | None:
    """Return the meaning of the first phrase in a text; the longest wins if several begin there."""
    match = re.search(rf"\b(?:{_any(phrases)})\b", text)
    return match and phrases[match[0]]
