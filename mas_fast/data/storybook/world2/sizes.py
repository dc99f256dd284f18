"""How high the things of a story are.

A thing alone has the height of its kind (`Kind.heights`). Things in a row are lower by SHRINK, and
once more if the row would be too wide. "small" and "big" things are SIZES times as high as they
would be unsaid, and are only told of rows that have room for it: so in any picture a small thing is
lower than 0.75 of `usual_height`, and a big one higher than 1.15 of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.words import ON, SIZES

GRID = 1 / 32
MARGIN, GAP = 0.03, 0.04
SHRINK = {1: 1.0, 2: 0.94, 3: 0.84, 4: 0.74}  # of each thing, by how many are in a row
LEAST_SHRINK = 0.5  # of a row that would be too wide
FAR_SHARE = 0.36  # of what is far away
LEAST, LEAST_FAR, MOST = 0.14, 0.1, 0.78  # height of a figure

Member = tuple[str, str | None, str | None]  # kind, size, pose


def usual_height(kind: str, part: str, count: int = 1) -> float:
    """Return the height of a thing of no special size.

    Args:
        kind: name of the kind of thing.
        part: the part of the place that it is in, or ON.
        count: number of things in its row.

    Returns:
        Its height, in parts of the picture.
    """
    heights = KINDS[kind].heights
    return heights.get(part, next(iter(heights.values()))) * SHRINK[count]


def far_height(kind: str, part: str) -> float:
    """Return the height of a thing that is far away."""
    return max(LEAST_FAR, usual_height(kind, part) * FAR_SHARE)


def seat_height(sitter: str, seat: str, height: float) -> float:
    """Return the height of something that is on a seat of the given height."""
    usual = next(iter(KINDS[seat].heights.values()))
    return usual_height(sitter, ON) * height / usual


def row_heights(members: Sequence[Member], part: str) -> list[float] | None:
    """Return the heights of things that stand side by side.

    Args:
        members: the things, from left to right.
        part: the part of the place that they are in.

    Returns:
        Their heights, at least LEAST and at most MOST; None if they have no room.
    """
    if len(members) not in SHRINK:
        return None
    heights = [
        usual_height(kind, part, len(members)) * SIZES.get(size or "", 1.0)
        for kind, size, _ in members
    ]
    room = 1 - 2 * MARGIN - (GAP + GRID) * (len(members) - 1)
    widths = [KINDS[kind].width_in(pose) for kind, _, pose in members]
    total = sum(h * w for h, w in zip(heights, widths, strict=True))
    shrink = min(1, room / total)
    if shrink < (1 if any(size for _, size, _ in members) else LEAST_SHRINK):
        return None
    heights = [h * shrink for h in heights]
    return heights if all(LEAST <= h <= MOST for h in heights) else None
