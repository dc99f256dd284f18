"""Bicycles and motorcycles from the side, facing right."""

from __future__ import annotations

from math import cos, pi, sin

import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    box,
    ellipse,
    limb,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    DARK_WOOD,
    INK,
    SHINE,
    STEEL,
    TAIL,
    WOOD,
    accent,
    glow,
    headlights,
    lamp,
    line,
    pick,
    trim,
)
from mas_fast.data.storybook.world2.shapes import ring, rounded

WIDTHS = {"bicycle": 1.8, "motorcycle": 1.8}
SEATS = {"bicycle": (-0.27, 0.88), "motorcycle": (-0.24, 0.64)}  # x, and height of the saddle
NATURAL = {"bicycle": ("red", "blue", "green", "yellow"), "motorcycle": ("red", "blue", "black")}


def _spoked(canvas: Canvas, x: float, radius: float, count: int, tyre: float) -> None:
    """Draw a wheel that one sees through: tyre, rim, spokes, hub."""
    y, inner = -radius, radius - tyre
    bars = []
    for i in range(count):
        dx, dy = (inner * f(pi * (i + 0.5) / count) for f in (cos, sin))
        bars.append(line((x - dx, y - dy), (x + dx, y + dy), 0.018))
    canvas.mark(together(bars), SHINE)
    canvas.fill(ring(x, y, radius, inner - 0.02), INK)
    canvas.mark(ring(x, y, inner, inner - 0.024), SHINE)
    canvas.fill(ellipse(x, y, 0.05), STEEL)


def bicycle(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a bicycle: one with a top tube, or a city bicycle with a basket."""
    city = bool(look.generator.integers(2))
    back, front, radius = (-0.52, -0.345), (0.52, -0.345), 0.345
    crank, cluster, head = (-0.08, -0.3), (-0.22, -0.74), (0.31, -0.78)
    low = (0.345, -0.66)
    for x, y in (back, front):
        _spoked(canvas, x, radius, 4, 0.05)
        if city:  # mudguards
            guard = skia.Path()
            guard.addArc(skia.Rect(x - 0.37, y - 0.37, x + 0.37, y + 0.37), 195, 150)
            pen = skia.Paint(Style=skia.Paint.kStroke_Style, StrokeWidth=0.045)
            outline = skia.Path()
            pen.getFillPath(guard, outline)
            canvas.fill(outline, accent(color, 0.12))
    thin = together(limb(bar, 0.045) for bar in ([back, cluster], [back, crank]))
    canvas.fill(thin, accent(color, 0.15))
    tubes = [[crank, cluster], [crank, low], [head, low], [low, front]]
    frame = [limb(tube, 0.062) for tube in tubes]
    if city:
        frame.append(limb([(-0.17, -0.56), (0.06, -0.54), low], 0.055))
    else:
        frame.append(limb([cluster, head], 0.062))
    canvas.fill(together(frame), color)
    fork = limb([(0.352, -0.62), (0.44, -0.46), front], 0.05)
    canvas.fill(fork, accent(color, 0.08))
    canvas.fill(limb([cluster, (-0.255, -0.86)], 0.04), STEEL)
    saddle = rounded([(-0.42, -0.92, 0.05), (-0.1, -0.9, 0.04), (-0.12, -0.86, 0.03),
                      (-0.3, -0.8, 0.06), (-0.42, -0.84, 0.05)])  # fmt: skip
    canvas.fill(saddle, DARK_WOOD if city else INK)
    if city:
        bar = [(0.31, -0.78), (0.28, -0.95), (0.2, -0.97), (0.08, -0.93)]
        if look.generator.integers(2):
            basket = rounded([(0.4, -0.64), (0.36, -0.92), (0.72, -0.92), (0.66, -0.64)], 0.05)
            solid(canvas, basket, WOOD, look)
            canvas.mark(box(0.37, -0.8, 0.7, -0.77), DARK_WOOD)
    else:
        bar = [(0.31, -0.78), (0.29, -0.93), (0.4, -0.95), (0.46, -0.9), (0.4, -0.82)]
    canvas.fill(limb(bar, 0.045), STEEL)
    canvas.fill(limb(bar[-2:], 0.065), INK)
    canvas.fill(ring(*crank, 0.105, 0.06), INK)
    canvas.fill(line((-0.12, -0.42), (-0.04, -0.18), 0.035), INK)
    pedals = [box(-0.18, -0.44, -0.06, -0.4, 0.02), box(-0.1, -0.2, 0.03, -0.16, 0.02)]
    canvas.fill(together(pedals), INK)
    if look.night:
        glow(canvas, 0.42, -0.74, 0.2, look)
    lamp(canvas, ellipse(0.42, -0.74, 0.05), look, rgb("ffe9a8"))
    lamp(canvas, ellipse(-0.4, -0.66, 0.035), look, TAIL)


def motorcycle(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a motorcycle or a scooter."""
    pick(look.generator, (_roadster, _scooter))(canvas, color, look)


def _roadster(canvas: Canvas, color: Color, look: Look) -> None:
    back, front, radius = (-0.58, -0.3), (0.58, -0.3), 0.3
    for x, y in (back, front):
        canvas.fill(ring(x, y, radius, radius - 0.105), INK)
        _hub(canvas, x, y, radius - 0.1)
    canvas.fill(limb([(0.34, -0.84), front], 0.075), SHINE)
    canvas.fill(limb([(-0.1, -0.34), back], 0.08), STEEL)
    frame = [limb(bar, 0.06) for bar in ([(-0.5, -0.52), back], [(0.3, -0.7), (0.12, -0.24)],
                                         [(-0.26, -0.26), (0.14, -0.22)])]  # fmt: skip
    canvas.fill(together(frame), INK)
    engine = rounded(
        [(-0.24, -0.2), (-0.28, -0.42), (-0.02, -0.56), (0.22, -0.46), (0.2, -0.2)], 0.08
    )
    solid(canvas, engine, STEEL, look)
    fins = together(box(-0.12, y, 0.18, y + 0.03) for y in (-0.47, -0.41, -0.35))
    canvas.mark(fins, shade(STEEL, -0.4))
    canvas.mark(ellipse(-0.08, -0.28, 0.075), SHINE)
    pipe = limb([(0.16, -0.36), (0.16, -0.2), (0.0, -0.15), (-0.34, -0.17)], 0.055)
    canvas.fill(pipe, SHINE)
    canvas.fill(limb([(-0.36, -0.18), (-0.76, -0.24)], 0.1), SHINE)
    canvas.mark(limb([(-0.36, -0.16), (-0.76, -0.22)], 0.03), STEEL)
    rear = rounded([(-0.86, -0.58, 0.03), (-0.6, -0.7, 0.2), (-0.2, -0.56), (-0.24, -0.46),
                    (-0.6, -0.56, 0.2)], 0.04)  # fmt: skip
    canvas.fill(rear, accent(color, 0.12))
    panel = rounded([(-0.36, -0.54), (-0.06, -0.56), (-0.12, -0.36), (-0.3, -0.38)], 0.06)
    solid(canvas, panel, color, look)
    saddle = rounded([(-0.62, -0.68, 0.06), (-0.4, -0.66, 0.1), (-0.02, -0.64), (-0.02, -0.55),
                      (-0.5, -0.56), (-0.62, -0.62)], 0.04)  # fmt: skip
    canvas.fill(saddle, INK if sum(color) > 0.75 else rgb("6d4a32"))
    tank = rounded([(-0.08, -0.56, 0.06), (0.0, -0.76, 0.14), (0.32, -0.82, 0.12),
            (0.38, -0.66, 0.1), (0.16, -0.5, 0.1)])  # fmt: skip
    solid(canvas, tank, color, look)
    canvas.mark(limb([(0.04, -0.64), (0.26, -0.7)], 0.045), trim(color))
    guard = rounded([(0.28, -0.52, 0.04), (0.42, -0.66, 0.12), (0.66, -0.66, 0.14),
                     (0.86, -0.46, 0.03), (0.62, -0.59, 0.12), (0.4, -0.57, 0.1)])  # fmt: skip
    solid(canvas, guard, color, look)
    canvas.fill(limb([(0.36, -0.84), (0.24, -0.97), (0.06, -0.94)], 0.05), INK)
    canvas.fill(ellipse(0.43, -0.8, 0.105), SHINE)
    headlights(canvas, [ellipse(0.48, -0.8, 0.07, 0.085)], [ellipse(-0.84, -0.6, 0.045)], look)


def _hub(canvas: Canvas, x: float, y: float, radius: float) -> None:
    bars = []
    for i in range(5):
        dx, dy = (radius * f(pi * (i + 0.3) / 5) for f in (cos, sin))
        bars.append(line((x - dx, y - dy), (x + dx, y + dy), 0.02))
    canvas.mark(together(bars), SHINE)
    canvas.fill(ellipse(x, y, 0.075), STEEL)


def _scooter(canvas: Canvas, color: Color, look: Look) -> None:
    dark, radius = accent(color, 0.2), 0.21
    for x in (-0.52, 0.56):
        canvas.fill(ellipse(x, -radius, radius), INK)
        canvas.mark(ellipse(x, -radius, 0.12), SHINE)
        canvas.mark(ellipse(x, -radius, 0.05), STEEL)
    canvas.fill(limb([(0.3, -0.86), (0.56, -0.24)], 0.07), STEEL)
    floor = rounded([(-0.34, -0.16), (-0.3, -0.26), (0.24, -0.26), (0.34, -0.62, 0.1),
                     (0.42, -0.6), (0.34, -0.16, 0.12)], 0.04)  # fmt: skip
    solid(canvas, floor, color, look)
    shield = rounded([(0.22, -0.26, 0.1), (0.2, -0.84, 0.08), (0.32, -0.88, 0.06),
            (0.46, -0.5, 0.2), (0.38, -0.18, 0.1)])  # fmt: skip
    solid(canvas, shield, color, look)
    guard = rounded(
        [(0.36, -0.26, 0.06), (0.42, -0.46, 0.14), (0.66, -0.46, 0.2), (0.8, -0.24, 0.03)]
    )
    solid(canvas, guard, color, look)
    rear = rounded([(-0.82, -0.26, 0.05), (-0.8, -0.52, 0.24), (-0.4, -0.62, 0.24),
            (-0.06, -0.54, 0.1), (-0.14, -0.2, 0.1), (-0.3, -0.16, 0.06), (-0.34, -0.3, 0.2),
            (-0.7, -0.34, 0.2)])  # fmt: skip
    solid(canvas, rear, color, look)
    canvas.mark(limb([(-0.62, -0.44), (-0.24, -0.44)], 0.045), trim(color))
    saddle = rounded([(-0.62, -0.68), (0.0, -0.66), (-0.02, -0.56), (-0.58, -0.56)], 0.05)
    canvas.fill(saddle, rgb("6d4a32") if sum(color) > 0.75 else rgb("a86f43"))
    canvas.fill(box(-0.26, -0.56, -0.1, -0.52), dark)
    canvas.fill(limb([(0.34, -0.92), (0.14, -0.94)], 0.06), INK)
    canvas.fill(ellipse(0.24, -0.955, 0.045), STEEL)  # the mirror
    front = rounded([(0.2, -0.84), (0.24, -0.96), (0.42, -0.94), (0.42, -0.84)], 0.05)
    solid(canvas, front, color, look)
    headlights(canvas, [ellipse(0.42, -0.89, 0.05, 0.06)], [ellipse(-0.8, -0.44, 0.045)], look)
