"""Stories are made up: each is a pure function of (seed, split, index).

Training never sees some (thing, colour, place) triples, although it sees each thing, colour and
place. Half of the stories of the split "test" have such a triple.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from mas_fast.data.storybook.world2.kinds import KINDS, Kind
from mas_fast.data.storybook.world2.seats import sits
from mas_fast.data.storybook.world2.stage import arrange
from mas_fast.data.storybook.world2.story import Group, Story
from mas_fast.data.storybook.world2.where import can_be_far, part_of, places_of, relations
from mas_fast.data.storybook.world2.words import AIR, PATTERNS, PLACES, SIZES
from mas_fast.utils.validate import check_choice, check_int

T = TypeVar("T")
SPLITS = ("train", "validation", "test")
COUNTS = {1: (4, 3, 3, 3), 2: (6, 2, 1), 3: (1,)}  # weights of 1, 2 ... by number of groups
HOURS = {"day": 6, "dusk": 2, "night": 2, "dawn": 1}
NATURAL = 0.2  # of things that could have a colour have one that no caption names
LACKING = {"people": "person", "buildings": "house", "trees": "potted plant"}  # classes that go


def story(split: str, index: int, seed: int = 0) -> Story:
    """Make up a story.

    Args:
        split: one of SPLITS.
        index: number of the story.
        seed: seed of all stories.

    Returns:
        The story; its things have room (`stage.place_all`).

    Raises:
        ValueError: for an unknown split or a negative index.
    """
    check_choice("split", split, SPLITS)
    check_int("index", index, 0)
    check_int("seed", seed, 0)
    wanted = split == "test" and index % 2 == 1
    teller = _Teller(np.random.default_rng((seed, SPLITS.index(split), index)))
    while True:
        candidate = teller.tell()
        if candidate is not None and candidate.is_held_out() == wanted:
            return candidate


class _Teller:
    """Makes stories up by a generator."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def tell(self) -> Story | None:
        """Make up a story; None if its things have no room."""
        kind = self._choose(list(KINDS.values()), [_share(k) for k in KINDS.values()])
        places = places_of(kind)
        alone = [4 if part_of(kind, None, place) else 1 for place in places]
        setting = self._setting(self._choose(places, alone))
        first = self._group(kind, setting.place)
        told = self._with_second(replace(setting, groups=(first,)))
        if told is None:
            return None
        if len(told.groups) == 2 and told.relation not in ("on", "far") and self._chance(0.2):
            told = self._with_third(told)
        told = self._counted(told)
        return told if _possible(told) else None

    def _choose(self, values: Sequence[T], weights: Sequence[float] | None = None) -> T:
        p = None if weights is None else np.asarray(weights, float) / sum(weights)
        return values[int(self._generator.choice(len(values), p=p))]

    def _chance(self, share: float) -> bool:
        return bool(self._generator.random() < share)

    def _setting(self, name: str) -> Story:
        place, season, weather, hours = PLACES[name], "summer", "clear", list(HOURS)
        if place.seasons:
            season = self._choose(("summer", "autumn", "winter", "spring"), (5, 2, 2, 2))
        if not place.indoors:
            cold = season == "winter" or name == "snow"
            weathers = ("clear", "cloudy", "fog", "snowfall" if cold else "rain")
            weather = self._choose(weathers, (5, 2, 1, 2))
        if weather == "fog":
            hours.remove("night")  # all would be grey
        hour = self._choose(hours, [HOURS[h] for h in hours])
        lacks = [lack for lack in place.lacks if _can_lack(lack, hour, weather, season)]
        without = (self._choose(lacks),) if lacks and self._chance(0.2) else ()
        number = int(self._generator.integers(1 << 62))
        return Story(name, hour, weather, season, (), None, without, number)

    def _group(self, kind: Kind, place: str, plain: bool = False) -> Group:
        """Make up one thing; a plain one has a colour alone."""
        natural = not kind.colors or (kind.garment is None and self._chance(NATURAL))
        group = Group(kind.name, None if natural else self._choose(kind.colors), 1)
        if plain:
            return group
        poses = [pose for pose in kind.poses if part_of(kind, pose, place)]
        if poses and self._chance(0.45):
            group = replace(group, pose=self._choose(poses))
        if kind.patterned and self._chance(0.35):
            group = replace(group, pattern=self._choose(PATTERNS))
        if kind.sizes and self._chance(0.3):
            group = replace(group, size=self._choose(tuple(SIZES)))
        return group

    def _with_second(self, told: Story) -> Story | None:
        """Add a second group and a relation, if there shall be one."""
        (first,), kind, part = told.groups, KINDS[told.groups[0].kind], told.part(0)
        if part is not None and self._chance(0.45):
            if can_be_far(kind, told.place, part) and self._chance(0.12):
                return replace(told, groups=(_plain(first),), relation="far")
            return told
        options = {}
        for other in KINDS.values():
            beyond = part_of(other, None, told.place)
            found = relations(told.place, kind, other, part, beyond)
            if found and other.label != kind.label:
                options[other.name] = found
        if not options:
            return None
        weights = [_weight(kind, KINDS[name], told.place) for name in options]
        name = self._choose(list(options), weights)
        relation = self._choose(options[name])
        second = self._group(KINDS[name], told.place, plain=relation in ("on", "far"))
        if part_of(KINDS[name], second.pose, told.place) != part_of(KINDS[name], None, told.place):
            second = replace(second, pose=None)  # the relation was chosen for its usual part
        first = replace(first, size=None, pose=None) if relation == "on" else first
        return replace(told, groups=(first, second), relation=relation)

    def _with_third(self, told: Story) -> Story:
        """Add a third group: to a row, or to the air if nothing is there yet."""
        kinds = [KINDS[group.kind] for group in told.groups]
        parts = [told.part(n) for n in range(len(kinds))]
        if parts != [part_of(kind, None, told.place) for kind in kinds]:
            return told  # its pose says where it is
        row = told.relation in ("left", "right", "beside")
        thirds = []
        for kind in KINDS.values():
            part = part_of(kind, None, told.place)
            taken = kind.label in {k.label for k in kinds}
            if part is not None and not taken and (row if part in parts else part == AIR):
                thirds.append(kind)
        if not thirds:
            return told
        groups = [replace(g, pose=None, pattern=None) for g in told.groups]
        third = self._group(self._choose(thirds), told.place, plain=True)
        return replace(told, groups=(*groups, third))

    def _counted(self, told: Story) -> Story:
        """Draw how many there are of each, as many as have room."""
        if told.relation == "on":
            return told
        first, *rest = told.groups
        weights = COUNTS[len(told.groups)][: KINDS[first.kind].most]
        counts = list(range(1, len(weights) + 1))
        many = replace(first, count=self._choose(counts, weights))
        counted = replace(told, groups=(many, *rest))
        if len(rest) == 1 and KINDS[rest[0].kind].most > 1 and self._chance(0.15):
            more = replace(counted, groups=(many, replace(rest[0], count=2)))
            counted = more if _possible(more) else counted
        return counted


def _share(kind: Kind) -> float:
    """Weigh a kind of thing: more people, fewer of what is on tables alone."""
    if kind.label == "person":
        return 2
    return 1 if part_of(kind, None, "tabletop") is None else 0.6


def _weight(kind: Kind, other: Kind, place: str) -> float:
    """Weigh a second thing: many are in the air, and few can be on something."""
    if sits(kind.name, other.name):
        return 12
    return 1 if part_of(other, None, place) == AIR != part_of(kind, None, place) else 3


def _plain(group: Group) -> Group:
    return replace(group, size=None, pattern=None, pose=None)


def _can_lack(name: str, hour: str, weather: str, season: str) -> bool:
    """Tell whether the absence of something is worth a word."""
    if name == "clouds":
        return weather == "clear"
    if name == "sun":
        return hour == "day" and weather in ("clear", "cloudy")
    return name != "flowers" or season in ("spring", "summer")


def _possible(told: Story) -> bool:
    """Tell whether a story's things have room, and are none of those that it is without."""
    labels = {KINDS[group.kind].label for group in told.groups}
    return all(LACKING.get(name) not in labels for name in told.without) and bool(arrange(told))
