"""Houses from the front: cottage, townhouse, cabin, barn, villa, tower. Windows are lit at
        night."""  # fmt: skip

from __future__ import annotations

from collections.abc import Sequence

import skia

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
    accent,
    apart,
    chance,
    glass,
    glow,
    line,
    pick,
    standing_out,
)
from mas_fast.data.storybook.world2.shapes import arch, bent, rounded

WIDTHS = {"house": 1.4}
NATURAL: dict[str, tuple[str | Color, ...]] = {
    "house": (
        rgb("f1dfb8"), rgb("e9b58c"), rgb("f4f2ec"), rgb("c65f4b"), rgb("a9c2cf"), rgb("e6c25f"),
        rgb("b98a5c"),
    )
}  # fmt: skip
ROOFS = tuple(rgb(code) for code in ("a8483a", "5d6673", "7c4f3a", "4f7a6e", "c7703f"))
DOORS = tuple(rgb(code) for code in ("8a4f30", "2f7d74", "c9473c", "3f6ea8", "e0a63a"))
STONE = rgb("b9ae9f")
BRICK = rgb("b0614c")
Window = tuple[float, float, float, float]  # middle, bottom, width, height


def house(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a house in one of six styles; its walls have the colour."""
    styles = (_cottage, _townhouse, _cabin, _barn, _villa, _tower)
    pick(look.generator, styles)(canvas, color, look)


def _windows(
    canvas: Canvas, places: Sequence[Window], color: Color, look: Look, *, round_top: bool = False,
    shutters: Color | None = None, flowers: bool = False,
) -> None:  # fmt: skip
    """Draw windows with frames and bars on a wall of `color`."""
    frame = CREAM if apart(CREAM, color) > 0.35 else DARK_WOOD
    shape = arch if round_top else box
    edges, panes, bars, sills = [], [], [], []
    for x, y, w, h in places:
        r, left, right = 0.022, x - w / 2, x + w / 2
        if shutters is not None:
            sides = [
                box(left - 0.06, y - h, left - 0.01, y),
                box(right + 0.01, y - h, right + 0.06, y),
            ]
            canvas.fill(together(sides), shutters)
        edges.append(shape(left - r, y - h - r, right + r, y + r))
        panes.append(shape(left, y - h, right, y))
        bars += [
            box(x - 0.009, y - h, x + 0.009, y),
            box(left, y - h * 0.52, right, y - h * 0.52 + 0.018),
        ]
        sills.append(box(left - 0.04, y + 0.008, right + 0.04, y + 0.035))
    canvas.fill(together(edges), frame)
    glass(canvas, panes, look)
    canvas.mark(together(bars), frame)
    canvas.fill(together(sills), accent(frame, 0.12))
    if flowers:
        _flower_boxes(canvas, [(x, y, w) for x, y, w, _ in places])


def _flower_boxes(canvas: Canvas, places: Sequence[tuple[float, float, float]]) -> None:
    green = [ellipse(x + d * w, y + 0.01, 0.03) for x, y, w in places for d in (-0.4, 0, 0.4)]
    red = [ellipse(x + d * w, y - 0.008, 0.018) for x, y, w in places for d in (-0.36, 0.04, 0.42)]
    canvas.mark(together(green), LEAF)
    canvas.mark(together(red), rgb("e2574c"))
    boxes = [
        box(x - w / 2 - 0.03, y + 0.015, x + w / 2 + 0.03, y + 0.055, 0.01) for x, y, w in places
    ]
    canvas.fill(together(boxes), DARK_WOOD)


def _door(
    canvas: Canvas, x: float, width: float, height: float, color: Color, wall: Color, look: Look,
    *, round_top: bool = False,
) -> None:  # fmt: skip
    frame = CREAM if apart(CREAM, wall) > 0.35 else DARK_WOOD
    shape = arch if round_top else box
    left, right = x - width / 2, x + width / 2
    canvas.fill(shape(left - 0.024, -height - 0.024, right + 0.024, 0.0), frame)
    canvas.fill(shape(left, -height, right, 0.0), color)
    canvas.mark(box(x - 0.012, -height * 0.7, x + 0.012, -0.02), accent(color, 0.22))
    pane = ellipse(x, -height * 0.76, width * 0.2)
    glass(canvas, [pane], look)
    canvas.mark(ellipse(right - 0.03, -height * 0.42, 0.016), GOLD)
    canvas.fill(box(left - 0.05, -0.025, right + 0.05, 0.0), shade(STONE, -0.1))
    glow(canvas, right + 0.06, -height * 0.9, 0.1, look)


def _wall(canvas: Canvas, path: skia.Path, color: Color, look: Look) -> None:
    """Draw a wall whose one edge is in shadow, on a base of stone."""
    canvas.fill(path, color)
    bounds = path.getBounds()
    with canvas.inside(path):
        edge = bounds.right() - 0.1 if look.sun < 0 else bounds.left()
        canvas.mark(box(edge, -1, edge + 0.1, 0), accent(color, 0.12))
        canvas.mark(box(-1, -0.05, 1, 0), accent(color, 0.22))


def _under_eaves(canvas: Canvas, wall: skia.Path, eaves: skia.Path, color: Color) -> None:
    """Draw the shadow that a roof throws on a wall."""
    with canvas.inside(wall):
        shadow = skia.Path(eaves)
        shadow.offset(0.0, 0.04)
        canvas.mark(shadow, accent(color, 0.2))


def _chimney(canvas: Canvas, x: float, top: float, bottom: float, color: Color) -> None:
    canvas.fill(box(x - 0.055, top + 0.02, x + 0.055, bottom), color)
    canvas.mark(box(x + 0.015, top + 0.02, x + 0.055, bottom), shade(color, -0.16))
    canvas.fill(box(x - 0.075, top, x + 0.075, top + 0.05, 0.01), shade(color, -0.25))


def _cottage(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a low house under a big soft roof, with a dormer."""
    generator = look.generator
    side = 1 if chance(generator, 0.5) else -1
    roof = pick(generator, (rgb("c79a58"), *ROOFS[:3]))
    door = standing_out(generator, DOORS, color)
    _chimney(canvas, side * 0.36, -0.99, -0.6, BRICK)
    wall = box(-0.58, -0.56, 0.58, 0.0)
    _wall(canvas, wall, color, look)
    top = rounded(
        [(-0.7, -0.49, 0.06), (-0.44, -0.92, 0.14), (0.44, -0.92, 0.14), (0.7, -0.49, 0.06)]
    )
    _under_eaves(canvas, wall, top, color)
    solid(canvas, top, roof, look, depth=0.08)
    with canvas.inside(top):
        canvas.mark(box(-0.7, -0.85, 0.7, -0.82), shade(roof, -0.14))
        canvas.mark(
            limb([(-0.72, -0.55), (-0.3, -0.57), (0.3, -0.57), (0.72, -0.55)], 0.03),
            shade(roof, -0.14),
        )
    x = -side * 0.2
    canvas.fill(
        rounded(
            [(x - 0.14, -0.53), (x - 0.14, -0.7), (x, -0.79), (x + 0.14, -0.7), (x + 0.14, -0.53)],
            0.02,
        ),
        color,
    )
    canvas.fill(
        limb([(x - 0.18, -0.68), (x, -0.8), (x + 0.18, -0.68)], 0.05, smooth=False),
        shade(roof, -0.2),
    )
    _windows(canvas, [(x, -0.58, 0.12, 0.12)], color, look)
    shutter = door if chance(generator, 0.6) else None
    _windows(canvas, [(side * 0.37, -0.18, 0.16, 0.18), (-side * 0.33, -0.18, 0.16, 0.18)], color,
            look, shutters=shutter, flowers=True)  # fmt: skip
    _door(canvas, side * 0.02, 0.18, 0.35, door, color, look, round_top=True)
    bush = [
        ellipse(-side * 0.58 + d, y, r) for d, y, r in ((0.0, -0.07, 0.08), (0.09, -0.05, 0.06))
    ]
    canvas.mark(together(bush), LEAF)


def _townhouse(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a tall narrow house with a stepped or a pointed gable."""
    generator = look.generator
    door = standing_out(generator, DOORS, color)
    stepped, white = chance(generator, 0.5), CREAM if apart(CREAM, color) > 0.35 else STONE
    if stepped:
        steps = [
            (-0.32, -0.72),
            (-0.22, -0.72),
            (-0.22, -0.82),
            (-0.12, -0.82),
            (-0.12, -0.91),
            (-0.06, -0.91),
        ]
        outline = [(-0.32, 0.0), *steps, (-0.06, -1.0)]
        wall = polygon([*outline, *((-x, y) for x, y in reversed(outline))])
    else:
        wall = polygon([(-0.32, 0.0), (-0.32, -0.74), (0.0, -0.97), (0.32, -0.74), (0.32, 0.0)])
        _chimney(canvas, 0.2, -0.98, -0.7, BRICK)
    _wall(canvas, wall, color, look)
    if stepped:
        caps = [box(-0.34, -0.75, -0.2, -0.715), box(0.2, -0.75, 0.34, -0.715)]
        caps += [
            box(-0.24, -0.85, -0.1, -0.815),
            box(0.1, -0.85, 0.24, -0.815),
            box(-0.08, -1.0, 0.08, -0.965),
        ]
        canvas.fill(together(caps), white)
    else:
        roof = limb([(-0.37, -0.71), (0.0, -0.965), (0.37, -0.71)], 0.07, smooth=False)
        _under_eaves(canvas, wall, roof, color)
        canvas.fill(roof, pick(generator, ROOFS))
    canvas.mark(together((box(-0.32, -0.69, 0.32, -0.66), box(-0.32, -0.365, 0.32, -0.335))), white)
    places = [(x, -0.42, 0.13, 0.18) for x in (-0.19, 0.0, 0.19)]
    places += [(0.19, -0.11, 0.14, 0.18), (0.0, -0.72, 0.11, 0.13)]
    _windows(canvas, places, color, look)
    _flower_boxes(canvas, [(0.19, -0.105, 0.13)])
    _door(canvas, -0.15, 0.16, 0.27, door, color, look)


def _cabin(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a house of logs under a wide roof, with a chimney of stone."""
    generator = look.generator
    side = 1 if chance(generator, 0.5) else -1
    roof, door = standing_out(generator, ROOFS, color), standing_out(generator, DOORS, color)
    x = side * 0.44
    canvas.fill(box(x - 0.1, -0.92, x + 0.1, 0.0, 0.01), STONE)
    stones = [box(x - 0.08, -0.86, x, -0.8, 0.02), box(x, -0.74, x + 0.08, -0.68, 0.02)]
    canvas.mark(together(stones), shade(STONE, -0.2))
    canvas.fill(box(x - 0.12, -0.95, x + 0.12, -0.89, 0.02), shade(STONE, -0.25))
    gable = polygon([(-0.52, 0.0), (-0.52, -0.48), (0.0, -0.96), (0.52, -0.48), (0.52, 0.0)])
    _wall(canvas, gable, color, look)
    with canvas.inside(gable):
        logs = [box(-0.6, y, 0.6, y + 0.022) for y in (-0.12, -0.24, -0.36, -0.48)]
        canvas.mark(together(logs), accent(color, 0.25))
    ends = [ellipse(s * 0.54, y, 0.045) for s in (-1, 1) for y in (-0.06, -0.18, -0.3, -0.42)]
    canvas.fill(together(ends), accent(color, 0.15))
    eaves = limb([(-0.64, -0.42), (0.0, -0.95), (0.64, -0.42)], 0.1, smooth=False)
    _under_eaves(canvas, gable, eaves, color)
    canvas.fill(eaves, roof)
    canvas.mark(
        limb([(-0.66, -0.45), (0.0, -0.985), (0.66, -0.45)], 0.022, smooth=False), shade(roof, 0.25)
    )
    _windows(
        canvas, [(-side * 0.01, -0.56, 0.16, 0.16), (side * 0.28, -0.18, 0.2, 0.2)], color, look
    )
    _door(canvas, -side * 0.22, 0.22, 0.37, door, color, look)


def _barn(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a barn: a bent roof, a big door with crossed boards, a loft above it."""
    roof = standing_out(look.generator, ROOFS, color)
    white = CREAM if apart(CREAM, color) > 0.35 else DARK_WOOD
    upper = [(-0.54, -0.5), (-0.36, -0.82), (0.0, -0.97), (0.36, -0.82), (0.54, -0.5)]
    wall = polygon([(-0.54, 0.0), *upper, (0.54, 0.0)])
    _wall(canvas, wall, color, look)
    with canvas.inside(wall):
        boards = [box(x, -1, x + 0.014, 0) for x in (-0.4, -0.27, 0.27, 0.4)]
        canvas.mark(together(boards), accent(color, 0.14))
    eaves = limb([(-0.6, -0.46), *upper[1:4], (0.6, -0.46)], 0.075, smooth=False)
    _under_eaves(canvas, wall, eaves, color)
    canvas.fill(eaves, roof)
    canvas.fill(box(-0.24, -0.44, 0.24, 0.0), white)
    for left, right in ((-0.21, -0.015), (0.015, 0.21)):
        canvas.fill(box(left, -0.41, right, 0.0), accent(color, 0.16))
        cross = [line((left, -0.41), (right, 0.0), 0.026), line((right, -0.41), (left, 0.0), 0.026)]
        canvas.mark(together(cross), white)
    _windows(canvas, [(0.0, -0.58, 0.17, 0.17)], color, look, round_top=True)
    _windows(canvas, [(-0.38, -0.24, 0.11, 0.14), (0.38, -0.24, 0.11, 0.14)], color, look)


def _villa(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a wide house of two floors with a porch on columns."""
    generator = look.generator
    roof, door = standing_out(generator, ROOFS, color), standing_out(generator, DOORS, color)
    white = CREAM if apart(CREAM, color) > 0.35 else STONE
    _chimney(canvas, 0.4, -0.99, -0.7, BRICK)
    wall = box(-0.63, -0.78, 0.63, 0.0)
    _wall(canvas, wall, color, look)
    top = rounded(
        [(-0.7, -0.74, 0.02), (-0.48, -0.95, 0.03), (0.48, -0.95, 0.03), (0.7, -0.74, 0.02)]
    )
    _under_eaves(canvas, wall, top, color)
    solid(canvas, top, roof, look, depth=0.1)
    canvas.mark(box(-0.63, -0.4, 0.63, -0.375), white)
    gable = polygon([(-0.22, -0.75), (0.0, -0.93), (0.22, -0.75)])
    canvas.fill(gable, color)
    canvas.fill(limb([(-0.25, -0.74), (0.0, -0.94), (0.25, -0.74)], 0.04, smooth=False), white)
    glass(canvas, [ellipse(0.0, -0.8, 0.048)], look)
    places = [(x, y, 0.15, 0.18) for x in (-0.43, 0.43) for y in (-0.48, -0.13)]
    shutter = door if chance(generator, 0.5) else None
    _windows(canvas, [*places, (0.0, -0.48, 0.18, 0.18)], color, look, shutters=shutter)
    _door(canvas, 0.0, 0.17, 0.28, door, color, look)
    columns = [box(x - 0.025, -0.34, x + 0.025, -0.02) for x in (-0.2, 0.2)]
    canvas.fill(together((*columns, box(-0.25, -0.4, 0.25, -0.34))), white)
    canvas.fill(box(-0.25, -0.025, 0.25, 0.0), STONE)
    bush = [ellipse(s * x, -0.055, 0.07) for s in (-1, 1) for x in (0.34, 0.46, 0.57)]
    canvas.mark(together(bush), LEAF)


def _tower(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a round tower with bands, a gallery and a lantern, as by the sea."""
    roof, door = (
        standing_out(look.generator, ROOFS, color),
        standing_out(look.generator, DOORS, color),
    )
    shaft = polygon([(-0.25, 0.0), (-0.15, -0.7), (0.15, -0.7), (0.25, 0.0)])
    canvas.fill(shaft, color)
    with canvas.inside(shaft):
        bands = [box(-0.3, y, 0.3, y + 0.13) for y in (-0.6, -0.34)]
        canvas.mark(together(bands), CREAM if apart(CREAM, color) > 0.35 else rgb("c8443a"))
        dark = 1 if look.sun < 0 else -1
        side = polygon(
            [(dark * 0.1, -0.72), (dark * 0.16, 0.0), (dark * 0.4, 0.0), (dark * 0.3, -0.72)]
        )
        canvas.mark(side, INK, alpha=0.14)
    glow(canvas, 0.0, -0.81, 0.34, look)
    lantern = box(-0.09, -0.87, 0.09, -0.74)
    glass(canvas, [lantern], look)
    canvas.mark(together(box(x - 0.009, -0.87, x + 0.009, -0.74) for x in (-0.08, 0.0, 0.08)), INK)
    canvas.fill(
        bent(
            [(-0.13, -0.86), (-0.08, -0.97), (0.0, -0.98), (0.08, -0.97), (0.13, -0.86), (0, -0.86)]
        ),
        roof,
    )
    canvas.fill(ellipse(0.0, -0.98, 0.02), INK)
    canvas.fill(box(-0.2, -0.745, 0.2, -0.7, 0.01), shade(roof, -0.2))
    rails = [box(x - 0.008, -0.8, x + 0.008, -0.74) for x in (-0.18, -0.13, 0.13, 0.18)]
    canvas.fill(
        together((*rails, box(-0.19, -0.81, -0.1, -0.79), box(0.1, -0.81, 0.19, -0.79))),
        shade(roof, -0.2),
    )
    _windows(canvas, [(0.0, -0.46, 0.07, 0.09)], INK, look, round_top=True)
    _door(canvas, 0.0, 0.14, 0.22, door, color, look, round_top=True)
    canvas.mark(
        together((ellipse(-0.27, -0.03, 0.07, 0.04), ellipse(0.25, -0.03, 0.09, 0.04))),
        shade(STONE, -0.15),
    )
