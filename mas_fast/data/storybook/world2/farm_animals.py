"""Cows and sheep, from the side."""

from __future__ import annotations

import math

from mas_fast.data.storybook.canvas import Canvas, Color, ellipse, mix, shade, together
from mas_fast.data.storybook.world2.forms import (
    CREAM,
    INK,
    PINK,
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

WIDTHS = {"cow": {"stand": 1.5}, "sheep": {"stand": 1.3}}
NATURAL: dict[str, tuple[Color, ...]] = {
    "cow": ((0.96, 0.95, 0.92), (0.6, 0.36, 0.22), (0.85, 0.66, 0.45)),
    "sheep": ((0.97, 0.95, 0.9),),
}
HORN: Color = (0.93, 0.87, 0.72)


def cow(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a cow: a white or black one has patches, a brown one is plain or has a white face."""
    pose_of("cow", look, WIDTHS["cow"])
    generator = look.generator
    white, black = sum(color) > 2.2, sum(color) < 0.75
    patch = INK if white else CREAM
    patched = white or black or chance(generator, 0.4)
    swing = float(generator.uniform(-0.04, 0.04))
    hind = Leg(((-0.45, -0.55), (-0.42, -0.38), (-0.5, -0.24), (-0.485, -0.06)),
               (0.28, 0.21, 0.105, 0.085), (0.12, 0.06), True)  # fmt: skip
    fore = Leg(
        ((0.17, -0.52), (0.17, -0.26), (0.175, -0.06)), (0.22, 0.11, 0.085), (0.12, 0.06), True
    )
    legs = four(hind, fore, 0.1, float(generator.uniform(0.03, 0.1)), "walk")
    far_legs(canvas, (legs[0], legs[2]), color, INK)
    canvas.fill(outline([(-0.4, -0.36), (-0.38, -0.24), (-0.28, -0.21), (-0.2, -0.26),
                         (-0.16, -0.36)]), PINK)  # fmt: skip
    near = (legs[1], legs[3])
    body = outline([
        *((-0.6, -0.6), (-0.59, -0.74), (-0.5, -0.81), (-0.3, -0.795), (-0.08, -0.78),
          (0.12, -0.815)),
        *((0.28, -0.86), (0.4, -0.86), (0.46, -0.72), (0.4, -0.58), (0.36, -0.44), (0.26, -0.35)),
        *((0.0, -0.3), (-0.24, -0.32), (-0.42, -0.38), (-0.57, -0.46)),
    ])  # fmt: skip
    form(canvas, coat_of(near, body, paws=False), color, look, rim=0.032)
    hooves(canvas, near, INK)
    with canvas.inside(body):
        if patched:
            x, y = (float(v) for v in generator.uniform((-0.03, -0.02), (0.03, 0.02)))
            rump = [(-0.66, -0.8), (-0.42, -0.84), (-0.34, -0.7), (-0.4, -0.52), (-0.56, -0.5)]
            side = [(-0.16, -0.82), (0.1, -0.84), (0.16, -0.66), (0.04, -0.5), (-0.1, -0.54)]
            low = [(-0.24, -0.42), (-0.1, -0.4), (-0.08, -0.26), (-0.26, -0.26)]
            patches = [[(a + x, b + y) for a, b in points] for points in (rump, side, low)]
            canvas.mark(together(map(outline, patches)), patch)
    tail = [(-0.58, -0.74), (-0.65, -0.66), (-0.66, -0.5), (-0.66 + swing, -0.36)]
    canvas.fill(tube(tail, (0.05, 0.045, 0.04, 0.035)), dim(color, 0.14))
    canvas.fill(ellipse(-0.66 + swing, -0.29, 0.045, 0.085), patch if patched else dim(color, 0.4))
    _cow_head(canvas, color, look, patch if patched else None)


def _cow_head(canvas: Canvas, color: Color, look: Look, patch: Color | None) -> None:
    horns = [tube([(x, -0.9), (x + 0.01, -0.955), (x + 0.055, -0.995)], (0.055, 0.045, 0.012))
             for x in (0.36, 0.5)]  # fmt: skip
    canvas.fill(together(horns), HORN)
    ear = outline([(0.37, -0.86), (0.28, -0.9), (0.2, -0.86), (0.2, -0.86), (0.27, -0.79),
                   (0.36, -0.79)])  # fmt: skip
    head = outline([
        *((0.34, -0.8), (0.37, -0.9), (0.46, -0.94), (0.55, -0.88), (0.62, -0.76), (0.7, -0.68)),
        *((0.71, -0.6), (0.63, -0.55), (0.53, -0.58), (0.43, -0.65), (0.36, -0.71)),
    ])  # fmt: skip
    form(canvas, head, color, look, rim=0.026)
    with canvas.inside(head):
        if patch is not None:
            blaze = patch if sum(color) < 2.2 else patch
            spot = ellipse(0.4, -0.84, 0.11, 0.13) if sum(color) > 2.2 else tube(
                [(0.52, -0.96), (0.62, -0.8), (0.68, -0.7)], (0.09, 0.08, 0.06))  # fmt: skip
            canvas.mark(spot, blaze)
        muzzle = outline([(0.59, -0.74), (0.73, -0.74), (0.78, -0.54), (0.54, -0.5), (0.56, -0.62)])
        canvas.mark(muzzle, PINK)
    form(
        canvas,
        ear,
        dim(color, 0.08) if patch is None or sum(color) < 2.2 else patch,
        look,
        rim=0.02,
    )
    canvas.mark(ellipse(0.66, -0.655, 0.018, 0.024), dim(PINK, 0.5))
    canvas.mark(tube([(0.7, -0.595), (0.64, -0.585), (0.59, -0.6)], (0.012, 0.018, 0.012)),
                dim(PINK, 0.4))  # fmt: skip
    if patch == INK:
        canvas.mark(ellipse(0.492, -0.815, 0.042), CREAM)
    eye(canvas, 0.495, -0.815, 0.03)


def sheep(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a sheep: a cloud of wool with a dark face or a light one."""
    pose_of("sheep", look, WIDTHS["sheep"])
    generator = look.generator
    dark, light = (0.27, 0.23, 0.25), (0.93, 0.8, 0.7)
    skin = light if sum(color) < 1.3 else pick(generator, (dark, dark, light))
    hind = Leg(
        ((-0.32, -0.36), (-0.33, -0.2), (-0.33, -0.05)), (0.15, 0.1, 0.085), (0.11, 0.05), True
    )
    fore = Leg(((0.18, -0.36), (0.18, -0.2), (0.18, -0.05)), (0.14, 0.1, 0.085), (0.11, 0.05), True)
    legs = four(hind, fore, 0.12, float(generator.uniform(0.02, 0.07)), "walk")
    hoof = INK if skin == light else shade(skin, -0.4)
    far_legs(canvas, (legs[0], legs[2]), skin, hoof)
    near = (legs[1], legs[3])
    form(canvas, coat_of(near, paws=False), skin, look, rim=0.02)
    hooves(canvas, near, hoof)
    canvas.fill(ellipse(-0.56, -0.58, 0.075, 0.1), dim(color, 0.08))
    turn = float(generator.uniform(0.0, 0.5))
    puffs = [ellipse(-0.08, -0.57, 0.42, 0.27)]
    for n in range(11):
        a = turn + n * 2 * math.pi / 11
        puffs.append(ellipse(-0.08 + 0.38 * math.cos(a), -0.57 + 0.235 * math.sin(a), 0.13, 0.12))
    wool = together(puffs)
    form(canvas, wool, color, look, rim=0.045, amount=0.16)
    curls = [tube([(x - 0.075, y), (x - 0.05, y + 0.04), (x, y + 0.055), (x + 0.05, y + 0.04),
                   (x + 0.075, y)], (0.02, 0.03, 0.034, 0.03, 0.02))
             for x, y in ((-0.3, -0.64), (-0.06, -0.54), (-0.24, -0.44), (0.08, -0.7))]  # fmt: skip
    canvas.mark(together(curls), dim(color, 0.13) if sum(color) > 0.75 else shade(color, 0.16))
    face = outline([
        *((0.33, -0.76), (0.36, -0.87), (0.46, -0.89), (0.54, -0.8), (0.61, -0.68), (0.62, -0.58)),
        *((0.54, -0.53), (0.45, -0.58), (0.37, -0.66)),
    ])  # fmt: skip
    form(canvas, face, skin, look, rim=0.025)
    ear = outline([(0.37, -0.8), (0.27, -0.82), (0.19, -0.74), (0.26, -0.7), (0.36, -0.73)])
    form(canvas, ear, dim(skin, 0.12), look, rim=0.016)
    tuft = together(ellipse(x, y, r) for x, y, r in ((0.33, -0.86, 0.085), (0.42, -0.905, 0.09),
                                                     (0.51, -0.875, 0.065)))  # fmt: skip
    form(canvas, tuft, color, look, rim=0.025, amount=0.14)
    if skin == dark:
        canvas.mark(ellipse(0.49, -0.755, 0.044), CREAM)
        canvas.mark(ellipse(0.5, -0.75, 0.028), INK)
    else:
        eye(canvas, 0.49, -0.755, 0.034)
    canvas.mark(ellipse(0.6, -0.625, 0.022, 0.018), mix(skin, PINK, 0.6) if skin == dark else INK)
