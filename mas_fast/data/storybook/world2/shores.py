"""Places at the water: lake, river, beach and sea."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import (
    blob,
    box,
    ellipse,
    ground,
    limb,
    mix,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.greens import draw_bush, draw_flowers, draw_reeds
from mas_fast.data.storybook.world2.ground import draw_bands, draw_tufts
from mas_fast.data.storybook.world2.land import (
    HORIZON,
    draw_field,
    draw_hills,
    draw_light,
    draw_mountains,
    draw_rocks,
    line_at,
    rolling,
)
from mas_fast.data.storybook.world2.plants import draw_tree, draw_wood
from mas_fast.data.storybook.world2.water import (
    LAKE,
    RIVER,
    SEA,
    draw_sea,
    draw_swell,
    draw_water,
    winding,
)

SAND = rgb("f0dcab")


def draw_lake(brush: Brush) -> None:
    """Draw a lake that mirrors mountains or hills and a wood, behind a shore with reeds."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.65):
        draw_mountains(brush, y + 0.02, y - brush.between(0.2, 0.3), 0.38, 0.45)
    draw_hills(brush, y, rise=0.08)
    line = y + 0.045
    bank = [line - h for h in (0.012, 0.018, 0.01, 0.014, 0.02)]
    draw_wood(brush, brush.pick(("pine", "mixed", "leaf")), line - 0.008, 0.11, 0.22)
    draw_field(brush, bank, 0.12, bottom=line + 0.02)
    draw_light(brush, y + 0.02, 0.7)
    draw_water(brush, box(-0.02, line, 1.02, 0.86), line, 0.78, LAKE, "water-other", 0.8)
    shore = [0.75 - side * 0.03, 0.772, 0.768, 0.75 + side * 0.03]
    brush.canvas.mark(ground([h - 0.008 for h in shore], 0.82), brush.palette.low, lit=False,
                      alpha=0.5)  # fmt: skip
    draw_field(brush, shore)
    draw_bands(brush, 0.8, 2)
    draw_reeds(brush, 0.5 + side * 0.42, 0.8, 0.14)
    if brush.chance(0.6):
        draw_rocks(brush, 0.5 - side * 0.42, 0.785, 0.05)
    draw_tufts(brush, 0.82, 0.97, 7)


def draw_river(brush: Brush) -> None:
    """Draw a river that comes from between hills and flows past us."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.4):
        draw_mountains(brush, y, y - 0.2, 0.42)
    draw_hills(brush, y)
    field = rolling(brush, y + 0.02, 0.02)
    draw_wood(brush, "mixed", 0, 0.06, 0.3, _reach(-side), line_at(field))
    draw_field(brush, field, 0.1)
    draw_light(brush, y, 0.7)
    draw_tree(brush, "poplar", 0.5 - side * 0.42, y + 0.06, 0.26, 0.06)
    draw_tree(brush, "oak", 0.5 - side * 0.32, y + 0.06, 0.17, 0.08)
    draw_tree(brush, "birch", 0.5 + side * 0.43, y + 0.045, 0.2, 0.08)

    flow = winding(y + 0.022, 0.58, 0.5 + side * 0.1, side)
    upper = [(-0.05, 0.572), (0.2, 0.565), (0.5, 0.572), (0.8, 0.562), (1.05, 0.57)]
    lower = [(1.05, 0.725), (0.75, 0.705), (0.5, 0.72), (0.25, 0.7), (-0.05, 0.72)]
    bend = blob([*upper, *lower])
    both = together([flow, bend])
    with brush.canvas.segment("river"):
        edge = blob([(x, v - 0.006 if v < 0.6 else v + 0.016) for x, v in [*upper, *lower]])
        bank = rgb("e8eef6" if brush.winter else "d9c08c")
        brush.mark(edge, bank, to=shade(bank, -0.12))
    draw_water(brush, both, 0.568, 0.71, RIVER, "river", 0.6)
    draw_rocks(brush, 0.5 + side * 0.41, 0.755, 0.055)
    draw_rocks(brush, 0.5 - side * 0.43, 0.665, 0.032)
    draw_bands(brush, 0.76, 2)
    if brush.chance(0.5):
        draw_reeds(brush, 0.5 - side * 0.44, 0.755, 0.11)
    else:
        draw_bush(brush, 0.5 - side * 0.43, 0.775, 0.05)
    draw_tufts(brush, 0.78, 0.97, 8)
    if brush.chance(0.6):
        draw_flowers(brush, 0.5 - side * 0.3, 0.775, 0.04)


def _reach(side: int) -> tuple[float, float]:
    left, right = sorted((0.5 + side * 0.02, 0.5 + side * 0.55))
    return left, right


def draw_beach(brush: Brush) -> None:
    """Draw a beach: the sea with a headland far off, foam, sand, a palm or rocks."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.55):
        _headland(brush, y, side)
    draw_sea(brush, y, 0.76)
    shore = [0.735 + side * 0.03, 0.752, 0.73, 0.748, 0.745 - side * 0.03]
    with brush.canvas.segment("sea"):
        shallow = ground([h - 0.06 for h in shore], 0.8)
        brush.mark(shallow, mix(SEA, rgb("bfeee0"), 0.6), alpha=0.4)
        brush.mark(ground([h - 0.022 - 0.006 * (-1) ** i for i, h in enumerate(shore)], 0.8),
                   rgb("ffffff"), alpha=0.5)  # fmt: skip
        brush.mark(ground([h - 0.012 for h in shore], 0.8), rgb("ffffff"), alpha=0.9)
    with brush.canvas.segment("sand"):
        brush.fill(ground(shore), shade(SAND, -0.16), to=shade(SAND, -0.16))
        dry = [h + 0.035 + 0.006 * (-1) ** i for i, h in enumerate(shore)]
        brush.mark(ground(dry), mix(SAND, rgb("fff4d6"), 0.5), to=shade(SAND, -0.1))
        ripples = []
        for _ in range(5):
            x, at, half = brush.between(0, 1), brush.between(0.82, 0.97), brush.between(0.08, 0.16)
            ripples.append(
                limb([(x - half, at + 0.005), (x, at - 0.005), (x + half, at + 0.003)], 0.006)
            )
        brush.mark(together(ripples), shade(SAND, -0.13), alpha=0.6)
        shells = [
            ellipse(x, 0.81 + 0.16 * d, 0.008, 0.006) for x, d in brush.generator.random((5, 2))
        ]
        brush.mark(together(shells), rgb("fff6ec"))
    draw_light(brush, y, 0.7)
    if brush.trees and brush.chance(0.6):
        draw_tree(brush, "palm", 0.5 + side * 0.41, 0.81, 0.6)
    elif brush.chance(0.7):
        draw_rocks(brush, 0.5 + side * 0.42, 0.79, 0.07)


def _headland(brush: Brush, y: float, side: int) -> None:
    hill = [
        (0.5 + side * (0.56 - k), y + 0.004 - rise)
        for k, rise in ((0.0, 0.1), (0.12, 0.085), (0.24, 0.05), (0.36, 0.028), (0.44, 0.0))
    ]
    with brush.canvas.segment("mountain-merged"):
        shape = blob(hill, closed=False)
        shape.lineTo(0.5 + side * 0.56, y + 0.004)
        shape.close()
        brush.fill(shape, rgb("79a184"), to=rgb("6a9180"), far=0.38)


def draw_open_sea(brush: Brush) -> None:
    """Draw the open sea with swells, sometimes an island far off."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.5):
        x = 0.5 + side * brush.between(0.2, 0.36)
        with brush.canvas.segment("mountain-merged"):
            for dx, wide, high, far in ((0.1, 0.14, 0.05, 0.55), (0.0, 0.17, 0.085, 0.42)):
                hill = [(x + dx - wide, y + 0.01), (x + dx - wide * 0.4, y - high * 0.6),
                        (x + dx + wide * 0.1, y - high), (x + dx + wide * 0.5, y - high * 0.4),
                        (x + dx + wide, y + 0.01)]  # fmt: skip
                brush.fill(blob(hill), rgb("7ba68a"), to=rgb("6b917c"), far=far)
    draw_sea(brush, y, 1.0)
    draw_light(brush, y, 0.6)
    for k, top in enumerate((0.66, 0.79, 0.92)):
        draw_swell(brush, rolling(brush, top + 0.012, 0.03, 1.3 + 0.3 * k))
