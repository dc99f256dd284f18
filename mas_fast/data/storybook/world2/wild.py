"""Wild places: forest, mountains, desert and snow."""

from __future__ import annotations

import skia

from mas_fast.data.storybook.canvas import (
    Color,
    blob,
    box,
    ellipse,
    ground,
    limb,
    mix,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.greens import draw_bush, draw_cactus, meadow_flowers
from mas_fast.data.storybook.world2.ground import draw_bands, draw_path, draw_tufts
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
from mas_fast.data.storybook.world2.plants import (
    BARK,
    FIR,
    SNOW,
    draw_tree,
    draw_wood,
    leaf_color,
)

SAND, CLAY = rgb("edbf74"), rgb("c0714c")


def draw_forest(brush: Brush) -> None:
    """Draw rows of trees that fade into the light between them, and two tall ones to the sides."""
    y, side = brush.between(*HORIZON), brush.side()
    pines = brush.winter or brush.chance(0.35)
    deep = mix(FIR, rgb("9fb0c8"), 0.5) if brush.winter else leaf_color(brush)
    if brush.trees:
        for k, far in enumerate((0.62, 0.4)):
            _depth(
                brush,
                y + 0.04 + 0.02 * k,
                0.12 + 0.09 * k,
                far,
                shade(FIR, 0.1) if pines and not brush.winter else deep,
            )
    draw_wood(brush, "pine" if pines else "mixed", y + 0.06, 0.22, 0.26)
    floor = rolling(brush, y + 0.07, 0.02)
    draw_field(brush, floor, 0.08)
    if not brush.winter:  # in the shade of the trees
        brush.mark(ground(rolling(brush, y + 0.1, 0.02)), rgb("42653a"), alpha=0.2)
    draw_path(brush, y + 0.04, 0.5 - side * 0.12, 0.5 + side * 0.08, 0.24, ground(floor))
    _beams(brush)
    draw_light(brush, y, 0.8)
    draw_bush(brush, 0.5 + side * 0.26, y + 0.1, 0.06, 0.05)
    draw_bush(brush, 0.5 - side * 0.3, y + 0.12, 0.055)
    kinds = ("pine",) if pines else ("oak", "oak", "birch", "pine")
    draw_tree(brush, brush.pick(kinds), 0.5 - side * 0.31, y + 0.1, 0.4, 0.08)
    draw_tree(brush, brush.pick(kinds), 0.5 + side * 0.43, 0.69, 0.68)
    draw_tree(brush, brush.pick(kinds), 0.5 - side * 0.46, 0.7, 0.62)
    draw_tufts(brush, 0.7, 0.95, 8)


def _depth(brush: Brush, y: float, top: float, far: float, color: Color) -> None:
    """Draw one row of the wood's depth: a roof of leaves and stems below it."""
    heaps = [ellipse((i + brush.between(0.1, 0.9)) / 7, top + 0.1, 0.11, brush.between(0.07, 0.13))
             for i in range(7)]  # fmt: skip
    stems = []
    for i in range(8):
        x, half = (i + brush.between(0.15, 0.85)) / 8, brush.between(0.006, 0.012)
        stems.append(box(x - half, top + 0.1, x + half, y))
    with brush.canvas.segment("tree-merged"):
        brush.fill(box(-0.02, top + 0.1, 1.02, y), shade(color, 0.1), to=shade(color, 0.35),
                   far=min(far + 0.14, 0.9))  # fmt: skip
        brush.fill(together(heaps), color, far=far)
        brush.mark(together(stems), shade(BARK, -0.1), far=far)


def _beams(brush: Brush) -> None:
    """Draw light that falls between the trees, from where the sun is."""
    if brush.sky.weather != "clear" or brush.sky.dim or "sun" in brush.without:
        return
    x, sun = 0.5 + 0.45 * brush.sky.sun, brush.sky.sun
    warm = brush.palette.sun
    beams = []
    for k in (0.3, 0.75):
        low = x - sun * k
        top = x - sun * k * 0.4
        beams.append(polygon([(top - 0.03, -0.02), (top + 0.05, -0.02), (low + 0.1, 0.72),
                              (low - 0.08, 0.72)]))  # fmt: skip
    clear, light = (skia.Color4f(*warm, a).toColor() for a in (0.0, 0.26))
    ends = [skia.Point(0, 0.0), skia.Point(0, 0.72)]
    shader = skia.GradientShader.MakeLinear(ends, [light, clear])
    brush.canvas.wash(together(beams), shader)


def draw_mountain(brush: Brush) -> None:
    """Draw two ranges, a wood of pines below them, a meadow with rocks."""
    y, side = brush.between(*HORIZON), brush.side()
    draw_mountains(brush, y + 0.02, y - brush.between(0.3, 0.36), 0.4, 0.45)
    draw_mountains(brush, y + 0.04, y - brush.between(0.14, 0.2), 0.2, 0.0)
    line = rolling(brush, y + 0.05, 0.03)
    draw_wood(brush, "pine", 0, 0.085, 0.22, slope=line_at(line))
    draw_field(brush, line, 0.1, bottom=y + 0.15)
    near = rolling(brush, y + 0.13, 0.03)
    draw_field(brush, near)
    if brush.chance(0.6):
        draw_path(brush, y + 0.08, 0.5 - side * 0.2, 0.5 + side * 0.12, 0.18, ground(near))
    else:
        draw_bands(brush, y + 0.14)
    draw_light(brush, y + 0.03, 0.8)
    for offset, size, low in ((0.36, 0.24, 0.12), (0.45, 0.34, 0.16), (-0.44, 0.28, 0.14)):
        draw_tree(brush, "pine", 0.5 + side * offset, y + low, size)
    draw_rocks(brush, 0.5 - side * 0.3, 0.685, 0.045)
    draw_tufts(brush, 0.7, 0.95, 8)
    meadow_flowers(brush, 0.69, 0.9, 10)


def draw_desert(brush: Brush) -> None:
    """Draw table mountains far off and dunes whose crests part light from shade."""
    y, side = brush.between(*HORIZON), brush.side()
    with brush.canvas.segment("rock-merged"):
        if brush.chance(0.65):
            for x, wide, high, far in ((0.5 + side * 0.05, 0.1, 0.09, 0.5),
                                       (0.5 + side * 0.32, 0.17, 0.16, 0.34)):  # fmt: skip
                _mesa(brush, x, y + 0.05, wide, high, far)
    with brush.canvas.segment("sand"):
        brush.fill(ground(rolling(brush, y + 0.015, 0.03, 1.0)), shade(SAND, 0.05), far=0.42)
        _dune(brush, y - 0.03, 0.5 - side * brush.between(0.1, 0.3), 0.1, 0.26)
        _dune(brush, y + 0.045, 0.5 + side * brush.between(0.15, 0.35), 0.115, 0.1)
        _dune(brush, 0.65, 0.5 - side * brush.between(0.3, 0.45), 0.06, 0.0)
        _furrows(brush)
    draw_light(brush, y)
    draw_rocks(brush, 0.5 - side * 0.4, 0.72, 0.055, rgb("b8825c"))
    if brush.chance(0.7):
        draw_cactus(brush, 0.5 + side * 0.42, 0.7, 0.25)
        draw_cactus(brush, 0.5 + side * 0.3, y + 0.12, 0.1)


def _mesa(brush: Brush, x: float, y: float, wide: float, high: float, far: float) -> None:
    points = [(-1, 0), (-0.78, -0.42), (-0.68, -0.5), (-0.62, -1), (0.58, -1), (0.66, -0.48),
              (0.8, -0.4), (1, 0)]  # fmt: skip
    body = polygon([(x + wide * px, y + high * py) for px, py in points])
    brush.fill(body, shade(CLAY, 0.14), to=shade(CLAY, -0.02), far=far)
    away = 1 if brush.sky.sun < 0 else -1
    with brush.canvas.inside(body):
        dark = [
            (x + away * wide * 0.2, y - high),
            (x + away * wide * 0.3, y - high * 0.5),
            (x + away * wide * 0.26, y),
            (x + away * wide, y),
            (x + away * wide, y - high),
        ]
        brush.mark(polygon(dark), shade(CLAY, -0.2), far=far)
        layers = [box(x - wide, y - high * k, x + wide, y - high * k + high * 0.07)
                  for k in (0.86, 0.62)]  # fmt: skip
        brush.mark(together(layers), shade(CLAY, -0.16), far=far, alpha=0.7)


def _dune(brush: Brush, y: float, crest: float, rise: float, far: float) -> None:
    """Draw a dune with its crest at x = crest; the side away from the sun is in shade."""
    left = [(-0.04, y + rise * 0.75), (crest - 0.3, y + rise * 0.5), (crest - 0.1, y + rise * 0.08)]
    right = [
        (crest + 0.13, y + rise * 0.14),
        (crest + 0.4, y + rise * 0.62),
        (1.04, y + rise * 0.7),
    ]
    top = blob([*left, (crest, y), *right], closed=False)
    top.lineTo(1.04, 1.02)
    top.lineTo(-0.04, 1.02)
    top.close()
    brush.fill(top, mix(shade(SAND, 0.18), rgb("fff0c8"), 0.3), to=shade(SAND, -0.12), far=far)
    away = 1 if brush.sky.sun < 0 else -1
    ridge = [(0.1, 0.3), (0.05, 0.75), (0.02, 1.05), (0.14, 1.5), (0.45, 1.35), (0.8, 0.8)]
    bends = [(crest + away * dx, y + rise * dy) for dx, dy in ridge]
    with brush.canvas.inside(top):
        shape = skia.Path()
        shape.moveTo(crest, y - 0.01)
        for a, b in zip(bends[::2], bends[1::2], strict=True):
            shape.quadTo(*a, *b)
        shape.lineTo(crest + away * 0.8, y - 0.02)
        shape.close()
        brush.mark(
            shape, mix(shade(SAND, -0.2), rgb("a8685a"), 0.25), to=shade(SAND, -0.08), far=far
        )


def _furrows(brush: Brush) -> None:
    """Draw the lines that wind leaves in the sand."""
    lines = []
    for _ in range(6):
        x, y = brush.between(0.05, 0.95), brush.between(0.76, 0.97)
        half = brush.between(0.06, 0.14)
        bends = ((-1, 0.006), (-0.3, -0.004), (0.3, 0.004), (1, -0.004))
        lines.append(limb([(x + half * dx, y + dy) for dx, dy in bends], 0.005))
    brush.mark(together(lines), shade(SAND, -0.22), alpha=0.5)


def draw_snow(brush: Brush) -> None:
    """Draw a snowy valley with pines, below mountains or hills."""
    y, side = brush.between(*HORIZON), brush.side()
    if brush.chance(0.6):
        draw_mountains(brush, y + 0.02, y - brush.between(0.2, 0.3), 0.42, 0.8)
    draw_hills(brush, y, rise=0.07)
    line = rolling(brush, y + 0.05, 0.04)
    draw_wood(brush, "pine", 0, 0.1, 0.34, slope=line_at(line))
    draw_field(brush, line, 0.06, bottom=y + 0.14)
    draw_field(brush, rolling(brush, y + 0.12, 0.045))
    draw_bands(brush, y + 0.14, 3)
    draw_light(brush, y)
    for offset, depth, size in ((0.26, 0.09, 0.19), (-0.42, 0.12, 0.3), (0.41, 0.15, 0.4)):
        draw_tree(brush, "pine", 0.5 + side * offset, y + depth, size)
    drift = [(0.5 - side * 0.56, 0.97), (0.5 - side * 0.2, 0.945), (0.5 + side * 0.1, 0.985),
             (0.5 + side * 0.2, 1.05), (0.5 - side * 0.56, 1.05)]  # fmt: skip
    brush.mark(blob(drift), SNOW)
