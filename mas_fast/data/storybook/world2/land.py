"""The shape of the land: hills, mountains, fields, rocks, and light over them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import skia

from mas_fast.data.storybook.canvas import Color, Point, blob, box, ground, mix, polygon, rgb, shade
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.plants import SNOW, SNOW_SHADE

GRASS = {"spring": "9bd06a", "summer": "86bf57", "autumn": "b5bb5a"}
ROCK = rgb("978f8a")
HORIZON = 0.46, 0.53  # y between which the land begins


def rolling(brush: Brush, y: float, rise: float, waves: float = 1.6) -> list[float]:
    """Return the heights of a hilly line that reaches up to about y - rise."""
    first, second = brush.generator.uniform(0, 2 * math.pi, 2)
    share = brush.between(0.6, 1.0)
    xs = np.linspace(0, 1, 11)
    line = np.sin(xs * waves * 2 * math.pi * share + first)
    line += 0.45 * np.sin(xs * waves * 4.6 * math.pi + second)
    return [float(h) for h in y - rise * (0.5 + line / 2.9)]


def grass_color(brush: Brush) -> Color:
    """Return the colour of the land's cover in the season."""
    return SNOW if brush.winter else rgb(GRASS[brush.season])


def draw_field(
    brush: Brush, heights: list[float], far: float = 0.0, color: Color | None = None,
    label: str | None = None, bottom: float = 1.0,
) -> None:  # fmt: skip
    """Draw the land below a line: grass, in winter snow, lighter at the line than below.

    Args:
        brush: draws it.
        heights: the line, from left to right.
        far: how far it is, 0..1.
        color: its colour; by default that of the season.
        label: its class; by default that of the season.
        bottom: where something nearer covers it.
    """
    base = grass_color(brush) if color is None else color
    name = label or ("snow" if brush.winter else "grass-merged")
    if name == "snow":
        top, low = base, mix(base, SNOW_SHADE, 0.75)
    else:
        top, low = mix(base, rgb("fff6bf"), 0.16), shade(base, -0.17)
    with brush.canvas.segment(name):
        brush.fill(ground(heights, bottom), top, to=low, far=far)


def draw_hills(brush: Brush, y: float, rows: int = 2, rise: float = 0.09) -> None:
    """Draw rows of hills that end at the horizon y, hazy and bluish far off."""
    for k in range(rows, 0, -1):
        heights = rolling(brush, y + 0.01 - 0.02 * (k - 1), rise * (0.6 + 0.4 * k / rows), 1.2)
        blue = mix(grass_color(brush), rgb("7fa0b8"), 0.35 * k / rows)
        draw_field(brush, heights, 0.22 + 0.2 * k, blue, bottom=y + 0.06)


def draw_mountains(brush: Brush, y: float, top: float, far: float, snowy: float = 0.35) -> None:
    """Draw a mountain range: each peak has a lit and a shaded face, and snow on its top.

    Args:
        brush: draws it.
        y: where its feet are.
        top: y of its highest peak.
        far: how far it is, 0..1.
        snowy: share of the height that snow covers.
    """
    count = int(brush.generator.integers(3, 5))
    first = int(brush.generator.integers(count))
    peaks = []
    for i in range(count):
        x = (i + 0.5 + brush.between(-0.25, 0.25)) / count
        high = top if i == first else top + (y - top) * brush.between(0.25, 0.55)
        peaks.append((x, high))
    color = rgb("76859d")
    away = 1 if brush.sky.sun < 0 else -1
    with brush.canvas.segment("mountain-merged"):
        for x, high in sorted(peaks, key=lambda peak: -peak[1]):
            _peak(brush, x, high, y, color, far + 0.25 * (high - top) / (y - top), snowy, away)
        base = ground(rolling(brush, y, 0.03, 2.0), y + 0.03)
        brush.fill(base, shade(color, 0.05), far=far + 0.12)


def _peak(
    brush: Brush, x: float, high: float, y: float, color: Color, far: float, snowy: float,
    away: int,
) -> None:  # fmt: skip
    rise = y - high
    spread = rise * brush.between(0.85, 1.15)

    def slope(side: int) -> list[Point]:
        points = [(0.0, 0.0)]
        for share in (0.28, 0.5, 0.75, 1.0):
            points.append((side * spread * share * brush.between(0.86, 1.12), rise * share))
        return points

    left, right = slope(-1), slope(1)
    outline = [(x + dx, high + dy) for dx, dy in [*reversed(left), *right[1:]]]
    body = polygon(outline)
    lit = mix(shade(color, 0.2), rgb("ffe9c4"), 0.25)
    brush.fill(body, shade(lit, 0.05), far=far)
    ridge = [(0.0, 0.0), (0.05, 0.2), (-0.05, 0.38), (0.08, 0.6), (-0.02, 0.8), (0.1, 1.02)]
    edge = [(x + away * spread * dx, high + rise * dy) for dx, dy in ridge]
    far_corner = [(x + away * spread * 1.2, y + 0.02), (x + away * spread * 1.2, high - 0.02)]
    with brush.canvas.inside(body):
        brush.mark(polygon([*edge, *far_corner]), shade(color, -0.14), to=color, far=far)
        if snowy:
            jag = [(-0.7, 0.9), (-0.42, 0.78), (-0.28, 1.05), (-0.1, 0.74), (0.05, 1.1), (0.2, 0.8),
                   (0.36, 1.0), (0.7, 0.85)]  # fmt: skip
            hem = [(x + dx * spread, high + rise * snowy * dy) for dx, dy in jag]
            cap = polygon([(x + spread, high - 0.03), (x - spread, high - 0.03), *hem])
            brush.mark(cap, rgb("fbfcff"), far=far * 0.5)
            inner = [point for point, (_, dy) in zip(edge, ridge, strict=True) if dy < snowy * 0.9]
            outer = [point for point in hem[:: 1 if away > 0 else -1]
                     if (point[0] - inner[-1][0]) * away > 0]  # fmt: skip
            shaded = [*inner, *outer, (x + away * spread, high - 0.03)]
            brush.mark(polygon(shaded), rgb("b4c6e2"), far=far * 0.6)


def draw_rocks(brush: Brush, x: float, y: float, size: float, color: Color = ROCK) -> None:
    """Draw a large rock with a small one beside it, with feet at (x, y)."""
    turn = brush.side()
    brush.shadow(x, y, 1.8 * size)
    with brush.canvas.segment("rock-merged"), brush.canvas.at(x, y, size):
        small = [(0.35, 0), (0.45, -0.38), (0.75, -0.46), (1.0, -0.2), (1.06, 0)]
        big = [(-0.82, 0), (-0.74, -0.46), (-0.34, -0.92), (0.18, -0.82), (0.5, -0.38), (0.58, 0)]
        for points, tone in ((small, shade(color, -0.1)), (big, color)):
            shape = polygon([(px * turn, py) for px, py in points])
            brush.solid(shape, tone, depth=0.2, amount=0.26)
        if brush.winter:
            snow = [(-0.6, -0.62), (-0.34, -0.95), (0.18, -0.85), (0.36, -0.6), (0.0, -0.68)]
            brush.mark(blob([(px * turn, py) for px, py in snow]), SNOW)


def draw_light(brush: Brush, y: float, strength: float = 1.0) -> None:
    """Draw the sun's warmth over the land on its side, and a cool shade on the other."""
    if not brush.sky.sunny:
        return
    warm, cool = brush.palette.sun, mix(brush.palette.top, (0.1, 0.1, 0.3), 0.4)
    share = {"day": 0.16, "night": 0.12}.get(brush.sky.hour, 0.3) * strength
    if brush.sky.weather == "cloudy":
        share *= 0.5
    colors = [
        skia.Color4f(*color, a).toColor()
        for color, a in ((warm, share), (warm, 0.0), (cool, 0.0), (cool, share * 0.8))
    ]
    start = 0 if brush.sky.sun < 0 else 1
    ends = [skia.Point(start, y), skia.Point(1 - start, y + 0.25)]
    shader = skia.GradientShader.MakeLinear(ends, colors, [0, 0.5, 0.55, 1])
    brush.canvas.wash(box(0, y, 1, 1), shader)


def line_at(heights: list[float]) -> Callable[[float], float]:
    """Return the height of a line at an x in 0..1."""
    xs = np.linspace(-0.02, 1.02, len(heights))
    return lambda x: float(np.interp(x, xs, heights))
