"""Furniture: chairs, couches, beds, tables, lamps, refrigerators."""

from __future__ import annotations

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
    SHINE,
    STEEL,
    WOOD,
    accent,
    chance,
    glow,
    patterned,
    pick,
    standing_out,
    trim,
)
from mas_fast.data.storybook.world2.shapes import bent, rounded

WIDTHS = {
    "chair": 0.92, "couch": 2.2, "bed": 2.1, "table": 2.0, "lamp": 0.62, "fridge": 0.56,
}  # fmt: skip
SEATS = {
    "chair": (0.03, 0.46),
    "couch": (0.0, 0.5),
    "bed": (0.15, 0.6),
    "table": (0.0, 0.95),
}
NATURAL: dict[str, tuple[str | Color, ...]] = {
    "chair": (rgb("b07a48"), "red", "blue", "yellow", rgb("5d9c93")),
    "couch": (rgb("c96f5a"), rgb("5d9c93"), "blue", "gray", rgb("e0a63a"), "green"),
    "bed": ("blue", "red", rgb("8ab0a0"), "pink", "yellow"),
    "table": (rgb("b07a48"), rgb("8f5d38"), "white"),
    "lamp": ("yellow", "red", rgb("f0e2c4"), rgb("5d9c93"), "orange"),
    "fridge": ("white", rgb("b9d8d2"), "red", rgb("c9ced4"), "yellow"),
}


def _legs(
    canvas: Canvas, places: tuple[float, ...], top: float, color: Color, width: float = 0.06
) -> None:
    legs = [
        polygon(
            [(x - width / 2, top), (x + width / 2, top), (x + width * 0.3, 0), (x - width * 0.3, 0)]
        )
        for x in places
    ]
    canvas.fill(together(legs), color)


def chair(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a wooden chair from the side, or an armchair from the front."""
    pick(look.generator, (_wooden_chair, _wooden_chair, _armchair))(canvas, color, look)


def _wooden_chair(canvas: Canvas, color: Color, look: Look) -> None:
    dark = accent(color, 0.22)
    far = [limb([(-0.12, -0.45), (-0.14, 0.0)], 0.05), limb([(0.22, -0.45), (0.24, 0.0)], 0.05)]
    canvas.fill(together(far), accent(color, 0.34))
    back = [
        limb([(-0.22, -0.46), (-0.3, -0.96)], 0.065),
        limb([(-0.02, -0.46), (-0.1, -0.93)], 0.055),
    ]
    canvas.fill(together(back[1:]), dark)
    slats = [polygon([(-0.3 + d, y), (-0.09 + d, y + 0.02), (-0.08 + d, y + 0.11),
            (-0.29 + d, y + 0.1)]) for y, d in ((-0.95, 0.0), (-0.79, 0.025),
            (-0.63, 0.05))]  # fmt: skip
    canvas.fill(together(slats), shade(color, 0.08))
    canvas.fill(back[0], color)
    near = [limb([(-0.24, -0.44), (-0.3, -0.03)], 0.06), limb([(0.3, -0.42), (0.34, -0.03)], 0.06)]
    canvas.fill(together(near), color)
    canvas.fill(limb([(-0.27, -0.2), (0.32, -0.2)], 0.04), dark)
    seat = rounded([(-0.3, -0.42), (-0.14, -0.52), (0.34, -0.52), (0.38, -0.42)], 0.04)
    canvas.fill(seat, shade(color, 0.16))
    canvas.fill(box(-0.31, -0.44, 0.39, -0.37, 0.03), dark)
    if chance(look.generator, 0.5):
        cushion = rounded([(-0.24, -0.45), (-0.12, -0.54), (0.3, -0.54), (0.33, -0.45)], 0.05)
        canvas.fill(
            cushion,
            standing_out(look.generator, (rgb("d8604f"), rgb("5d9c93"), rgb("efd9a0")), color),
        )


def _armchair(canvas: Canvas, color: Color, look: Look) -> None:
    dark = accent(color, 0.16)
    _legs(canvas, (-0.3, 0.3), -0.14, DARK_WOOD, 0.08)
    solid(
        canvas,
        rounded([(-0.36, -0.3), (-0.34, -1.0), (0.34, -1.0), (0.36, -0.3)], 0.16),
        color,
        look,
        depth=0.06,
    )
    canvas.mark(box(-0.26, -0.62, 0.26, -0.46), dark)
    buttons = [ellipse(x, y, 0.02) for x, y in ((-0.13, -0.78), (0.13, -0.78))]
    canvas.mark(together(buttons), accent(color, 0.3))
    canvas.fill(box(-0.36, -0.36, 0.36, -0.12, 0.04), dark)
    solid(canvas, box(-0.28, -0.52, 0.28, -0.32, 0.07), shade(color, 0.1), look, depth=0.14)
    for s in (-1, 1):
        arm = box(min(s * 0.26, s * 0.46), -0.62, max(s * 0.26, s * 0.46), -0.1, 0.09)
        solid(canvas, arm, color, look, depth=0.16)


def couch(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a couch from the front, with cushions."""
    generator = look.generator
    count, dark = int(generator.integers(2, 4)), accent(color, 0.16)
    _legs(canvas, (-0.86, 0.86), -0.16, DARK_WOOD, 0.1)
    solid(
        canvas,
        rounded([(-0.92, -0.2), (-0.92, -1.0), (0.92, -1.0), (0.92, -0.2)], 0.16),
        color,
        look,
        depth=0.06,
    )
    room = 1.56 / count
    for i in range(count):
        left = -0.78 + i * room
        canvas.mark(box(left + 0.02, -0.9, left + room - 0.02, -0.42, 0.09), shade(color, 0.07))
    gaps = [
        box(-0.78 + i * room - 0.013, -0.9, -0.78 + i * room + 0.013, -0.5) for i in range(1, count)
    ]
    canvas.mark(together(gaps), dark)
    canvas.mark(box(-0.8, -0.66, 0.8, -0.5), dark)
    canvas.fill(box(-0.92, -0.36, 0.92, -0.13, 0.05), dark)
    for i in range(count):
        left = -0.78 + i * room
        solid(
            canvas,
            box(left + 0.008, -0.57, left + room - 0.008, -0.33, 0.08),
            shade(color, 0.12),
            look,
            depth=0.16,
        )
    pillow_color = standing_out(
        generator, (rgb("efd9a0"), rgb("e0793f"), rgb("4f8fa8"), CREAM), color
    )
    if chance(generator, 0.7):
        x = pick(generator, (-0.6, 0.6))
        with canvas.at(x, -0.56, 0.34, turn=12 if x > 0 else -12):
            pillow = rounded([(-0.5, 0.0), (-0.5, -1.0), (0.5, -1.0), (0.5, 0.0)], 0.18)
            solid(canvas, pillow, pillow_color, look, depth=0.1)
            canvas.mark(box(-0.5, -0.6, 0.5, -0.4), trim(pillow_color))
    for s in (-1, 1):
        arm = box(min(s * 0.76, s * 1.08), -0.72, max(s * 0.76, s * 1.08), -0.1, 0.13)
        solid(canvas, arm, color, look, depth=0.12)


def bed(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a bed from the side: its head at the left, a blanket of the colour."""
    generator = look.generator
    wood = pick(generator, (WOOD, DARK_WOOD, rgb("e6d3b1")))
    if chance(generator, 0.5):
        board = box(-1.04, -1.0, -0.9, 0.0, 0.05)
    else:
        board = rounded(
            [(-1.04, 0.0), (-1.04, -1.0, 0.14), (-0.88, -0.94, 0.06), (-0.88, 0.0)], 0.03
        )
    foot = box(0.9, -0.62, 1.03, 0.0, 0.05)
    canvas.fill(box(-0.94, -0.3, 0.94, -0.14), shade(wood, -0.2))
    canvas.fill(box(-0.92, -0.5, 0.92, -0.24, 0.06), CREAM)
    pillow = rounded([(-0.9, -0.48), (-0.92, -0.72, 0.12), (-0.56, -0.7, 0.12), (-0.44, -0.5)], 0.1)
    solid(canvas, pillow, rgb("ffffff"), look, depth=0.14, amount=0.14)
    cover = rounded(
        [
            (-0.46, -0.5, 0.1),
            (-0.3, -0.64, 0.12),
            (0.84, -0.62, 0.14),
            (0.95, -0.5, 0.1),
            (0.95, -0.16, 0.06),
        ]
        + [(-0.5, -0.16, 0.06)]
    )
    solid(canvas, cover, color, look, depth=0.1)
    patterned(canvas, cover, color, look, size=0.1, turn=90)
    with canvas.inside(cover):
        canvas.mark(
            polygon([(-0.52, -0.1), (-0.48, -0.8), (-0.26, -0.8), (-0.3, -0.1)]), trim(color)
        )
        if look.pattern is None:
            canvas.mark(limb([(-0.3, -0.3), (0.3, -0.26), (1.0, -0.3)], 0.05), accent(color, 0.14))
    solid(canvas, board, wood, look, depth=0.2)
    solid(canvas, foot, wood, look, depth=0.2)


def dining_table(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a table from the front and a little from above: on four legs or one foot.

    It is bare, or has a cloth with the look's pattern.
    """
    dark = accent(color, 0.24)
    wood = color if sum(color) < 2.4 else rgb("c99a66")
    if chance(look.generator, 0.5):
        _legs(canvas, (-0.66, 0.66), -0.8, accent(wood, 0.34), 0.1)
        _legs(canvas, (-0.86, 0.86), -0.8, accent(wood, 0.12), 0.13)
        canvas.fill(box(-0.88, -0.84, 0.88, -0.7), accent(wood, 0.28))
    else:
        canvas.fill(
            rounded([(-0.1, -0.84), (0.1, -0.84), (0.07, -0.2), (-0.07, -0.2)], 0.02),
            accent(wood, 0.2),
        )
        feet = bent(
            [(-0.5, 0.0), (-0.1, -0.08), (0.0, -0.26), (0.1, -0.08), (0.5, 0.0), (0.0, -0.06)]
        )
        canvas.fill(feet, accent(wood, 0.28))
    top = rounded([(-0.99, -0.88), (-0.84, -1.0), (0.84, -1.0), (0.99, -0.88)], 0.03)
    canvas.fill(top, shade(color, 0.14))
    canvas.fill(box(-1.0, -0.9, 1.0, -0.8, 0.03), dark)
    if look.pattern is None:
        canvas.mark(box(-0.98, -0.895, 0.98, -0.87), shade(color, -0.06))
        return
    hang = bent([(-1.0, -0.9), (-0.5, -0.9), (1.0, -0.9), (1.0, -0.7), (0.96, -0.62), (0.72, -0.52),
                 (0.48, -0.62), (0.24, -0.52), (0.0, -0.62), (-0.24, -0.52), (-0.48, -0.62),
                 (-0.72, -0.52), (-0.96, -0.62), (-1.0, -0.7)])  # fmt: skip
    canvas.fill(top, color)
    canvas.fill(hang, accent(color, 0.1))
    patterned(canvas, hang, color, look, size=0.09, turn=90)


def lamp(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a lamp with a shade of the colour: on a slim or a round foot, or on three legs."""
    style = int(look.generator.integers(3))
    metal = pick(look.generator, (GOLD, INK, DARK_WOOD))
    shine = mix(color, LAMP, 0.55)
    glow(canvas, 0.0, -0.78, 0.55, look)
    if style == 0:
        canvas.fill(box(-0.022, -0.66, 0.022, -0.03), metal)
        canvas.fill(
            rounded([(-0.17, 0.0), (-0.14, -0.05), (0.14, -0.05), (0.17, 0.0)], 0.02), metal
        )
    elif style == 1:
        urn = bent([(-0.08, -0.02), (-0.3, -0.34), (-0.03, -0.56), (0.0, -0.6), (0.03, -0.56),
                (0.3, -0.34), (0.08, -0.02), (0.0, 0.0)])  # fmt: skip
        solid(canvas, urn, trim(color) if sum(color) < 2.4 else rgb("4f8fa8"), look, depth=0.16)
        canvas.fill(box(-0.13, -0.05, 0.13, 0.0, 0.02), metal)
        canvas.fill(box(-0.025, -0.68, 0.025, -0.54), metal)
    else:
        legs = [limb([(0.0, -0.62), (x, -0.02)], 0.04) for x in (-0.22, 0.02, 0.22)]
        canvas.fill(together(legs), WOOD if metal != DARK_WOOD else DARK_WOOD)
    top = 0.15 if style != 2 else 0.21
    screen = rounded([(-0.3, -0.6), (-top, -1.0), (top, -1.0), (0.3, -0.6)], 0.03)
    if look.night:
        canvas.fill(screen, mix(shine, (1, 1, 1), 0.2), to=LAMP, lit=False)
    else:
        solid(canvas, screen, color, look, depth=0.1)
    patterned(canvas, screen, color, look, size=0.06)
    canvas.mark(box(-0.285, -0.64, 0.285, -0.605), shade(color, -0.15), lit=not look.night)


def fridge(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a refrigerator of two doors with handles: straight, or round as in old films."""
    round_one = chance(look.generator, 0.5)
    radius, dark = (0.1 if round_one else 0.03), accent(color, 0.22)
    canvas.fill(together(box(x - 0.04, -0.05, x + 0.04, 0.0) for x in (-0.19, 0.19)), INK)
    case = box(-0.27, -1.0, 0.27, -0.025, radius)
    solid(canvas, case, color, look, depth=0.1)
    split = -0.68 if chance(look.generator, 0.6) else -0.4
    canvas.mark(box(-0.27, split - 0.01, 0.27, split + 0.01), dark)
    handle = SHINE if sum(color) < 2.2 else STEEL
    handles = [
        box(0.16, split + 0.06, 0.2, split + 0.24, 0.02),
        box(0.16, split - 0.2, 0.2, split - 0.06, 0.02),
    ]
    canvas.mark(together(handles), handle if round_one else INK)
    if round_one:
        canvas.mark(box(-0.2, split - 0.16, -0.06, split - 0.12, 0.02), handle)
    else:
        notes = [
            (-0.18, split - 0.2, "f2c13d"),
            (-0.06, split - 0.17, "e2574c"),
            (-0.14, split + 0.12, "5fa8d0"),
        ]
        for x, y, code in notes[: int(look.generator.integers(1, 4))]:
            canvas.mark(box(x, y, x + 0.09, y + 0.09, 0.01), rgb(code))
    canvas.mark(box(-0.22, split + 0.06, -0.18, -0.14, 0.02), shade(color, 0.4), alpha=0.7)
