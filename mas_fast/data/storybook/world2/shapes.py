"""Shapes that things are built of: outlines with rounded corners, rings, arches."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

import skia

from mas_fast.data.storybook.canvas import Point, ellipse


def rounded(corners: Sequence[tuple[float, ...]], radius: float = 0.0) -> skia.Path:
    """Return a polygon with rounded corners.

    Args:
        corners: (x, y), or (x, y, radius of this corner). A corner's curve takes at most half of
            its two sides.
        radius: that of corners without their own.
    """
    path, count = skia.Path(), len(corners)
    for i, (x, y, *own) in enumerate(corners):
        ends = []
        for other in (corners[i - 1], corners[(i + 1) % count]):
            dx, dy = other[0] - x, other[1] - y
            length = hypot(dx, dy)
            share = min((own[0] if own else radius) / length, 0.5) if length else 0.0
            ends.append((x + dx * share, y + dy * share))
        (path.lineTo if i else path.moveTo)(*ends[0])
        path.quadTo(x, y, *ends[1])
    path.close()
    return path


def ring(x: float, y: float, radius: float, inner: float) -> skia.Path:
    """Return a disc of `radius` around (x, y) with a hole of radius `inner`."""
    path = ellipse(x, y, radius)
    path.addPath(ellipse(x, y, inner))
    path.setFillType(skia.PathFillType.kEvenOdd)
    return path


def arch(left: float, top: float, right: float, bottom: float) -> skia.Path:
    """Return a rectangle whose upper end is half an ellipse, as high as it is half wide."""
    rise = min((right - left) / 2, bottom - top)
    path = skia.Path()
    path.moveTo(left, bottom)
    path.lineTo(left, top + rise)
    path.arcTo(skia.Rect(left, top, right, top + 2 * rise), 180, 180, False)
    path.lineTo(right, bottom)
    path.close()
    return path


def bent(points: Sequence[Point]) -> skia.Path:
    """Return a shape of parabolas: a corner, a point that pulls the curve, a corner, ..."""
    path = skia.Path()
    path.moveTo(*points[0])
    for i in range(1, len(points), 2):
        path.quadTo(*points[i], *points[(i + 1) % len(points)])
    path.close()
    return path
