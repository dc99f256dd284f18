"""From a story to captions in three registers: a sentence, a telegram, and somebody who asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from mas_fast.data.storybook.world2.kinds import KINDS, garment_of
from mas_fast.data.storybook.world2.seats import SEATS
from mas_fast.data.storybook.world2.story import Group, Story
from mas_fast.data.storybook.world2.words import (
    COUNTS,
    FAR,
    HOURS,
    LACKS,
    LAND,
    PLACES,
    POSES,
    RELATIONS,
    SEASONS,
    WEATHERS,
    Phrases,
)

T = TypeVar("T")
CAPTIONS = 4  # of each story; the first is a sentence that says everything
MOST_WORDS = 40  # words and punctuation marks
WORD = re.compile(r"\w+|[^\w\s]")

OPENINGS = ("a picture of", "an illustration of", "a drawing of", "there is", "we see")
CHATTY = (
    ("i would love to see", ", please"),
    ("please paint", ""),
    ("can you draw", "?"),
    ("could you paint me", ", please?"),
    ("show me", ""),
    ("i want a picture of", ""),
    ("how about", "?"),
    ("hey, draw me", "!"),
    ("my kids want to see", ""),
    ("let us see", ""),
    ("imagine", ""),
    ("today i feel like", ""),
)
# How often a caption mentions an optional fact.
SAYS = {
    "color": 0.8,
    "size": 0.85,
    "pattern": 0.85,
    "pose": 0.75,
    "relation": 0.85,
    "place": 0.9,
    "hour": 0.75,
    "weather": 0.6,
    "season": 0.6,
    "without": 0.8,
}
_COUNTS = COUNTS | {1: ("a", "a", "a", "one")}  # likelier ones repeatedly
USUAL = 0.12  # how often it mentions what is usual: the day, a clear sky, summer


def captions(story: Story) -> list[str]:
    """Write the captions of a story.

    Args:
        story: the story.

    Returns:
        CAPTIONS different wordings; the first leaves nothing out. Those that would be longer than
        MOST_WORDS say less.
    """
    writer = _Writer(story)
    others = ["telegram", "request", writer.choose(("sentence", "telegram", "request"))]
    written = [writer.write("sentence", complete=True)]
    for n in writer.generator.permutation(len(others)):
        caption = writer.write(others[int(n)])
        while len(WORD.findall(caption)) > MOST_WORDS:
            caption = writer.write(others[int(n)])
        written.append(caption)
    return written


class _Writer:
    """Writes captions of a story by a generator of its own."""

    def __init__(self, story: Story) -> None:
        self.story, self.generator = story, story.generator(0)

    def choose(self, values: Sequence[T]) -> T:
        return values[int(self.generator.integers(len(values)))]

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def write(self, register: str, complete: bool = False) -> str:
        self.complete, self.short = complete, register == "telegram"
        scene, about = self._scene(), self._place()
        if self.short:
            facts = [*about, *self._circumstances()]
            order = self.generator.permutation(len(facts))
            return ", ".join([scene, *(facts[int(n)] for n in order)])
        facts = self._circumstances()
        sentence = " ".join([scene, *about, *facts])
        if register == "request":
            before, after = self.choose(CHATTY)
            return f"{before} {sentence}{after}"
        if facts and self.chance(0.2):
            return f"{', '.join(facts)}, {' '.join([scene, *about])}"
        if about and self.chance(0.12):
            return f"{about[0]}, {' '.join([scene, *facts])}"
        if not complete and self.chance(0.15):
            return f"{self.choose(OPENINGS)} {sentence}"
        return sentence

    def _says(self, aspect: str) -> bool:
        return self.chance(SAYS[aspect]) or self.complete

    def _scene(self) -> str:
        """Name the things and their relation."""
        told = self.story
        things = [self._things(group) for group in told.groups]
        relation = told.relation if self._says("relation") else None
        if relation == "far":
            things[-1] = f"{things[-1]} {self.choose(FAR)}"
        elif relation is not None:
            things[:2] = [f"{things[0]} {self._relation(relation)} {things[1]}"]
        if self.short:
            return ", ".join(things)
        return " and ".join(things)

    def _relation(self, name: str) -> str:
        first, second = self.story.groups[:2]
        pose = SEATS[second.kind].poses[first.kind] if name == "on" else None
        if name != "on":
            return RELATIONS[name][0] if self.short else self.choose(RELATIONS[name])
        if pose == "ride":
            return self.choose(("riding", "riding", "on"))
        if pose in POSES:
            return self.choose((f"{POSES[pose]} on", "on"))
        return self.choose(RELATIONS["on"])

    def _things(self, group: Group) -> str:
        """Name the things of a group: "a small red house", "two men in blue striped shirts"."""
        kind, many = KINDS[group.kind], group.count > 1
        look = [word for aspect, word in (("color", group.color), ("pattern", group.pattern))
                if word and self._says(aspect)]  # fmt: skip
        words = [group.size] if group.size and self._says("size") else []
        noun = self.choose(kind.names)[many]
        worn = ""
        garment = garment_of(kind, self.story.season, self.story.place)
        if look and garment:
            plural = f"{garment}{'es' if garment.endswith('s') else 's'}"
            worn = " ".join([*look, plural if many else garment])
            worn = f" in {worn if many or self.short else f'{_article(worn)} {worn}'}"
            look = []
        text = " ".join([*words, *look, noun])
        count = COUNTS[group.count][0] if self.short else self.choose(_COUNTS[group.count])
        if count == "a":
            text = text if self.short else f"{_article(text)} {text}"
        else:
            text = f"{count} {text}"
        pose = f" {POSES[group.pose]}" if group.pose and self._says("pose") else ""
        return f"{text}{worn}{pose}"

    def _place(self) -> list[str]:
        phrases = PLACES[self.story.place].phrases
        if not self._says("place"):
            return []
        if self.short:
            return [self.choose(phrases.short)]
        return [self.choose(self._phrases(phrases))]

    def _phrases(self, phrases: Phrases) -> tuple[str, ...]:
        """List the phrases of the place that are true of all things."""
        told, own = self.story, PLACES[self.story.place].own
        seated = told.relation == "on"
        parts = {told.part(n) for n in range(seated, len(told.groups))}
        if not phrases.on or parts != {own}:
            return phrases.long
        return (*phrases.long, *phrases.on) if own == LAND else phrases.on

    def _circumstances(self) -> list[str]:
        """Name hour, weather, season, and what is not there."""
        facts = []
        for aspect, table in (("hour", HOURS), ("weather", WEATHERS), ("season", SEASONS)):
            value = getattr(self.story, aspect)
            usual = value == next(iter(table))
            if self._says(aspect) and (not usual or (self.chance(USUAL) and self._varies(aspect))):
                phrases = table[value]
                facts.append(self.choose(phrases.short if self.short else phrases.long))
        facts = [facts[int(n)] for n in self.generator.permutation(len(facts))]
        for name in self.story.without:
            if self._says("without"):
                phrases = LACKS[name]
                facts.append(self.choose(phrases.short if self.short else phrases.long))
        return facts

    def _varies(self, aspect: str) -> bool:
        """Tell whether it could be otherwise in that place: a beach has no seasons."""
        place = PLACES[self.story.place]
        return place.seasons if aspect == "season" else not place.indoors


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"
