"""The positions of the things in a story: a pure function of the story.

x and the height of feet are multiples of GRID, and things in one part of a place do not overlap
unless a relation asks for it: 64 codes have to describe a scene in which things can be counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mas_fast.data.storybook.world1.figures import FIGURES
from mas_fast.data.storybook.world1.objects import SEAT
from mas_fast.data.storybook.world1.story import Group, Story
from mas_fast.data.storybook.world1.words import KINDS, PLACES

GRID = 1 / 32
MARGIN, GAP = 0.03, 0.04
DEPTHS = 3  # lines between the farthest and the nearest
SHRINK = {1: 1.0, 2: 0.85, 3: 0.72}  # of each thing, by how many there are


@dataclass(frozen=True)
class Placed:
    """A figure in the picture.

    Attributes:
        kind: the kind of thing.
        color: its colour, or None for a natural one.
        x: position of its feet, in parts of the picture.
        y: position of its feet, in parts of the picture, downwards.
        height: its height, in parts of the picture.
        facing: 1 right, -1 left.
        seated: whether it sits on another figure.
    """

    kind: str
    color: str | None
    x: float
    y: float
    height: float
    facing: int
    seated: bool = False

    @property
    def width(self) -> float:
        """Width of its footprint, in parts of the picture."""
        return FIGURES[self.kind].width * self.height


def place_all(story: Story) -> list[Placed]:
    """Place the figures of a story.

    Args:
        story: the story.

    Returns:
        The figures, the farthest first.
    """
    generator = story.generator(1)
    first, *others = story.groups
    if not others:
        return _row(story, [_members(first)], generator)
    second = others[0]
    if story.relation == "on":
        seat = _row(story, [_members(second)], generator)[0]
        sitter = _fitted(first, story, 0.8)
        return [seat, replace(sitter, x=seat.x, y=seat.y - SEAT * seat.height, seated=True)]
    if KINDS[first.kind].part != KINDS[second.kind].part:
        placed = [p for g in story.groups for p in _row(story, [_members(g)], generator)]
        return sorted(placed, key=lambda p: p.y)
    if story.relation in ("front", "behind"):
        near, far = (first, second) if story.relation == "front" else (second, first)
        return _before(story, near, far, generator)
    order = [_members(first), _members(second)]
    if story.relation == "right" or (story.relation != "left" and generator.random() < 0.5):
        order.reverse()
    return _row(story, order, generator)


def _members(group: Group) -> list[Group]:
    return [replace(group, count=1)] * group.count


def _row(story: Story, order: list[list[Group]], generator: np.random.Generator) -> list[Placed]:
    """Place groups from left to right, in the part of the place that the first belongs to."""
    members = [member for group in order for member in group]
    shrink = SHRINK[len(members)]
    placed = [_fitted(member, story, shrink) for member in members]
    room = 1 - 2 * MARGIN - GAP * (len(placed) - 1)
    total = sum(p.width for p in placed)
    if total > room:
        placed = [replace(p, height=p.height * room / total) for p in placed]
        total = room
    cuts = np.sort(generator.random(len(placed))) * (room - total)
    left, figures = MARGIN, []
    facing = 1 if generator.random() < 0.5 else -1
    y = _line(story, placed[0].kind, generator)
    for p, cut, start in zip(placed, cuts, _starts(placed), strict=True):
        x = _snap(left + cut + start + p.width / 2)
        facing = -facing if generator.random() < 0.2 else facing
        figures.append(replace(p, x=x, y=y, facing=facing))
    return figures


def _starts(placed: list[Placed]) -> list[float]:
    ends = np.cumsum([p.width + GAP for p in placed])
    return [0.0, *ends[:-1].tolist()]


def _before(story: Story, near: Group, far: Group, generator: np.random.Generator) -> list[Placed]:
    """Place `near` in front of `far`; at least half of `far` stays in sight."""
    back, front = PLACES[story.place].parts[KINDS[far.kind].part]
    behind = [replace(p, y=_snap(back)) for p in _row(story, [_members(far)], generator)]
    before = _row(story, [_members(near)], generator)
    hidden = behind[generator.integers(len(behind))]
    shift = hidden.x - np.mean([p.x for p in before])
    shift += generator.choice((-0.25, 0.25)) * hidden.width
    low = MARGIN - min(p.x - p.width / 2 for p in before)
    high = 1 - MARGIN - max(p.x + p.width / 2 for p in before)
    shift = np.clip(shift, min(low, high), max(low, high))
    moved = [
        replace(p, x=_snap(p.x + shift), y=_snap(front), height=p.height * 0.8) for p in before
    ]
    return [*behind, *moved]


def _fitted(group: Group, story: Story, shrink: float) -> Placed:
    return Placed(group.kind, group.color, 0.5, 0.5, KINDS[group.kind].height * shrink, 1)


def _line(story: Story, kind: str, generator: np.random.Generator) -> float:
    """Draw the y of feet, one of DEPTHS lines."""
    far, near = PLACES[story.place].parts[KINDS[kind].part]
    return _snap(far + (near - far) * generator.integers(DEPTHS) / (DEPTHS - 1))


def _snap(value: float) -> float:
    return round(value / GRID) * GRID
