"""Food: bananas, apples, oranges, pizza, cake."""

from __future__ import annotations

from math import cos, pi, sin

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    box,
    ellipse,
    limb,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    CREAM,
    GOLD,
    LEAF,
    accent,
    chance,
    standing_out,
)
from mas_fast.data.storybook.world2.shapes import bent, rounded

WIDTHS = {"banana": 1.56, "apple": 1.0, "orange fruit": 1.06, "pizza": 2.3, "cake": 1.3}
NATURAL: dict[str, tuple[str | Color, ...]] = {
    "banana": (rgb("f6d33f"),),
    "apple": ("red", rgb("8cbf3f"), "yellow"),
    "orange fruit": (rgb("f28c28"),),
    "pizza": (rgb("f4c75a"),),
    "cake": ("pink", "white", "brown", "yellow"),
}
PLATE = rgb("f6f3ec")


def banana(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a banana, or three of them that hang together."""
    if chance(look.generator, 0.5):
        _one_banana(canvas, color)
        return
    stem = (0.68, -0.93)
    for turn, tone in ((22, shade(color, -0.1)), (11, shade(color, -0.04)), (0, color)):
        with (
            canvas.at(stem[0] * 0.86 + 0.06, -0.8, 0.86, turn=turn),
            canvas.at(-stem[0], -stem[1], 1),
        ):
            _one_banana(canvas, tone)


def _one_banana(canvas: Canvas, color: Color) -> None:
    fruit = bent([(0.62, -0.88), (0.52, -0.42), (0.06, -0.34), (-0.4, -0.34), (-0.68, -0.56),
            (-0.76, -0.54), (-0.74, -0.44), (-0.5, 0.0), (0.04, 0.0), (0.74, -0.02), (0.74, -0.86),
            (0.68, -0.92)])  # fmt: skip
    canvas.fill(fruit, color)
    with canvas.inside(fruit):
        under = [(-0.74, -0.42), (-0.36, -0.12), (0.06, -0.06), (0.46, -0.2), (0.72, -0.7)]
        canvas.mark(limb(under, 0.16), shade(color, -0.18))
        bright = [(-0.56, -0.44), (0.0, -0.26), (0.4, -0.32), (0.6, -0.6)]
        canvas.mark(limb(bright, 0.05), shade(color, 0.45))
    canvas.fill(limb([(0.68, -0.86), (0.7, -0.95)], 0.1), rgb("8a6a2c"))
    canvas.fill(ellipse(-0.72, -0.5, 0.05), rgb("5d4626"))


def apple(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an apple with its stalk and a leaf."""
    body = bent([(0.0, -0.78), (0.16, -0.9), (0.36, -0.8), (0.56, -0.66), (0.47, -0.36),
            (0.4, -0.06), (0.2, 0.0), (0.0, -0.03), (-0.2, 0.0), (-0.4, -0.06), (-0.47, -0.36),
            (-0.56, -0.66), (-0.36, -0.8), (-0.16, -0.9)])  # fmt: skip
    solid(canvas, body, color, look, depth=0.13)
    canvas.mark(ellipse(0.0, -0.77, 0.13, 0.04), accent(color, 0.3))
    canvas.fill(limb([(0.0, -0.77), (0.01, -0.88), (0.06, -0.97)], 0.055), rgb("6b4a2c"))
    canvas.fill(bent([(0.03, -0.86), (0.12, -1.06), (0.36, -0.98), (0.26, -0.82)]), LEAF)
    canvas.mark(ellipse(0.42 * look.sun, -0.58, 0.07, 0.12), (1, 1, 1), alpha=0.5)


def orange_fruit(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an orange with a leaf, whole or with a half beside it."""
    half = chance(look.generator, 0.4)
    x, radius = (-0.07, 0.45) if half else (0.0, 0.46)
    solid(canvas, ellipse(x, -radius, radius), color, look, depth=0.1)
    canvas.mark(
        ellipse(x + 0.36 * radius * look.sun, -1.4 * radius, 0.1, 0.07), (1, 1, 1), alpha=0.45
    )
    canvas.fill(bent([(x, -0.88), (x + 0.1, -1.05), (x + 0.34, -0.98), (x + 0.24, -0.84)]), LEAF)
    canvas.fill(ellipse(x, -0.88, 0.045, 0.035), shade(LEAF, -0.3))
    if half:
        y = -0.27
        canvas.fill(ellipse(0.24, y, 0.27), shade(color, -0.08))
        canvas.mark(ellipse(0.24, y, 0.235), rgb("fdf0d4"))
        wedges = []
        for i in range(6):
            turns = [(i + d) * pi / 3 for d in (0.12, 0.5, 0.88)]
            edge = [(0.24 + 0.2 * cos(t), y + 0.2 * sin(t)) for t in turns]
            wedges.append(polygon([(0.24 + 0.03 * cos(turns[1]), y + 0.03 * sin(turns[1])), *edge]))
        canvas.mark(together(wedges), shade(color, 0.15))


def pizza(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a pizza on a board, seen from above at a slant; sometimes a slice is gone."""
    crust = rgb("d9974a")
    canvas.fill(ellipse(0.0, -0.48, 1.14, 0.48), rgb("8f5d38"))
    canvas.fill(ellipse(0.0, -0.53, 1.14, 0.47), rgb("b98552"))
    canvas.fill(ellipse(0.0, -0.53, 0.99, 0.4), shade(crust, -0.25))
    canvas.fill(ellipse(0.0, -0.57, 0.99, 0.4), crust)
    canvas.fill(ellipse(0.0, -0.57, 0.86, 0.335), rgb("c94f35"))
    canvas.fill(ellipse(0.0, -0.58, 0.82, 0.31), color)
    spots = [
        (-0.45, -0.66),
        (0.0, -0.76),
        (0.46, -0.64),
        (-0.2, -0.5),
        (0.3, -0.44),
        (-0.55, -0.46),
        (0.1, -0.6),
    ]
    kind = int(look.generator.integers(3))
    first = rgb(("c8443a", "c8443a", "f08b8b")[kind])
    canvas.mark(together(ellipse(x, y, 0.13, 0.06) for x, y in spots), shade(first, -0.18))
    canvas.mark(together(ellipse(x, y - 0.01, 0.115, 0.05) for x, y in spots), first)
    leaves = [(-0.24, -0.68), (0.26, -0.72), (-0.4, -0.56), (0.52, -0.52), (0.06, -0.42)]
    extra = rgb(("3f8f45", "2f2f33", "3f8f45")[kind])
    canvas.mark(together(ellipse(x, y, 0.075, 0.035) for x, y in leaves), extra)
    if chance(look.generator, 0.5):
        gap = polygon([(0.0, -0.58), (0.72, -0.2), (0.2, -0.08)])
        with canvas.inside(ellipse(0.0, -0.555, 1.0, 0.42)):
            canvas.mark(gap, rgb("b98552"))
            canvas.mark(
                polygon([(0.0, -0.58), (0.72, -0.2), (0.72, -0.25), (0.02, -0.62)]),
                shade(crust, -0.1),
            )


def cake(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a cake with icing of the colour: with candles or a cherry, of one floor or two."""
    generator = look.generator
    sponge = rgb("e9c07a") if _shows(color) else rgb("8f5a36")
    canvas.fill(ellipse(0.0, -0.05, 0.64, 0.05), shade(PLATE, -0.15))
    canvas.fill(ellipse(0.0, -0.075, 0.64, 0.05), PLATE)
    if chance(generator, 0.5):
        _tier(canvas, 0.5, -0.62, -0.07, color, sponge, look)
        candles = [(x, -0.66) for x in (-0.28, 0.0, 0.28)]
    else:
        _tier(canvas, 0.52, -0.44, -0.07, color, sponge, look)
        _tier(canvas, 0.32, -0.76, -0.44, color, sponge, look)
        candles = [(0.0, -0.78)]
    if chance(generator, 0.6):
        top = candles[0][1]
        high = min(0.2, 0.9 + top)
        tone = standing_out(generator, (rgb("5fa8d0"), rgb("e2574c"), rgb("f2c13d")), color)
        canvas.fill(together(box(x - 0.028, y - high, x + 0.028, y) for x, y in candles), tone)
        flames = [bent([(x, y - high - 0.09), (x + 0.06, y - high - 0.02), (x, y - high + 0.01),
                (x - 0.06, y - high - 0.02)]) for x, y in candles]  # fmt: skip
        if look.night:
            canvas.mark(
                together(ellipse(x, y - high - 0.03, 0.13) for x, y in candles),
                GOLD,
                lit=False,
                alpha=0.3,
            )
        canvas.fill(together(flames), rgb("ffb52e"), lit=not look.night)
    else:
        for x, y in candles:
            canvas.fill(ellipse(x, y - 0.05, 0.075), rgb("c9303a"))
            canvas.mark(ellipse(x - 0.02, y - 0.075, 0.02), (1, 1, 1), alpha=0.7)
            canvas.fill(limb([(x, y - 0.11), (x + 0.05, y - 0.19)], 0.022), shade(LEAF, -0.3))


def _shows(color: Color) -> bool:
    """Return whether a pale sponge shows beside icing of that colour."""
    return not (color[0] > 0.8 and 0.55 < color[1] < 0.9 and color[2] < 0.45)


def _tier(
    canvas: Canvas, half: float, top: float, bottom: float, color: Color, sponge: Color, look: Look
) -> None:
    """Draw a floor of a cake: sponge with a layer of cream, icing that runs down."""
    side = rounded([(-half, top), (half, top), (half, bottom, 0.05), (-half, bottom, 0.05)])
    solid(canvas, side, sponge, look, depth=0.1)
    with canvas.inside(side):
        middle = bottom - 0.38 * (bottom - top)
        canvas.mark(box(-half, middle, half, middle + 0.05), CREAM)
    drop = 0.4 * (bottom - top)
    count = 6
    room = 2 * half / count
    icing: list[tuple[float, float]] = [
        (-half, top),
        (0.0, top - 0.1),
        (half, top),
        (half, top + drop * 0.5),
    ]
    for i in range(count):
        x = half - i * room
        low = top + drop * (1.3 if i % 2 else 0.75)
        icing += [
            (x, top + drop * 0.4),
            (x - room * 0.1, low),
            (x - room / 2, low),
            (x - room * 0.9, low),
        ]
    icing += [(-half, top + drop * 0.4), (-half, top + drop * 0.2)]
    canvas.fill(bent(icing), color)
    canvas.mark(ellipse(0.0, top, half * 0.92, 0.032), shade(color, 0.35))
