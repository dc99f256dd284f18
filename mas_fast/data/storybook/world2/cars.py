"""Cars from the side, driving to the right: hatchback, saloon, van, convertible."""

from __future__ import annotations

from collections.abc import Sequence

import skia

from mas_fast.data.storybook.canvas import Canvas, Color, Point, box, ellipse, rgb, shade, together
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    CREAM,
    INK,
    SHINE,
    accent,
    glass,
    headlights,
    line,
    pick,
    warm,
    wheels,
)
from mas_fast.data.storybook.world2.shapes import rounded

WIDTHS = {"car": 2.5}
NATURAL = {"car": ("red", "blue", "yellow", "green", "orange", "white")}


def car(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a car of one of four types."""
    pick(look.generator, (_hatchback, _saloon, _van, _convertible))(canvas, color, look)


def body(
    canvas: Canvas, outline: skia.Path, color: Color, look: Look, axles: Sequence[float],
    radius: float, *, sill: float = -0.22, shoulder: float = -0.52,
) -> None:  # fmt: skip
    """Draw a body with a bright shoulder, a dark sill and arches over its wheels.

    Args:
        canvas: where to draw.
        outline: the body from the side.
        color: its colour.
        look: says where the light comes from.
        axles: x of the wheels.
        radius: of the wheels.
        sill: y above the dark lower edge.
        shoulder: y of the bright band along the side.
    """
    solid(canvas, outline, color, look, depth=0.08)
    with canvas.inside(outline):
        canvas.mark(box(-2, shoulder, 2, shoulder + 0.07), shade(color, 0.25))
        canvas.mark(box(-2, sill, 2, 0), accent(color, 0.3))
        arches = (ellipse(x, -radius, radius * 1.2) for x in axles)
        canvas.mark(together(arches), shade(INK, -0.2))


def _doors(
    canvas: Canvas, color: Color, edges: Sequence[float], handles: Sequence[Point], top: float
) -> None:
    lines = [box(x - 0.012, top, x + 0.012, -0.2) for x in edges]
    canvas.mark(together(lines), accent(color, 0.32))
    knobs = [box(x, y, x + 0.13, y + 0.045, 0.02) for x, y in handles]
    canvas.mark(together(knobs), accent(color, 0.42))


def _bumpers(canvas: Canvas, rear: float, front: float) -> None:
    bars = [box(rear - 0.01, -0.27, rear + 0.16, -0.17, 0.04)]
    bars.append(box(front - 0.16, -0.27, front + 0.01, -0.17, 0.04))
    canvas.fill(together(bars), SHINE)


def _saloon(canvas: Canvas, color: Color, look: Look) -> None:
    outline = rounded(
        [(-1.22, -0.14, 0.06), (-1.24, -0.58, 0.12), (-0.9, -0.62, 0.14), (-0.52, -0.93, 0.22)]
        + [(0.16, -0.93, 0.26), (0.62, -0.6, 0.14), (1.1, -0.54, 0.2), (1.24, -0.4, 0.12)]
        + [(1.23, -0.14, 0.06)]
    )
    axles = (-0.76, 0.78)
    body(canvas, outline, color, look, axles, 0.22, shoulder=-0.55)
    rear = rounded([(-0.74, -0.6), (-0.46, -0.85, 0.08), (-0.2, -0.85), (-0.2, -0.6)], 0.03)
    front = rounded([(-0.1, -0.6), (-0.1, -0.85), (0.12, -0.85, 0.08), (0.46, -0.6)], 0.03)
    glass(canvas, [rear, front], look, lit=False)
    _doors(canvas, color, (-0.15, 0.42), [(-0.36, -0.46), (0.2, -0.46)], -0.58)
    _bumpers(canvas, -1.23, 1.24)
    tail = box(-1.25, -0.52, -1.13, -0.4, 0.03)
    headlights(canvas, [ellipse(1.15, -0.43, 0.09, 0.07)], [tail], look)
    wheels(canvas, axles, 0.22)


def _hatchback(canvas: Canvas, color: Color, look: Look) -> None:
    outline = rounded(
        [(-1.02, -0.14, 0.06), (-1.06, -0.5, 0.12), (-0.9, -0.98, 0.3), (0.14, -1.0, 0.34)]
        + [(0.56, -0.64, 0.16), (0.94, -0.58, 0.22), (1.07, -0.42, 0.14), (1.06, -0.14, 0.06)]
    )
    axles = (-0.62, 0.64)
    body(canvas, outline, color, look, axles, 0.23, shoulder=-0.57)
    rear = rounded([(-0.86, -0.63), (-0.74, -0.89, 0.1), (-0.34, -0.9), (-0.34, -0.63)], 0.03)
    front = rounded([(-0.24, -0.63), (-0.24, -0.9), (0.1, -0.9, 0.1), (0.42, -0.63)], 0.03)
    glass(canvas, [rear, front], look, lit=False)
    _doors(canvas, color, (-0.29, 0.34), [(-0.18, -0.48)], -0.6)
    _bumpers(canvas, -1.04, 1.06)
    tail = box(-1.06, -0.6, -0.96, -0.42, 0.03)
    headlights(canvas, [ellipse(0.96, -0.44, 0.09)], [tail], look)
    wheels(canvas, axles, 0.23)


def _van(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a round camper van of two colours, its upper half pale."""
    outline = rounded(
        [(-1.14, -0.13, 0.08), (-1.18, -0.6, 0.3), (-1.12, -1.0, 0.2), (0.9, -1.0, 0.24)]
        + [(1.14, -0.6, 0.3), (1.18, -0.4, 0.1), (1.16, -0.13, 0.08)]
    )
    axles = (-0.68, 0.7)
    body(canvas, outline, color, look, axles, 0.2, shoulder=-0.5)
    upper = warm(color, 0.82) if sum(color) < 2.4 else rgb("8fb2c9")
    with canvas.inside(outline):
        canvas.mark(box(-1.3, -0.92, 1.3, -0.54), upper)
        canvas.mark(box(-1.3, -0.54, 1.3, -0.51), SHINE)
    panes = [box(x, -0.86, x + 0.4, -0.6, 0.05) for x in (-1.0, -0.5, 0.0)]
    panes.append(rounded([(0.5, -0.6), (0.5, -0.86), (0.92, -0.86, 0.06), (1.05, -0.6)], 0.05))
    glass(canvas, panes, look)
    _doors(canvas, color, (-0.05, 0.45), [(0.28, -0.44)], -0.5)
    _bumpers(canvas, -1.15, 1.17)
    tail = box(-1.18, -0.46, -1.08, -0.32, 0.03)
    headlights(canvas, [ellipse(1.08, -0.4, 0.085)], [tail], look)
    wheels(canvas, axles, 0.2, hub=SHINE)


def _convertible(canvas: Canvas, color: Color, look: Look) -> None:
    seats = [rounded([(x - 0.13, -0.5), (x - 0.18, -0.76), (x, -0.76), (x + 0.06, -0.5)], 0.08)
             for x in (-0.46, -0.1)]  # fmt: skip
    canvas.fill(together(seats), rgb("b98255") if sum(color) > 1 else CREAM)
    canvas.fill(line((0.2, -0.5), (0.1, -0.68), 0.05), INK)  # the steering wheel
    screen = rounded([(0.3, -0.54), (0.1, -0.84, 0.02), (0.18, -0.84, 0.02), (0.5, -0.54)])
    glass(canvas, [screen], look, lit=False)
    canvas.fill(line((0.3, -0.52), (0.1, -0.86), 0.05), SHINE)
    outline = rounded(
        [(-1.2, -0.14, 0.08), (-1.25, -0.5, 0.16), (-0.96, -0.6, 0.24), (-0.62, -0.58, 0.1)]
        + [(-0.5, -0.54, 0.06), (0.3, -0.56, 0.1), (0.66, -0.58, 0.2), (1.12, -0.5, 0.24)]
        + [(1.25, -0.32, 0.12), (1.2, -0.14, 0.06)]
    )
    axles = (-0.76, 0.78)
    body(canvas, outline, color, look, axles, 0.22, shoulder=-0.5)
    _doors(canvas, color, (-0.42, 0.32), [(-0.34, -0.42)], -0.55)
    _bumpers(canvas, -1.22, 1.23)
    tail = ellipse(-1.18, -0.44, 0.05)
    headlights(canvas, [ellipse(1.1, -0.41, 0.1, 0.08)], [tail], look)
    wheels(canvas, axles, 0.22, hub=SHINE)
