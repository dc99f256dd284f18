"""Vehicles from the side, driving to the right; their lamps are lit if `night` is true.

Each draws within its own frame: wheels or hull down to y = 0, top at about -1 (see canvas.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    blob,
    box,
    ellipse,
    limb,
    polygon,
    shade,
    together,
)
from mas_fast.data.storybook.world1.pieces import CREAM, GLASS, INK, LAMP, accent, chance, pick

STEEL: Color = (0.55, 0.57, 0.6)


def _wheels(canvas: Canvas, places: Sequence[float], radius: float) -> None:
    canvas.fill(together(ellipse(x, -radius, radius) for x in places), INK)
    canvas.mark(together(ellipse(x, -radius, radius * 0.5) for x in places), (0.75, 0.76, 0.78))


def _windows(canvas: Canvas, path: skia.Path, night: bool) -> None:
    canvas.fill(path, LAMP if night else GLASS, lit=not night)


def _lamps(canvas: Canvas, x: float, y: float, tail: float, size: float, night: bool) -> None:
    """Draw a headlamp at (x, y), at night with its beam, and a red lamp at (tail, y)."""
    if night:
        beam = polygon([(x, y - size), (x + 0.7, y - 0.12), (x + 0.7, -0.02), (x, y + size)])
        canvas.mark(beam, LAMP, lit=False, alpha=0.3)
    canvas.fill(ellipse(x, y, size), LAMP, lit=not night)
    canvas.fill(ellipse(tail, y, size * 0.8), (0.85, 0.15, 0.12), lit=not night)


def car(canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False) -> None:
    """Draw a saloon, a hatchback or a small round car."""
    roof, glass = pick(
        generator,
        [
            ((-0.72, -0.46, 0.26, 0.66), (-0.4, 0.2)),
            ((-0.98, -0.86, 0.2, 0.62), (-0.76, 0.14)),
            ((-0.82, -0.42, 0.3, 0.74), (-0.34, 0.2)),
        ],
    )
    low, high = -0.56, -1.0
    canvas.shadow(2.3, 0.12)
    cabin = polygon([(roof[0], low), (roof[1], high), (roof[2], high), (roof[3], low)])
    canvas.fill(cabin, color)
    canvas.fill(box(roof[1] - 0.05, high - 0.02, roof[2] + 0.05, high + 0.14, 0.07), color)
    middle = (glass[0] + glass[1]) / 2 - 0.05
    panes = [
        polygon([(roof[0] + 0.2, low), (glass[0], -0.88), (middle, -0.88), (middle, low)]),
        polygon([(middle + 0.12, low), (middle + 0.12, -0.88), (glass[1], -0.88)]
                + [(roof[3] - 0.18, low)]),
    ]  # fmt: skip
    _windows(canvas, together(panes), night)
    canvas.fill(box(-1.12, -0.6, 1.12, -0.16, 0.17), color, to=accent(color, 0.15))
    canvas.mark(box(-1.0, -0.26, 1.0, -0.19), accent(color, 0.3))
    canvas.mark(box(middle, -0.5, middle + 0.14, -0.45), accent(color, 0.45))
    _lamps(canvas, 1.05, -0.42, -1.08, 0.085, night)
    _wheels(canvas, (-0.66, 0.66), 0.23)


def bus(canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False) -> None:
    """Draw a bus: a row of windows, a door, a stripe."""
    canvas.shadow(1.95, 0.1)
    canvas.fill(box(-0.94, -1.0, 0.94, -0.13, 0.1), color)
    panes = [box(x, -0.86, x + 0.26, -0.58, 0.03) for x in (-0.84, -0.52, -0.2, 0.12)]
    panes.append(box(0.5, -0.86, 0.7, -0.18, 0.02))  # the door
    panes.append(box(0.79, -0.86, 0.96, -0.52, 0.03))
    _windows(canvas, together(panes), night)
    stripe = pick(generator, (CREAM, accent(color, 0.35)))
    canvas.fill(box(-0.94, -0.48, 0.44, -0.42), stripe if sum(color) < 2.5 else (0.8, 0.2, 0.2))
    canvas.fill(box(-0.9, -0.2, 0.9, -0.13), accent(color, 0.35))
    _lamps(canvas, 0.9, -0.27, -0.9, 0.05, night)
    _wheels(canvas, (-0.56, float(generator.uniform(0.26, 0.34))), 0.16)


def truck(
    canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False
) -> None:
    """Draw a truck: a cab and a closed box with a disc, a band or nothing on it."""
    canvas.shadow(2.1, 0.1)
    canvas.fill(box(-0.98, -0.26, 0.98, -0.14), INK)
    canvas.fill(box(-1.0, -1.0, 0.34, -0.22, 0.03), color)
    mark = CREAM if sum(color) < 2.5 else (0.25, 0.45, 0.75)
    sign = int(generator.integers(3))
    if sign == 0:
        canvas.fill(ellipse(-0.33, -0.62, 0.19), mark)
    elif sign == 1:
        canvas.fill(box(-1.0, -0.7, 0.34, -0.55), mark)
    edges = [box(x, -1.0, x + 0.05, -0.22) for x in (-1.0, 0.29)]
    canvas.mark(together(edges), accent(color, 0.25))
    cab = [(0.42, -0.16), (0.42, -0.8), (0.72, -0.8), (0.86, -0.5), (1.0, -0.44), (1.0, -0.16)]
    canvas.fill(polygon(cab), accent(color, 0.08))
    _windows(canvas, polygon([(0.52, -0.48), (0.52, -0.72), (0.68, -0.72), (0.78, -0.48)]), night)
    _lamps(canvas, 0.97, -0.32, -0.97, 0.055, night)
    _wheels(canvas, (-0.72, -0.34, 0.68), 0.18)


def bicycle(
    canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False
) -> None:
    """Draw a bicycle: two big wheels, with or without a basket."""
    radius = 0.36
    back, front = (-0.44, -radius), (0.44, -radius)
    canvas.shadow(1.5, 0.08)
    for x, y in (back, front):
        tyre, rim = ellipse(x, y, radius), ellipse(x, y, radius - 0.12)
        tyre.addPath(rim)
        tyre.setFillType(skia.PathFillType.kEvenOdd)
        canvas.fill(tyre, INK)
        rim = ellipse(x, y, radius - 0.05)
        rim.addPath(ellipse(x, y, radius - 0.13))
        rim.setFillType(skia.PathFillType.kEvenOdd)
        canvas.fill(rim, color)
    crank, seat, head = (-0.04, -0.36), (-0.2, -0.78), (0.3, -0.76)
    bars = [(back, crank), (back, seat), (crank, seat), (crank, head), (seat, head), (head, front)]
    canvas.fill(together(limb(bar, 0.085) for bar in bars), color)
    canvas.fill(limb([(-0.32, -0.86), (-0.12, -0.85)], 0.1), INK)
    canvas.fill(limb([(0.3, -0.76), (0.27, -0.95), (0.42, -0.95)], 0.065, smooth=False), INK)
    if chance(generator, 0.5):
        basket = polygon([(0.4, -0.88), (0.7, -0.88), (0.64, -0.66), (0.44, -0.66)])
        canvas.fill(basket, (0.72, 0.5, 0.28))
    canvas.fill(ellipse(*crank, 0.07), INK)
    if night:
        canvas.mark(ellipse(0.46, -0.92, 0.08), LAMP, lit=False)


def train(
    canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False
) -> None:
    """Draw a steam locomotive that pulls one wagon or two."""
    dark = accent(color, 0.4)
    canvas.shadow(3.5, 0.1)
    canvas.fill(box(-1.7, -0.2, 1.6, -0.12), INK)
    count = int(generator.integers(1, 3))
    length = 2.1 / count
    panes = [box(0.58, -0.8, 0.78, -0.56, 0.02)]
    for i in range(count):
        left, right = -1.74 + i * length, -1.74 + (i + 1) * length - 0.1
        canvas.fill(box(left, -0.78, right, -0.16, 0.04), color)
        canvas.fill(box(left - 0.03, -0.86, right + 0.03, -0.76, 0.04), dark)
        room = (right - left) / (6 // count)
        panes += [
            box(left + (k + 0.22) * room, -0.66, left + (k + 0.78) * room, -0.44, 0.02)
            for k in range(6 // count)
        ]
    puffs = [(1.24, -0.96, 0.07), (1.06, -1.0, 0.1), (0.8, -1.03, 0.12)]
    canvas.mark(together(ellipse(x, y, r) for x, y, r in puffs), CREAM, alpha=0.75)
    canvas.fill(box(0.46, -0.88, 0.92, -0.16), color)
    canvas.fill(box(0.38, -0.96, 0.98, -0.85, 0.04), dark)
    canvas.fill(box(0.86, -0.66, 1.58, -0.2, 0.1), color)
    canvas.fill(box(1.48, -0.68, 1.62, -0.18, 0.06), dark)
    canvas.fill(polygon([(1.28, -0.64), (1.2, -0.93), (1.46, -0.93), (1.4, -0.64)]), INK)
    canvas.fill(ellipse(1.06, -0.66, 0.09, 0.08), (0.9, 0.7, 0.25))
    canvas.mark(box(1.18, -0.66, 1.24, -0.2), (0.9, 0.7, 0.25))
    canvas.fill(polygon([(1.5, -0.22), (1.62, -0.22), (1.75, 0.0), (1.46, 0.0)]), STEEL)
    _windows(canvas, together(panes), night)
    if night:
        beam = polygon([(1.62, -0.58), (2.3, -0.75), (2.3, -0.1), (1.62, -0.5)])
        canvas.mark(beam, LAMP, lit=False, alpha=0.3)
    canvas.fill(ellipse(1.6, -0.55, 0.06), LAMP, lit=not night)
    small = [-1.56 + i * length + s for i in range(count) for s in (0.0, length - 0.44)]
    _wheels(canvas, small, 0.13)
    _wheels(canvas, (0.66, 1.02, 1.32), 0.17)


def boat(canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False) -> None:
    """Draw a sailing boat, or a boat with a cabin and a funnel, and its wake."""
    trim = CREAM if sum(color) < 2.5 else (0.2, 0.4, 0.7)
    band = color if sum(color) < 2.5 else (0.2, 0.4, 0.7)
    canvas.mark(ellipse(0.0, 0.0, 0.62, 0.05), CREAM, alpha=0.5)
    deck = float(generator.uniform(-0.4, -0.36))
    if chance(generator, 0.65):
        rake, foot = float(generator.uniform(-0.03, 0.05)), deck - 0.07
        canvas.fill(box(-0.025, -0.98, 0.025, deck), (0.45, 0.3, 0.2))
        full = chance(generator, 0.5)  # a coloured main sail with a pale band, or the reverse
        sail = polygon([(-0.05, -0.95), (-0.05, foot), (-0.42 - rake, foot)])
        canvas.fill(sail, color if full else CREAM)
        with canvas.inside(sail):
            canvas.mark(box(-0.6, -0.68, 0, -0.6), CREAM if full and band is color else band)
        jib = polygon([(0.06, -0.86), (0.38 + rake, foot), (0.06, foot)])
        canvas.fill(jib, CREAM if full else color)
        canvas.fill(polygon([(-0.02, -1.0), (-0.02, -0.9), (-0.18, -0.95)]), (0.85, 0.2, 0.2))
    else:
        canvas.fill(box(-0.3, -0.64, 0.22, -0.28, 0.04), CREAM)
        canvas.fill(box(-0.26, -0.98, -0.02, -0.6, 0.02), color)
        canvas.mark(box(-0.26, -0.9, -0.02, -0.82), trim)
        canvas.fill(box(-0.36, -0.69, 0.28, -0.6, 0.03), accent(color, 0.15))
        _windows(canvas, together(ellipse(x, -0.51, 0.06) for x in (-0.18, -0.02, 0.14)), night)
    hull = polygon([(-0.54, deck + 0.03), (0.6, deck - 0.03), (0.42, 0.0), (-0.44, 0.0)])
    canvas.fill(hull, color, to=accent(color, 0.1))
    with canvas.inside(hull):
        canvas.mark(box(-0.7, deck + 0.08, 0.7, deck + 0.12), trim)
    if night:
        canvas.mark(ellipse(0.5, deck - 0.05, 0.04), LAMP, lit=False)
    canvas.mark(together((ellipse(-0.3, 0.0, 0.22, 0.03), ellipse(0.28, 0.01, 0.2, 0.03))), CREAM)


def airplane(
    canvas: Canvas, color: Color, generator: np.random.Generator, night: bool = False
) -> None:
    """Draw an airplane in flight: a round body, windows, swept-back wings, a fin."""
    dark, sweep = accent(color, 0.24), float(generator.uniform(-0.08, 0.08))
    fin = [(-1.16, -1.0), (-0.9, -1.0), (-0.5, -0.54), (-1.0, -0.5)]
    canvas.fill(
        polygon([(0.3, -0.6), (-0.1 + sweep, -0.9), (-0.36 + sweep, -0.9), (-0.2, -0.6)]), dark
    )
    canvas.fill(polygon(fin), dark)
    body = [(-1.18, -0.62), (-0.6, -0.72), (0.5, -0.74), (0.98, -0.62), (1.16, -0.46)]
    body += [(0.9, -0.32), (0.4, -0.26), (-0.5, -0.34)]
    trunk = blob(body)
    canvas.fill(trunk, color)
    with canvas.inside(trunk):
        canvas.mark(box(-1.3, -0.36, 1.3, -0.2), CREAM if sum(color) < 2.5 else (0.25, 0.45, 0.75))
    panes = [ellipse(-0.6 + 0.24 * i, -0.57, 0.06) for i in range(5)]
    _windows(canvas, together(panes), night)
    _windows(canvas, polygon([(0.74, -0.66), (0.94, -0.62), (1.06, -0.52), (0.78, -0.52)]), night)
    canvas.fill(limb([(-0.02, -0.14), (0.16, -0.14)], 0.15), shade(dark, -0.15))
    wing = [(0.34, -0.42), (-0.16 + sweep, 0.0), (-0.46 + sweep, 0.0), (-0.16, -0.42)]
    canvas.fill(polygon(wing), accent(color, 0.15))
    canvas.fill(polygon([(-0.8, -0.56), (-1.1, -0.4), (-1.24, -0.4), (-1.1, -0.56)]), dark)
