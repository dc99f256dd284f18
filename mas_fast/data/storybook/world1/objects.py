"""Things that stand, lie or fly: kite, umbrella, bench, ball, house.

Each draws within its own frame: its foot at y = 0, top at about -1 (see canvas.py).
"""

from __future__ import annotations

import numpy as np
import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    box,
    ellipse,
    limb,
    polygon,
    shade,
    together,
)
from mas_fast.data.storybook.world1.pieces import CREAM, GLASS, INK, LAMP, accent, chance, pick

SEAT = 0.42  # height of a bench's seat, of the bench's own
WOOD: Color = (0.5, 0.34, 0.2)
RIBBONS: tuple[Color, ...] = ((0.85, 0.2, 0.2), (0.95, 0.8, 0.2), (0.2, 0.45, 0.8))


def kite(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a kite: a diamond of two tones with a tail of bows, on a string."""
    wave, wide = float(generator.uniform(-0.08, 0.08)), float(generator.uniform(0.38, 0.44))
    canvas.mark(limb([(0.0, -0.6), (-0.2, -0.3), (-0.5, 0.0)], 0.02), CREAM, alpha=0.8)
    tail = [(0.0, -0.26), (0.12 + wave, -0.16), (-0.04 - wave, -0.05)]
    canvas.fill(limb(tail, 0.05), color)
    canvas.fill(polygon([(0.0, -1.0), (wide, -0.66), (0.0, -0.22), (-wide, -0.66)]), color)
    quarters = [[(0, -0.66), (0, -1), (wide, -0.66)], [(0, -0.66), (0, -0.22), (-wide, -0.66)]]
    tone = shade(color, 0.2) if chance(generator, 0.5) else accent(color, 0.1)
    canvas.mark(together(map(polygon, quarters)), tone)
    spars = [box(-0.01, -1, 0.01, -0.22), box(-wide, -0.67, wide, -0.65)]
    canvas.mark(together(spars), accent(color, 0.2))
    ribbon = pick(generator, RIBBONS)
    for x, y in tail[1:]:
        bow = [polygon([(x, y), (x + s, y - 0.05), (x + s, y + 0.05)]) for s in (-0.1, 0.1)]
        canvas.fill(together(bow), ribbon)


def umbrella(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw an open parasol, upright or leaning a little; plain or with pale panels."""
    canvas.shadow(0.8)
    with canvas.at(0, 0, 1, turn=float(generator.uniform(-8, 8))):
        canvas.fill(box(-0.028, -0.95, 0.028, 0.0, 0.02), WOOD)
        canvas.fill(ellipse(0, -0.96, 0.035, 0.04), WOOD)
        dome = skia.Path()
        dome.moveTo(-0.54, -0.5)
        dome.cubicTo(-0.5, -0.8, -0.25, -0.95, 0, -0.95)
        dome.cubicTo(0.25, -0.95, 0.5, -0.8, 0.54, -0.5)
        for x in (0.36, 0.18, 0.0, -0.18, -0.36, -0.54):
            dome.quadTo(x + 0.09, -0.62, x, -0.5)
        dome.close()
        canvas.fill(dome, color)
        tone = pick(generator, (shade(color, 0.3), accent(color)))
        with canvas.inside(dome):
            panels = [
                polygon([(0, -0.96), (x, -0.4), (x + 0.18, -0.4)]) for x in (-0.4, -0.09, 0.22)
            ]
            canvas.mark(together(panels), tone)


def bench(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a bench: slats on two iron legs, seen from the front."""
    iron, wide = (0.25, 0.26, 0.28), float(generator.uniform(0.9, 1.0))
    canvas.shadow(2 * wide, 0.12)
    sides = (-wide + 0.16, wide - 0.16)
    canvas.fill(together(box(x - 0.05, -0.96, x + 0.05, 0, 0.03) for x in sides), iron)
    count = int(generator.integers(2, 4))
    high = 0.5 / count
    slats = [
        box(-wide, -1 + i * high, wide, -1 + (i + 1) * high - 0.06, 0.03) for i in range(count)
    ]
    canvas.fill(together(slats), color)
    canvas.fill(box(-wide - 0.02, -SEAT - 0.04, wide + 0.02, -SEAT + 0.14, 0.04), color)
    canvas.mark(box(-wide, -SEAT + 0.07, wide, -SEAT + 0.14, 0.03), accent(color))
    arms = [limb([(x, -0.66), (x, -0.4)], 0.08) for x in (-wide + 0.03, wide - 0.03)]
    canvas.fill(together(arms), iron)


def ball(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a round ball with two pale panels, a band or dots."""
    canvas.shadow(0.9, 0.14)
    other = CREAM if sum(color) < 2.5 else pick(generator, RIBBONS)
    disc, pattern = ellipse(0, -0.5, 0.5), int(generator.integers(3))
    canvas.fill(disc, color)
    with canvas.inside(disc), canvas.at(0, -0.5, 1, turn=float(generator.uniform(-40, 40))):
        if pattern == 0:
            wedges = [polygon([(0, 0), (-0.22 * s, 0.6 * s), (0.22 * s, 0.6 * s)]) for s in (-1, 1)]
            canvas.mark(together(wedges), other)
        elif pattern == 1:
            canvas.mark(box(-0.6, -0.12, 0.6, 0.12), other)
        else:
            spots = ((-0.24, -0.18), (0.24, -0.2), (0, 0.22), (-0.45, 0.2), (0.45, 0.22))
            canvas.mark(together(ellipse(x, y, 0.1) for x, y in spots), other)
    canvas.mark(ellipse(-0.17, -0.7, 0.1, 0.07), (1, 1, 1), alpha=0.55)


def house(
    canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False
) -> None:
    """Draw a house, its gable or its long side in front; at night its windows are lit."""
    roof = pick(generator, [c for c in ROOFS if _apart(c, color) > 0.35])
    door = pick(generator, [c for c in DOORS if _apart(c, color) > 0.35])
    side = 1 if chance(generator, 0.5) else -1
    wide, door_x = float(generator.uniform(0.48, 0.52)), 0.0
    canvas.shadow(1.2, 0.05)
    chimney = box(side * 0.27 - 0.055, -0.98, side * 0.27 + 0.055, -0.6)
    canvas.fill(chimney, (0.55, 0.3, 0.25))
    if chance(generator, 0.55):
        gable = [(-wide, 0), (-wide, -0.56), (0, -0.94), (wide, -0.56), (wide, 0)]
        canvas.fill(polygon(gable), color)
        eaves = [(-wide - 0.05, -0.53), (0, -0.94), (wide + 0.05, -0.53)]
        canvas.fill(limb(eaves, 0.1, smooth=False), roof)
        windows = [(-0.3, -0.34, 0.09), (0.3, -0.34, 0.09)]
        if chance(generator, 0.5):
            windows.append((0.0, -0.63, 0.07))
    else:
        canvas.fill(box(-wide, -0.7, wide, 0), color)
        slope = [(-wide - 0.08, -0.66), (-wide + 0.1, -0.9), (wide - 0.1, -0.9)]
        canvas.fill(polygon([*slope, (wide + 0.08, -0.66)]), roof)
        door_x = side * -0.3
        windows = [(side * 0.02, -0.38, 0.1), (side * 0.32, -0.38, 0.1)]
    canvas.mark(box(-wide, -0.05, wide, 0), accent(color, 0.2))
    frame = CREAM if _apart(CREAM, color) > 0.3 else WOOD
    canvas.fill(together(_square(x, y, r + 0.02) for x, y, r in windows), frame)
    panes = together(_square(x, y, r) for x, y, r in windows)
    canvas.fill(panes, LAMP if night else GLASS, lit=not night)
    canvas.mark(together(box(x - 0.01, y - r, x + 0.01, y + r) for x, y, r in windows), frame)
    canvas.fill(box(door_x - 0.09, -0.34, door_x + 0.09, 0, 0.03), door)
    canvas.mark(ellipse(door_x + 0.05, -0.16, 0.02), LAMP)


def _square(x: float, y: float, radius: float) -> skia.Path:
    return box(x - radius, y - radius, x + radius, y + radius)


def _apart(a: Color, b: Color) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


ROOFS: tuple[Color, ...] = ((0.42, 0.2, 0.16), (0.3, 0.31, 0.36), (0.46, 0.34, 0.26))
DOORS: tuple[Color, ...] = ((0.45, 0.27, 0.16), (0.2, 0.4, 0.35), (0.75, 0.2, 0.18), INK)
