"""Airplanes in flight from the side, to the right: a jet and one with a propeller."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import Canvas, Color, box, ellipse, limb, rgb, shade, together
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    INK,
    SHINE,
    STEEL,
    accent,
    glass,
    lamp,
    line,
    pick,
    trim,
    wheels,
)
from mas_fast.data.storybook.world2.shapes import rounded

WIDTHS = {"airplane": 2.5}
NATURAL = {"airplane": ("white", "white", "red", "yellow", "blue")}


def airplane(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an airplane of one of two types."""
    pick(look.generator, (_jet, _propeller))(canvas, color, look)


def _jet(canvas: Canvas, color: Color, look: Look) -> None:
    band = trim(color)
    tail = pick(look.generator, [rgb(c) for c in ("d8453b", "2f6fb5", "e8a13a", "3b9a8c")])
    dark = accent(color, 0.2)
    far_wing = rounded([(0.42, -0.56), (-0.02, -0.82), (-0.2, -0.82), (0.02, -0.56)], 0.03)
    canvas.fill(far_wing, dark)
    fin = rounded([(-1.12, -0.56), (-1.22, -1.0, 0.05), (-0.98, -1.0, 0.05), (-0.56, -0.6)], 0.02)
    solid(canvas, fin, tail if sum(color) > 2.4 else color, look, depth=0.1)
    with canvas.inside(fin):
        canvas.mark(
            line((-1.4, -0.8), (-0.5, -0.8), 0.08), shade(tail, 0.75) if sum(color) > 2.4 else band
        )
    trunk = rounded(
        [(-1.24, -0.56, 0.1), (-0.7, -0.66, 0.3), (0.86, -0.68, 0.5), (1.24, -0.46, 0.22)]
        + [(1.1, -0.28, 0.3), (-0.3, -0.26, 0.5)]
    )
    solid(canvas, trunk, color, look, depth=0.16)
    with canvas.inside(trunk):
        canvas.mark(box(-1.3, -0.43, 1.3, -0.37), tail if sum(color) > 2.4 else band)
    panes = [
        box(x, -0.57, x + 0.1, -0.47, 0.04) for x in (-0.66, -0.47, -0.28, -0.09, 0.1, 0.29, 0.48)
    ]
    cockpit = rounded([(0.82, -0.5), (0.84, -0.62), (0.98, -0.6), (1.12, -0.5)], 0.03)
    glass(canvas, [*panes, cockpit], look)
    canvas.mark(box(0.65, -0.6, 0.75, -0.34, 0.03), accent(color, 0.14))
    fin2 = rounded([(-1.2, -0.54), (-0.82, -0.54), (-1.16, -0.38), (-1.25, -0.38)], 0.02)
    canvas.fill(fin2, tail if sum(color) > 2.4 else dark)
    wing = rounded(
        [(0.44, -0.36, 0.04), (-0.3, 0.0, 0.03), (-0.52, 0.0, 0.04), (-0.2, -0.36, 0.06)]
    )
    solid(canvas, wing, dark, look, depth=0.12)
    engine = rounded([(-0.12, -0.12, 0.05), (-0.08, -0.26), (0.26, -0.27), (0.28, -0.09)], 0.06)
    solid(canvas, engine, shade(color, -0.08) if sum(color) > 0.75 else dark, look)
    canvas.fill(ellipse(0.265, -0.18, 0.035, 0.088), INK)
    lamp(canvas, ellipse(-0.46, -0.03, 0.035), look, rgb("e5483c"))
    _blinks(canvas, look, (1.08, -0.32))


def _blinks(canvas: Canvas, look: Look, *lamps: tuple[float, float]) -> None:
    if look.night:
        canvas.mark(
            together(ellipse(x, y, 0.09) for x, y in lamps), rgb("ffe08a"), lit=False, alpha=0.3
        )
        canvas.mark(together(ellipse(x, y, 0.04) for x, y in lamps), rgb("fff3c4"), lit=False)


def _propeller(canvas: Canvas, color: Color, look: Look) -> None:
    band, dark = trim(color), accent(color, 0.2)
    legs = [limb([(0.34, -0.36), (0.4, -0.14)], 0.05), limb([(0.5, -0.36), (0.44, -0.14)], 0.05)]
    canvas.fill(together(legs), STEEL)
    wheels(canvas, (0.42,), 0.13, hub=SHINE)
    canvas.fill(limb([(-0.9, -0.5), (-1.0, -0.28)], 0.04), STEEL)
    wheels(canvas, (-1.0,), 0.075, rise=0.2)
    fin = rounded([(-1.1, -0.5), (-1.22, -0.98, 0.12), (-0.94, -0.98, 0.14), (-0.6, -0.58)], 0.03)
    solid(canvas, fin, color, look)
    with canvas.inside(fin):
        canvas.mark(box(-1.3, -0.83, -0.6, -0.73), band)
    trunk = rounded(
        [(-1.16, -0.56, 0.08), (-0.3, -0.64, 0.2), (-0.16, -0.9, 0.16), (0.4, -0.9, 0.2)]
        + [(0.6, -0.64, 0.1), (0.96, -0.62, 0.14), (1.0, -0.36, 0.16), (0.4, -0.28, 0.4)]
        + [(-0.3, -0.3, 0.4), (-1.16, -0.48, 0.06)]
    )
    solid(canvas, trunk, color, look, depth=0.13)
    with canvas.inside(trunk):
        canvas.mark(line((-1.3, -0.52), (1.2, -0.44), 0.07), band)
    panes = [rounded([(-0.2, -0.62), (-0.1, -0.82, 0.06), (0.1, -0.82), (0.1, -0.62)], 0.03)]
    panes.append(rounded([(0.18, -0.62), (0.18, -0.82), (0.36, -0.82, 0.05), (0.5, -0.62)], 0.03))
    glass(canvas, panes, look)
    wing = rounded([(-0.5, -0.87), (-0.46, -1.0), (0.54, -1.0), (0.66, -0.93), (0.54, -0.87)], 0.05)
    solid(canvas, wing, color, look, depth=0.25)
    canvas.mark(box(0.3, -1.0, 0.4, -0.87), band)
    canvas.fill(line((0.06, -0.9), (0.2, -0.42), 0.04), STEEL)
    flap = rounded([(-1.22, -0.54), (-0.8, -0.54), (-0.86, -0.46), (-1.2, -0.46)], 0.03)
    canvas.fill(flap, dark)
    disc = ellipse(1.08, -0.5, 0.06, 0.38)
    canvas.mark(disc, rgb("f4f6f8"), alpha=0.55)
    canvas.fill(ellipse(1.08, -0.5, 0.03, 0.34), rgb("6b4a34"))
    canvas.fill(rounded([(0.98, -0.6), (1.18, -0.5, 0.08), (0.98, -0.4)], 0.03), INK)
    lamp(canvas, ellipse(-0.45, -0.93, 0.035), look, rgb("e5483c"))
    _blinks(canvas, look, (0.58, -0.93), (0.92, -0.38))
