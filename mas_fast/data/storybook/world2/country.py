"""Places in the open country: meadow, farm, road and railway."""

from __future__ import annotations

import skia

from mas_fast.data.storybook.canvas import Color, blob, ground, mix, polygon, rgb, shade, together
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.buildings import draw_barn, draw_fence
from mas_fast.data.storybook.world2.greens import draw_bush, draw_flowers, meadow_flowers
from mas_fast.data.storybook.world2.ground import (
    draw_bands,
    draw_path,
    draw_roadway,
    draw_track,
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
from mas_fast.data.storybook.world2.plants import draw_tree, draw_wood

BROAD = ("oak", "oak", "birch", "poplar")


def draw_meadow(brush: Brush) -> None:
    """Draw hills, a wood on one side, rolling grass, often a path, trees to the sides."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.35):
        draw_mountains(brush, y, y - 0.17, 0.5, 0.25)
    draw_hills(brush, y)
    line = rolling(brush, y + 0.035, 0.035)
    draw_wood(brush, brush.pick(("leaf", "mixed")), 0, 0.06, 0.34, _reach(side, 0.55, 0.1),
              line_at(line))  # fmt: skip
    draw_field(brush, line, 0.14, bottom=y + 0.13)
    near = rolling(brush, y + 0.11, 0.04)
    draw_field(brush, near, 0.04)
    if brush.chance(0.6):
        draw_path(brush, y + 0.055, 0.5 + side * brush.between(0.1, 0.35), 0.5 - side * 0.1,
                  0.2, ground(near))  # fmt: skip
    else:
        draw_bands(brush, y + 0.13)
    draw_light(brush, y)
    draw_tree(brush, brush.pick(("oak", "oak", "birch")), 0.5 + side * 0.37, y + 0.15, 0.36)
    draw_tree(brush, brush.pick(BROAD), 0.5 - side * 0.4, y + 0.09, 0.2, 0.12)
    draw_tufts(brush, 0.68, 0.95)
    meadow_flowers(brush, 0.67, 0.9, 14)


def _reach(side: int, outer: float, inner: float) -> tuple[float, float]:
    """Return the span from beyond one border to some way past the middle."""
    left, right = sorted((0.5 - side * outer, 0.5 + side * inner))
    return left, right


CROPS = {"spring": "8cc35c", "summer": "ecc95e", "autumn": "bd8e55", "winter": "dfe8f2"}


def draw_farm(brush: Brush) -> None:
    """Draw hills, fields in rows, a barn behind a fence, a yard of grass."""
    y, side = brush.between(*HORIZON), brush.side()
    draw_hills(brush, y, rise=0.07)
    draw_field(brush, rolling(brush, y + 0.015, 0.02), 0.16, bottom=0.7)
    _rows(brush, y + 0.012, 0.5 - side * 0.16, rgb(CROPS[brush.season]))
    draw_light(brush, y)
    draw_wood(brush, "leaf", y + 0.025, 0.05, 0.3, _reach(-side, 0.55, -0.22))
    draw_barn(brush, 0.5 + side * 0.3, y + 0.075, 0.2)
    draw_tree(brush, "oak", 0.5 + side * 0.45, y + 0.11, 0.26)
    draw_tree(brush, brush.pick(BROAD), 0.5 - side * 0.42, y + 0.07, 0.2, 0.1)
    draw_field(brush, rolling(brush, 0.69, 0.012))
    draw_bands(brush, 0.7)
    draw_fence(brush, 0.705, 0.1, rgb(brush.pick(("f3ecde", "b18455", "a06a44"))))
    draw_tufts(brush, 0.74, 0.95, 7)
    if brush.chance(0.6):
        draw_flowers(brush, 0.5 + side * 0.42, 0.735, 0.05)


def _rows(brush: Brush, y: float, middle: float, crop: Color) -> None:
    """Draw rows of crop that meet far off."""
    bright: list[skia.Path] = []
    dark: list[skia.Path] = []
    for i in range(-9, 10):
        top, low = middle + i * 0.022, middle + i * 0.12
        strip = [(top, y), (top + 0.022, y), (low + 0.12, 0.7), (low, 0.7)]
        (bright if i % 2 else dark).append(polygon(strip))
    with brush.canvas.segment("snow" if brush.winter else "grass-merged"):
        brush.mark(together(dark), shade(crop, -0.14), far=0.06)
        brush.mark(together(bright), shade(crop, 0.1), far=0.06)


def draw_road(brush: Brush) -> None:
    """Draw a country road across the picture, before fields and hills."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.4):
        draw_mountains(brush, y, y - 0.2, 0.45)
    draw_hills(brush, y)
    line = rolling(brush, y + 0.03, 0.03)
    draw_wood(brush, "mixed", 0, 0.06, 0.34, _reach(side, 0.55, -0.05), line_at(line))
    draw_field(brush, line, 0.12, bottom=y + 0.16)
    _patches(brush, y + 0.05)
    draw_field(brush, rolling(brush, y + 0.14, 0.025), 0.02)
    draw_light(brush, y)
    for k, (x, size) in enumerate(((0.45, 0.3), (0.35, 0.25), (0.27, 0.21))):
        draw_tree(brush, "poplar", 0.5 + side * x, y + 0.14 - 0.025 * k, size, 0.06 * k)
    draw_tree(brush, brush.pick(("oak", "birch")), 0.5 - side * 0.42, y + 0.12, 0.24, 0.05)
    draw_bush(brush, 0.5 - side * 0.28, y + 0.13, 0.045, 0.06)
    draw_tufts(brush, 0.68, 0.75, 6)
    with brush.canvas.segment("road"):
        draw_roadway(brush, 0.77, 0.955)
    draw_tufts(brush, 0.975, 1.0, 5)


def _patches(brush: Brush, y: float) -> None:
    """Draw fields of another colour on the slopes far off."""
    side, crop = brush.side(), rgb(CROPS[brush.season])
    far = [(0.5 - side * 0.06, y + 0.025), (0.5 + side * 0.28, y), (0.5 + side * 0.6, y + 0.01),
           (0.5 + side * 0.6, y + 0.12), (0.5 + side * 0.1, y + 0.12)]  # fmt: skip
    brush.mark(blob(far), mix(crop, grass_color(brush), 0.45), far=0.12)


def draw_railway(brush: Brush) -> None:
    """Draw a track across the picture, before a wood and hills."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.5):
        draw_mountains(brush, y, y - 0.22, 0.4)
    draw_hills(brush, y)
    line = rolling(brush, y + 0.05, 0.03)
    draw_wood(brush, brush.pick(("pine", "mixed")), 0, 0.1, 0.26, slope=line_at(line))
    draw_field(brush, line, 0.1, bottom=y + 0.15)
    draw_field(brush, rolling(brush, y + 0.13, 0.025))
    draw_light(brush, y)
    draw_tree(brush, brush.pick(("oak", "birch")), 0.5 + side * 0.42, y + 0.15, 0.32)
    draw_bush(brush, 0.5 - side * 0.42, y + 0.16, 0.06)
    draw_bush(brush, 0.5 - side * 0.33, y + 0.15, 0.04, 0.05)
    draw_tufts(brush, 0.68, 0.76, 7)
    draw_track(brush, 0.85)
    draw_tufts(brush, 0.96, 1.0, 5)
