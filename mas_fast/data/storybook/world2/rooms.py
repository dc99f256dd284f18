"""Rooms: living room, kitchen, bedroom, and a table before a wall."""

from __future__ import annotations

import skia

from mas_fast.data.storybook.canvas import (
    Color,
    box,
    ellipse,
    mix,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.ground import draw_planks
from mas_fast.data.storybook.world2.window import draw_window

FLOOR = 0.62  # y where the wall ends
WALLS = {
    "living room": ("e9dcc3", "cfd9c8", "e8c9b4", "c4d4dc", "f0d9a8"),
    "kitchen": ("f3e8d2", "d3e3de", "f4dcc0", "dfe6ea"),
    "bedroom": ("d9d3e6", "e9d3d0", "cddce6", "e6dfcf", "c9d8cc"),
    "tabletop": ("e8d3bb", "c9d6d0", "d8cfdf", "e9dcc0", "bccfd8"),
}
WOODS = ("c99a68", "b98355", "d8b184", "a9754c")
FABRICS = ("c9564d", "4f83a6", "e0a44a", "6c9a6a", "8a6ea6", "d98a94")


def _wall(brush: Brush, name: str) -> Color:
    color = rgb(brush.pick(WALLS[name]))
    with brush.canvas.segment("wall-other-merged"):
        brush.fill(box(-0.02, -0.02, 1.02, FLOOR + 0.01), color, to=shade(color, -0.07))
        if brush.chance(0.4):  # broad stripes
            stripes = [box(i / 7, 0, i / 7 + 1 / 14, FLOOR) for i in range(7)]
            brush.mark(together(stripes), shade(color, 0.2), alpha=0.35)
        elif brush.chance(0.4):  # panels on its lower part
            pale = mix(color, (1, 1, 1), 0.55)
            brush.mark(box(-0.02, 0.46, 1.02, FLOOR), pale, to=shade(pale, -0.05))
            grooves = [box(i / 12, 0.46, i / 12 + 0.005, FLOOR) for i in range(13)]
            brush.mark(together(grooves), shade(pale, -0.1))
            brush.mark(box(-0.02, 0.452, 1.02, 0.468), shade(pale, 0.3), to=shade(pale, -0.15))
    return color


def _floor(brush: Brush, color: Color) -> None:
    with brush.canvas.segment("floor-wood"):
        draw_planks(brush, FLOOR, color)
        brush.mark(box(-0.02, FLOOR, 1.02, FLOOR + 0.1), shade(color, -0.3), to=color, alpha=0.4)


def _skirting(brush: Brush, wall: Color) -> None:
    with brush.canvas.segment("wall-other-merged"):
        brush.fill(box(-0.02, FLOOR - 0.032, 1.02, FLOOR + 0.004), mix(wall, (1, 1, 1), 0.6))
        brush.mark(box(-0.02, FLOOR - 0.004, 1.02, FLOOR + 0.004), shade(wall, -0.25))


def _rug(brush: Brush, color: Color, x: float = 0.5, y: float = 0.82) -> None:
    with brush.canvas.segment("rug-merged"):
        if brush.chance(0.5):
            rings = ((0.4, 0.115), (0.355, 0.1), (0.3, 0.083))
            shapes = [ellipse(x, y, rx, ry) for rx, ry in rings]
        else:
            shapes = [_flat(x, y, w, h) for w, h in ((0.36, 0.1), (0.33, 0.086), (0.28, 0.064))]
        brush.fill(shapes[0], shade(color, -0.06))
        brush.mark(shapes[1], mix(color, rgb("f7ecd8"), 0.75))
        brush.mark(shapes[2], shade(color, 0.1))


def _flat(x: float, y: float, half: float, depth: float) -> skia.Path:
    """Return a rectangle that lies on the floor."""
    back, front = half, half * 1.22
    return polygon([(x - back, y - depth), (x + back, y - depth), (x + front, y + depth),
                    (x - front, y + depth)])  # fmt: skip


def _sunbeam(brush: Brush, x: float) -> None:
    """Draw the light of a window on the floor."""
    if brush.sky.dark or brush.sky.weather != "clear":
        return
    top, low = FLOOR + 0.06, 0.87
    panes = []
    for left, right in ((-0.12, -0.01), (0.01, 0.12)):
        far = [x + dx - 0.12 * brush.sky.sun for dx in (left, right)]
        near = [x + 1.3 * dx - 0.34 * brush.sky.sun for dx in (left, right)]
        panes.append(polygon([(far[0], top), (far[1], top), (near[1], low), (near[0], low)]))
    warm, clear = (skia.Color4f(*rgb("fff0bf"), a).toColor() for a in (0.36, 0.08))
    ends = [skia.Point(0, top), skia.Point(0, low)]
    brush.canvas.wash(together(panes), skia.GradientShader.MakeLinear(ends, [warm, clear]))


def _evening(brush: Brush) -> None:
    """Draw the light of a lamp above us, at night."""
    if brush.sky.dark:
        brush.glow(0.5, 0.28, 0.7, rgb("ffe3a0"), 0.3)


def _pictures(brush: Brush, x: float, y: float) -> None:
    """Draw two framed pictures on the wall."""
    tone = rgb(brush.pick(FABRICS))
    with brush.canvas.segment("wall-other-merged"):
        for dx, dy, w, h in ((0.0, 0.0, 0.075, 0.055), (0.13, 0.02, 0.045, 0.06)):
            cx, cy = x + dx, y + dy
            brush.mark(
                box(cx - w + 0.006, cy - h + 0.01, cx + w + 0.008, cy + h + 0.012),
                (0, 0, 0),
                alpha=0.12,
            )
            brush.mark(box(cx - w, cy - h, cx + w, cy + h, 0.006), rgb("8a6244"))
            inner = box(cx - w + 0.01, cy - h + 0.01, cx + w - 0.01, cy + h - 0.01)
            brush.mark(inner, mix(tone, rgb("fff4dc"), 0.7), to=mix(tone, rgb("fff4dc"), 0.45))
            with brush.canvas.inside(inner):
                brush.mark(
                    ellipse(cx - w * 0.3, cy + h * 0.9, w, h * 0.7), mix(tone, rgb("6f9a7a"), 0.4)
                )
                brush.mark(ellipse(cx + w * 0.7, cy + h * 1.0, w, h * 0.5), shade(tone, -0.1))


def draw_living_room(brush: Brush) -> None:
    """Draw a wall with a window and a fireplace or pictures, boards and a rug."""
    side = brush.side()
    wall = _wall(brush, "living room")
    cloth = rgb(brush.pick(FABRICS))
    _evening(brush)
    window = 0.5 + side * brush.between(0.16, 0.22)
    draw_window(brush, window, 0.29, 0.2, 0.2, cloth)
    fire = brush.chance(0.45)
    _skirting(brush, wall)
    _floor(brush, rgb(brush.pick(WOODS)))
    if fire:
        _fireplace(brush, 0.5 - side * 0.31)
    else:
        _pictures(brush, 0.5 - side * 0.3 - 0.05, 0.26)
    _sunbeam(brush, window)
    _rug(brush, cloth)


def _fireplace(brush: Brush, x: float) -> None:
    stone = rgb(brush.pick(("efe6d6", "c98468", "b9ada0")))
    with brush.canvas.segment("wall-brick"):
        brush.solid(box(x - 0.15, 0.34, x + 0.15, FLOOR + 0.015), stone, depth=0.06)
        brush.fill(
            box(x - 0.175, 0.315, x + 0.175, 0.35, 0.006), shade(stone, 0.3), to=shade(stone, -0.15)
        )
        mouth = box(x - 0.095, 0.42, x + 0.095, FLOOR + 0.01, 0.03)
        brush.mark(mouth, rgb("3b2c2a"), to=rgb("5b3325"))
        with brush.canvas.inside(mouth):
            for w, h, code in (
                (0.055, 0.13, "f0742c"),
                (0.036, 0.095, "fbb03c"),
                (0.018, 0.05, "fff0a0"),
            ):
                flames = [polygon([(x + dx - w * 0.6, FLOOR), (x + dx - w * 0.45, FLOOR - h * 0.45),
                                   (x + dx, FLOOR - h * k), (x + dx + w * 0.5, FLOOR - h * 0.4),
                                   (x + dx + w * 0.6, FLOOR)])
                          for dx, k in ((-w * 0.5, 0.8), (w * 0.5, 0.75), (0.0, 1.0))]  # fmt: skip
                brush.canvas.mark(together(flames), rgb(code), lit=False)
            logs = box(x - 0.075, FLOOR - 0.022, x + 0.075, FLOOR + 0.01, 0.01)
            brush.canvas.mark(logs, rgb("6b432c"), lit=False)
    if brush.sky.dark:
        brush.glow(x, FLOOR - 0.03, 0.3, rgb("ff9a3c"), 0.35)


def draw_kitchen(brush: Brush) -> None:
    """Draw a window above a counter with cupboards, a shelf, tiles and a floor."""
    side = brush.side()
    wall = _wall(brush, "kitchen")
    _evening(brush)
    front = rgb(brush.pick(("6f9a94", "e9e2d2", "8fa9bf", "c7d0b4", "d9a07c")))
    tile = mix(wall, (1, 1, 1), 0.65)
    with brush.canvas.segment("wall-tile"):
        brush.fill(box(-0.02, 0.33, 1.02, 0.47), tile)
        joints = [box(-0.02, 0.375 + 0.046 * k, 1.02, 0.379 + 0.046 * k) for k in range(2)]
        joints += [box(i / 14, 0.33, i / 14 + 0.004, 0.47) for i in range(15)]
        brush.mark(together(joints), shade(tile, -0.12), alpha=0.7)
    window = 0.5 + side * 0.06
    draw_window(brush, window, 0.26, 0.17, 0.15, rgb(brush.pick(FABRICS)), short=True)
    _cupboards(brush, 0.5 - side * 0.34, front)
    _floor(brush, rgb(brush.pick(WOODS)))
    with brush.canvas.segment("cabinet-merged"):
        brush.fill(box(-0.02, 0.465, 1.02, FLOOR + 0.012), front, to=shade(front, -0.1))
        brush.mark(box(-0.02, FLOOR - 0.02, 1.02, FLOOR + 0.012), shade(front, -0.45))
        doors, knobs = [], []
        for i in range(6):
            left = i / 6 + 0.012
            doors.append(box(left, 0.492, left + 1 / 6 - 0.024, FLOOR - 0.032, 0.008))
            knob = left + (0.125 if i % 2 == 0 else 0.017)
            knobs.append(ellipse(knob, 0.515, 0.008))
        brush.mark(together(doors), shade(front, 0.16), to=shade(front, 0.02))
        brush.mark(together(knobs), rgb("d9b45c"))
    with brush.canvas.segment("counter"):
        top = rgb(brush.pick(("b98355", "e6e1d8", "8d8f96")))
        brush.fill(box(-0.02, 0.45, 1.02, 0.478), shade(top, 0.16), to=shade(top, -0.14))
    _utensils(brush, 0.5 + side * 0.395)
    _sunbeam(brush, window)


def _utensils(brush: Brush, x: float) -> None:
    """Draw a rail with a pan, a ladle and a spatula, in the picture alone."""
    steel, y = rgb("8d949c"), 0.29
    pan = [ellipse(x - 0.055, y + 0.1, 0.034, 0.034), box(x - 0.06, y, x - 0.05, y + 0.08)]
    ladle = [box(x + 0.006, y, x + 0.013, y + 0.1), ellipse(x + 0.01, y + 0.105, 0.015, 0.013)]
    spatula = [box(x + 0.056, y, x + 0.063, y + 0.08),
               box(x + 0.045, y + 0.07, x + 0.074, y + 0.115, 0.006)]  # fmt: skip
    with brush.canvas.segment("wall-tile"):
        brush.mark(box(x - 0.095, y - 0.006, x + 0.09, y + 0.004, 0.004), rgb("7d5a3c"))
        brush.mark(together([*pan, *ladle, *spatula]), shade(steel, -0.2), to=steel)
        brush.mark(ellipse(x - 0.055, y + 0.1, 0.025, 0.025), shade(steel, 0.25))


def _cupboards(brush: Brush, x: float, color: Color) -> None:
    with brush.canvas.segment("cabinet-merged"):
        brush.mark(box(x - 0.15, 0.1, x + 0.155, 0.31, 0.006), (0, 0, 0), alpha=0.12)
        brush.fill(box(x - 0.15, 0.08, x + 0.15, 0.3, 0.006), shade(color, -0.08))
        doors = [
            box(x - 0.14, 0.092, x - 0.005, 0.288, 0.006),
            box(x + 0.005, 0.092, x + 0.14, 0.288, 0.006),
        ]
        brush.mark(together(doors), shade(color, 0.18), to=shade(color, 0.04))
        brush.mark(together(ellipse(x + dx, 0.255, 0.008) for dx in (-0.022, 0.022)), rgb("d9b45c"))


def draw_bedroom(brush: Brush) -> None:
    """Draw a wall with a window between long curtains, a shelf or pictures, boards and a rug."""
    side = brush.side()
    wall = _wall(brush, "bedroom")
    cloth = rgb(brush.pick(FABRICS))
    _evening(brush)
    window = 0.5 + side * brush.between(0.2, 0.25)
    draw_window(brush, window, 0.28, 0.17, 0.19, cloth, long=True)
    if brush.chance(0.5):
        _pictures(brush, 0.5 - side * 0.27 - 0.05, 0.25)
    else:
        _shelf(brush, 0.5 - side * 0.28, 0.27)
    _skirting(brush, wall)
    _floor(brush, rgb(brush.pick(WOODS)))
    _sunbeam(brush, window)
    _rug(brush, rgb(brush.pick(FABRICS)))


def _shelf(brush: Brush, x: float, y: float) -> None:
    """Draw a shelf with boxes on it."""
    wood = rgb(brush.pick(WOODS))
    with brush.canvas.segment("shelf"):
        left = x - 0.12
        for k, code in enumerate(brush.generator.permutation(len(FABRICS))[:3]):
            wide, high = brush.between(0.05, 0.07), brush.between(0.045, 0.085)
            color = mix(rgb(FABRICS[int(code)]), rgb("f4e6cf"), 0.35)
            brush.solid(box(left, y - high, left + wide, y, 0.006), color, depth=0.14)
            left += wide + 0.01 + 0.006 * k
        brush.fill(box(x - 0.15, y, x + 0.15, y + 0.02, 0.004), wood, to=shade(wood, -0.2))
        brush.mark(box(x - 0.14, y + 0.02, x + 0.15, y + 0.034), (0, 0, 0), alpha=0.1)


def draw_tabletop(brush: Brush) -> None:
    """Draw a wooden table from close by, before a wall with a window."""
    side = brush.side()
    _wall(brush, "tabletop")
    _evening(brush)
    window = 0.5 + side * 0.24
    draw_window(brush, window, 0.26, 0.19, 0.18, rgb(brush.pick(FABRICS)))
    if brush.chance(0.5):
        _pictures(brush, 0.5 - side * 0.3 - 0.05, 0.25)
    else:
        _shelf(brush, 0.5 - side * 0.3, 0.3)
    _table(brush, rgb(brush.pick(WOODS)))
    _sunbeam(brush, window)


def _table(brush: Brush, wood: Color) -> None:
    """Draw the top of a table, its boards from left to right, and its front edge."""
    top = [(0.05, FLOOR), (0.95, FLOOR), (0.985, FLOOR + 0.03), (1.1, 0.95), (-0.1, 0.95),
           (0.015, FLOOR + 0.03)]  # fmt: skip
    with brush.canvas.segment("wall-other-merged"):  # what is seen beside the table
        brush.fill(box(-0.02, FLOOR, 1.02, 0.95), shade(wood, -0.55), to=shade(wood, -0.65))
    with brush.canvas.segment("table-merged"):
        shape = polygon(top)
        brush.fill(shape, shade(wood, 0.1), to=shade(wood, -0.04))
        seams = ((0.662, 0.004), (0.715, 0.005), (0.782, 0.006), (0.862, 0.007))
        with brush.canvas.inside(shape):
            bands = [box(-0.1, 0.662, 1.1, 0.715), box(-0.1, 0.782, 1.1, 0.862)]
            brush.mark(together(bands), shade(wood, -0.08), alpha=0.6)
            brush.mark(together(box(-0.1, y, 1.1, y + h) for y, h in seams), shade(wood, -0.25),
                       alpha=0.7)  # fmt: skip
            brush.mark(box(-0.1, FLOOR, 1.1, FLOOR + 0.008), shade(wood, 0.35))
        brush.fill(box(-0.02, 0.945, 1.02, 1.02), shade(wood, -0.2), to=shade(wood, -0.38))
        brush.mark(box(-0.02, 0.94, 1.02, 0.952), shade(wood, 0.3))
        if brush.chance(0.4):
            _runner(brush, rgb(brush.pick(FABRICS)))


def _runner(brush: Brush, cloth: Color) -> None:
    """Draw a cloth along the table that hangs over its edge."""
    for inset, color in ((0.0, cloth), (0.03, mix(cloth, rgb("fbf3e2"), 0.82))):
        back, front = 0.27 - inset, 0.43 - inset
        flat = [
            (0.5 - back, FLOOR),
            (0.5 + back, FLOOR),
            (0.5 + front, 0.945),
            (0.5 - front, 0.945),
        ]
        brush.mark(polygon(flat), color, to=shade(color, -0.05))
        brush.mark(box(0.5 - front, 0.945, 0.5 + front, 1.02), shade(color, -0.14))
