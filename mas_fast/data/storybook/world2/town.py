"""Places that people have made: garden, park, street and bridge."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import blob, box, ellipse, mix, polygon, rgb, shade, together
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.buildings import (
    draw_bridge,
    draw_houses,
    draw_pickets,
    draw_skyline,
)
from mas_fast.data.storybook.world2.greens import draw_bush, draw_flowers, draw_stalks
from mas_fast.data.storybook.world2.ground import (
    ASPHALT,
    PATH,
    STONE,
    draw_bands,
    draw_paving,
    draw_roadway,
    draw_tufts,
)
from mas_fast.data.storybook.world2.land import (
    HORIZON,
    draw_field,
    draw_hills,
    draw_light,
    draw_mountains,
    grass_color,
    line_at,
    rolling,
)
from mas_fast.data.storybook.world2.plants import SNOW, draw_tree, draw_wood, leaf_color
from mas_fast.data.storybook.world2.water import LAKE, RIVER, draw_water, fill_water, winding


def draw_garden(brush: Brush) -> None:
    """Draw a lawn in front of a picket fence and a hedge, with flower beds and stepping stones."""
    y, side = brush.between(*HORIZON), brush.side()
    draw_hills(brush, y, rise=0.07)
    draw_wood(brush, "leaf", y + 0.03, 0.13, 0.3)
    draw_field(brush, [y + 0.03] * 4, 0.1, bottom=y + 0.14)
    draw_tree(brush, "oak", 0.5 + side * 0.36, y + 0.1, 0.4, 0.03)
    _hedge(brush, y + 0.115, 0.085)
    draw_pickets(brush, y + 0.14, 0.085, rgb(brush.pick(("fbf6ea", "fbf6ea", "c7a075"))))
    draw_field(brush, [y + 0.135] * 4)
    if not brush.winter:  # mown stripes
        grass, stripes = grass_color(brush), []
        for i in range(-4, 5, 2):
            top, low = 0.5 + i * 0.12, 0.5 + i * 0.2
            stripes.append(
                polygon([(top, y + 0.14), (top + 0.12, y + 0.14), (low + 0.2, 1.0), (low, 1.0)])
            )
        brush.mark(together(stripes), shade(grass, 0.22), alpha=0.3)
    _stones(brush, y + 0.15, 0.5 - side * 0.1, 0.5 - side * 0.25)
    draw_light(brush, y)
    for x, low, size in ((0.44, 0.17, 0.055), (0.26, 0.155, 0.045), (-0.43, 0.165, 0.055),
                         (-0.3, 0.152, 0.04)):  # fmt: skip
        if brush.flowers:
            draw_flowers(brush, 0.5 + side * x, y + low + 0.01, size)
        else:
            draw_bush(brush, 0.5 + side * x, y + low, size)
    for x, size in ((0.36, 0.1), (-0.38, 0.09)):
        draw_stalks(brush, 0.5 + side * x, y + 0.16, size)
    draw_tufts(brush, 0.72, 0.95, 5)


def _hedge(brush: Brush, y: float, height: float) -> None:
    if not brush.trees:
        return
    green = (
        mix(rgb("5f9a55"), rgb("8d98a8"), 0.45) if brush.winter else shade(leaf_color(brush), -0.1)
    )
    heaps = [ellipse((i + 0.5) / 9, y - height * 0.85, 0.075, height * brush.between(0.2, 0.34))
             for i in range(9)]  # fmt: skip
    shape = together([box(-0.02, y - height * 0.86, 1.02, y), *heaps])
    with brush.canvas.segment("tree-merged"):
        brush.fill(shape, shade(green, 0.06), to=shade(green, -0.2), far=0.04)
        if brush.winter:
            snow = [
                ellipse((i + 0.5) / 9, y - height * 1.02, 0.06, height * 0.12) for i in range(9)
            ]
            with brush.canvas.inside(shape):
                brush.mark(together(snow), SNOW)


def _stones(brush: Brush, top: float, far: float, near: float) -> None:
    """Draw stepping stones that lead into depth."""
    color = mix(STONE, SNOW, 0.6) if brush.winter else STONE
    stones, shadows = [], []
    for i in range(7):
        share = (i / 6) ** 1.5
        y, r = top + (0.97 - top) * share, 0.022 + 0.05 * share
        x = far + (near - far) * share + (-1) ** i * 0.012 * (1 + share)
        stones.append(ellipse(x, y, r, r * 0.34))
        shadows.append(ellipse(x, y + r * 0.1, r, r * 0.36))
    with brush.canvas.segment("pavement-merged"):
        brush.fill(together(shadows), shade(color, -0.3))
        brush.fill(together(stones), color)


def draw_park(brush: Brush) -> None:
    """Draw lawns with a pond, a bent path and trees, before a wood and towers far off."""
    y, side = brush.between(*HORIZON), brush.side()
    draw_skyline(brush, y + 0.02, brush.between(0.16, 0.24), 0.5,
                 (0.1, 0.75) if side > 0 else (0.25, 0.9))  # fmt: skip
    draw_wood(brush, "leaf", y + 0.035, 0.13, 0.3)
    draw_field(brush, rolling(brush, y + 0.03, 0.012), 0.1, bottom=y + 0.13)
    pond = brush.chance(0.5)
    if pond:
        x = 0.5 - side * 0.2
        shape = ellipse(x, y + 0.075, 0.22, 0.026)
        with brush.canvas.segment("water-other"):
            brush.mark(ellipse(x, y + 0.073, 0.23, 0.03), shade(grass_color(brush), -0.2))
        draw_water(brush, shape, y + 0.05, y + 0.1, LAKE, "water-other", 0.6)
    draw_field(brush, rolling(brush, y + 0.115, 0.012), 0.02)
    color = mix(PATH, rgb("e6ebf2"), 0.6) if brush.winter else mix(PATH, rgb("f4e3c0"), 0.4)
    bend = [(-0.56, 0.6), (-0.2, 0.592), (0.1, 0.632), (0.56, 0.632), (0.56, 0.7), (0.08, 0.698),
            (-0.22, 0.637), (-0.56, 0.65)]  # fmt: skip
    with brush.canvas.segment("pavement-merged"):
        points = [(0.5 + side * o, max(d, y + 0.09)) for o, d in bend]
        brush.fill(blob(points), shade(color, 0.1), to=shade(color, -0.08))
    draw_bands(brush, 0.7, 2)
    draw_light(brush, y)
    draw_bush(brush, 0.5 - side * 0.26, y + 0.1, 0.06, 0.05)
    draw_bush(brush, 0.5 + side * 0.2, y + 0.095, 0.05, 0.06)
    draw_tree(brush, brush.pick(("birch", "oak")), 0.5 - side * 0.41, y + 0.1, 0.32, 0.03)
    draw_tree(brush, "oak", 0.5 + side * 0.38, y + 0.12, 0.38)
    draw_tufts(brush, 0.73, 0.95, 7)
    draw_flowers(brush, 0.5 - side * 0.36, 0.735, 0.055)
    draw_flowers(brush, 0.5 + side * 0.4, 0.728, 0.045)


def draw_street(brush: Brush) -> None:
    """Draw a row of town houses, a pavement and a road."""
    if brush.buildings:
        draw_houses(brush, 0.665)
    else:
        draw_wood(brush, "leaf", 0.6, 0.16, 0.2)
        _hedge(brush, 0.665, 0.14)
    with brush.canvas.segment("pavement-merged"):
        draw_paving(brush, 0.66, 0.79)
        if brush.sky.dark and brush.buildings:  # light from the windows
            pools = [ellipse(x, 0.69, 0.09, 0.018) for x in (0.2, 0.52, 0.83)]
            brush.canvas.mark(together(pools), rgb("ffd67a"), lit=False, alpha=0.14)
        brush.fill(box(-0.02, 0.782, 1.02, 0.796), shade(STONE, 0.25))
        brush.fill(box(-0.02, 0.794, 1.02, 0.812), shade(STONE, -0.28))
    with brush.canvas.segment("road"):
        draw_roadway(brush, 0.808, 1.03, shade(ASPHALT, -0.05))
    draw_light(brush, 0.66, 0.8)
    if brush.trees and brush.chance(0.6):
        draw_tree(brush, brush.pick(("oak", "birch")), brush.pick((0.06, 0.94)), 0.69, 0.4)


def draw_bridge_place(brush: Brush) -> None:
    """Draw a bridge over a river that comes from between hills."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.5):
        draw_mountains(brush, y, y - 0.24, 0.4)
    draw_hills(brush, y)
    field = rolling(brush, y + 0.025, 0.02)
    draw_wood(brush, "mixed", 0, 0.07, 0.3, (-0.03, 0.42), line_at(field))
    draw_wood(brush, "mixed", 0, 0.07, 0.3, (0.62, 1.03), line_at(field))
    draw_field(brush, field, 0.1, bottom=0.7)
    draw_light(brush, y, 0.7)
    draw_tree(brush, "oak", 0.5 + side * 0.42, y + 0.09, 0.25, 0.06)
    draw_tree(brush, "poplar", 0.5 - side * 0.4, y + 0.09, 0.27, 0.06)

    flow = together(
        [winding(y + 0.03, 0.665, 0.5 + side * 0.08, side), box(-0.02, 0.66, 1.02, 0.84)]
    )
    with brush.canvas.segment("river"):
        fill_water(brush, flow, RIVER)
    draw_bridge(brush, 0.66)
    draw_water(brush, box(-0.02, 0.825, 1.02, 1.02), 0.825, 1.0, RIVER, "river", 0.62)
    brush.mark(box(-0.02, 0.822, 1.02, 0.83), rgb("16384a"), alpha=0.3)  # where they meet
