"""The positions of the things in a story: a pure function of the story.

x and the height of feet are multiples of GRID (but of what is on something), and things do not
overlap unless a relation asks for it: 256 codes have to describe a scene in which things can be
counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.seats import SEATS
from mas_fast.data.storybook.world2.sizes import (
    GAP,
    GRID,
    MARGIN,
    far_height,
    row_heights,
    seat_height,
)
from mas_fast.data.storybook.world2.story import Group, Story
from mas_fast.data.storybook.world2.words import AIR, LAND, ON, PLACES

DEPTHS = 3  # lines between the farthest and the nearest
TRIES = 12  # arrangements, until nothing overlaps
FAR_AIR = 0.62  # y of the ground over which something flies far away
RIDDEN = ("horse", "bicycle", "motorcycle", "skateboard")  # who is on them faces as they do


@dataclass(frozen=True)
class Placed:
    """A figure in the picture.

    Attributes:
        group: number of its group in the story.
        kind: the kind of thing.
        color: its colour, or None for a natural one.
        part: the part of the place that it is in, or ON.
        height: its height, in parts of the picture.
        x: position of its feet, in parts of the picture.
        y: position of its feet, in parts of the picture, downwards.
        facing: 1 right, -1 left.
        pose: its pose, None for the usual one.
        pattern: "striped", "spotted", or None for plain.
        far: whether it is far away.
        ground: y of the ground below it; of what flies, as hazy as it is.
    """

    group: int
    kind: str
    color: str | None
    part: str
    height: float
    x: float = 0.5
    y: float = 0.5
    facing: int = 1
    pose: str | None = None
    pattern: str | None = None
    far: bool = False
    ground: float = 1.0

    @property
    def width(self) -> float:
        """Width of its footprint, in parts of the picture."""
        return KINDS[self.kind].width_in(self.pose) * self.height

    def overlaps(self, other: Placed) -> bool:
        """Tell whether the boxes of two figures overlap."""
        return (
            abs(self.x - other.x) < (self.width + other.width) / 2
            and self.y - self.height < other.y
            and other.y - other.height < self.y
        )


Row = list[Placed]


def place_all(story: Story) -> list[Placed]:
    """Place the figures of a story.

    Args:
        story: the story.

    Returns:
        The figures, the farthest first, and what is on something after it.

    Raises:
        ValueError: if its things have no room.
    """
    placed = arrange(story)
    if placed is None:
        raise ValueError(f"found {story}, expected things that have room in a picture")
    return placed


def arrange(story: Story) -> list[Placed] | None:
    """Place the figures as `place_all` does; None if they have no room."""
    generator = story.generator(1)
    rows = _rows(story)
    if rows is None:
        return None
    for _ in range(TRIES):
        placed = _arranged(story, rows, generator)
        if placed is not None and _fit(story, placed):
            return sorted(placed, key=lambda p: (p.y if p.part != ON else 1.0, p.part == ON))
    return None


def _fit(story: Story, placed: Row) -> bool:
    """Tell whether figures are in the picture and apart from each other."""
    for n, p in enumerate(placed):
        if p.y - p.height < 0 or not 0 <= p.x - p.width / 2 <= p.x + p.width / 2 <= 1:
            return False
        for other in placed[:n]:
            told = story.relation in ("front", "behind", "on") and {p.group, other.group} == {0, 1}
            if p.overlaps(other) and not told:
                return False
    return True


# ------------------------------------------------------------------ rows


def _rows(story: Story) -> list[Row] | None:
    """Sort the figures into rows of those that stand side by side, with their heights."""
    members: dict[tuple[str, int], list[int]] = {}
    for n in range(len(story.groups)):
        apart = n + 1 if story.relation in ("front", "behind") and n < 2 else 0
        if _is_far(story, n):
            apart = 4
        part = story.part(n)
        if part is None or (story.relation == "on" and n == 0):
            continue
        members.setdefault((part, apart), []).append(n)
    rows = []
    for (part, _), numbers in members.items():
        groups = [(n, story.groups[n]) for n in numbers]
        each = [(n, group) for n, group in groups for _ in range(group.count)]
        if _is_far(story, numbers[0]):
            heights: list[float] | None = [far_height(group.kind, part) for _, group in each]
        else:
            heights = row_heights([(g.kind, g.size, _pose(g, part)) for _, g in each], part)
        if heights is None:
            return None
        rows.append([
            Placed(n, g.kind, g.color, part, height, pose=_pose(g, part), pattern=g.pattern,
                   far=_is_far(story, n))
            for (n, g), height in zip(each, heights, strict=True)
        ])  # fmt: skip
    return rows


def _pose(group: Group, part: str) -> str | None:
    """Return the pose of a group: what usually flies or swims stands on land."""
    usual = "stand" if part == LAND and "stand" in KINDS[group.kind].poses else None
    return group.pose or usual


def _is_far(story: Story, number: int) -> bool:
    return story.relation == "far" and number == len(story.groups) - 1


def _arranged(story: Story, rows: list[Row], generator: np.random.Generator) -> Row | None:
    placed: Row = []
    for row in rows:
        placed += _side_by_side(story, _ordered(story, row, generator), generator)
    first = [p for p in placed if p.group == 0]
    second = [p for p in placed if p.group == 1]
    rest = [p for p in placed if p.group > 1]
    if story.relation == "on":
        return [*second, _sitting(story, second[0], generator), *rest]
    if story.relation in ("front", "behind"):
        near, far = (first, second) if story.relation == "front" else (second, first)
        pair = _before(story, near, far, generator)
        return None if pair is None else [*pair, *rest]
    if story.relation in ("above", "below"):
        upper, lower = (first, second) if story.relation == "above" else (second, first)
        pair = _above(story, upper, lower, generator)
        return None if pair is None else [*pair, *rest]
    return placed


def _ordered(story: Story, row: Row, generator: np.random.Generator) -> Row:
    """Order the groups of a row from left to right.

    Whatever the first is to the second, it is to a third: "a dog left of a cat and a ball".
    """
    order = sorted({p.group for p in row})
    if story.relation == "beside" and len(order) > 2:
        order = [1, 0, 2]
    swap = generator.random() < 0.5
    if story.relation == "right" or (story.relation != "left" and swap):
        order.reverse()
    return sorted(row, key=lambda p: order.index(p.group))


def _side_by_side(story: Story, row: Row, generator: np.random.Generator) -> Row:
    room = 1 - 2 * MARGIN - GAP * (len(row) - 1) - sum(p.width for p in row)
    cuts = np.sort(generator.random(len(row))) * room
    if story.relation == "beside":
        cuts = np.full(len(row), cuts[0])
    left, figures = MARGIN, []
    facing = 1 if generator.random() < 0.5 else -1
    y = _line(story, row[0], generator)
    for p, cut in zip(row, cuts, strict=True):
        facing = -facing if generator.random() < 0.2 else facing
        own = _near(story, p, y, generator)
        x = _snap(left + cut + p.width / 2)
        figures.append(replace(p, x=x, y=own, facing=facing, ground=_ground(p, own)))
        left += p.width + GAP
    return figures


def _ground(p: Placed, y: float) -> float:
    if p.part != AIR:
        return y
    return FAR_AIR if p.far else 1.0


def _line(story: Story, p: Placed, generator: np.random.Generator) -> float:
    """Draw the y of feet, one of DEPTHS lines; what flies is not cut off."""
    place = PLACES[story.place]
    far, near = (place.far[p.part],) * 2 if p.far else place.parts[p.part]
    y = _snap(far + (near - far) * generator.integers(DEPTHS) / (DEPTHS - 1))
    return max(y, math.ceil((p.height + GRID / 2) / GRID) * GRID) if p.part == AIR else y


def _near(story: Story, p: Placed, line: float, generator: np.random.Generator) -> float:
    """Draw the y of feet near a line, so that a row is no rank."""
    if p.far:
        return line
    if p.part == AIR:
        return _line(story, p, generator)
    far, near = PLACES[story.place].parts[p.part]
    y = line + GRID * int(generator.integers(-1, 2))
    return y if _snap(far) <= y <= _snap(near) else line


# ------------------------------------------------------------------ relations


def _sitting(story: Story, seat: Placed, generator: np.random.Generator) -> Placed:
    group = story.groups[0]
    where = SEATS[seat.kind]
    facing = seat.facing
    if seat.kind not in RIDDEN and generator.random() < 0.5:
        facing = -facing
    height = seat_height(group.kind, seat.kind, seat.height)
    return Placed(
        group=0,
        kind=group.kind,
        color=group.color,
        part=ON,
        height=height,
        x=seat.x + seat.facing * where.x * seat.height,
        y=seat.y - where.y * seat.height + where.rest(group.kind) * height,
        facing=facing,
        pose=where.poses[group.kind],
        pattern=group.pattern,
        ground=seat.ground,
    )


def _before(story: Story, near: Row, far: Row, generator: np.random.Generator) -> Row | None:
    """Place `near` in front of `far`, of which half of the width stays in sight."""
    if len(far) > 1:
        return None
    place = PLACES[story.place]
    (hidden,), y = far, _snap(place.parts[near[0].part][1])
    near = _closed(near)
    width = near[-1].x + near[-1].width / 2 - near[0].x + near[0].width / 2
    apart = max(0.25 * hidden.width, (width + GRID) / 2) * (1 if generator.random() < 0.5 else -1)
    ends = sorted((-hidden.width / 2, hidden.width / 2, apart - width / 2, apart + width / 2))
    free = 1 - 2 * MARGIN - (ends[-1] - ends[0])
    if free < 0:
        return None
    x = _snap(MARGIN - ends[0] + free * generator.random())
    shift = x + apart - (near[0].x - near[0].width / 2 + width / 2)
    moved = [replace(p, x=_snap(p.x + shift), y=y, ground=y) for p in near]
    back = _snap(place.parts[hidden.part][0])
    return [replace(hidden, x=x, y=back, ground=back), *moved]


def _above(story: Story, upper: Row, lower: Row, generator: np.random.Generator) -> Row | None:
    """Place `upper` in the air above the middle of `lower`; None if that is at the border."""
    upper = _closed(upper)
    middle = sum(p.x for p in lower) / len(lower) + generator.uniform(-0.05, 0.05)
    shift = middle - (upper[0].x + upper[-1].x) / 2
    low = MARGIN - (upper[0].x - upper[0].width / 2)
    high = 1 - MARGIN - (upper[-1].x + upper[-1].width / 2)
    if not low <= shift <= high:
        return None
    near = _snap(PLACES[story.place].parts[lower[0].part][1])
    top = [math.ceil((p.height + GRID / 2) / GRID) * GRID for p in upper]
    return [
        *(replace(p, x=_snap(p.x + shift), y=y) for p, y in zip(upper, top, strict=True)),
        *(replace(p, y=near, ground=near) for p in lower),
    ]


def _closed(row: Row) -> Row:
    """Move the figures of a row together."""
    moved, left = [], row[0].x - row[0].width / 2
    for p in row:
        moved.append(replace(p, x=left + p.width / 2))
        left += p.width + GAP
    return moved


def _snap(value: float) -> float:
    return round(value / GRID) * GRID
