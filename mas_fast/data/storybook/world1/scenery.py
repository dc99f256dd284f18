"""Scenery that the storybook's places share: horizons, fields, hills, mountains, water, rocks."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    blob,
    box,
    ground,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world1.plants import SNOW, far, grass_tufts

GRASS = {"summer": "8cc457", "spring": "a3d468", "autumn": "adb44f"}
HORIZONS = (0.46, 0.49, 0.52)
ROCK, SEA = rgb("9a9088"), rgb("3b9fc4")


def choose_horizon(generator: Generator) -> float:
    """Choose the y of the horizon."""
    return HORIZONS[generator.integers(len(HORIZONS))]


def choose_side(generator: Generator) -> int:
    """Choose a side, -1 (left) or 1 (right), so that two pictures of a place differ."""
    return 1 if generator.random() < 0.5 else -1


def around(side: int, offset: float) -> float:
    """Return an x at that distance from the middle, on the left (-1) or on the right (1)."""
    return 0.5 + side * offset


def draw_field(
    canvas: Canvas, season: str, heights: Sequence[float], distance: float = 0.0
) -> None:
    """Draw grass below the curve through `heights`; snow in winter."""
    if season == "winter":
        with canvas.segment("snow"):
            canvas.fill(ground(heights), far(SNOW, distance), to=rgb("cfdceb"))
    else:
        color = far(rgb(GRASS[season]), distance)
        with canvas.segment("grass-merged"):
            canvas.fill(ground(heights), shade(color, 0.12), to=shade(color, -0.2))


def draw_tufts(
    canvas: Canvas, season: str, top: float, bottom: float, generator: Generator, count: int = 12
) -> None:
    """Draw a little texture, larger in the foreground."""
    color = rgb("b4c4d6") if season == "winter" else shade(rgb(GRASS[season]), -0.22)
    spots = [(x, top + (bottom - top) * y) for x, y in generator.random((count, 2))]
    middle = (top + bottom) / 2
    canvas.mark(grass_tufts([s for s in spots if s[1] < middle], 0.016), color, alpha=0.7)
    canvas.mark(grass_tufts([s for s in spots if s[1] >= middle], 0.026), color, alpha=0.7)


def draw_hills(canvas: Canvas, season: str, y: float, generator: Generator) -> None:
    """Draw two rows of hills, up to the horizon at y."""
    for distance, rise in ((0.5, 0.06), (0.25, 0.03)):
        heights = [y - generator.uniform(0, rise * 1.6) for _ in range(4)]
        draw_field(canvas, season, heights, distance)


def draw_mountains(canvas: Canvas, y: float, generator: Generator, tops: Sequence[float]) -> None:
    """Draw peaks with feet at y, the highest in front."""
    count = len(tops)
    shift = generator.uniform(-0.08, 0.08)
    peaks = [((i + 0.5) / count + shift, top + generator.uniform(-0.03, 0.03))
             for i, top in enumerate(tops)]  # fmt: skip
    with canvas.segment("mountain-merged"):
        canvas.fill(ground([y - 0.06, y - 0.1, y - 0.05, y - 0.09], y), far(rgb("7e8fa8"), 0.4))
        for x, top in sorted(peaks, key=lambda peak: -peak[1]):
            rise = y + 0.03 - top
            spread, color = rise * 0.78, far(rgb("71819c"), 0.42 - 0.9 * (0.42 - top))
            canvas.fill(polygon([(x - spread, y + 0.03), (x, top), (x + spread, y + 0.03)]),
                        color, to=shade(color, 0.12))  # fmt: skip
            ridge = [(x, top), (x + spread, y + 0.03), (x + spread * 0.12, y + 0.03)]
            bend = [(x + spread * 0.2, top + rise * 0.7), (x - spread * 0.02, top + rise * 0.4)]
            canvas.mark(polygon([*ridge, *bend]), shade(color, -0.2), alpha=0.7)
            cap = [
                (x, top),
                (x + spread * 0.34, top + rise * 0.34),
                (x + spread * 0.15, top + rise * 0.28),
            ]
            cap += [(x, top + rise * 0.4), (x - spread * 0.15, top + rise * 0.27)]
            canvas.mark(polygon([*cap, (x - spread * 0.34, top + rise * 0.34)]), SNOW)


def draw_waves(canvas: Canvas, top: float, bottom: float, generator: Generator, count: int) -> None:
    """Draw light crests, longer in the foreground."""
    crests = []
    for x, share in generator.random((count, 2)):
        y, size = top + (bottom - top) * share, 0.03 + 0.05 * share
        crests.append(
            blob([(x - size, y), (x, y - size * 0.3), (x + size, y), (x, y - size * 0.06)])
        )
    canvas.mark(together(crests), rgb("ffffff"), alpha=0.6)


def draw_rocks(canvas: Canvas, x: float, y: float, size: float, color: Color = ROCK) -> None:
    """Draw a large rock with a small one beside it, with feet at (x, y)."""
    with canvas.segment("rock-merged"), canvas.at(x, y, size):
        canvas.shadow(2.2, 0.2, 0.2)
        small = [(0.35, 0), (0.45, -0.42), (0.75, -0.5), (1.0, -0.2), (1.05, 0)]
        canvas.fill(polygon(small), shade(color, -0.12))
        big = [(-0.8, 0), (-0.72, -0.5), (-0.3, -0.95), (0.2, -0.8), (0.5, -0.35), (0.55, 0)]
        canvas.fill(polygon(big), shade(color, 0.1), to=shade(color, -0.2))
        canvas.mark(polygon([big[2], big[3], (-0.05, -0.5), (-0.45, -0.45)]), shade(color, 0.3))


def draw_sea(canvas: Canvas, y: float, bottom: float, generator: Generator, waves: int) -> None:
    """Draw the sea below y, with waves from there to `bottom`."""
    with canvas.segment("sea"):
        canvas.fill(box(0, y, 1, 1), shade(SEA, 0.3), to=shade(SEA, -0.28))
        draw_waves(canvas, y + 0.03, bottom - 0.03, generator, waves)
