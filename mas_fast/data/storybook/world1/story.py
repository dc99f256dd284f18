"""A story: the content of a scene, as a pure function of (seed, split, index).

Training never sees some (thing, colour, place) triples, although it sees each thing, colour and
place. Half of the stories of the split "test" have such a triple.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mas_fast.data.storybook.world1.words import (
    AIR,
    KINDS,
    PLACES,
    SEATS,
    Kind,
)
from mas_fast.utils.validate import check_choice, check_int

T = TypeVar("T")
SPLITS = ("train", "validation", "test")
HELD_OUT = 10  # one triple in ten is held out


@dataclass(frozen=True)
class Group:
    """Things of one kind.

    Attributes:
        kind: the kind of thing.
        color: colour of all of them, None if the kind has no colours to choose from.
        count: number of things.
    """

    kind: str
    color: str | None
    count: int


@dataclass(frozen=True)
class Story:
    """The content of a scene.

    Attributes:
        place: one of `words.PLACES`.
        hour: one of `words.HOURS`.
        weather: one of `words.WEATHERS`.
        season: one of `words.SEASONS`.
        groups: one or two groups of things.
        relation: of the first group to the second, one of `words.RELATIONS`; None if both are
            merely there.
        number: seed of everything else, such as the positions of things.
    """

    place: str
    hour: str
    weather: str
    season: str
    groups: tuple[Group, ...]
    relation: str | None
    number: int

    def generator(self, purpose: int) -> np.random.Generator:
        """Return a generator of random numbers of its own for a purpose."""
        return np.random.default_rng((self.number, purpose))

    def is_held_out(self) -> bool:
        """Tell whether training never sees one of its groups in this place."""
        return any(is_held_out(group.kind, group.color, self.place) for group in self.groups)


def is_held_out(kind: str, color: str | None, place: str) -> bool:
    """Tell whether a triple is kept for the test.

    The only place of a kind never is: training would not see that kind in that colour.

    Args:
        kind: name of a kind of thing.
        color: a colour, or None.
        place: name of a place.

    Returns:
        Whether training never sees the triple.
    """
    if color is None or sum(can_be(KINDS[kind], other) for other in PLACES) == 1:
        return False
    return zlib.crc32(f"{color} {kind} {place}".encode()) % HELD_OUT == 0


def story(split: str, index: int, seed: int = 0) -> Story:
    """Make up a story.

    Args:
        split: one of SPLITS.
        index: number of the story.
        seed: seed of all stories.

    Returns:
        The story.

    Raises:
        ValueError: for an unknown split or a negative index.
    """
    check_choice("split", split, SPLITS)
    check_int("index", index, 0)
    check_int("seed", seed, 0)
    wanted = split == "test" and index % 2 == 1
    generator = np.random.default_rng((seed, SPLITS.index(split), index))
    while True:
        candidate = _draw(generator)
        if candidate.is_held_out() == wanted:
            return candidate


def _draw(generator: np.random.Generator) -> Story:
    def choose(values: Sequence[T], weights: Sequence[float] | None = None) -> T:
        p = None if weights is None else np.asarray(weights, float) / sum(weights)
        return values[int(generator.choice(len(values), p=p))]

    kind = choose(list(KINDS.values()))
    place = choose([name for name in PLACES if can_be(kind, name)])
    season = choose(("summer", "autumn", "winter", "spring"), (5, 2, 2, 2))
    if not PLACES[place].seasons:
        season = "summer"
    cold = season == "winter" or place == "snow"
    weathers = ("clear", "cloudy", "fog", "snowfall" if cold else "rain")
    weather = choose(weathers, (5, 2, 1, 2))
    hours = ("day", "dusk") if weather == "fog" else ("day", "dusk", "night")  # else all is grey
    hour = choose(hours, (6, 2, 2)[: len(hours)])
    relation: str | None = None
    others: list[Kind] = []
    groups: tuple[Group, ...]
    if generator.random() < 0.5:
        others = [
            k
            for k in KINDS.values()
            if can_be(k, place)
            and k.label != kind.label
            and (k.part in (kind.part, AIR) or _sits(kind, k))
        ]
    if others:
        other = choose(others, [_weight(kind, k) for k in others])
        relation = choose(_relations(kind, other))
        most = 1 if relation == "on" else 2
        groups = (
            _group(kind, choose((1, min(most, kind.most)), (3, 1)), choose),
            _group(other, 1, choose),
        )
    else:
        count = choose((1, 2, 3), (5, 3, 3))
        groups = (_group(kind, min(count, kind.most), choose),)
    return Story(place, hour, weather, season, groups, relation, int(generator.integers(1 << 62)))


def _group(kind: Kind, count: int, choose: Callable) -> Group:
    return Group(kind.name, choose(kind.colors) if kind.colors else None, count)


def _sits(kind: Kind, other: Kind) -> bool:
    return kind.name in SEATS.get(other.name, ())


def _weight(kind: Kind, other: Kind) -> int:
    """Weigh a second thing: many are in the air, and few can sit on something."""
    if _sits(kind, other):
        return 15
    return 1 if other.part == AIR != kind.part else 3


def _relations(kind: Kind, other: Kind) -> list[str | None]:
    """List the possible relations of a first thing to a second one, likelier ones repeatedly."""
    if kind.part != other.part:
        return ["on"] if _sits(kind, other) else [None]
    relations = ["left", "right", "left", "right", "beside", None]
    if other.name == "house":
        relations += ["front"] * 4
    if kind.name == "house":
        relations += ["behind"] * 4
    if _sits(kind, other):
        relations += ["on"] * 6
    return relations


def can_be(kind: Kind, place: str) -> bool:
    """Tell whether such a thing can be in a place."""
    return kind.part in PLACES[place].parts and (kind.places is None or place in kind.places)
