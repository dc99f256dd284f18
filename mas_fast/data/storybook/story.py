"""A story: what a scene shows, as a pure function of (seed, split, index).

Some (thing, colour, place) triples are never seen in training, although thing, colour and place
are: half of the stories of the split "test" have one of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from mas_fast.data.storybook.words import (
    AIR,
    KINDS,
    PLACES,
    SEATS,
    Kind,
)
from mas_fast.utils.validate import check_choice, check_int

SPLITS = ("train", "validation", "test")
HELD_OUT = 10  # one triple of so many


@dataclass(frozen=True)
class Group:
    """`count` things of a kind, all of a colour, where the kind has several."""

    kind: str
    color: str | None
    count: int


@dataclass(frozen=True)
class Story:
    """groups: one or two. relation: of the first to the second, one of words.RELATIONS; None: they
    are both there. number: from which all else is drawn, such as where things stand."""

    place: str
    hour: str
    weather: str
    season: str
    groups: tuple[Group, ...]
    relation: str | None
    number: int

    def generator(self, what: int) -> np.random.Generator:
        """Its own stream of random numbers for each purpose."""
        return np.random.default_rng((self.number, what))

    def is_held_out(self) -> bool:
        """Whether training never sees one of its groups in this place."""
        return any(is_held_out(group.kind, group.color, self.place) for group in self.groups)


def is_held_out(kind: str, color: str | None, place: str) -> bool:
    """Whether the triple is kept for the test. The only place of a kind never is: training would
    not see that kind in that colour."""
    if color is None or sum(can_be(KINDS[kind], other) for other in PLACES) == 1:
        return False
    return zlib.crc32(f"{color} {kind} {place}".encode()) % HELD_OUT == 0


def story(split: str, index: int, seed: int = 0) -> Story:
    """Story `index` of a split. ValueError for an unknown split or a negative index."""
    check_choice("split", split, SPLITS)
    check_int("index", index, 0)
    check_int("seed", seed, 0)
    wanted = split == "test" and index % 2 == 1
    generator = np.random.default_rng((seed, SPLITS.index(split), index))
    while True:
        found = _draw(generator)
        if found.is_held_out() == wanted:
            return found


def _draw(generator: np.random.Generator) -> Story:
    def choose(values, weights=None):
        p = None if weights is None else np.asarray(weights, float) / sum(weights)
        return values[generator.choice(len(values), p=p)]

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
    relation, others = None, []
    if generator.random() < 0.5:
        others = [
            k
            for k in KINDS.values()
            if can_be(k, place)
            and k.label != kind.label
            and (k.where in (kind.where, AIR) or _sits(kind, k))
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


def _group(kind: Kind, count: int, choose) -> Group:
    return Group(kind.name, choose(kind.colors) if kind.colors else None, count)


def _sits(kind: Kind, other: Kind) -> bool:
    return kind.name in SEATS.get(other.name, ())


def _weight(kind: Kind, other: Kind) -> int:
    """How often the second thing is this one: much is in the air, and few can sit on something."""
    if _sits(kind, other):
        return 15
    return 1 if other.where == AIR != kind.where else 3


def _relations(kind: Kind, other: Kind) -> list[str | None]:
    """What can be said of a first thing and a second one, the likelier more than once."""
    if kind.where != other.where:
        return ["on"] if _sits(kind, other) else [None]
    found = ["left", "right", "left", "right", "beside", None]
    if other.name == "house":
        found += ["front"] * 4
    if kind.name == "house":
        found += ["behind"] * 4
    if _sits(kind, other):
        found += ["on"] * 6
    return found


def can_be(kind: Kind, place: str) -> bool:
    """Whether such a thing can be there."""
    return kind.where in PLACES[place].parts and (kind.places is None or place in kind.places)
