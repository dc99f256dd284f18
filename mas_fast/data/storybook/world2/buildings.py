"""Buildings of a place: barns and fences, the row of houses of a street, a skyline, bridges."""

from __future__ import annotations

import skia

from mas_fast.data.storybook.canvas import (
    Color,
    arches,
    box,
    ellipse,
    limb,
    mix,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.plants import SNOW

FACADES = ("f0d3a6", "dd9274", "bccdb0", "eec0ac", "a9c3d4", "f5e3b8", "d6b2c2", "c98468", "93b6b4")
ROOFS = ("a5503f", "71606c", "86553f", "5b6878")
AWNINGS = ("d9584a", "3f8f86", "e0a23c", "5576a8")
LAMPLIGHT, GLASS, STONE = rgb("ffd67a"), rgb("86a9c2"), rgb("b8ab98")


def draw_fence(brush: Brush, y: float, height: float, color: Color, gaps: int = 8) -> None:
    """Draw posts and two rails across the whole picture, with feet at y."""
    top = y - height
    posts = [box(x / gaps - 0.011, top, x / gaps + 0.011, y, 0.005) for x in range(gaps + 1)]
    rails = [box(-0.01, top + height * k, 1.01, top + height * (k + 0.17)) for k in (0.2, 0.58)]
    with brush.canvas.segment("fence-merged"):
        brush.fill(box(0, top, 1, y), color, alpha=0.0)  # what shows through is fence too
        shift = -0.012 * brush.sky.sun
        low = together(box(x / gaps - 0.01 + shift, y - 0.004, x / gaps + 0.02 + shift, y + 0.008)
                       for x in range(gaps + 1))  # fmt: skip
        brush.mark(low, (0, 0, 0), alpha=0.15)
        brush.fill(together(rails), shade(color, -0.1), to=shade(color, -0.2))
        brush.fill(together(posts), color, to=shade(color, -0.2))
        if brush.winter:
            caps = [box(x / gaps - 0.014, top - 0.008, x / gaps + 0.014, top + 0.006, 0.006)
                    for x in range(gaps + 1)]  # fmt: skip
            snow = [box(-0.01, top + height * k - 0.006, 1.01, top + height * k + 0.003)
                    for k in (0.2, 0.58)]  # fmt: skip
            brush.mark(together([*caps, *snow]), SNOW)


def draw_pickets(brush: Brush, y: float, height: float, color: Color, count: int = 20) -> None:
    """Draw a garden fence of pointed slats across the whole picture, with feet at y."""
    top = y - height
    slats = []
    for i in range(count + 1):
        x, half = i / count, 0.32 / count
        left, right, low = x - half, x + half, top + 0.02
        slats.append(polygon([(left, y), (left, low), (x, top), (right, low), (right, y)]))
    rails = [box(-0.01, top + height * k, 1.01, top + height * (k + 0.12)) for k in (0.28, 0.7)]
    with brush.canvas.segment("fence-merged"):
        brush.fill(box(0, top + 0.01, 1, y), color, alpha=0.0)
        brush.fill(together(rails), shade(color, -0.18))
        brush.fill(together(slats), color, to=shade(color, -0.14))


def draw_barn(brush: Brush, x: float, y: float, height: float, far: float = 0.12) -> None:
    """Draw a red barn with a gambrel roof and a silo, far off."""
    if not brush.buildings:
        return
    red, white, sun = rgb("b4463a"), rgb("f6ecdc"), brush.sky.sun
    brush.shadow(x, y, 1.2 * height, 0.16)
    with brush.canvas.segment("building-other-merged"), brush.canvas.at(x, y, height):
        brush.solid(box(0.5, -0.88, 0.76, 0.0), rgb("bdb9b2"), far=far, depth=0.3)
        brush.solid(ellipse(0.63, -0.88, 0.13, 0.12), rgb("8d97a3"), far=far)
        gable = [(-0.5, -0.5), (-0.32, -0.8), (0, -0.95), (0.32, -0.8), (0.5, -0.5)]
        front = polygon([(-0.5, 0.0), *gable, (0.5, 0.0)])
        brush.fill(front, shade(red, 0.06 if sun < 0 else -0.06), to=shade(red, -0.14), far=far)
        roof = limb([(-0.55, -0.46), *gable[1:4], (0.55, -0.46)], 0.1, smooth=False)
        brush.fill(roof, SNOW if brush.winter else rgb("665a5c"), far=far)
        brush.mark(box(-0.2, -0.42, 0.2, 0.0), white, far=far)
        brush.mark(box(-0.165, -0.385, 0.165, 0.0), shade(red, -0.18), far=far)
        cross = [
            polygon([(-0.165, -0.385), (-0.12, -0.385), (0.165, 0.0), (0.12, 0.0)]),
            polygon([(0.12, -0.385), (0.165, -0.385), (-0.12, 0.0), (-0.165, 0.0)]),
        ]
        brush.mark(together(cross), white, far=far)
        loft = box(-0.09, -0.72, 0.09, -0.56)
        if brush.sky.dark:
            brush.canvas.mark(loft, LAMPLIGHT, lit=False)
        else:
            brush.mark(loft, shade(red, -0.4), far=far)


def draw_skyline(brush: Brush, y: float, height: float, far: float, span: tuple[float, float]
                 ) -> None:  # fmt: skip
    """Draw the towers of a city far off, with lit windows at night."""
    if not brush.buildings:
        return
    left, right = span
    x, towers, lights = left, [], []
    while x < right:
        wide = brush.between(0.035, 0.075)
        bell = 1 - abs((x + wide / 2 - left) / (right - left) * 2 - 1) ** 2
        top = y - height * (0.3 + 0.7 * bell) * brush.between(0.55, 1.0)
        towers.append(box(x, top, x + wide, y))
        if brush.chance(0.25):
            towers.append(box(x + wide * 0.4, top - height * 0.12, x + wide * 0.6, top))
        for row in range(int((y - top) / 0.022)):
            if brush.chance(0.45):
                at = x + wide * brush.pick((0.25, 0.55))
                lights.append(
                    box(at, top + 0.01 + row * 0.022, at + 0.009, top + 0.021 + row * 0.022)
                )
        x += wide * brush.between(0.9, 1.15)
    color = rgb("7f93ad")
    with brush.canvas.segment("building-other-merged"):
        brush.fill(together(towers), color, to=shade(color, 0.15), far=far)
        if brush.sky.dark:
            brush.canvas.mark(together(lights), LAMPLIGHT, lit=False, alpha=0.9)
        else:
            brush.mark(together(lights), shade(color, 0.3), far=far, alpha=0.6)


# ------------------------------------------------------------------ a street


def draw_houses(brush: Brush, y: float) -> None:
    """Draw a row of houses across the whole picture, with feet at y. Windows are lit at night."""
    x, first = -brush.between(0.02, 0.14), int(brush.generator.integers(len(FACADES)))
    with brush.canvas.segment("building-other-merged"):
        i = 0
        while x < 1:
            width = brush.between(0.2, 0.28)
            color = rgb(FACADES[(first + 4 * i) % len(FACADES)])
            _house(brush, x, y, width, brush.between(0.33, 0.47), color)
            x += width
            i += 1


def _house(brush: Brush, left: float, y: float, width: float, height: float, color: Color) -> None:
    top, right, middle = y - height, left + width, left + width / 2
    roof = rgb(brush.pick(ROOFS))
    cover = SNOW if brush.winter else roof
    shape = int(brush.generator.integers(3))
    if shape == 0:  # a gable to the street
        peak = top - width * 0.5
        brush.fill(polygon([(left, top + 0.01), (middle, peak), (right, top + 0.01)]), color)
        brush.mark(ellipse(middle, top - width * 0.14, width * 0.08), shade(color, -0.35))
        eaves = [(left - 0.008, top + 0.012), (middle, peak), (right + 0.008, top + 0.012)]
        brush.fill(limb(eaves, 0.022, smooth=False), cover)
    elif shape == 1:  # a roof along the street, with a chimney
        at = left + width * brush.pick((0.2, 0.68))
        brush.fill(box(at, top - 0.12, at + width * 0.13, top), shade(roof, -0.2))
        slope = [(left - 0.01, top + 0.01), (left + 0.03, top - 0.085), (right - 0.03, top - 0.085),
                 (right + 0.01, top + 0.01)]  # fmt: skip
        brush.fill(polygon(slope), shade(cover, 0.1), to=shade(cover, -0.12))
    else:  # flat, with a cornice
        brush.fill(box(left - 0.006, top - 0.028, right + 0.006, top + 0.012), shade(color, -0.22))
        if brush.winter:
            brush.fill(box(left - 0.008, top - 0.04, right + 0.008, top - 0.022, 0.008), SNOW)
    brush.fill(box(left, top, right, y), shade(color, 0.05), to=shade(color, -0.1))
    shaded = right - width * 0.07 if brush.sky.sun < 0 else left
    brush.mark(box(shaded, top, shaded + width * 0.07, y), shade(color, -0.16))
    _windows(brush, left, y, width, top, color, roof)


def _windows(
    brush: Brush, left: float, y: float, width: float, top: float, color: Color, roof: Color
) -> None:  # fmt: skip
    right, door, shop = left + width, y - 0.13, brush.chance(0.4)
    lights: list[skia.Path] = []
    panes: list[skia.Path] = []
    sills: list[skia.Path] = []
    frames: list[skia.Path] = []
    across, floors = 2 if width < 0.245 else 3, max(int((door - top) / 0.095), 1)
    step = (door - top) / floors
    for floor in range(floors):
        for column in range(across):
            x = left + width * (column + 1) / (across + 1)
            low = top + 0.02 + floor * step
            frames.append(box(x - 0.024, low - 0.004, x + 0.024, low + 0.066, 0.006))
            (lights if brush.chance(0.6 if brush.sky.dark else 0.4) else panes).append(
                box(x - 0.019, low, x + 0.019, low + 0.062)
            )
            sills.append(box(x - 0.028, low + 0.062, x + 0.028, low + 0.072))
    if shop:
        lights.append(box(left + width * 0.42, door + 0.03, right - 0.025, y - 0.028))
    brush.mark(together(frames), shade(color, 0.5))
    glass = shade(GLASS, -0.35) if brush.sky.dark else GLASS
    brush.mark(together(panes + ([] if brush.sky.dim else lights)), shade(glass, -0.12),
               to=shade(glass, 0.2))  # fmt: skip
    if brush.sky.dim:
        brush.canvas.mark(together(lights), LAMPLIGHT, lit=False)
    brush.mark(together(sills), shade(color, 0.5))
    entry = left + width * (0.21 if shop else 0.5)
    brush.mark(box(entry - 0.034, door - 0.006, entry + 0.034, y, 0.012), shade(color, 0.45))
    brush.mark(box(entry - 0.027, door, entry + 0.027, y, 0.01), shade(roof, -0.2))
    if shop:
        low, high = door + 0.04, door - 0.012
        a, b = left + width * 0.38, right - 0.012
        tone = rgb(brush.pick(AWNINGS))
        brush.mark(polygon([(a, low), (a + 0.014, high), (b - 0.008, high), (b, low)]), tone)
        n = 5
        stripes = [polygon([(a + (b - a) * k / n, low), (a + 0.012 + (b - a - 0.02) * k / n, high),
                            (a + 0.012 + (b - a - 0.02) * (k + 1) / n, high),
                            (a + (b - a) * (k + 1) / n, low)]) for k in (1, 3)]  # fmt: skip
        brush.mark(together(stripes), rgb("f7f1e6"))


# ------------------------------------------------------------------ bridges


def draw_bridge(brush: Brush, deck: float) -> None:
    """Draw a bridge across the picture, of stone with arches below, or of iron with an arch above.

    Vehicles stand at y = deck.
    """
    with brush.canvas.segment("bridge"):
        if brush.chance(0.6):
            _stone_bridge(brush, deck, int(brush.generator.integers(2, 4)))
        else:
            _iron_bridge(brush, deck)


def _stone_bridge(brush: Brush, deck: float, count: int) -> None:
    water = deck + 0.165
    brush.fill(box(-0.02, deck - 0.06, 1.02, deck), shade(STONE, -0.18))  # the far parapet
    brush.fill(box(-0.02, deck - 0.035, 1.02, deck + 0.02), rgb("8b8c91"))
    body = arches(deck + 0.015, water, count, 0.1)
    brush.fill(body, shade(STONE, 0.14), to=shade(STONE, -0.18))
    with brush.canvas.inside(body):
        joints = []
        for row in range(2):
            for i in range(9):
                x = (i + 0.5 * row) / 8.5 - 0.02
                joints.append(
                    box(x, deck + 0.043 + 0.024 * row, x + 0.05, deck + 0.048 + 0.024 * row)
                )
        brush.mark(together(joints), shade(STONE, -0.24), alpha=0.45)
    top = SNOW if brush.winter else shade(STONE, 0.36)
    brush.fill(box(-0.02, deck + 0.01, 1.02, deck + 0.032), top)


def _iron_bridge(brush: Brush, deck: float) -> None:
    iron = rgb("4f8088")
    arch = [(-0.02, deck), (0.2, deck - 0.17), (0.5, deck - 0.23), (0.8, deck - 0.17), (1.02, deck)]
    hangers = []
    for x, top in ((0.1, 0.1), (0.23, 0.18), (0.365, 0.215), (0.5, 0.225)):
        for side in sorted({x, 1 - x}):
            hangers.append(box(side - 0.005, deck - top, side + 0.005, deck))
    brush.fill(together(hangers), shade(iron, -0.1))
    brush.fill(limb(arch, 0.034), iron)
    brush.mark(limb([(x, y - 0.008) for x, y in arch], 0.009), shade(iron, 0.35))
    brush.fill(box(-0.02, deck - 0.035, 1.02, deck + 0.02), rgb("8b8c91"))
    brush.fill(box(-0.02, deck + 0.015, 1.02, deck + 0.06), mix(iron, (1, 1, 1), 0.18),
               to=shade(iron, -0.2))  # fmt: skip
    for x in (0.2, 0.8):
        pier = [(x - 0.045, deck + 0.06), (x + 0.045, deck + 0.06), (x + 0.06, deck + 0.17),
                (x - 0.06, deck + 0.17)]  # fmt: skip
        brush.solid(polygon(pier), STONE, depth=0.25)
