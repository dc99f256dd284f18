"""What lies on the ground: tufts, paths, pebbles, paving, planks, roadways. Little of each."""

from __future__ import annotations

import math

import skia

from mas_fast.data.storybook.canvas import (
    Color,
    Point,
    blob,
    box,
    ellipse,
    mix,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.brush import Brush, trail
from mas_fast.data.storybook.world2.greens import tufts
from mas_fast.data.storybook.world2.land import grass_color

PATH, ASPHALT, STONE = rgb("dcc08c"), rgb("7b7f88"), rgb("cfc6b8")


def draw_tufts(brush: Brush, top: float, bottom: float, count: int = 9) -> None:
    """Draw tufts of grass, larger in the foreground; through snow, dry ones."""
    color = rgb("a9b7c6") if brush.winter else shade(grass_color(brush), -0.2)
    near: list[Point] = []
    far: list[Point] = []
    for x, share in brush.generator.random((count, 2)):
        (near if share > 0.5 else far).append((x, top + (bottom - top) * share))
    if far:
        brush.mark(tufts(far, 0.016), color, alpha=0.75)
    if near:
        brush.mark(tufts(near, 0.028), color, alpha=0.75)


def draw_bands(brush: Brush, top: float, count: int = 2) -> None:
    """Draw soft sweeps over a field, lighter and darker, which give it depth."""
    for k in range(count):
        y = top + (0.98 - top) * (k + brush.between(0.2, 0.7)) / count
        side, thick = brush.side(), 0.016 + 0.05 * (y - top)
        points = [(0.5 - side * 0.6, y + thick), (0.5 - side * 0.1, y - thick * 0.5),
                  (0.5 + side * 0.6, y - thick * 0.2), (0.5 + side * 0.6, y + thick),
                  (0.5 + side * 0.1, y + thick * 0.8)]  # fmt: skip
        base = grass_color(brush)
        tone = mix(base, rgb("b2c4dc"), 0.5) if brush.winter else shade(base, -0.16)
        brush.mark(blob(points), tone if k % 2 == 0 else shade(base, 0.22), alpha=0.4)


def draw_path(
    brush: Brush, top: float, start: float, end: float, wide: float, land: skia.Path
) -> None:
    """Draw a path that winds into depth.

    Args:
        brush: draws it.
        top: y of its far end.
        start: x of its near end.
        end: x of its far end.
        wide: its width at the near end.
        land: where it is seen: it begins behind a rise of the land.
    """
    bend, bottom = brush.between(0.05, 0.12) * brush.side(), 1.02

    def middle(y: float) -> float:
        share = (y - top) / (bottom - top)
        swing = bend * math.sin(2 * math.pi * share**0.7) * (0.4 + share)
        return end + (start - end) * share + swing

    color = mix(PATH, rgb("d9e2ee"), 0.62) if brush.winter else PATH
    shape = trail(middle, top, bottom, 0.012, wide)
    with brush.canvas.segment("dirt-merged"), brush.canvas.inside(land):
        brush.fill(shape, mix(color, rgb("fff3cf"), 0.25), to=shade(color, -0.1))
        lane = trail(middle, top, bottom, 0.006, wide * 0.5)
        brush.mark(lane, shade(color, 0.25), alpha=0.5)


def draw_pebbles(brush: Brush, top: float, bottom: float, color: Color, count: int = 8) -> None:
    """Draw pebbles, in the picture alone."""
    stones = []
    for x, share in brush.generator.random((count, 2)):
        r = 0.005 + 0.007 * share
        stones.append(ellipse(x, top + (bottom - top) * share, r * 1.5, r * 0.8))
    brush.mark(together(stones), color)


def draw_roadway(brush: Brush, top: float, bottom: float, color: Color = ASPHALT) -> None:
    """Draw a road across the picture, with lines at its edges and a broken one in its middle."""
    if brush.winter:
        color = mix(color, rgb("aab4c2"), 0.4)
    brush.fill(box(-0.02, top, 1.02, bottom), shade(color, 0.14), to=shade(color, -0.1))
    white = rgb("f0eee6")
    edges = [
        box(-0.02, top + 0.01, 1.02, top + 0.017),
        box(-0.02, bottom - 0.02, 1.02, bottom - 0.01),
    ]
    brush.mark(together(edges), white, alpha=0.85)
    middle, dashes = top + (bottom - top) * 0.46, []
    for i in range(-3, 4):
        x, low = 0.5 + i * 0.19, 0.5 + i * 0.2
        dashes.append(
            polygon(
                [
                    (x - 0.05, middle - 0.006),
                    (x + 0.05, middle - 0.006),
                    (low + 0.053, middle + 0.009),
                    (low - 0.053, middle + 0.009),
                ]
            )
        )
    brush.mark(together(dashes), rgb("f5d77c"))
    if brush.sky.weather == "rain":
        puddles = [ellipse(brush.between(0.1, 0.9), brush.between(top + 0.05, bottom - 0.03),
                           brush.between(0.06, 0.12), 0.009) for _ in range(3)]  # fmt: skip
        brush.canvas.mark(together(puddles), brush.palette.low, lit=False, alpha=0.5)


def draw_paving(brush: Brush, top: float, bottom: float, color: Color = STONE) -> None:
    """Draw slabs across the picture that run towards a point above its middle."""
    brush.fill(box(-0.02, top, 1.02, bottom), shade(color, -0.06), to=shade(color, 0.12))
    joints = []
    for i in range(-6, 7):
        x, low = 0.5 + (i + 0.5) * 0.1, 0.5 + (i + 0.5) * 0.12
        joints.append(polygon([(x, top), (x + 0.006, top), (low + 0.007, bottom), (low, bottom)]))
    y = top + (bottom - top) * 0.42
    joints.append(box(-0.02, y, 1.02, y + 0.006))
    brush.mark(together(joints), shade(color, -0.2), alpha=0.55)
    if brush.winter:
        hem = [
            (-0.05, 0.01),
            (0.3, 0.02),
            (0.6, 0.008),
            (1.05, 0.02),
            (1.05, -0.01),
            (-0.05, -0.01),
        ]
        drift = blob([(x, top + down) for x, down in hem])
        brush.mark(drift, rgb("f4f8fd"), alpha=0.9)


def draw_planks(brush: Brush, top: float, color: Color, fan: int = 6) -> None:
    """Draw a floor of boards that run towards us, below y = top."""
    brush.fill(box(-0.02, top, 1.02, 1.02), shade(color, -0.05), to=shade(color, 0.08))
    strips, joints = [], []
    for i in range(-fan, fan):
        a, b, c, d = 0.5 + i * 0.085, 0.585 + i * 0.085, 0.5 + i * 0.16, 0.66 + i * 0.16
        if i % 2:
            strips.append(polygon([(a, top), (b, top), (d, 1.02), (c, 1.02)]))
        share = 0.25 + 0.5 * ((i * 7) % 10) / 10
        y = top + (1.0 - top) * share
        left, right = a + (c - a) * share, b + (d - b) * share
        joints.append(polygon([(left, y), (right, y), (right, y + 0.005), (left, y + 0.005)]))
    brush.mark(together(strips), shade(color, -0.1), alpha=0.55)
    brush.mark(together(joints), shade(color, -0.3), alpha=0.5)


def draw_track(brush: Brush, y: float) -> None:
    """Draw a track across the picture; wheels stand at y."""
    bed, wood, steel = rgb("a79c90"), rgb("76543b"), rgb("cdd3d9")
    if brush.winter:
        bed = mix(bed, rgb("e6edf5"), 0.6)
    with brush.canvas.segment("railroad"):
        edge = [
            (-0.02, y - 0.065),
            (0.3, y - 0.072),
            (0.7, y - 0.066),
            (1.02, y - 0.07),
            (1.02, y + 0.085),
            (0.6, y + 0.08),
            (0.2, y + 0.086),
            (-0.02, y + 0.08),
        ]
        brush.fill(polygon(edge), shade(bed, 0.08), to=shade(bed, -0.16))
        draw_pebbles(brush, y - 0.05, y + 0.07, shade(bed, 0.2), 12)
        sleepers = []
        for i in range(13):
            x = i / 12
            top, low = 0.5 + (x - 0.5) * 1.02, 0.5 + (x - 0.5) * 1.14
            sleepers.append(
                polygon(
                    [
                        (top - 0.016, y - 0.05),
                        (top + 0.016, y - 0.05),
                        (low + 0.02, y + 0.06),
                        (low - 0.02, y + 0.06),
                    ]
                )
            )
        brush.fill(together(sleepers), wood, to=shade(wood, -0.2))
        rails = ((y - 0.03, 0.012), (y + 0.026, 0.016))
        brush.mark(together(box(-0.02, top + h, 1.02, top + h + 0.008) for top, h in rails),
                   rgb("453c36"))  # fmt: skip
        brush.fill(together(box(-0.02, top, 1.02, top + h) for top, h in rails), steel)
