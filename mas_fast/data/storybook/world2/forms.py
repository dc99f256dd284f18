"""Shapes of bodies: outlines, tapered limbs, a shaded side that is equally wide everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import skia

from mas_fast.data.storybook.canvas import Canvas, Color, Point, ellipse, mix, shade
from mas_fast.data.storybook.world2.look import Look, moved

T = TypeVar("T")
INK: Color = (0.15, 0.13, 0.16)
CREAM: Color = (0.98, 0.96, 0.91)
PINK: Color = (0.95, 0.66, 0.64)
BEAK: Color = (0.96, 0.62, 0.16)


def pick(generator: np.random.Generator, options: Sequence[T]) -> T:
    """Return one of the options, each with the same chance."""
    return options[int(generator.integers(len(options)))]


def chance(generator: np.random.Generator, share: float) -> bool:
    """Return True in `share` of the cases."""
    return bool(generator.random() < share)


def pose_of(kind: str, look: Look, poses: Iterable[str]) -> str:
    """Return the pose of a figure, by default the first of its poses.

    Raises:
        ValueError: for a pose that is not one of its kind's.
    """
    known = list(poses)
    pose = look.pose or known[0]
    if pose not in known:
        raise ValueError(f"{kind}: found pose {pose!r}, expected one of {', '.join(known)}")
    return pose


@lru_cache(maxsize=4096)  # a figure asks for the same few tones again and again
def dim(color: Color, amount: float = 0.2) -> Color:
    """Return a darker tone of a colour for what is far or in shadow, a little cooler."""
    return mix(shade(color, -amount), (0.2, 0.16, 0.36), 0.08)


def contrast(color: Color) -> Color:
    """Return a tone that shows on a colour: markings, patterns."""
    bright = 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]
    return mix(color, CREAM, 0.72) if bright < 0.62 else mix(color, (0.2, 0.18, 0.3), 0.55)


def outline(points: Sequence[Point]) -> skia.Path:
    """Return a smooth closed curve (Catmull-Rom); a point that is there twice is a corner.

    All outlines run the same way round, so that overlapping ones can be joined by `together`.
    """
    before = points[-1]
    area = 0.0
    knots: list[Point] = []
    corners: list[bool] = []
    for point in points:
        if point == before and knots:
            corners[-1] = True
        else:
            knots.append(point)
            corners.append(False)
        area += before[0] * point[1] - point[0] * before[1]
        before = point
    if knots[0] == knots[-1]:
        knots.pop()
        corners.pop()
        corners[0] = True
    if area < 0:
        knots, corners = knots[::-1], corners[::-1]
    count = len(knots)
    tangents = [
        (0.0, 0.0)
        if corners[i]
        else (
            (knots[(i + 1) % count][0] - knots[i - 1][0]) / 6,
            (knots[(i + 1) % count][1] - knots[i - 1][1]) / 6,
        )
        for i in range(count)
    ]
    path = skia.Path()
    path.moveTo(*knots[0])
    for i in range(count):
        (ax, ay), (bx, by) = knots[i], knots[(i + 1) % count]
        (px, py), (qx, qy) = tangents[i], tangents[(i + 1) % count]
        path.cubicTo(ax + px, ay + py, bx - qx, by - qy, bx, by)
    path.close()
    return path


def tube(points: Sequence[Point], widths: Sequence[float], *, flat: bool = False) -> skia.Path:
    """Return a limb along the points, as wide at each of them as `widths` says.

    Args:
        points: its middle line.
        widths: its width at each point.
        flat: whether its last end is cut off straight; ends are round otherwise.
    """
    left: list[Point] = []
    right: list[Point] = []
    last = len(points) - 1
    for i, ((x, y), width) in enumerate(zip(points, widths, strict=True)):
        (ax, ay), (bx, by) = points[max(i - 1, 0)], points[min(i + 1, last)]
        reach = 0.5 * width / (math.hypot(bx - ax, by - ay) or 1.0)
        dx, dy = (bx - ax) * reach, (by - ay) * reach
        left.append((x + dy, y - dx))
        right.append((x - dy, y + dx))
        if i == 0:
            start = (x - dx, y - dy)
    end = [left[-1], right[-1]] if flat else [(x + dx, y + dy)]
    return outline([start, *left, *end, *reversed(right)])


def form(
    canvas: Canvas, path: skia.Path, color: Color, look: Look, *, part: str | None = None,
    rim: float = 0.03, amount: float = 0.2,
) -> None:  # fmt: skip
    """Fill a shape whose side away from the sun is in shadow, `rim` wide.

    Unlike `solid`, the rim is a length in the figure's frame, so thin and thick parts of one
    shape have the same; and nearly black things get a lit side rather than a darker one.
    """
    black = sum(color) < 0.75
    canvas.fill(path, color if black else dim(color, amount), part=part)
    lit = moved(path, look.sun * rim, -0.55 * rim)
    canvas.mark(lit, shade(color, 0.1) if black else color, within=path)


def eye(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """Draw an animal's eye: dark, with a light in it."""
    canvas.mark(ellipse(x, y, radius, radius * 1.1), INK)
    canvas.mark(ellipse(x + 0.3 * radius, y - 0.35 * radius, 0.38 * radius), CREAM)


def along(points: Sequence[Point], share: float) -> Point:
    """Return the point at a share, 0..1, of a line from point to point."""
    place = share * (len(points) - 1)
    i = min(int(place), len(points) - 2)
    (ax, ay), (bx, by), t = points[i], points[i + 1], place - i
    return ax + (bx - ax) * t, ay + (by - ay) * t
