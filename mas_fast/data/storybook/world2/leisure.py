"""What people take outdoors: umbrellas, kites, balls, suitcases, boards, tents."""

from __future__ import annotations

from math import cos, pi, sin

import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    box,
    ellipse,
    limb,
    mix,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    CREAM,
    DARK_WOOD,
    GOLD,
    INK,
    LAMP,
    STEEL,
    WOOD,
    accent,
    chance,
    line,
    patterned,
    pick,
    standing_out,
    trim,
)
from mas_fast.data.storybook.world2.shapes import bent, rounded

WIDTHS = {
    "umbrella": 1.3, "kite": 0.92, "ball": 1.0, "suitcase": 1.24, "surfboard": 0.4,
    "skateboard": 3.6, "tent": 1.7,
}  # fmt: skip
SEATS = {"skateboard": (0.0, 0.76)}
NATURAL: dict[str, tuple[str | Color, ...]] = {
    "umbrella": ("red", "yellow", "blue", "green", "orange", "pink"),
    "kite": ("red", "yellow", "blue", "green", "purple", "orange"),
    "ball": ("red", "blue", "yellow", "green", "orange"),
    "suitcase": ("brown", "red", "blue", "green", "yellow"),
    "surfboard": ("yellow", "blue", "red", "white", "orange"),
    "skateboard": ("red", "blue", "green", "yellow"),
    "tent": ("orange", "green", "blue", "yellow", "red"),
}
RIBBONS = tuple(rgb(code) for code in ("d8443b", "f2c13d", "3f7fc4", "46a35e"))


def umbrella(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an open parasol, leaning a little; its panels are of two tones, or striped, spotted."""
    edge = [0.6 * (2 * i / 6 - 1) for i in range(7)]
    with canvas.at(0, 0, 1, turn=float(look.generator.uniform(-7, 7))):
        canvas.fill(box(-0.026, -0.9, 0.026, 0.02, 0.02), WOOD)
        canvas.mark(box(0.004, -0.9, 0.026, 0.0, 0.01), DARK_WOOD)
        dome = skia.Path()
        dome.moveTo(-0.6, -0.56)
        dome.cubicTo(-0.54, -0.8, -0.3, -0.94, 0, -0.94)
        dome.cubicTo(0.3, -0.94, 0.54, -0.8, 0.6, -0.56)
        for left, right in zip(edge[-2::-1], edge[::-1], strict=False):
            dome.quadTo((left + right) / 2, -0.64, left, -0.56)
        dome.close()
        canvas.fill(ellipse(0, -0.95, 0.03, 0.035), WOOD)
        canvas.fill(dome, accent(color, 0.12))
        other = trim(color) if look.pattern == "striped" else color
        wedges = []
        for i in (0, 2, 4):
            a, b = edge[i] * 1.02, edge[i + 1] * 1.02
            wedges.append(
                bent(
                    [
                        (0, -0.95),
                        (a * 1.15, -0.86),
                        (a, -0.5),
                        (0.5 * (a + b), -0.5),
                        (b, -0.5),
                        (b * 1.15, -0.86),
                    ]
                )
            )
        with canvas.inside(dome):
            if look.pattern != "striped":
                canvas.mark(together(wedges), other)
            else:
                canvas.mark(box(-1, -1, 1, 0), color)
                canvas.mark(together(wedges), other)
            if look.pattern == "spotted":
                patterned(canvas, dome, color, look, size=0.075)
            x = edge[5] if look.sun < 0 else edge[0]  # the panel that lies in shadow
            side = bent(
                [
                    (0, -0.95),
                    (x * 1.15, -0.86),
                    (x, -0.4),
                    (x + 0.1, -0.4),
                    (x + 0.2, -0.4),
                    (x * 1.15 + 0.2, -0.86),
                ]
            )
            canvas.mark(side, INK, alpha=0.16)


def kite(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a kite: a diamond or a delta on a string, with a tail of bows."""
    generator = look.generator
    other = standing_out(generator, (*RIBBONS, CREAM), color)
    wave = float(generator.uniform(-0.05, 0.05))
    canvas.mark(limb([(0.0, -0.62), (-0.2, -0.28), (-0.44, 0.0)], 0.014), CREAM, alpha=0.9)
    tail = [(0.03, -0.38), (0.1 + wave, -0.26), (-0.02 - wave, -0.14), (0.1, -0.03)]
    canvas.fill(limb(tail, 0.028), other)
    wide = 0.42
    if chance(generator, 0.6):
        top, side, low = (0.0, -1.0), -0.74, (0.03, -0.36)
        left, right, middle = (-wide, side), (wide, side), (0.01, side)
        canvas.fill(polygon([top, right, low, left]), color)
        if look.pattern is None:
            canvas.mark(
                together((polygon([top, right, middle]), polygon([middle, low, left]))), other
            )
            canvas.mark(polygon([left, top, middle]), shade(color, 0.18))
        else:
            patterned(canvas, polygon([top, right, low, left]), color, look, size=0.07, turn=30)
        spars = [line(top, low, 0.02), line(left, right, 0.02)]
    else:
        top, left, right = (0.0, -1.0), (-0.46, -0.5), (0.46, -0.5)
        wings = [top, right, (0.2, -0.54), (0.0, -0.38), (-0.2, -0.54), left]
        canvas.fill(polygon(wings), color)
        if look.pattern is None:
            canvas.mark(polygon([top, (0.2, -0.54), (0.0, -0.38), (-0.2, -0.54)]), other)
            canvas.mark(polygon([top, (-0.2, -0.54), left]), shade(color, 0.18))
        else:
            patterned(canvas, polygon(wings), color, look, size=0.07)
        spars = [line(top, (0.0, -0.38), 0.02)]
    canvas.mark(together(spars), accent(color, 0.35))
    for (x, y), ribbon in zip(tail[1:], (color, other, color), strict=True):
        bow = [polygon([(x, y), (x + s, y - 0.045), (x + s, y + 0.045)]) for s in (-0.08, 0.08)]
        canvas.fill(together(bow), ribbon)


def ball(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a ball: of panels, striped or spotted."""
    disc = ellipse(0, -0.5, 0.5)
    canvas.fill(disc, color)
    turn = float(look.generator.uniform(-35, 35))
    with canvas.inside(disc):
        with canvas.at(0, -0.5, 1, turn=turn):
            if look.pattern == "striped":
                bands = [bent([(-0.6, y), (0, y + 0.2), (0.6, y), (0.6, y + 0.07), (0.6, y + 0.14),
                               (0, y + 0.34), (-0.6, y + 0.14), (-0.6, y + 0.07)])
                         for y in (-0.5, -0.2, 0.1)]  # fmt: skip
                canvas.mark(together(bands), trim(color))
            elif look.pattern == "spotted":
                spots = [
                    (0, 0),
                    *((0.32 * cos(pi * i / 3), 0.32 * sin(pi * i / 3)) for i in range(6)),
                ]
                canvas.mark(together(ellipse(x, y, 0.085) for x, y in spots), trim(color))
            else:
                pole = (-0.12, -0.2)
                panels = [
                    bent([pole, (0.3 * cos(t), 0.3 * sin(t) - 0.1), (0.7 * cos(t), 0.7 * sin(t)),
                          (0.9 * cos(t + 0.35), 0.9 * sin(t + 0.35)),
                          (0.7 * cos(t + 0.7), 0.7 * sin(t + 0.7)),
                          (0.3 * cos(t + 0.8), 0.3 * sin(t + 0.8) - 0.1)])
                    for t in (0.2, 2.3, 4.4)
                ]  # fmt: skip
                canvas.mark(together(panels), trim(color))
                canvas.mark(ellipse(*pole, 0.07), accent(color, 0.15))
        rim = ellipse(0.0, -0.5, 0.62)
        rim.addPath(ellipse(0.16 * look.sun, -0.58, 0.5))
        rim.setFillType(skia.PathFillType.kEvenOdd)
        canvas.mark(rim, INK, alpha=0.2)
        canvas.mark(ellipse(0.22 * look.sun, -0.74, 0.1, 0.07), (1, 1, 1), alpha=0.6)


def suitcase(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a case with straps, or an upright one on wheels."""
    dark = accent(color, 0.3)
    if chance(look.generator, 0.5):
        handle = limb([(-0.16, -0.84), (-0.13, -0.95), (0.13, -0.95), (0.16, -0.84)], 0.06)
        canvas.fill(handle, DARK_WOOD if sum(color) > 1 else WOOD)
        case = box(-0.62, -0.86, 0.62, 0.0, 0.1)
        solid(canvas, case, color, look, depth=0.07)
        with canvas.inside(case):
            canvas.mark(box(-0.7, -0.47, 0.7, -0.44), dark)
            corners = [ellipse(x, y, 0.15) for x in (-0.62, 0.62) for y in (-0.86, 0.0)]
            canvas.mark(together(corners), dark)
            straps = [box(x - 0.06, -0.9, x + 0.06, 0.0) for x in (-0.3, 0.3)]
            canvas.mark(together(straps), mix(dark, DARK_WOOD, 0.5))
        buckles = [box(x - 0.08, -0.54, x + 0.08, -0.4, 0.02) for x in (-0.3, 0.3)]
        canvas.mark(together(buckles), GOLD)
    else:
        canvas.fill(together(box(x - 0.02, -0.96, x + 0.02, -0.76) for x in (-0.14, 0.14)), STEEL)
        canvas.fill(box(-0.19, -1.0, 0.19, -0.93, 0.03), INK)
        wheels = [ellipse(x, -0.05, 0.05) for x in (-0.22, 0.22)]
        canvas.fill(together(wheels), INK)
        case = box(-0.32, -0.82, 0.32, -0.06, 0.09)
        solid(canvas, case, color, look, depth=0.1)
        ribs = [box(x - 0.028, -0.74, x + 0.028, -0.14, 0.028) for x in (-0.17, 0.0, 0.17)]
        canvas.mark(together(ribs), accent(color, 0.16))
        canvas.mark(box(-0.09, -0.85, 0.09, -0.8, 0.02), dark)


def surfboard(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a board that stands in the sand, with a stripe along it and bands."""
    other = standing_out(look.generator, (*RIBBONS, CREAM), color)
    board = bent([(0.0, -1.0), (0.2, -0.84), (0.185, -0.5), (0.18, -0.2), (0.1, 0.0), (0, 0.03),
                  (-0.1, 0.0), (-0.18, -0.2), (-0.185, -0.5), (-0.2, -0.84)])  # fmt: skip
    solid(canvas, board, color, look, depth=0.14)
    with canvas.inside(board):
        style = int(look.generator.integers(3))
        if style == 0:
            canvas.mark(
                together((box(-0.3, -0.42, 0.3, -0.34), box(-0.3, -0.3, 0.3, -0.26))), other
            )
        elif style == 1:
            canvas.mark(polygon([(-0.3, -0.62), (0.3, -0.86), (0.3, -0.72), (-0.3, -0.48)]), other)
            canvas.mark(polygon([(-0.3, -0.42), (0.3, -0.66), (0.3, -0.6), (-0.3, -0.36)]), other)
        else:
            canvas.mark(ellipse(0, -0.62, 0.1), other)
            canvas.mark(box(-0.3, -0.2, 0.3, 0.1), other)
        canvas.mark(box(-0.012, -1.0, 0.012, 0.0), accent(color, 0.3))
    heap = bent([(-0.2, 0.0), (-0.14, -0.06), (0.0, -0.05), (0.14, -0.06), (0.2, 0.0), (0.0, 0.02)])
    canvas.mark(heap, rgb("e3c892"))


def skateboard(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a skateboard from the side: a bent deck on four wheels, of which one sees two."""
    wheel = pick(look.generator, (CREAM, GOLD, rgb("e2574c"), rgb("56b0b8")))
    trucks = [rounded([(x - 0.24, -0.62), (x - 0.08, -0.24), (x + 0.08, -0.24), (x + 0.24, -0.62)],
            0.04) for x in (-0.86, 0.86)]  # fmt: skip
    canvas.fill(together(trucks), shade(STEEL, -0.4))
    deck = limb(
        [(-1.66, -0.88), (-1.3, -0.66), (-0.9, -0.64), (0.9, -0.64), (1.3, -0.66), (1.66, -0.88)],
        0.24,
    )
    canvas.fill(deck, color)
    with canvas.inside(deck):
        canvas.mark(limb([(-1.8, -1.0), (-1.3, -0.74), (-0.9, -0.72), (0.9, -0.72), (1.3, -0.74),
                (1.8, -1.0)], 0.12), INK)  # fmt: skip
    canvas.fill(together(ellipse(x, -0.27, 0.27) for x in (-0.86, 0.86)), accent(wheel, 0.2))
    canvas.mark(together(ellipse(x + 0.03 * look.sun, -0.3, 0.22) for x in (-0.86, 0.86)), wheel)
    canvas.mark(together(ellipse(x, -0.27, 0.09) for x in (-0.86, 0.86)), INK)


def tent(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a tent: a ridge tent, a dome or a tipi; at night there is light in it."""
    pick(look.generator, (_ridge_tent, _dome, _tipi))(canvas, color, look)


def _entrance(canvas: Canvas, path: skia.Path, look: Look, color: Color) -> None:
    if look.night:
        canvas.fill(path, LAMP, to=rgb("f2a94c"), lit=False)
    else:
        canvas.fill(path, mix(color, INK, 0.78))


def _ridge_tent(canvas: Canvas, color: Color, look: Look) -> None:
    ropes = [line((-0.3, -0.98), (-0.82, 0.0), 0.018), line((0.42, -0.94), (0.84, 0.0), 0.018)]
    canvas.mark(together(ropes), CREAM)
    side = polygon([(-0.22, -1.0), (0.5, -0.9), (0.78, 0.0), (0.2, 0.0)])
    canvas.fill(side, accent(color, 0.2))
    front = polygon([(-0.22, -1.0), (-0.74, 0.0), (0.3, 0.0)])
    canvas.fill(front, color)
    _entrance(canvas, polygon([(-0.22, -0.84), (-0.5, 0.0), (0.06, 0.0)]), look, color)
    flaps = [bent([(-0.22, -0.86), (-0.4, -0.36), (-0.62, 0.0), (-0.5, 0.0), (-0.46, 0.0),
            (-0.3, -0.4)]), bent([(-0.22, -0.86), (-0.02, -0.36), (0.18, 0.0), (0.06, 0.0),
            (0.02, 0.0), (-0.12, -0.4)])]  # fmt: skip
    canvas.fill(together(flaps), shade(color, 0.35))
    patch = polygon([(0.32, -0.36), (0.52, -0.36), (0.57, -0.18), (0.34, -0.18)])
    canvas.mark(patch, LAMP if look.night else trim(color), lit=not look.night)
    canvas.mark(line((-0.22, -0.99), (0.5, -0.89), 0.035), trim(color))


def _dome(canvas: Canvas, color: Color, look: Look) -> None:
    shell = bent([(-0.84, 0.0), (-0.74, -0.9), (0.0, -1.0), (0.74, -0.9), (0.84, 0.0), (0.0, 0.0)])
    solid(canvas, shell, color, look, depth=0.1)
    with canvas.inside(shell):
        canvas.mark(bent([(-0.9, 0.0), (-0.5, -0.8), (0.0, -1.05), (-0.24, -0.7), (-0.44, 0.0),
                (-0.6, 0.0)]), trim(color))  # fmt: skip
        canvas.mark(bent([(0.9, 0.0), (0.5, -0.8), (0.0, -1.05), (0.24, -0.7), (0.44, 0.0),
                (0.6, 0.0)]), accent(color, 0.16))  # fmt: skip
    door = bent([(-0.3, 0.0), (-0.28, -0.62), (0.0, -0.66), (0.28, -0.62), (0.3, 0.0), (0.0, 0.0)])
    _entrance(canvas, door, look, color)
    canvas.fill(bent([(0.3, 0.0), (0.28, -0.62), (0.0, -0.66), (0.14, -0.3), (0.1, 0.0),
            (0.2, 0.0)]), shade(color, 0.35))  # fmt: skip


def _tipi(canvas: Canvas, color: Color, look: Look) -> None:
    poles = [
        line((s * 0.12 + d, -1.0), (-s * 0.1, -0.7), 0.035) for s, d in ((-1, 0), (1, 0), (-1, 0.1))
    ]
    canvas.fill(together(poles), DARK_WOOD)
    cone = bent([(-0.07, -0.86), (-0.3, -0.42), (-0.58, 0.0), (0.0, 0.04), (0.58, 0.0),
            (0.3, -0.42), (0.07, -0.86), (0.0, -0.88)])  # fmt: skip
    solid(canvas, cone, color, look, depth=0.1)
    with canvas.inside(cone):
        zigzag = [(-0.7 + 0.14 * i, -0.22 if i % 2 else -0.12) for i in range(11)]
        canvas.mark(limb(zigzag, 0.045, smooth=False), trim(color))
        canvas.mark(box(-1, -0.62, 1, -0.56), trim(color))
    _entrance(canvas, bent([(0.0, -0.52), (-0.14, -0.2), (-0.2, 0.0), (0.0, 0.02), (0.2, 0.0),
            (0.14, -0.2)]), look, color)  # fmt: skip
