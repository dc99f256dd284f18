"""Boats on the water, which is at y = 0: with sails, with oars, a steamer, a fishing boat."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    box,
    ellipse,
    limb,
    polygon,
    rgb,
    together,
)
from mas_fast.data.storybook.world2.look import Look, solid
from mas_fast.data.storybook.world2.materials import (
    CREAM,
    DARK_WOOD,
    INK,
    STEEL,
    WOOD,
    accent,
    chance,
    glass,
    glow,
    line,
    pick,
    trim,
)
from mas_fast.data.storybook.world2.shapes import bent, ring, rounded

WIDTHS = {"boat": 1.5}
NATURAL = {"boat": ("red", "blue", "white", "yellow", "green", "orange")}
FOAM: Color = rgb("f3fafc")


def boat(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a boat of one of four types; every other one sails."""
    types = (_sailing, _sailing, _sailing, _rowing, _steamer, _fishing)
    pick(look.generator, types)(canvas, color, look)


def _foam(canvas: Canvas, left: float, right: float) -> None:
    """Draw the bow wave and what the hull leaves behind it."""
    middle = (left + right) / 2
    waves = [
        ellipse(right - 0.1, 0.0, 0.16, 0.022),
        ellipse(left + 0.12, 0.0, 0.2, 0.018),
        ellipse(middle, 0.005, 0.26, 0.014),
    ]
    canvas.mark(together(waves), FOAM, alpha=0.9)


def _sailing(canvas: Canvas, color: Color, look: Look) -> None:
    pale = sum(color) > 2.4
    other = trim(color)
    canvas.fill(limb([(-0.02, -0.2), (-0.02, -0.96)], 0.035), DARK_WOOD)
    canvas.fill(limb([(-0.02, -0.31), (-0.5, -0.29)], 0.035), DARK_WOOD)
    full = chance(look.generator, 0.5)  # the main sail has the colour, or a band of it
    main = bent(
        [(-0.06, -0.94), (-0.09, -0.6), (-0.06, -0.34), (-0.3, -0.3), (-0.5, -0.33), (-0.36, -0.72)]
    )
    cloth = color if full else CREAM
    solid(canvas, main, cloth, look, depth=0.1)
    with canvas.inside(main):
        band = other if full or pale else color
        if chance(look.generator, 0.5):
            canvas.mark(polygon([(-0.6, -0.5), (0, -0.5), (0, -0.6), (-0.6, -0.6)]), band)
        else:
            canvas.mark(ellipse(-0.2, -0.5, 0.09), band)
    jib = bent(
        [(0.03, -0.86), (0.3, -0.62), (0.5, -0.33), (0.26, -0.24), (0.04, -0.3), (0.1, -0.6)]
    )
    solid(canvas, jib, CREAM if full and not pale else color, look, depth=0.1)
    canvas.fill(polygon([(-0.02, -1.0), (-0.02, -0.92), (-0.2, -0.96)]), rgb("d94a3f"))
    cabin = rounded([(-0.3, -0.18), (-0.26, -0.3, 0.04), (0.12, -0.3, 0.06), (0.22, -0.18)])
    solid(canvas, cabin, CREAM if not pale else rgb("b9c9d4"), look)
    ports = [ellipse(x, -0.235, 0.032) for x in (-0.16, -0.03, 0.09)]
    glass(canvas, ports, look)
    hull = bent([(-0.56, -0.2), (-0.1, -0.14), (0.62, -0.26), (0.52, -0.04), (0.34, 0.0),
            (-0.06, 0.0), (-0.44, 0.0), (-0.54, -0.04)])  # fmt: skip
    solid(canvas, hull, color, look, depth=0.15)
    with canvas.inside(hull):
        canvas.mark(box(-0.7, -0.045, 0.7, 0), accent(color, 0.35))
        canvas.mark(limb([(-0.6, -0.16), (-0.1, -0.115), (0.62, -0.2)], 0.03), other)
    _night_light(canvas, 0.5, -0.26, look)
    _foam(canvas, -0.56, 0.5)


def _night_light(canvas: Canvas, x: float, y: float, look: Look) -> None:
    if look.night:
        glow(canvas, x, y, 0.16, look)
        canvas.mark(ellipse(x, y, 0.03), rgb("fff0b8"), lit=False)


def _rowing(canvas: Canvas, color: Color, look: Look) -> None:
    inner = bent(
        [(-0.68, -0.42), (0.0, -0.2), (0.72, -0.46), (0.3, -0.1), (0.0, -0.1), (-0.4, -0.1)]
    )
    canvas.fill(inner, DARK_WOOD)
    seats = [line((-0.4, -0.36), (-0.1, -0.33), 0.06), line((0.18, -0.34), (0.44, -0.38), 0.06)]
    canvas.fill(together(seats), WOOD)
    hull = bent([(-0.68, -0.42), (0.0, -0.18), (0.74, -0.48), (0.66, -0.1), (0.42, 0.0), (0.0, 0.0),
                 (-0.44, 0.0), (-0.62, -0.08)])  # fmt: skip
    solid(canvas, hull, color, look, depth=0.12)
    with canvas.inside(hull):
        rim = [(-0.72, -0.42), (-0.36, -0.325), (0.0, -0.3), (0.4, -0.35), (0.76, -0.48)]
        canvas.mark(limb(rim, 0.08), trim(color))
        plank = [(x, y + 0.13) for x, y in rim]
        canvas.mark(limb(plank, 0.025), accent(color, 0.25))
    canvas.fill(limb([(0.14, -0.52), (-0.4, -0.1)], 0.04), rgb("d9a86a"))  # an oar
    blade = rounded(
        [(-0.34, -0.18), (-0.28, -0.1), (-0.46, 0.0), (-0.6, 0.0), (-0.54, -0.06)], 0.03
    )
    canvas.fill(blade, rgb("d9a86a"))
    canvas.mark(ellipse(-0.03, -0.39, 0.04), STEEL)
    _night_light(canvas, 0.7, -0.5, look)
    _foam(canvas, -0.62, 0.62)


def _steamer(canvas: Canvas, color: Color, look: Look) -> None:
    pale = sum(color) > 2.4
    smoke = [
        (-0.16, -0.92, 0.05),
        (-0.3, -0.94, 0.055),
        (-0.46, -0.93, 0.065),
        (-0.63, -0.94, 0.05),
    ]
    canvas.mark(together(ellipse(*puff) for puff in smoke), rgb("e8e9ec"), alpha=0.9)
    for x in (-0.24, 0.08):
        funnel = rounded(
            [(x - 0.075, -0.5), (x - 0.06, -0.86), (x + 0.08, -0.86), (x + 0.085, -0.5)], 0.02
        )
        solid(canvas, funnel, color if not pale else rgb("d0483e"), look, depth=0.2)
        with canvas.inside(funnel):
            canvas.mark(box(x - 0.1, -0.9, x + 0.12, -0.79), INK)
            canvas.mark(box(x - 0.1, -0.72, x + 0.12, -0.66), trim(color) if not pale else CREAM)
    house = CREAM if not pale else rgb("dfe6ea")
    solid(canvas, box(-0.4, -0.56, 0.3, -0.38, 0.03), house, look, depth=0.12)
    solid(canvas, box(-0.54, -0.4, 0.46, -0.22, 0.03), house, look, depth=0.12)
    canvas.fill(box(-0.44, -0.58, 0.36, -0.54, 0.02), accent(color, 0.1))
    canvas.fill(box(-0.58, -0.42, 0.5, -0.385, 0.02), accent(color, 0.1))
    canvas.fill(box(0.16, -0.68, 0.36, -0.54, 0.03), house)
    panes = [box(0.22, -0.65, 0.345, -0.58, 0.02)]
    panes += [box(x, -0.52, x + 0.09, -0.44, 0.02) for x in (-0.34, -0.2, -0.06, 0.08)]
    panes += [box(x, -0.355, x + 0.1, -0.27, 0.02) for x in (-0.46, -0.28, -0.1, 0.08, 0.26)]
    glass(canvas, panes, look)
    hull = bent([(-0.68, -0.28), (0.0, -0.2), (0.74, -0.36), (0.64, -0.1), (0.52, 0.0), (0.0, 0.0),
                 (-0.52, 0.0), (-0.66, -0.08)])  # fmt: skip
    solid(canvas, hull, color, look, depth=0.15)
    with canvas.inside(hull):
        canvas.mark(box(-0.8, -0.055, 0.8, 0), accent(color, 0.4) if not pale else rgb("c8443a"))
        canvas.mark(limb([(-0.7, -0.24), (0.0, -0.2), (0.76, -0.3)], 0.035), trim(color))
    ports = [ellipse(x, -0.125, 0.028) for x in (-0.34, -0.14, 0.06, 0.26)]
    canvas.mark(together(ports), rgb("ffe08a") if look.night else INK, lit=not look.night)
    _foam(canvas, -0.66, 0.6)


def _fishing(canvas: Canvas, color: Color, look: Look) -> None:
    pale = sum(color) > 2.4
    canvas.fill(limb([(-0.26, -0.2), (-0.26, -0.92)], 0.04), DARK_WOOD)
    canvas.fill(limb([(-0.26, -0.34), (-0.64, -0.72)], 0.03), DARK_WOOD)
    canvas.mark(
        together(
            (line((-0.26, -0.9), (-0.63, -0.72), 0.014), line((-0.26, -0.9), (0.5, -0.4), 0.014))
        ),
        INK,
    )
    canvas.fill(polygon([(-0.26, -1.0), (-0.26, -0.88), (-0.46, -0.94)]), rgb("e9b53c"))
    net = rounded([(-0.62, -0.24), (-0.56, -0.4, 0.1), (-0.42, -0.42, 0.1), (-0.36, -0.24)])
    canvas.fill(net, rgb("4f8f86"))
    cabin = rounded([(-0.12, -0.26), (-0.12, -0.66), (0.24, -0.66), (0.3, -0.26)], 0.03)
    solid(canvas, cabin, CREAM if not pale else rgb("7fb0c8"), look)
    roof = rounded([(-0.2, -0.64), (-0.16, -0.72), (0.28, -0.72), (0.36, -0.64)], 0.03)
    canvas.fill(roof, rgb("d0483e") if pale else accent(color, 0.15))
    glass(canvas, [box(-0.06, -0.58, 0.06, -0.44, 0.02), box(0.12, -0.58, 0.24, -0.44, 0.02)], look)
    hull = bent([(-0.68, -0.3), (0.04, -0.14), (0.74, -0.48), (0.66, -0.14), (0.5, 0.0), (0.0, 0.0),
                 (-0.48, 0.0), (-0.62, -0.08)])  # fmt: skip
    solid(canvas, hull, color, look, depth=0.13)
    with canvas.inside(hull):
        canvas.mark(box(-0.8, -0.05, 0.8, 0), accent(color, 0.4) if not pale else rgb("c8443a"))
        canvas.mark(
            limb([(-0.7, -0.27), (-0.2, -0.2), (0.3, -0.25), (0.76, -0.42)], 0.05), trim(color)
        )
    canvas.fill(ring(-0.26, -0.14, 0.075, 0.035), rgb("f3ead8"))
    canvas.mark(
        together(box(-0.26 - 0.08 + dx, -0.16, -0.26 - 0.035 + dx, -0.12) for dx in (0, 0.115)),
        rgb("d94a3f"),
    )
    _night_light(canvas, -0.26, -0.86, look)
    _foam(canvas, -0.62, 0.6)
