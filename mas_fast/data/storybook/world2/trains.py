"""Trains from the side, driving to the right: a steam engine with wagons, a tram, a fast train."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import Canvas, Color, box, ellipse, limb, rgb, together
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    CREAM,
    GOLD,
    INK,
    SHINE,
    STEEL,
    accent,
    chance,
    glass,
    headlights,
    line,
    pick,
    trim,
    wheels,
)
from mas_fast.data.storybook.world2.shapes import rounded

WIDTHS = {"train": 3.4}
NATURAL = {"train": ("red", "green", "blue", "yellow")}


def train(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a train of one of three types."""
    pick(look.generator, (_steam, _tram, _fast))(canvas, color, look)


def _steam(canvas: Canvas, color: Color, look: Look) -> None:
    dark = accent(color, 0.35)
    puffs = [(1.12, -0.93, 0.065), (0.9, -0.9, 0.09), (0.62, -0.89, 0.1), (0.3, -0.92, 0.075)]
    canvas.mark(together(ellipse(x, y + 0.02, r) for x, y, r in puffs), rgb("d9dbe0"), alpha=0.9)
    canvas.mark(together(ellipse(x, y, r * 0.9) for x, y, r in puffs), CREAM, alpha=0.95)
    count = int(look.generator.integers(1, 3))
    canvas.fill(box(-1.66, -0.19, 1.5, -0.12), INK)
    length = 2.0 / count
    panes = []
    for i in range(count):
        left, right = -1.68 + i * length, -1.68 + (i + 1) * length - 0.1
        solid(canvas, box(left, -0.68, right, -0.15, 0.04), color, look, depth=0.1)
        canvas.mark(box(left, -0.28, right, -0.23), trim(color))
        roof = rounded([(left - 0.03, -0.66), (left + 0.02, -0.77, 0.1), (right - 0.02, -0.77, 0.1),
                        (right + 0.03, -0.66)], 0.02)  # fmt: skip
        canvas.fill(roof, dark)
        panes_here = 4 // count
        room = (right - left) / panes_here
        panes += [
            box(left + (k + 0.2) * room, -0.59, left + (k + 0.8) * room, -0.36, 0.03)
            for k in range(panes_here)
        ]
    _engine(canvas, color, look)
    glass(canvas, [*panes, box(0.46, -0.68, 0.7, -0.46, 0.04)], look)
    bogies = [-1.68 + i * length + s for i in range(count) for s in (0.2, length - 0.3)]
    wheels(canvas, bogies, 0.115)


def _engine(canvas: Canvas, color: Color, look: Look) -> None:
    dark = accent(color, 0.35)
    boiler = rounded([(0.7, -0.19), (0.7, -0.62), (1.5, -0.62), (1.5, -0.19)], 0.06)
    solid(canvas, boiler, color, look, depth=0.2)
    canvas.mark(together(box(x, -0.62, x + 0.035, -0.19) for x in (0.9, 1.12)), GOLD)
    front = rounded([(1.3, -0.17), (1.3, -0.65), (1.54, -0.65, 0.1), (1.54, -0.17)], 0.04)
    solid(canvas, front, INK, look)
    canvas.fill(rounded([(1.35, -0.62), (1.3, -0.9), (1.5, -0.9), (1.46, -0.62)], 0.02), INK)
    canvas.fill(box(1.28, -0.95, 1.52, -0.88, 0.03), dark)
    canvas.fill(
        rounded([(0.92, -0.6), (0.94, -0.75, 0.08), (1.1, -0.75, 0.08), (1.12, -0.6)]), GOLD
    )
    solid(canvas, box(0.34, -0.78, 0.76, -0.15, 0.03), color, look, depth=0.12)
    canvas.fill(
        rounded([(0.26, -0.76), (0.34, -0.86, 0.1), (0.76, -0.86, 0.1), (0.84, -0.76)], 0.03), dark
    )
    canvas.fill(rounded([(1.48, -0.2), (1.6, -0.2), (1.7, 0.0), (1.44, 0.0)], 0.02), TAIL_RED)
    canvas.mark(
        together(line((1.53 + d, -0.18), (1.5 + 2 * d, -0.02), 0.03) for d in (0.0, 0.05)), INK
    )
    headlights(canvas, [ellipse(1.55, -0.5, 0.075)], [box(-1.7, -0.3, -1.64, -0.22, 0.02)], look)
    spots = (0.56, 0.9, 1.24)
    wheels(canvas, spots, 0.165, hub=TAIL_RED)
    canvas.mark(limb([(spots[0], -0.13), (spots[2] + 0.1, -0.13)], 0.045), SHINE)


TAIL_RED: Color = rgb("c8443a")


def _tram(canvas: Canvas, color: Color, look: Look) -> None:
    arms = [line((-0.1, -0.8), (0.06, -0.92), 0.03), line((0.06, -0.92), (-0.06, -0.985), 0.03)]
    arms.append(box(-0.24, -1.0, 0.12, -0.97))
    canvas.fill(together(arms), INK)
    upper = CREAM if sum(color) < 2.4 else rgb("a9c4d6")
    for left, right, nose in ((-1.5, -0.04, -1), (0.04, 1.5, 1)):
        tip, back = (right, left) if nose > 0 else (left, right)
        outline = rounded(
            [(back, -0.11, 0.03), (back, -0.79, 0.04), (tip - nose * 0.16, -0.79, 0.16)]
            + [(tip, -0.4, 0.2), (tip, -0.11, 0.08)]
        )
        solid(canvas, outline, color, look, depth=0.08)
        with canvas.inside(outline):
            canvas.mark(box(-2, -0.73, 2, -0.4), upper)
            canvas.mark(box(-2, -0.17, 2, 0), accent(color, 0.3))
    canvas.fill(box(-0.06, -0.74, 0.06, -0.14), INK)  # the bellows
    canvas.fill(box(-0.5, -0.84, 0.2, -0.78, 0.03), STEEL)
    panes = [box(x, -0.69, x + 0.27, -0.44, 0.03) for x in (-1.02, -0.7, 0.43, 0.75)]
    for nose in (-1, 1):
        cab = [(1.12, -0.44), (1.12, -0.69), (1.32, -0.69, 0.06), (1.44, -0.44)]
        panes.append(rounded([(nose * x, *rest) for x, *rest in cab], 0.03))
    doors = [box(x, -0.69, x + 0.13, -0.17, 0.02) for x in (-0.35, -0.19, 0.1, 0.26)]
    glass(canvas, [*panes, *doors], look)
    headlights(canvas, [ellipse(1.43, -0.28, 0.055)], [ellipse(-1.45, -0.28, 0.05)], look)
    wheels(canvas, (-1.16, -0.82, 0.82, 1.16), 0.1)


def _fast(canvas: Canvas, color: Color, look: Look) -> None:
    two_tone = chance(look.generator, 0.5)  # the lower half alone has the colour
    shell, band = (trim(color), color) if two_tone else (color, trim(color))
    canvas.fill(box(-1.66, -0.14, 1.34, -0.05), INK)
    tail = rounded(
        [(-1.7, -0.11, 0.03), (-1.7, -0.78, 0.05), (-0.62, -0.78, 0.04), (-0.62, -0.11, 0.03)]
    )
    head = rounded(
        [(-0.56, -0.11, 0.03), (-0.56, -0.78, 0.04), (0.72, -0.78, 0.3), (1.3, -0.52, 0.3)]
        + [(1.7, -0.26, 0.14), (1.64, -0.1, 0.1)]
    )
    canvas.fill(box(-0.66, -0.72, -0.52, -0.14), INK)
    for outline in (tail, head):
        solid(canvas, outline, shell, look, depth=0.08)
        with canvas.inside(outline):
            canvas.mark(box(-2, -0.78, 2, -0.71), accent(color, 0.12))
            if two_tone:
                canvas.mark(box(-2, -0.4, 2, 0), band)
                canvas.mark(box(-2, -0.2, 2, 0), accent(band, 0.2))
            else:
                canvas.mark(box(-2, -0.36, 2, -0.26), band)
                nose = rounded([(1.0, -0.1), (1.16, -0.36, 0.2), (1.7, -0.3), (1.74, -0.1)])
                canvas.mark(nose, band)
    panes = [box(x, -0.65, x + 0.2, -0.45, 0.05) for x in (-1.58, -1.32, -1.06)]
    panes += [box(x, -0.65, x + 0.2, -0.45, 0.05) for x in (-0.2, 0.06, 0.32)]
    doors = [box(x, -0.65, x + 0.13, -0.2, 0.03) for x in (-0.78, -0.5)]
    pane = rounded([(0.78, -0.47), (0.86, -0.66, 0.06), (1.0, -0.62), (1.24, -0.47)], 0.03)
    glass(canvas, [*panes, *doors, pane], look)
    lamps = rounded([(1.36, -0.32), (1.42, -0.4), (1.58, -0.32)], 0.02)
    headlights(canvas, [lamps], [box(-1.7, -0.44, -1.65, -0.3, 0.02)], look)
    wheels(canvas, (-1.48, -1.22, -0.3, 0.0, 0.96, 1.22), 0.085)
