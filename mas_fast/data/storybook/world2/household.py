"""What stands in a room: plants in pots, screens, books, clocks, teddy bears."""

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
    DARK_WOOD,
    GOLD,
    INK,
    LEAF,
    STEEL,
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
    "potted plant": 0.92, "tv": 1.4, "laptop": 1.5, "book": 1.4, "clock": 0.94, "teddy bear": 0.86,
}  # fmt: skip
NATURAL: dict[str, tuple[str | Color, ...]] = {
    "potted plant": (rgb("c8694a"), "white", "blue", "yellow", rgb("5d9c93")),
    "tv": ("black", "gray", rgb("a8683c")),
    "laptop": (rgb("b4bbc3"), "gray", "black"),
    "book": ("red", "blue", "green", "brown", "purple"),
    "clock": ("red", rgb("8f5d38"), "blue", "yellow", rgb("5d9c93")),
    "teddy bear": (rgb("b07a48"), rgb("c99a66"), "brown"),
}
SOIL = rgb("5b4132")


def _pot(canvas: Canvas, color: Color, look: Look) -> None:
    pot = rounded([(-0.21, -0.34), (0.21, -0.34), (0.155, 0.0), (-0.155, 0.0)], 0.03)
    solid(canvas, pot, color, look, depth=0.16)
    patterned(canvas, pot, color, look, size=0.055)
    canvas.fill(box(-0.245, -0.4, 0.245, -0.3, 0.025), accent(color, 0.08))
    canvas.mark(box(-0.21, -0.305, 0.21, -0.285), accent(color, 0.28))


def _leaf(
    x: float, y: float, length: float, width: float, turn: float
) -> list[tuple[float, float]]:
    """Return the points, for `bent`, of a leaf from (x, y); turn 0 points up, clockwise."""
    ux, uy = sin(turn), -cos(turn)
    mx, my = x + ux * length * 0.45, y + uy * length * 0.45
    return [(x, y), (mx - uy * width, my + ux * width), (x + ux * length, y + uy * length),
            (mx + uy * width, my - ux * width)]  # fmt: skip


def potted_plant(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a plant in a pot of the colour: broad leaves, swords, a cactus, or a bush in bloom."""
    generator = look.generator
    style = int(generator.integers(4))
    dark, light = shade(LEAF, -0.22), shade(LEAF, 0.16)
    if style == 0:
        back = [(-0.03, -0.36, 0.5, 0.14, t) for t in (-1.0, 0.95, -0.1)]
        front = [(0.0, -0.36, 0.58, 0.15, t) for t in (-0.5, 0.42)]
        canvas.fill(together(bent(_leaf(*leaf)) for leaf in back), dark)
        leaves = [_leaf(*leaf) for leaf in front]
        canvas.fill(together(map(bent, leaves)), LEAF)
        canvas.mark(together(line(p[0], p[2], 0.018) for p in leaves), light)
    elif style == 1:
        turns = (-0.42, 0.4, -0.2, 0.2, 0.0)
        for i, turn in enumerate(turns):
            length = (0.44, 0.42, 0.54, 0.56, 0.64)[i]
            sword = bent(_leaf(0.16 * turn, -0.35, length, 0.1, turn))
            canvas.fill(sword, (dark, dark, LEAF, LEAF, light)[i])
    elif style == 2:
        stem = limb([(0.0, -0.36), (0.0, -0.86)], 0.25)
        arms = [limb([(0.0, -0.5), (0.25, -0.52), (0.26, -0.72)], 0.13),
                limb([(0.0, -0.58), (-0.24, -0.6), (-0.25, -0.76)], 0.12)]  # fmt: skip
        canvas.fill(together(arms), shade(LEAF, -0.12))
        solid(canvas, stem, LEAF, look, depth=0.2)
        canvas.mark(together(box(x - 0.01, -0.92, x + 0.01, -0.4) for x in (-0.05, 0.05)), light)
        canvas.fill(ellipse(0.0, -0.965, 0.05, 0.035), rgb("ef7f9f"))
    else:
        crown = [
            (-0.22, -0.52, 0.17),
            (0.22, -0.52, 0.17),
            (-0.14, -0.72, 0.19),
            (0.15, -0.72, 0.18),
            (0.0, -0.84, 0.16),
        ]
        canvas.fill(together(ellipse(*p) for p in crown), dark)
        canvas.mark(
            together(ellipse(x + 0.04 * look.sun, y - 0.03, r * 0.84) for x, y, r in crown), LEAF
        )
        bloom = rgb(pick(generator, ("ee6f8e", "f2c13d", "f4f2ec", "d8504a")))
        spots = [
            (-0.24, -0.56),
            (0.06, -0.6),
            (0.26, -0.62),
            (-0.12, -0.76),
            (0.12, -0.84),
            (-0.02, -0.46),
        ]
        canvas.mark(together(ellipse(x, y, 0.05) for x, y in spots), bloom)
        canvas.mark(together(ellipse(x, y, 0.018) for x, y in spots), GOLD)
    canvas.fill(ellipse(0.0, -0.38, 0.19, 0.03), SOIL)
    _pot(canvas, color, look)


def _picture(
    canvas: Canvas, left: float, top: float, right: float, bottom: float, look: Look
) -> None:
    """Draw a screen that shows hills under the sun; it shines at night."""
    screen, lit = box(left, top, right, bottom, 0.02), not look.night
    wide, high = right - left, bottom - top
    canvas.fill(screen, rgb("8fd0ea"), to=rgb("d8eff0"), lit=lit)
    with canvas.inside(screen):
        canvas.mark(
            ellipse(left + 0.74 * wide, top + 0.3 * high, 0.13 * high), rgb("ffd35c"), lit=lit
        )
        hill = bent([(left - 0.1, bottom), (left + 0.25 * wide, top + 0.1 * high),
                (left + 0.66 * wide, bottom), (left + 0.3 * wide, bottom)])  # fmt: skip
        canvas.mark(hill, rgb("4d9f82"), lit=lit)
        hill = bent([(left + 0.3 * wide, bottom), (left + 0.75 * wide, top + 0.4 * high),
                (right + 0.2, bottom), (right, bottom)])  # fmt: skip
        canvas.mark(hill, rgb("79bb6a"), lit=lit)


def _flicker(canvas: Canvas, look: Look) -> None:
    """Draw the light that a screen throws around it at night."""
    if look.night:
        for share in (1.0, 0.88, 0.76):
            around = ellipse(0.0, -0.56, 0.92 * share, 0.66 * share)
            canvas.mark(around, rgb("9fdcf0"), lit=False, alpha=0.08)


def tv(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a flat television on a foot, or an old one with an aerial."""
    _flicker(canvas, look)
    if chance(look.generator, 0.6):
        canvas.fill(
            rounded([(-0.3, 0.0), (-0.24, -0.06), (0.24, -0.06), (0.3, 0.0)], 0.02),
            accent(color, 0.15),
        )
        canvas.fill(box(-0.07, -0.16, 0.07, -0.04), accent(color, 0.25))
        canvas.fill(box(-0.7, -1.0, 0.7, -0.13, 0.04), color)
        _picture(canvas, -0.645, -0.945, 0.645, -0.195, look)
        glint = polygon(
            [(-0.5, -0.945), (-0.2, -0.945), (-0.5, -0.195), (-0.645, -0.195), (-0.645, -0.6)]
        )
        canvas.mark(glint, (1, 1, 1), alpha=0.16)
    else:
        canvas.fill(together(limb([(0.0, -0.78), (s * 0.26, -0.98)], 0.03) for s in (-1, 1)), STEEL)
        feet = [
            polygon([(s * 0.34, -0.1), (s * 0.46, -0.1), (s * 0.5, 0.0), (s * 0.44, 0.0)])
            for s in (-1, 1)
        ]
        canvas.fill(together(feet), DARK_WOOD)
        solid(canvas, box(-0.6, -0.8, 0.6, -0.07, 0.1), color, look, depth=0.07)
        canvas.fill(box(-0.53, -0.73, 0.3, -0.14, 0.1), INK)
        _picture(canvas, -0.49, -0.69, 0.26, -0.18, look)
        knobs = [ellipse(0.45, y, 0.065) for y in (-0.62, -0.44)]
        canvas.mark(together(knobs), CREAM)
        canvas.mark(
            together(box(0.38, y, 0.52, y + 0.025) for y in (-0.3, -0.245, -0.19)),
            accent(color, 0.4),
        )


def laptop(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an open laptop from the front."""
    _flicker(canvas, look)
    canvas.fill(box(-0.6, -1.0, 0.6, -0.19, 0.05), color)
    canvas.mark(box(-0.57, -0.97, 0.57, -0.2, 0.03), INK)
    _picture(canvas, -0.53, -0.93, 0.53, -0.26, look)
    base = rounded([(-0.6, -0.21), (0.6, -0.21), (0.74, -0.045), (-0.74, -0.045)], 0.02)
    canvas.fill(base, shade(color, 0.16))
    keys = polygon([(-0.53, -0.19), (0.53, -0.19), (0.6, -0.115), (-0.6, -0.115)])
    canvas.mark(keys, accent(color, 0.45) if sum(color) > 0.75 else shade(color, 0.35))
    canvas.mark(
        polygon([(-0.15, -0.1), (0.15, -0.1), (0.17, -0.055), (-0.17, -0.055)]), accent(color, 0.12)
    )
    canvas.fill(box(-0.75, -0.055, 0.75, 0.0, 0.025), accent(color, 0.18))


def book(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a book that stands, lies or is open."""
    pick(look.generator, (_standing_book, _lying_book, _open_book))(canvas, color, look)


def _standing_book(canvas: Canvas, color: Color, look: Look) -> None:
    canvas.fill(box(-0.3, -1.0, 0.42, 0.0, 0.03), accent(color, 0.3))
    canvas.mark(box(-0.26, -0.95, 0.38, -0.04), CREAM)
    cover = box(-0.4, -0.96, 0.3, 0.0, 0.04)
    solid(canvas, cover, color, look, depth=0.04)
    with canvas.inside(cover):
        canvas.mark(box(-0.4, -1.0, -0.28, 0.0), accent(color, 0.22))
    canvas.mark(box(-0.18, -0.8, 0.22, -0.58, 0.03), trim(color))
    _star(canvas, 0.02, -0.3, 0.15, color)


def _star(canvas: Canvas, x: float, y: float, radius: float, on: Color, flat: float = 1.0) -> None:
    reach = [radius if i % 2 == 0 else 0.43 * radius for i in range(10)]
    tips = [(x + r * sin(pi * i / 5), y - r * flat * cos(pi * i / 5)) for i, r in enumerate(reach)]
    canvas.mark(polygon(tips), GOLD if sum(on) < 2.0 else INK)


def _lying_book(canvas: Canvas, color: Color, look: Look) -> None:
    canvas.fill(
        rounded([(-0.66, -0.24), (0.52, -0.24), (0.66, 0.0), (-0.6, 0.0)], 0.03), accent(color, 0.3)
    )
    canvas.fill(polygon([(-0.56, -0.25), (0.62, -0.25), (0.62, -0.06), (-0.56, -0.06)]), CREAM)
    canvas.mark(box(-0.56, -0.17, 0.62, -0.13), shade(CREAM, -0.14))
    canvas.fill(
        polygon([(0.62, -0.25), (0.44, -0.58), (0.44, -0.4), (0.62, -0.06)]), shade(CREAM, -0.1)
    )
    spine = rounded([(-0.62, -0.27), (-0.52, -0.27), (-0.52, 0.0), (-0.62, 0.0)], 0.04)
    canvas.fill(spine, accent(color, 0.22))
    cover = rounded(
        [(-0.62, -0.24, 0.03), (-0.44, -0.62, 0.04), (0.48, -0.62, 0.03), (0.66, -0.24, 0.03)]
    )
    solid(canvas, cover, color, look, depth=0.05)
    with canvas.inside(cover):
        canvas.mark(
            polygon([(-0.7, -0.2), (-0.47, -0.66), (-0.34, -0.66), (-0.52, -0.2)]),
            accent(color, 0.22),
        )
    _star(canvas, 0.04, -0.43, 0.18, color, flat=0.7)


def _open_book(canvas: Canvas, color: Color, look: Look) -> None:
    for s in (-1, 1):
        cover = bent([(0.0, -0.6), (s * 0.3, -0.8), (s * 0.7, -0.7), (s * 0.7, -0.36),
                (s * 0.7, -0.02), (s * 0.34, -0.12), (0.0, 0.0), (0.0, -0.3)])  # fmt: skip
        canvas.fill(cover, color if s == (1 if look.sun < 0 else -1) else accent(color, 0.12))
        page = bent([(0.0, -0.62), (s * 0.28, -0.84), (s * 0.6, -0.72), (s * 0.6, -0.46),
                (s * 0.6, -0.2), (s * 0.3, -0.32), (0.0, -0.15), (0.0, -0.4)])  # fmt: skip
        canvas.fill(page, CREAM if s == (1 if look.sun < 0 else -1) else shade(CREAM, -0.09))
        rows = [limb([(s * 0.12, y), (s * 0.28, y - 0.07), (s * 0.5, y - 0.04)], 0.03)
                for y in (-0.52, -0.42, -0.32)]  # fmt: skip
        canvas.mark(together(rows), shade(CREAM, -0.38))
    ribbon = polygon([(-0.025, -0.58), (0.025, -0.58), (0.045, 0.0), (0.0, -0.04), (-0.03, 0.0)])
    canvas.mark(ribbon, standing_out(look.generator, (rgb("d8443b"), rgb("3f7fc4")), color))


def clock(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an alarm clock with bells, or a round clock on a foot; its hands show any hour."""
    generator = look.generator
    bells = chance(generator, 0.6)
    y, radius = (-0.45, 0.39) if bells else (-0.54, 0.455)
    if bells:
        legs = [limb([(s * 0.22, -0.16), (s * 0.32, -0.03)], 0.075) for s in (-1, 1)]
        canvas.fill(together(legs), accent(color, 0.35))
        canvas.fill(limb([(-0.16, -0.9), (0.0, -0.97), (0.16, -0.9)], 0.04), STEEL)
        domes = [bent([(s * 0.1, -0.86), (s * 0.2, -1.06), (s * 0.36, -0.94), (s * 0.5, -0.84),
                (s * 0.42, -0.68), (s * 0.3, -0.78)]) for s in (-1, 1)]  # fmt: skip
        canvas.fill(together(domes), GOLD)
    else:
        canvas.fill(
            rounded([(-0.34, 0.0), (-0.24, -0.14), (0.24, -0.14), (0.34, 0.0)], 0.03),
            accent(color, 0.25),
        )
    solid(canvas, ellipse(0.0, y, radius), color, look, depth=0.06)
    face = radius * 0.79
    canvas.fill(ellipse(0.0, y, face), CREAM)
    marks = [ellipse(0.85 * face * sin(pi * i / 6), y - 0.85 * face * cos(pi * i / 6), 0.024 if i %
            3 else 0.04) for i in range(12)]  # fmt: skip
    canvas.mark(together(marks), accent(color, 0.35) if sum(color) < 2.4 else INK)
    hour = float(generator.uniform(0, 12))
    for turn, reach, width in ((hour / 12, 0.48, 0.06), (hour % 1, 0.68, 0.042)):
        tip = (reach * face * sin(2 * pi * turn), y - reach * face * cos(2 * pi * turn))
        canvas.mark(limb([(0.0, y), tip], width), INK)
    canvas.mark(ellipse(0.0, y, 0.04), rgb("d8443b"))


def teddy_bear(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a teddy bear that sits, with a bow or without."""
    dark, pale = accent(color, 0.2), shade(color, 0.45)
    ears = [ellipse(s * 0.22, -0.9, 0.1) for s in (-1, 1)]
    canvas.fill(together(ears), dark)
    canvas.mark(together(ellipse(s * 0.22, -0.9, 0.055) for s in (-1, 1)), pale)
    arms = [limb([(s * 0.2, -0.48), (s * 0.33, -0.36), (s * 0.35, -0.26)], 0.15) for s in (-1, 1)]
    canvas.fill(together(arms), dark)
    solid(canvas, ellipse(0.0, -0.3, 0.27, 0.27), color, look, depth=0.1)
    canvas.mark(ellipse(0.0, -0.3, 0.17, 0.18), pale)
    legs = [ellipse(s * 0.25, -0.13, 0.17, 0.13) for s in (-1, 1)]
    canvas.fill(together(legs), dark)
    canvas.fill(together(ellipse(s * 0.29, -0.125, 0.125) for s in (-1, 1)), color)
    canvas.mark(together(ellipse(s * 0.29, -0.125, 0.075) for s in (-1, 1)), pale)
    solid(canvas, ellipse(0.0, -0.72, 0.3, 0.25), color, look, depth=0.1)
    canvas.mark(ellipse(0.0, -0.65, 0.14, 0.11), pale)
    canvas.mark(together(ellipse(s * 0.12, -0.78, 0.032) for s in (-1, 1)), INK)
    canvas.mark(ellipse(0.0, -0.69, 0.045, 0.034), INK)
    canvas.mark(limb([(-0.05, -0.61), (0.0, -0.59), (0.05, -0.61)], 0.02), INK)
    if chance(look.generator, 0.6):
        bow = standing_out(look.generator, (rgb("d8443b"), rgb("3f7fc4"), rgb("46a35e")), color)
        wings = [rounded([(0, -0.47), (s * 0.15, -0.55), (s * 0.15, -0.39)], 0.04) for s in (-1, 1)]
        canvas.fill(together(wings), bow)
        canvas.fill(ellipse(0.0, -0.47, 0.04), shade(bow, -0.2))
