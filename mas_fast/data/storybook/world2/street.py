"""What stands along streets: traffic lights, hydrants, stop signs, benches."""

from __future__ import annotations

from math import cos, pi, sin

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
    GOLD,
    INK,
    STEEL,
    accent,
    chance,
    pick,
)
from mas_fast.data.storybook.world2.shapes import bent, rounded

WIDTHS = {"traffic light": 0.4, "fire hydrant": 0.66, "stop sign": 0.42, "bench": 2.0}
SEATS = {"bench": (0.0, 0.46)}
NATURAL: dict[str, tuple[str | Color, ...]] = {
    "traffic light": (rgb("3d4a4f"), rgb("e0a92f"), rgb("2f5a4c")),
    "fire hydrant": ("red", "yellow"),
    "stop sign": ("red",),
    "bench": (rgb("b07a48"), rgb("8f5d38"), "green"),
}
SIGNALS = (rgb("ee4035"), rgb("ffc23d"), rgb("4fd06b"))


def traffic_light(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a traffic light on its post; one of its lamps is lit, by day too."""
    on = int(look.generator.integers(3))
    post = INK if color[0] > 0.5 else shade(color, -0.25)
    canvas.fill(box(-0.035, -0.5, 0.035, 0.0), post)
    canvas.fill(rounded([(-0.1, 0.0), (-0.06, -0.07), (0.06, -0.07), (0.1, 0.0)], 0.02), post)
    hoods = [
        polygon([(s * 0.13, y - 0.085), (s * 0.2, y - 0.07), (s * 0.13, y + 0.03)])
        for s in (-1, 1)
        for y in (-0.86, -0.695, -0.53)
    ]
    canvas.fill(together(hoods), accent(color, 0.3))
    solid(canvas, box(-0.145, -1.0, 0.145, -0.39, 0.07), color, look, depth=0.12)
    if chance(look.generator, 0.4):  # a button for those on foot
        canvas.fill(box(-0.07, -0.3, 0.07, -0.18, 0.02), GOLD)
        canvas.mark(ellipse(0.0, -0.24, 0.03), INK)
    y = (-0.86, -0.695, -0.53)[on]
    canvas.mark(ellipse(0.0, y, 0.17), SIGNALS[on], lit=False, alpha=0.35 if look.night else 0.2)
    for i, (signal, y) in enumerate(zip(SIGNALS, (-0.86, -0.695, -0.53), strict=True)):
        if i == on:
            canvas.fill(ellipse(0.0, y, 0.073), signal, lit=False)
            canvas.mark(ellipse(-0.02, y - 0.025, 0.025), shade(signal, 0.65), lit=False)
        else:
            canvas.fill(ellipse(0.0, y, 0.073), shade(signal, -0.6))


def fire_hydrant(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a hydrant: a stout body under a domed cap, a nozzle on each side and in front."""
    dark, cap = accent(color, 0.2), pick(look.generator, (color, GOLD, STEEL))
    for s in (-1, 1):
        nozzle = box(min(s * 0.14, s * 0.3), -0.64, max(s * 0.14, s * 0.3), -0.46, 0.03)
        canvas.fill(nozzle, dark)
        canvas.fill(box(min(s * 0.26, s * 0.33), -0.67, max(s * 0.26, s * 0.33), -0.43, 0.03), cap)
    solid(canvas, box(-0.2, -0.74, 0.2, -0.06, 0.03), color, look, depth=0.2)
    canvas.fill(box(-0.3, -0.11, 0.3, 0.0, 0.03), dark)
    canvas.fill(box(-0.26, -0.19, 0.26, -0.12, 0.03), color)
    canvas.fill(box(-0.06, -1.0, 0.06, -0.9, 0.02), dark)
    dome = bent(
        [(-0.23, -0.76), (-0.22, -0.95), (0.0, -0.95), (0.22, -0.95), (0.23, -0.76), (0, -0.76)]
    )
    solid(canvas, dome, cap, look, depth=0.16)
    canvas.fill(box(-0.27, -0.79, 0.27, -0.71, 0.03), dark)
    canvas.mark(ellipse(0.0, -0.46, 0.13), dark)
    canvas.mark(ellipse(0.0, -0.46, 0.1), cap)
    bolt = [(0.045 * cos(pi * i / 3), -0.46 + 0.045 * sin(pi * i / 3)) for i in range(6)]
    canvas.mark(polygon(bolt), dark)
    canvas.mark(box(-0.15, -0.69, -0.1, -0.24, 0.025), shade(color, 0.35))


def _letters(canvas: Canvas) -> None:
    """Draw the word on a stop sign, as strokes within -0.15 .. 0.15 around y = -0.79."""
    top, low, mid, half = -0.845, -0.735, -0.79, 0.026
    words: list[list[tuple[float, float]]] = []
    x = -0.117
    words.append(
        [
            (x + half, top),
            (x - half, top),
            (x - half, mid),
            (x + half, mid),
            (x + half, low),
            (x - half, low),
        ]
    )
    x = -0.039
    words += [[(x - half, top), (x + half, top)], [(x, top), (x, low)]]
    x = 0.039
    words.append(
        [(x - half, top), (x + half, top), (x + half, low), (x - half, low), (x - half, top)]
    )
    x = 0.117
    words.append(
        [(x - half, low), (x - half, top), (x + half, top), (x + half, mid), (x - half, mid)]
    )
    canvas.mark(together(limb(word, 0.021, smooth=False) for word in words), CREAM)


def stop_sign(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an octagon with a pale rim and the word on a post."""
    canvas.fill(box(-0.028, -0.62, 0.028, 0.0), STEEL)
    canvas.mark(box(0.0, -0.62, 0.028, 0.0), shade(STEEL, -0.2))

    def octagon(radius: float) -> list[tuple[float, float]]:
        turns = [pi / 8 + i * pi / 4 for i in range(8)]
        return [(radius * cos(t), -0.79 + radius * sin(t)) for t in turns]

    canvas.fill(polygon(octagon(0.225)), CREAM)
    canvas.fill(polygon(octagon(0.202)), accent(color, 0.14))
    with canvas.inside(polygon(octagon(0.202))):
        side = [(x + 0.02 * look.sun, y - 0.015) for x, y in octagon(0.205)]
        canvas.mark(polygon(side), color)
    with canvas.at(0, 0, 1, facing=-1 if canvas.mirrored else 1):
        _letters(canvas)


def bench(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a bench from the front: of slats between iron sides, or of planks on wooden legs."""
    iron = chance(look.generator, 0.6)
    legs, dark = (INK if iron else accent(color, 0.3)), accent(color, 0.24)
    sides = (-0.78, 0.78)
    canvas.fill(together(box(x - 0.05, -0.95, x + 0.05, -0.3, 0.03) for x in sides), legs)
    if iron:
        feet = [
            limb([(x, -0.38), (x, -0.12), (x + s * 0.1, -0.035)], 0.07)
            for x in sides
            for s in (-1, 1)
        ]
    else:
        feet = [box(x - 0.065, -0.38, x + 0.065, 0.0, 0.02) for x in sides]
    canvas.fill(together(feet), legs)
    count = 3 if iron else 2
    room = 0.46 / count
    slats = [
        box(-0.94, -1.0 + i * room, 0.94, -1.0 + (i + 1) * room - 0.045, 0.035)
        for i in range(count)
    ]
    solid(canvas, together(slats), color, look, depth=0.03)
    seat = [rounded([(-0.96, -0.46), (-0.9, -0.54), (0.9, -0.54), (0.96, -0.46)], 0.02)]
    canvas.fill(together(seat), shade(color, 0.12))
    canvas.mark(box(-0.93, -0.506, 0.93, -0.486), dark)
    solid(canvas, box(-0.98, -0.465, 0.98, -0.36, 0.035), color, look, depth=0.25)
    if iron:
        arms = [limb([(x, -0.7), (x + s * 0.12, -0.7), (x + s * 0.12, -0.42)], 0.06, smooth=False)
                for x, s in zip(sides, (-1, 1), strict=True)]  # fmt: skip
        canvas.fill(together(arms), INK)
