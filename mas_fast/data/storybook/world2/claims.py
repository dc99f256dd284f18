"""From a caption back to its claims, whichever register it is written in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mas_fast.data.storybook.colors import COLOR_SYNONYMS, COLORS
from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.story import Group
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
    Phrases,
)


@dataclass(frozen=True)
class Claims:
    """The claims of a caption; None is what it does not say.

    Attributes:
        groups: its things; a colour, size, pattern or pose is None if the caption names none.
        relation: relation of the first two groups, or "far" of the last.
        place: the place.
        hour: the hour.
        weather: the weather.
        season: the season.
        without: what it says is not there.
    """

    groups: tuple[Group, ...]
    relation: str | None = None
    place: str | None = None
    hour: str | None = None
    weather: str | None = None
    season: str | None = None
    without: tuple[str, ...] = ()


def read_caption(caption: str) -> Claims:
    """Read the claims of a caption.

    Args:
        caption: any text.

    Returns:
        Its claims about things of the storybook; none if it has no such things.
    """
    said: dict[str, list[str]] = {}

    def note(match: re.Match) -> str:
        aspect, value = _PHRASES[match[0]]
        if value not in said.setdefault(aspect, []):
            said[aspect].append(value)
        return "|"

    text = _PHRASE.sub(note, " ".join(caption.lower().split()))
    matches = list(_GROUP.finditer(text))
    relation = None
    if len(matches) > 1:
        between = text[matches[0].end() : matches[1].start()].strip()
        relation = _RELATION_WORDS.get(between)
    if relation is None and "far" in said:
        relation = "far"
    aspects = ("place", "hour", "weather", "season")
    place, hour, weather, season = (said.get(aspect, [None])[0] for aspect in aspects)
    groups, without = tuple(map(_group, matches)), tuple(said.get("without", ()))
    return Claims(groups, relation, place, hour, weather, season, without)


def _group(match: re.Match) -> Group:
    kind, many = _NOUNS[match["noun"]]
    color, size = match["worn"] or match["color"], match["size"]
    return Group(
        kind=kind,
        color=color and COLOR_SYNONYMS.get(color, color),
        count=_NUMBERS[match["count"]] if match["count"] else 1,
        size=size and SIZE_SYNONYMS.get(size, size),
        pattern=match["early"] or match["pattern"] or match["worn_pattern"],
        pose=_POSE_WORDS.get(match["pose"]),
    )


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_TABLES: dict[str, dict[str, Phrases]] = {
    "place": {place.name: place.phrases for place in PLACES.values()},
    "hour": HOURS,
    "weather": WEATHERS,
    "season": SEASONS,
    "without": LACKS,
}
_PHRASES = {
    phrase: (aspect, name)
    for aspect, table in _TABLES.items()
    for name, phrases in table.items()
    for phrase in (*phrases.long, *phrases.short, *phrases.on)
} | {phrase: ("far", "far") for phrase in FAR}
_PHRASE = re.compile(rf"\b(?:{_any(_PHRASES)})\b")
_NOUNS = {form: (kind.name, many) for kind in KINDS.values() for names in kind.names
          for many, form in enumerate(names)}  # fmt: skip
_NUMBERS = {word: count for count, words in COUNTS.items() for word in words} | {"an": 1}
_POSE_WORDS = {word: name for name, word in POSES.items()}
_RELATION_WORDS = {phrase: name for name, phrases in RELATIONS.items() for phrase in phrases}
_RELATION_WORDS |= {f"{word} on": "on" for word in POSES.values()} | {"riding": "on"}
_COLOR = _any([*COLORS, *COLOR_SYNONYMS])
_PATTERN = _any(PATTERNS)
_WORN = _any([form for name in GARMENTS for form in (name, f"{name}s", f"{name}es")])
_GROUP = re.compile(
    rf"\b(?:(?P<count>{_any(_NUMBERS)})\s+)?"
    rf"(?:(?P<size>{_any([*SIZES, *SIZE_SYNONYMS])})\s+)?"
    rf"(?:(?P<early>{_PATTERN})\s+)?(?:(?P<color>{_COLOR})\s+)?(?:(?P<pattern>{_PATTERN})\s+)?"
    rf"(?P<noun>{_any(_NOUNS)})\b"
    rf"(?:\s+in\s+(?:an?\s+)?(?:(?P<worn>{_COLOR})\s+)?(?:(?P<worn_pattern>{_PATTERN})\s+)?"
    rf"(?:{_WORN})\b)?"
    rf"(?:\s+(?P<pose>{_any(_POSE_WORDS)})\b(?!\s+on\b))?"
)
