"""Buses and trucks from the side, driving to the right."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import Canvas, Color, box, ellipse, rgb, shade, together
from mas_fast.data.storybook.world2.cars import body
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    CREAM,
    DARK_WOOD,
    GOLD,
    INK,
    SHINE,
    STEEL,
    WOOD,
    accent,
    chance,
    glass,
    headlights,
    lamp,
    line,
    pick,
    trim,
    wheels,
)
from mas_fast.data.storybook.world2.shapes import rounded

WIDTHS = {"bus": 2.16, "truck": 2.16}
NATURAL = {
    "bus": ("red", "yellow", "blue", "green", "orange"),
    "truck": ("red", "blue", "green", "orange", "white"),
}


def bus(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a bus with one deck or two."""
    pick(look.generator, (_single_decker, _double_decker))(canvas, color, look)


def _single_decker(canvas: Canvas, color: Color, look: Look) -> None:
    outline = rounded(
        [(-1.06, -0.1, 0.06), (-1.08, -0.8, 0.12), (0.92, -0.8, 0.14), (1.07, -0.44, 0.1)]
        + [(1.07, -0.1, 0.06)]
    )
    axles = (-0.66, 0.58)
    body(canvas, outline, color, look, axles, 0.155, sill=-0.16, shoulder=-0.4)
    with canvas.inside(outline):
        canvas.mark(box(-1.1, -0.33, 1.1, -0.26), trim(color))
    panes = [box(x, -0.7, x + 0.25, -0.46, 0.03) for x in (-0.96, -0.66, -0.36, -0.06, 0.24)]
    panes.append(rounded([(0.82, -0.46), (0.82, -0.7), (0.93, -0.7), (1.04, -0.46)], 0.03))
    canvas.mark(box(0.52, -0.74, 0.79, -0.12, 0.03), accent(color, 0.3))  # the door's frame
    doors = [box(0.55, -0.7, 0.64, -0.16, 0.02), box(0.67, -0.7, 0.76, -0.16, 0.02)]
    glass(canvas, [*panes, *doors], look)
    tail = box(-1.08, -0.34, -1.02, -0.22, 0.02)
    headlights(canvas, [ellipse(1.02, -0.24, 0.055)], [tail], look)
    wheels(canvas, axles, 0.155)


def _double_decker(canvas: Canvas, color: Color, look: Look) -> None:
    outline = rounded(
        [(-0.84, -0.09, 0.06), (-0.86, -1.0, 0.12), (0.8, -1.0, 0.16), (0.87, -0.5, 0.3)]
        + [(0.87, -0.09, 0.06)]
    )
    axles = (-0.5, 0.46)
    body(canvas, outline, color, look, axles, 0.135, sill=-0.14, shoulder=-0.95)
    with canvas.inside(outline):
        canvas.mark(box(-1, -0.555, 1, -0.505), trim(color))
    upper = [box(x, -0.86, x + 0.27, -0.62, 0.035) for x in (-0.76, -0.44, -0.12, 0.2)]
    upper.append(rounded([(0.52, -0.62), (0.52, -0.86), (0.77, -0.86), (0.82, -0.62)], 0.035))
    lower = [box(x, -0.46, x + 0.27, -0.25, 0.035) for x in (-0.44, -0.12, 0.2)]
    lower.append(box(0.66, -0.46, 0.84, -0.22, 0.035))
    door = box(-0.76, -0.46, -0.52, -0.11, 0.03)
    glass(canvas, [*upper, *lower, door], look)
    lamp(canvas, box(0.52, -0.58, 0.8, -0.48, 0.03), look, INK)  # where it goes
    canvas.mark(box(0.56, -0.55, 0.76, -0.51), GOLD, lit=not look.night)
    tail = box(-0.86, -0.34, -0.8, -0.22, 0.02)
    headlights(canvas, [ellipse(0.81, -0.17, 0.05)], [tail], look)
    wheels(canvas, axles, 0.135)


def truck(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a pickup, a truck with a box, or a tipper."""
    pick(look.generator, (_pickup, _box_truck, _tipper))(canvas, color, look)


def _pickup(canvas: Canvas, color: Color, look: Look) -> None:
    load = look.generator.integers(3)
    if load == 1:
        bales = [box(-0.96 + 0.36 * i, -0.66, -0.62 + 0.36 * i, -0.4, 0.04) for i in range(2)]
        canvas.fill(together(bales), GOLD, to=shade(GOLD, -0.2))
    elif load == 2:
        crates = [box(-0.9, -0.6, -0.5, -0.4), box(-0.46, -0.68, -0.16, -0.4)]
        canvas.fill(together(crates), WOOD)
        canvas.mark(box(-0.92, -0.56, -0.14, -0.53), DARK_WOOD)
    outline = rounded(
        [(-1.06, -0.15, 0.04), (-1.07, -0.5, 0.03), (-0.1, -0.5), (-0.04, -0.86, 0.1)]
        + [(0.36, -0.86, 0.12), (0.56, -0.54, 0.08), (0.98, -0.5, 0.14), (1.07, -0.4, 0.06)]
        + [(1.07, -0.15, 0.05)]
    )
    axles = (-0.62, 0.68)
    body(canvas, outline, color, look, axles, 0.205, sill=-0.22, shoulder=-0.47)
    pane = rounded([(0.04, -0.55), (0.05, -0.79), (0.32, -0.79, 0.06), (0.46, -0.55)], 0.03)
    glass(canvas, [pane], look, lit=False)
    canvas.mark(together(box(x, -0.52, x + 0.024, -0.2) for x in (-0.1, 0.42)), accent(color, 0.32))
    canvas.mark(box(-0.04, -0.4, 0.09, -0.355, 0.02), accent(color, 0.42))
    canvas.fill(
        together((box(0.92, -0.26, 1.08, -0.16, 0.04), box(-1.08, -0.26, -0.92, -0.16, 0.04))),
        SHINE,
    )
    tail = box(-1.07, -0.46, -1.0, -0.33, 0.02)
    headlights(canvas, [box(0.96, -0.44, 1.07, -0.33, 0.04)], [tail], look)
    wheels(canvas, axles, 0.205)


def _cab(canvas: Canvas, color: Color, look: Look, left: float, top: float) -> None:
    """Draw the cab of a truck, which ends at x = 1.06."""
    outline = rounded(
        [(left, -0.14, 0.03), (left, top, 0.1), (0.84, top, 0.14), (1.0, -0.46, 0.1)]
        + [(1.06, -0.42, 0.06), (1.06, -0.14, 0.04)]
    )
    body(canvas, outline, color, look, (0.7,), 0.17, sill=-0.2, shoulder=-0.42)
    pane = rounded([(left + 0.1, -0.48), (left + 0.1, top + 0.08), (0.8, top + 0.08, 0.06),
                    (0.92, -0.48)], 0.03)  # fmt: skip
    glass(canvas, [pane], look, lit=False)
    canvas.mark(box(left + 0.08, -0.38, left + 0.2, -0.34, 0.02), accent(color, 0.42))
    canvas.fill(box(0.92, -0.24, 1.08, -0.13, 0.04), SHINE)
    headlights(canvas, [ellipse(1.01, -0.32, 0.055)], [box(-1.06, -0.26, -0.98, -0.17, 0.02)], look)


def _box_truck(canvas: Canvas, color: Color, look: Look) -> None:
    canvas.fill(box(-1.05, -0.26, 0.9, -0.15), INK)
    load = box(-1.07, -1.0, 0.36, -0.22, 0.05)
    full = chance(look.generator, 0.6) or sum(color) > 2.4  # the box has the colour, or a sign
    wall = color if full else CREAM
    sign = trim(color) if full else color
    solid(canvas, load, wall, look, depth=0.05)
    with canvas.inside(load):
        if chance(look.generator, 0.5):
            canvas.mark(box(-1.1, -0.6, 0.4, -0.34), sign)
        else:
            canvas.mark(ellipse(-0.36, -0.62, 0.26), sign)
            canvas.mark(ellipse(-0.36, -0.62, 0.12), wall)
        canvas.mark(box(-1.1, -0.265, 0.4, -0.22), accent(wall, 0.3))
    _cab(canvas, color, look, 0.42, -0.84)
    wheels(canvas, (-0.74, 0.7), 0.17)


def _tipper(canvas: Canvas, color: Color, look: Look) -> None:
    canvas.fill(box(-1.02, -0.28, 0.9, -0.17), INK)
    heap = rgb(pick(look.generator, ("c79a5d", "8a6a4c", "9aa0a6")))
    canvas.fill(rounded([(-1.0, -0.6), (-0.66, -0.84, 0.2), (-0.2, -0.94, 0.3), (0.26, -0.6)], 0.1),
                heap, to=shade(heap, -0.25))  # fmt: skip
    tub = rounded([(-0.9, -0.28, 0.06), (-1.07, -0.72, 0.03), (0.36, -0.72, 0.03), (0.3, -0.28)])
    solid(canvas, tub, color, look, depth=0.08)
    ribs = [line((x, -0.66), (x + 0.04, -0.28), 0.05) for x in (-0.72, -0.4, -0.08)]
    with canvas.inside(tub):
        canvas.mark(together(ribs), accent(color, 0.2))
        canvas.mark(box(-1.1, -0.73, 0.4, -0.66), shade(color, 0.2))
    _cab(canvas, color, look, 0.44, -0.8)
    canvas.fill(box(0.36, -0.84, 0.42, -0.2, 0.02), STEEL)
    wheels(canvas, (-0.78, -0.4, 0.7), 0.17)
