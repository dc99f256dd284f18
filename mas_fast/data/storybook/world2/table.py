"""What stands on a table: vases, bottles, cups, bowls."""

from __future__ import annotations

from math import cos, pi, sin

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
    CREAM,
    GOLD,
    INK,
    LEAF,
    accent,
    chance,
    patterned,
    standing_out,
    trim,
)
from mas_fast.data.storybook.world2.shapes import bent, ring, rounded

WIDTHS = {
    "vase": 0.74, "bottle": 0.34, "cup": 1.34, "bowl": 1.9,
}  # fmt: skip
NATURAL: dict[str, tuple[str | Color, ...]] = {
    "vase": ("blue", "white", rgb("5d9c93"), "red", "yellow"),
    "bottle": ("green", rgb("7a4a2c"), "blue", rgb("b8342f")),
    "cup": ("red", "blue", "white", "yellow", "green", "orange"),
    "bowl": ("blue", "white", "red", rgb("5d9c93"), "yellow"),
}
BLOOMS = tuple(rgb(code) for code in ("ee6f8e", "f2c13d", "d8504a", "9a6fc4", "fbf5e6"))


def vase(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a vase with three flowers."""
    generator = look.generator
    heads = [(-0.2, -0.76), (0.2, -0.78), (0.0, -0.85)]
    stems = [limb([(0.0, -0.42), (x * 0.5, (y - 0.42) / 2), (x, y)], 0.03) for x, y in heads]
    canvas.fill(together(stems), shade(LEAF, -0.15))
    leaves = [
        bent([(0.0, -0.46), (s * 0.06, -0.62), (s * 0.3, -0.6), (s * 0.2, -0.46)]) for s in (-1, 1)
    ]
    canvas.fill(together(leaves), LEAF)
    for x, y in heads:
        _flower(canvas, x, y, standing_out(generator, BLOOMS, color), tulip=chance(generator, 0.35))
    if chance(generator, 0.5):
        body = bent([(-0.1, -0.48), (-0.06, -0.4), (-0.16, -0.33), (-0.36, -0.16), (-0.13, 0.0),
                (0.0, 0.0), (0.13, 0.0), (0.36, -0.16), (0.16, -0.33), (0.06, -0.4), (0.1, -0.48),
                (0.0, -0.46)])  # fmt: skip
    else:
        body = bent([(-0.16, -0.5), (-0.12, -0.3), (-0.2, -0.2), (-0.26, -0.08), (-0.14, 0.0),
                (0.0, 0.0), (0.14, 0.0), (0.26, -0.08), (0.2, -0.2), (0.12, -0.3), (0.16, -0.5),
                (0.0, -0.48)])  # fmt: skip
    solid(canvas, body, color, look, depth=0.16)
    patterned(canvas, body, color, look, size=0.05)
    if look.pattern is None:
        with canvas.inside(body):
            canvas.mark(box(-0.3, -0.24, 0.3, -0.18), trim(color))
    canvas.mark(ellipse(0.1 * look.sun, -0.22, 0.025, 0.1), (1, 1, 1), alpha=0.45)


def _flower(canvas: Canvas, x: float, y: float, color: Color, *, tulip: bool) -> None:
    if tulip:
        cup = bent([(x - 0.1, y - 0.12), (x - 0.12, y + 0.1), (x, y + 0.08), (x + 0.12, y + 0.1),
                (x + 0.1, y - 0.12), (x + 0.05, y - 0.04), (x, y - 0.14),
                (x - 0.05, y - 0.04)])  # fmt: skip
        canvas.fill(cup, color)
        return
    petals = [
        ellipse(x + 0.075 * cos(2 * pi * i / 5), y + 0.075 * sin(2 * pi * i / 5), 0.065)
        for i in range(5)
    ]
    canvas.fill(together(petals), color)
    canvas.mark(ellipse(x, y, 0.045), GOLD if color != GOLD else INK)


def bottle(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a bottle of coloured glass with a label and a cork, or one of milk's wide shape."""
    if chance(look.generator, 0.6):
        body = rounded([(-0.05, -0.95), (0.05, -0.95), (0.055, -0.7), (0.155, -0.56, 0.1),
                (0.155, 0.0), (-0.155, 0.0), (-0.155, -0.56, 0.1), (-0.055, -0.7)],
                0.03)  # fmt: skip
        canvas.fill(box(-0.045, -1.0, 0.045, -0.92, 0.01), rgb("c99a66"))
    else:
        body = rounded([(-0.085, -0.95), (0.085, -0.95), (0.09, -0.72), (0.165, -0.6, 0.1),
                (0.165, 0.0), (-0.165, 0.0), (-0.165, -0.6, 0.1), (-0.09, -0.72)],
                0.04)  # fmt: skip
        canvas.fill(box(-0.1, -1.0, 0.1, -0.92, 0.03), GOLD if color[1] < 0.6 else rgb("d8443b"))
    solid(canvas, body, color, look, depth=0.2)
    with canvas.inside(body):
        canvas.mark(box(-0.2, -0.46, 0.2, -0.16), trim(color))
        canvas.mark(ellipse(0.0, -0.31, 0.08), accent(color, 0.1))
        canvas.mark(
            box(0.1 * look.sun - 0.018, -0.68, 0.1 * look.sun + 0.018, -0.06, 0.018),
            (1, 1, 1),
            alpha=0.4,
        )


def cup(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a mug, or a cup on a saucer, with steam."""
    saucer = chance(look.generator, 0.4)
    steam = [
        limb([(x, -0.84), (x + 0.05, -0.88), (x, -0.93), (x + 0.05, -0.98)], 0.04)
        for x in (-0.16, 0.06)
    ]
    canvas.mark(together(steam), CREAM, alpha=0.85)
    if saucer:
        canvas.fill(ellipse(0.0, -0.06, 0.66, 0.06), accent(color, 0.2))
        canvas.fill(ellipse(0.0, -0.09, 0.66, 0.06), color)
        handle = ring(0.44, -0.52, 0.16, 0.09)
        body = bent([(-0.46, -0.76), (-0.42, -0.2), (-0.2, -0.1), (0.0, -0.09), (0.2, -0.1),
                (0.42, -0.2), (0.46, -0.76), (0.0, -0.74)])  # fmt: skip
        top, wide = -0.76, 0.46
    else:
        handle = ring(0.4, -0.42, 0.23, 0.13)
        body = rounded(
            [(-0.42, -0.8, 0.0), (0.42, -0.8, 0.0), (0.39, 0.0, 0.12), (-0.39, 0.0, 0.12)]
        )
        top, wide = -0.8, 0.42
    canvas.fill(handle, accent(color, 0.15))
    solid(canvas, body, color, look, depth=0.12)
    patterned(canvas, body, color, look, size=0.1, turn=0 if saucer else 90)
    if look.pattern is None and not saucer and chance(look.generator, 0.5):
        heart = bent([(0.0, -0.2), (-0.26, -0.4), (-0.15, -0.52), (-0.04, -0.58), (0.0, -0.46),
                (0.04, -0.58), (0.15, -0.52), (0.26, -0.4)])  # fmt: skip
        canvas.mark(heart, trim(color))
    canvas.fill(ellipse(0.0, top, wide, 0.07), shade(color, 0.3))
    canvas.fill(ellipse(0.0, top + 0.012, wide - 0.05, 0.05), rgb("6b4226"))


def bowl(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a bowl of fruit, of salad or of soup."""
    content = int(look.generator.integers(3))
    top = -0.56
    canvas.fill(ellipse(0.0, top, 0.93, 0.1), accent(color, 0.3))
    if content == 0:
        fruit = [
            (-0.42, -0.64, 0.24, "e2574c"),
            (0.4, -0.62, 0.24, "f28c28"),
            (-0.02, -0.73, 0.26, "8cbf3f"),
            (0.24, -0.56, 0.2, "e2574c"),
        ]
        for x, y, radius, code in fruit:
            solid(canvas, ellipse(x, y, radius), rgb(code), look, depth=0.12)
        canvas.mark(
            together(ellipse(x - 0.07, y - 0.1, 0.045) for x, y, *_ in fruit[:3]),
            (1, 1, 1),
            alpha=0.4,
        )
    elif content == 1:
        greens = [(-0.5, -0.62, 0.22), (-0.16, -0.7, 0.26), (0.22, -0.7, 0.25), (0.54, -0.6, 0.2)]
        canvas.fill(together(ellipse(*leaf) for leaf in greens), shade(LEAF, 0.05))
        canvas.mark(together(ellipse(x, y + 0.06, r * 0.6) for x, y, r in greens), shade(LEAF, 0.3))
        canvas.mark(
            together(ellipse(x, y, 0.1) for x, y in ((-0.36, -0.66), (0.06, -0.78), (0.4, -0.66))),
            rgb("e2574c"),
        )
    else:
        canvas.fill(ellipse(0.0, top + 0.01, 0.84, 0.075), rgb("e58b3c"))
        canvas.mark(together(ellipse(x, top + 0.01, 0.07, 0.022) for x in (-0.4, 0.0, 0.36)), LEAF)
        steam = [
            limb([(x, -0.7), (x + 0.07, -0.8), (x - 0.03, -0.9)], 0.05) for x in (-0.3, 0.0, 0.3)
        ]
        canvas.mark(together(steam), CREAM, alpha=0.8)
    canvas.fill(box(-0.34, -0.1, 0.34, 0.0, 0.03), accent(color, 0.25))
    body = bent([(-0.94, top), (-0.86, -0.16), (-0.36, -0.05), (0.0, -0.04), (0.36, -0.05),
            (0.86, -0.16), (0.94, top), (0.0, top + 0.18)])  # fmt: skip
    solid(canvas, body, color, look, depth=0.14)
    patterned(canvas, body, color, look, size=0.11)
    if look.pattern is None:
        with canvas.inside(body):
            canvas.mark(
                limb([(-0.9, top + 0.12), (0.0, top + 0.23), (0.9, top + 0.12)], 0.06), trim(color)
            )
