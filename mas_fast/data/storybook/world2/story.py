"""A story: the content of a scene. `telling.py` makes stories up."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.where import part_of, places_of

HELD_OUT = 10  # one triple in ten is held out


@dataclass(frozen=True)
class Group:
    """Things of one kind.

    Attributes:
        kind: the kind of thing.
        color: colour of all of them, None if the kind has no colours to choose from.
        count: number of things.
        size: "small", "big", or None for the usual size.
        pattern: "striped", "spotted", or None for plain.
        pose: one of its kind's poses, or None for the usual one.
    """

    kind: str
    color: str | None
    count: int
    size: str | None = None
    pattern: str | None = None
    pose: str | None = None


@dataclass(frozen=True)
class Story:
    """The content of a scene.

    Attributes:
        place: one of `words.PLACES`.
        hour: one of `words.HOURS`.
        weather: one of `words.WEATHERS`.
        season: one of `words.SEASONS`.
        groups: one to three groups of things, each of another of COCO's classes.
        relation: of the first group to the second, one of `words.RELATIONS`; "far" if the last
            group is far away; None if all are merely there.
        without: what is not there, some of `words.LACKS`.
        number: seed of everything else, such as the positions of things.
    """

    place: str
    hour: str
    weather: str
    season: str
    groups: tuple[Group, ...]
    relation: str | None
    without: tuple[str, ...]
    number: int

    def generator(self, purpose: int) -> np.random.Generator:
        """Return a generator of random numbers of its own for a purpose."""
        return np.random.default_rng((self.number, purpose))

    def is_held_out(self) -> bool:
        """Tell whether training never sees one of its groups in this place."""
        return any(is_held_out(group.kind, group.color, self.place) for group in self.groups)

    def part(self, number: int) -> str | None:
        """Return the part of the place that a group is in, None if it can only be on another."""
        group = self.groups[number]
        return part_of(KINDS[group.kind], group.pose, self.place)


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
    if color is None or len(places_of(KINDS[kind])) == 1:
        return False
    return zlib.crc32(f"{color} {kind} {place}".encode()) % HELD_OUT == 0
