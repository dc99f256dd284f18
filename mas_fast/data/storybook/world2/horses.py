"""Horses and zebras, from the side."""

from __future__ import annotations

import skia

from mas_fast.data.storybook.canvas import Canvas, Color, Point, ellipse, mix, together
from mas_fast.data.storybook.world2.forms import (
    CREAM,
    INK,
    chance,
    dim,
    eye,
    form,
    outline,
    pick,
    pose_of,
    tube,
)
from mas_fast.data.storybook.world2.look import Look
from mas_fast.data.storybook.world2.quadruped import Leg, coat_of, far_legs, four, hooves

WIDTHS = {
    "horse": {"stand": 1.2, "gallop": 1.55},
    "zebra": {"stand": 1.2, "gallop": 1.55},
}
BACK = 0.665  # height of the back, where a rider sits
NATURAL: dict[str, tuple[Color, ...]] = {
    "horse": ((0.58, 0.34, 0.2), (0.8, 0.56, 0.32), (0.36, 0.24, 0.2)),
    "zebra": ((0.96, 0.95, 0.92),),
}
MANES: tuple[Color, ...] = ((0.23, 0.16, 0.15), (0.95, 0.88, 0.74), (0.42, 0.26, 0.18))

BODY = outline((
    (-0.43, -0.56), (-0.415, -0.64), (-0.32, -0.7), (-0.16, -0.672), (0.0, -0.662), (0.09, -0.7),
    (0.17, -0.78), (0.24, -0.89), (0.31, -0.955), (0.385, -0.945), (0.45, -0.87), (0.53, -0.765),
    (0.57, -0.725), (0.56, -0.68), (0.51, -0.665), (0.455, -0.715), (0.425, -0.77), (0.375, -0.765),
    (0.345, -0.68), (0.31, -0.6), (0.295, -0.52), (0.25, -0.44), (0.14, -0.385), (0.0, -0.375),
    (-0.16, -0.4), (-0.3, -0.45), (-0.42, -0.48),
))  # fmt: skip
HIND = Leg(((-0.3, -0.53), (-0.28, -0.41), (-0.39, -0.25), (-0.385, -0.1), (-0.37, -0.055)),
           (0.24, 0.165, 0.078, 0.056, 0.058), (0.088, 0.055), True)  # fmt: skip
FORE = Leg(((0.2, -0.52), (0.2, -0.37), (0.205, -0.23), (0.2, -0.1), (0.215, -0.055)),
           (0.17, 0.105, 0.07, 0.052, 0.056), (0.088, 0.055), True)  # fmt: skip
GALLOP = (
    HIND.bent((-0.3, -0.5), (-0.2, -0.39), (-0.29, -0.24), (-0.22, -0.11), (-0.19, -0.055)),
    HIND.bent((-0.32, -0.53), (-0.38, -0.4), (-0.52, -0.29), (-0.62, -0.16), (-0.66, -0.12)),
    FORE.bent((0.2, -0.5), (0.36, -0.42), (0.5, -0.4), (0.6, -0.29), (0.64, -0.25)),
    FORE.bent((0.2, -0.5), (0.29, -0.38), (0.4, -0.29), (0.3, -0.2), (0.25, -0.2)),
)


STRIPE_LINES: tuple[tuple[Point, ...], ...] = (
    ((-0.46, -0.5), (-0.36, -0.55), (-0.27, -0.5)),
    ((-0.46, -0.6), (-0.33, -0.64), (-0.2, -0.56), (-0.17, -0.42)),
    ((-0.2, -0.72), (-0.12, -0.58), (-0.1, -0.44)),
    ((-0.06, -0.72), (-0.02, -0.56), (-0.02, -0.42)),
    ((0.06, -0.74), (0.08, -0.58), (0.06, -0.44)),
    ((0.14, -0.78), (0.19, -0.62), (0.16, -0.46)),
    ((0.14, -0.84), (0.25, -0.7), (0.32, -0.62)),
    ((0.2, -0.92), (0.29, -0.8), (0.38, -0.73)),
    ((0.3, -0.97), (0.345, -0.88), (0.37, -0.78)),
    ((0.47, -0.9), (0.46, -0.8), (0.42, -0.74)),
)
STRIPE_WIDTHS = {3: (0.05, 0.05, 0.012), 4: (0.05, 0.052, 0.05, 0.012)}
STRIPES = together(
    (
        *(tube(line, STRIPE_WIDTHS[len(line)]) for line in STRIPE_LINES),
        ellipse(0.57, -0.68, 0.07),  # the muzzle
    )
)


def _legs(kind: str, look: Look) -> tuple[Leg, ...]:
    if pose_of(kind, look, WIDTHS[kind]) == "gallop":
        return GALLOP
    stride = float(look.generator.uniform(0.04, 0.13))
    return four(HIND, FORE, 0.075, stride, "walk")


def _ears(canvas: Canvas, color: Color) -> None:
    canvas.fill(
        outline([(0.34, -0.93), (0.39, -1.0), (0.39, -1.0), (0.405, -0.93)]), dim(color, 0.3)
    )
    canvas.fill(outline([(0.295, -0.93), (0.325, -1.01), (0.325, -1.01), (0.37, -0.94)]), color)


def horse(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a horse: with or without socks and a blaze; mane and tail of another colour."""
    generator = look.generator
    legs = _legs("horse", look)
    far = tuple(c for c in MANES if sum(abs(a - b) for a, b in zip(c, color, strict=True)) > 0.5)
    hair, flow = pick(generator, far), float(generator.uniform(-0.02, 0.03))
    socks, blaze = chance(generator, 0.55), chance(generator, 0.5)
    far_legs(canvas, (legs[0], legs[2]), color, INK)
    _tail(canvas, hair, look, flow)
    near = (legs[1], legs[3])
    coat = coat_of(near, BODY, paws=False)
    _ears(canvas, color)
    form(canvas, coat, color, look, rim=0.028)
    hooves(canvas, near, INK)
    with canvas.inside(coat):
        canvas.mark(ellipse(0.58, -0.675, 0.085, 0.075), mix(color, (0.3, 0.22, 0.24), 0.5))
        if blaze:
            canvas.mark(
                tube([(0.41, -0.95), (0.5, -0.83), (0.55, -0.76)], (0.05, 0.05, 0.04)), CREAM
            )
        if socks:
            canvas.mark(together(tube(leg.joints[-2:], (0.12, 0.13)) for leg in near), CREAM)
    mane = outline([
        *((0.4, -0.95), (0.33, -0.995), (0.24, -0.96), (0.17, -0.87), (0.1, -0.76), (0.04, -0.68)),
        *((0.06 + flow, -0.61), (0.06 + flow, -0.61), (0.13, -0.66), (0.155 + flow, -0.64)),
        *((0.155 + flow, -0.64), (0.2, -0.74), (0.235 + flow, -0.73), (0.235 + flow, -0.73)),
        *((0.27, -0.84), (0.31 + flow, -0.84), (0.31 + flow, -0.84), (0.33, -0.9)),
    ])  # fmt: skip
    form(canvas, mane, hair, look, rim=0.022)
    eye(canvas, 0.42, -0.865, 0.024)
    canvas.mark(ellipse(0.545, -0.715, 0.014, 0.011), INK)


def _tail(canvas: Canvas, hair: Color, look: Look, flow: float) -> None:
    if look.pose == "gallop":
        tail = [(-0.39, -0.67), (-0.5, -0.71), (-0.64, -0.66), (-0.76, -0.5 - flow)]
        tail += [(-0.76, -0.5 - flow), (-0.64, -0.51), (-0.5, -0.55), (-0.41, -0.58)]
    else:
        tail = [
            (-0.39, -0.67),
            (-0.48, -0.64),
            (-0.545, -0.5),
            (-0.565 - flow, -0.3),
            (-0.54, -0.14),
        ]
        tail += [(-0.54, -0.14), (-0.465, -0.27), (-0.45, -0.42), (-0.4, -0.56)]
    form(canvas, outline(tail), hair, look, rim=0.025)


def zebra(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a zebra: stripes, a brush for a mane, a tuft at the tail."""
    legs = _legs("zebra", look)
    far_legs(canvas, (legs[0], legs[2]), color, INK)
    tip = (-0.64, -0.58) if look.pose == "gallop" else (-0.53, -0.34)
    canvas.fill(
        tube([(-0.41, -0.64), (tip[0] + 0.05, tip[1] - 0.14), tip], (0.05, 0.04, 0.04)), color
    )
    canvas.fill(tube([tip, (tip[0] - 0.03, tip[1] + 0.14)], (0.06, 0.05)), INK)
    brush = outline([(0.37, -0.97), (0.3, -1.0), (0.21, -0.95), (0.13, -0.83), (0.06, -0.71),
                     (0.2, -0.74), (0.3, -0.9)])  # fmt: skip
    canvas.fill(brush, INK)
    _ears(canvas, color)
    near = (legs[1], legs[3])
    coat = coat_of(near, BODY, paws=False)
    form(canvas, coat, color, look, rim=0.028)
    hooves(canvas, near, INK)
    with canvas.inside(coat):
        canvas.mark(together((STRIPES, *_rings(near))), INK)
    eye(canvas, 0.42, -0.865, 0.024)


def _rings(legs: tuple[Leg, ...]) -> list[skia.Path]:
    """Return the stripes across the legs."""
    rings = []
    for leg in legs:
        for (ax, ay), (bx, by) in zip(leg.joints[1:4], leg.joints[2:5], strict=True):
            x, y = (ax + bx) / 2, (ay + by) / 2
            dx, dy = 0.5 * (by - ay), -0.5 * (bx - ax)
            size = 0.08 / max((dx * dx + dy * dy) ** 0.5, 0.01)
            ends = [(x - dx * size, y - dy * size), (x + dx * size, y + dy * size)]
            rings.append(tube(ends, (0.034, 0.034)))
    return rings
