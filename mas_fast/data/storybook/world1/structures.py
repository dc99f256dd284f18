"""Buildings of a place: fences, barns, the houses of a street, bridges, tracks."""

from __future__ import annotations

import skia
from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    arches,
    box,
    ellipse,
    limb,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world1.plants import SNOW, far
from mas_fast.data.storybook.world1.sky import is_dark

FACADES = ("e9c9a0", "d98f72", "b9c7a4", "e6b7a4", "a9bccb", "f0ddb0", "c9a9b4", "c07a5c")
ROOFS = ("9a4a3c", "6b5a64", "7d4f3c", "556270")
LAMPLIGHT, GLASS, STONE = rgb("ffd873"), rgb("7f9fb4"), rgb("b3a892")


def draw_fence(canvas: Canvas, y: float, height: float, color: Color) -> None:
    """Draw posts and two rails across the whole picture, with feet at y."""
    top = y - height
    posts = [box(x / 8 - 0.012, top, x / 8 + 0.012, y, 0.006) for x in range(9)]
    rails = [box(-0.01, top + height * k, 1.01, top + height * (k + 0.22)) for k in (0.18, 0.58)]
    with canvas.segment("fence-merged"):
        canvas.fill(box(0, top, 1, y), color, alpha=0.0)  # what shows through is fence too
        canvas.mark(box(0, y - 0.008, 1, y + 0.008), (0, 0, 0), alpha=0.12)
        canvas.fill(together(rails), color, to=shade(color, -0.1))
        canvas.fill(together(posts), shade(color, 0.1), to=shade(color, -0.18))


def draw_barn(canvas: Canvas, x: float, y: float, height: float, winter: bool) -> None:
    """Draw a dark red barn with a gambrel roof and a silo."""
    red, white = far(rgb("9c3b34"), 0.15), far(rgb("f4ead8"), 0.1)
    with canvas.segment("building-other-merged"), canvas.at(x, y, height):
        canvas.fill(box(0.5, -0.85, 0.78, 0.0), far(rgb("b9b4aa"), 0.15))
        canvas.fill(ellipse(0.64, -0.85, 0.14, 0.12), far(rgb("8d9198"), 0.15))
        side = [(-0.5, 0.0), (-0.5, -0.5), (-0.32, -0.8), (0, -0.95), (0.32, -0.8), (0.5, -0.5)]
        canvas.fill(polygon([*side, (0.5, 0.0)]), red, to=shade(red, -0.15))
        roof = limb([(-0.54, -0.48), *side[2:5], (0.54, -0.48)], 0.1, smooth=False)
        canvas.fill(roof, far(SNOW, 0.1) if winter else far(rgb("6a5a58"), 0.15))
        canvas.mark(box(-0.2, -0.42, 0.2, 0.0), white)
        cross = [polygon([(-0.15, -0.38), (-0.12, -0.38), (0.16, 0.0), (0.12, 0.0)])]
        cross.append(polygon([(0.12, -0.38), (0.15, -0.38), (-0.12, 0.0), (-0.16, 0.0)]))
        canvas.mark(together((*cross, box(-0.1, -0.72, 0.1, -0.56))), shade(red, -0.2))


def draw_houses(canvas: Canvas, y: float, generator: Generator) -> None:
    """Draw a row of houses across the whole picture, with feet at y. Windows are lit at night."""
    x, first = -generator.uniform(0.02, 0.14), int(generator.integers(len(FACADES)))
    with canvas.segment("building-other-merged"):
        for i in range(9):
            width = generator.uniform(0.2, 0.27)
            color = rgb(FACADES[(first + 3 * i) % len(FACADES)])
            _house(canvas, x, y, width, generator.uniform(0.32, 0.46), color, generator)
            x += width
            if x > 1:
                break


def _house(
    canvas: Canvas, left: float, y: float, width: float, height: float, color: Color,
    generator: Generator,
) -> None:  # fmt: skip
    top, right, middle = y - height, left + width, left + width / 2
    roof = rgb(ROOFS[generator.integers(len(ROOFS))])
    shape = generator.integers(3)
    if shape == 0:  # a gable to the street
        eaves, peak = top + 0.01, top - width * 0.42
        canvas.fill(polygon([(left - 0.01, eaves), (middle, peak), (right + 0.01, eaves)]), roof)
    elif shape == 1:  # a roof along the street, with a chimney
        canvas.fill(
            box(left + width * 0.66, top - 0.12, left + width * 0.8, top), shade(roof, -0.2)
        )
        slope = [(left - 0.01, top + 0.01), (left + 0.03, top - 0.08), (right - 0.03, top - 0.08)]
        canvas.fill(polygon([*slope, (right + 0.01, top + 0.01)]), roof)
    else:  # flat
        canvas.fill(box(left - 0.008, top - 0.03, right + 0.008, top + 0.01), shade(color, -0.25))
    canvas.fill(box(left, top, right, y), color, to=shade(color, -0.1))
    if shape == 0:
        canvas.fill(ellipse(middle, top - width * 0.13, width * 0.09), shade(color, -0.3))
    floors, across = 2, 2 if width < 0.24 else 3
    lights: list[skia.Path] = []
    panes: list[skia.Path] = []
    sills: list[skia.Path] = []
    for floor in range(floors):
        for column in range(across):
            x = left + width * (column + 1) / (across + 1)
            low = top + 0.035 + floor * 0.105
            pane = box(x - 0.02, low, x + 0.02, low + 0.065, 0.005)
            (lights if generator.random() < 0.65 else panes).append(pane)
            sills.append(box(x - 0.026, low + 0.062, x + 0.026, low + 0.074))
    door, shop = y - 0.125, generator.random() < 0.4
    if shop:
        lights.append(box(left + width * 0.42, door + 0.025, right - 0.025, y - 0.025))
    dark = is_dark(canvas.light)
    canvas.mark(
        together(panes + ([] if dark else lights)), shade(GLASS, -0.1), to=shade(GLASS, 0.2)
    )
    if dark:
        canvas.mark(together(lights), LAMPLIGHT, lit=False)
    canvas.mark(together(sills), shade(color, 0.45))
    entry = left + width * (0.2 if shop else 0.5)
    canvas.mark(box(entry - 0.03, door, entry + 0.03, y, 0.01), shade(roof, -0.25))
    if shop:
        awning = [(left + width * 0.38, door + 0.035), (left + width * 0.42, door - 0.01)]
        awning += [(right - 0.02, door - 0.01), (right - 0.01, door + 0.035)]
        canvas.mark(polygon(awning), rgb("d9584a") if shape else rgb("3f8f86"))


def draw_bridge(canvas: Canvas, deck: float, generator: Generator) -> None:
    """Draw a bridge across the picture, of stone with arches below, or of iron with an arch above.

    Vehicles stand at y = deck.
    """
    with canvas.segment("bridge"):
        if generator.random() < 0.6:
            _stone_bridge(canvas, deck, int(generator.integers(2, 4)))
        else:
            _iron_bridge(canvas, deck)


def _stone_bridge(canvas: Canvas, deck: float, count: int) -> None:
    water = deck + 0.165
    canvas.fill(box(-0.02, deck - 0.06, 1.02, deck), shade(STONE, -0.2))  # the far parapet
    canvas.fill(box(-0.02, deck - 0.035, 1.02, deck + 0.02), rgb("8b8a8c"))
    body = arches(deck + 0.015, water, count, 0.09)
    canvas.fill(body, shade(STONE, 0.1), to=shade(STONE, -0.22))
    canvas.fill(box(-0.02, deck + 0.012, 1.02, deck + 0.032), shade(STONE, 0.35))
    joints = []
    for row in range(2):
        for i in range(9):
            x = (i + 0.5 * row) / 8.5 - 0.02
            joints.append(box(x, deck + 0.04 + 0.022 * row, x + 0.05, deck + 0.045 + 0.022 * row))
    with canvas.inside(body):
        canvas.mark(together(joints), shade(STONE, -0.3), alpha=0.5)


def _iron_bridge(canvas: Canvas, deck: float) -> None:
    iron = rgb("5f7f86")
    arch = [(-0.02, deck), (0.2, deck - 0.17), (0.5, deck - 0.23), (0.8, deck - 0.17), (1.02, deck)]
    canvas.fill(limb(arch, 0.035), iron)
    hangers = []
    for x, top in ((0.1, 0.1), (0.23, 0.18), (0.365, 0.215), (0.5, 0.225)):
        for side in {x, 1 - x}:
            hangers.append(box(side - 0.006, deck - top, side + 0.006, deck))
    canvas.fill(together(hangers), shade(iron, -0.1))
    canvas.fill(box(-0.02, deck - 0.035, 1.02, deck + 0.02), rgb("8b8a8c"))
    canvas.fill(
        box(-0.02, deck + 0.015, 1.02, deck + 0.06), shade(iron, 0.15), to=shade(iron, -0.2)
    )
    for x in (0.2, 0.8):
        pier = [(x - 0.045, deck + 0.06), (x + 0.045, deck + 0.06), (x + 0.06, deck + 0.17)]
        canvas.fill(polygon([*pier, (x - 0.06, deck + 0.17)]), STONE, to=shade(STONE, -0.25))


def draw_track(canvas: Canvas, y: float) -> None:
    """Draw a track across the picture; wheels stand at y."""
    bed, wood, steel = rgb("a89b8c"), rgb("6f4e37"), rgb("c9ced4")
    with canvas.segment("railroad"):
        canvas.fill(box(-0.02, y - 0.07, 1.02, y + 0.08), bed, to=shade(bed, -0.18))
        sleepers = []
        for i in range(15):
            x = i / 14
            top, low = 0.5 + (x - 0.5) * 1.0, 0.5 + (x - 0.5) * 1.12
            points = [(top - 0.014, y - 0.05), (top + 0.014, y - 0.05), (low + 0.018, y + 0.06)]
            sleepers.append(polygon([*points, (low - 0.018, y + 0.06)]))
        canvas.fill(together(sleepers), wood)
        rails = [box(-0.02, y - 0.03, 1.02, y - 0.018), box(-0.02, y + 0.025, 1.02, y + 0.041)]
        canvas.mark(together(box(-0.02, y + dy, 1.02, y + dy + 0.008) for dy in (-0.018, 0.041)),
                    rgb("4a4038"))  # fmt: skip
        canvas.fill(together(rails), steel)


def draw_roadway(canvas: Canvas, top: float, bottom: float, color: Color) -> None:
    """Draw a road across the picture, with a broken line in its middle."""
    canvas.fill(box(-0.02, top, 1.02, bottom), shade(color, 0.12), to=shade(color, -0.12))
    edges = [
        box(-0.02, top + 0.01, 1.02, top + 0.018),
        box(-0.02, bottom - 0.022, 1.02, bottom - 0.01),
    ]
    canvas.mark(together(edges), rgb("eceae2"), alpha=0.9)
    middle, dashes = top + (bottom - top) * 0.46, []
    for i in range(-3, 4):
        x, low = 0.5 + i * 0.19, 0.5 + i * 0.2
        points = [
            (x - 0.05, middle - 0.007),
            (x + 0.05, middle - 0.007),
            (low + 0.053, middle + 0.009),
        ]
        dashes.append(polygon([*points, (low - 0.053, middle + 0.009)]))
    canvas.mark(together(dashes), rgb("f2d873"))
