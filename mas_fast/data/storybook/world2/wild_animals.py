"""Elephants, bears and giraffes, from the side; a sitting bear looks out of the picture."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import Canvas, Color, box, ellipse, mix, together
from mas_fast.data.storybook.world2.forms import (
    CREAM,
    INK,
    PINK,
    chance,
    dim,
    eye,
    form,
    outline,
    pose_of,
    tube,
)
from mas_fast.data.storybook.world2.look import Look
from mas_fast.data.storybook.world2.quadruped import Leg, coat_of, far_legs, four, hooves

WIDTHS = {
    "elephant": {"stand": 1.5},
    "bear": {"stand": 1.6, "sit": 0.9},
    "giraffe": {"stand": 0.78},
}
NATURAL: dict[str, tuple[Color, ...]] = {
    "elephant": ((0.6, 0.62, 0.68),),
    "bear": ((0.48, 0.31, 0.2), (0.2, 0.18, 0.19), (0.96, 0.95, 0.9)),
    "giraffe": ((0.96, 0.8, 0.48),),
}


def elephant(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw an elephant: a big ear, tusks, a trunk that hangs or is raised."""
    pose_of("elephant", look, WIDTHS["elephant"])
    generator = look.generator
    raised, sway = chance(generator, 0.4), float(generator.uniform(-0.03, 0.03))
    hind = Leg(((-0.35, -0.5), (-0.34, -0.28), (-0.36, -0.05)), (0.32, 0.22, 0.18), (0.19, 0.05))
    fore = Leg(((0.1, -0.5), (0.1, -0.26), (0.1, -0.05)), (0.28, 0.2, 0.17), (0.18, 0.05))
    legs = four(hind, fore, 0.17, float(generator.uniform(0.02, 0.08)), "walk")
    far_legs(canvas, (legs[0], legs[2]), color)
    tail = [(-0.5, -0.66), (-0.58, -0.56), (-0.59 + sway, -0.4)]
    canvas.fill(tube(tail, (0.05, 0.035, 0.03)), dim(color, 0.2))
    canvas.fill(ellipse(-0.59 + sway, -0.36, 0.024, 0.055), dim(color, 0.55))
    if raised:
        points = [(0.42, -0.76), (0.54, -0.62), (0.64, -0.63), (0.69, -0.76), (0.65 + sway, -0.9)]
    else:
        points = [
            (0.42, -0.78),
            (0.51, -0.6),
            (0.53, -0.38),
            (0.54 + sway, -0.2),
            (0.62 + sway, -0.13),
        ]
    trunk = tube(points, (0.28, 0.19, 0.13, 0.1, 0.07))
    canvas.fill(tube([(0.46, -0.54), (0.56, -0.46), (0.66, -0.49)], (0.05, 0.045, 0.012)),
                dim(CREAM, 0.15))  # fmt: skip
    near = (legs[1], legs[3])
    body = outline([
        *((-0.53, -0.5), (-0.52, -0.68), (-0.42, -0.83), (-0.2, -0.91), (0.02, -0.89),
          (0.16, -0.87)),
        *((0.27, -0.97), (0.39, -0.985), (0.49, -0.89), (0.5, -0.72), (0.42, -0.54), (0.32, -0.5)),
        *((0.22, -0.4), (0.0, -0.31), (-0.24, -0.34), (-0.46, -0.38)),
    ])  # fmt: skip
    form(canvas, coat_of(near, body, trunk), color, look, rim=0.035)
    nails = [
        ellipse(leg.joints[-1][0] + x, -0.018, 0.022, 0.018) for leg in near for x in (0.0, 0.055)
    ]
    canvas.mark(together(nails), mix(color, CREAM, 0.6))
    canvas.fill(tube([(0.41, -0.53), (0.51, -0.43), (0.63, -0.45)], (0.06, 0.052, 0.014)), CREAM)
    flap = float(generator.uniform(-0.02, 0.02))
    ear = [(0.29, -0.87), (0.2, -0.93), (0.06 + flap, -0.91), (-0.02 + flap, -0.78)]
    ear += [
        (0.0 + flap, -0.6),
        (0.09, -0.45),
        (0.17, -0.4),
        (0.22, -0.5),
        (0.31, -0.6),
        (0.34, -0.74),
    ]
    form(canvas, outline(ear), dim(color, 0.13), look, rim=0.03, amount=0.26)
    inner = [(0.16 + (x - 0.16) * 0.66, -0.7 + (y + 0.7) * 0.7) for x, y in ear]
    canvas.mark(outline(inner), mix(color, PINK, 0.38))
    eye(canvas, 0.4, -0.79, 0.026)


# ------------------------------------------------------------------ bears


def bear(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a bear: a white one is a polar bear, with a longer neck and no light muzzle."""
    if pose_of("bear", look, WIDTHS["bear"]) == "sit":
        _sitting_bear(canvas, color, look)
    else:
        _standing_bear(canvas, color, look)


def _muzzle(color: Color) -> Color:
    return mix(color, (0.86, 0.68, 0.48), 0.6) if sum(color) < 2.2 else dim(color, 0.04)


def _standing_bear(canvas: Canvas, color: Color, look: Look) -> None:
    polar = 0.05 if sum(color) > 2.2 else 0.0
    low = float(look.generator.uniform(0.0, 0.06))
    hind = Leg(((-0.4, -0.5), (-0.36, -0.3), (-0.43, -0.08)), (0.36, 0.26, 0.19), (0.25, 0.08))
    fore = Leg(((0.18, -0.55), (0.18, -0.3), (0.17, -0.08)), (0.3, 0.2, 0.17), (0.23, 0.08))
    legs = four(hind, fore, 0.14, float(look.generator.uniform(0.04, 0.12)), "walk")
    far_legs(canvas, (legs[0], legs[2]), color)
    x, y = 0.46 + polar, -0.72 + low
    body = outline([
        *((-0.62, -0.46), (-0.6, -0.64), (-0.5, -0.77), (-0.3, -0.82), (-0.08, -0.8), (0.1, -0.86)),
        *((0.24, -0.87), (x - 0.1, y - 0.14), (x, y), (x - 0.06, y + 0.17), (0.32, -0.42)),
        *((0.14, -0.31), (-0.12, -0.26), (-0.36, -0.28), (-0.56, -0.34)),
    ])  # fmt: skip
    near = (legs[1], legs[3])
    form(canvas, coat_of(near, body), color, look, rim=0.035)
    claws = [
        ellipse(leg.joints[-1][0] + dx, -0.014, 0.016, 0.014)
        for leg in near
        for dx in (0.09, 0.135)
    ]
    canvas.mark(together(claws), dim(color, 0.5) if polar else CREAM, alpha=0.8)
    canvas.fill(ellipse(-0.62, -0.6, 0.06, 0.05), dim(color, 0.16))
    size = 0.185
    with canvas.at(x, y, size):
        canvas.fill(ellipse(0.22, -0.94, 0.27), dim(color, 0.28))
        head = outline([
            *((-0.95, 0.3), (-0.92, -0.4), (-0.45, -0.94), (0.25, -0.92), (0.72, -0.5),
              (1.2, -0.2)),
            *((1.45, 0.05), (1.42, 0.5), (1.0, 0.74), (0.3, 0.96), (-0.5, 0.95)),
        ])  # fmt: skip
        form(canvas, head, color, look, rim=0.16)
        with canvas.inside(head):
            canvas.mark(ellipse(1.12, 0.28, 0.56, 0.52), _muzzle(color))
        ear = ellipse(-0.48, -0.86, 0.33)
        form(canvas, ear, color, look, rim=0.12)
        canvas.mark(ellipse(-0.46, -0.82, 0.18), mix(dim(color, 0.3), PINK, 0.35))
        canvas.mark(ellipse(1.36, -0.02, 0.2, 0.16), INK)
        canvas.mark(tube([(1.34, 0.42), (1.05, 0.5), (0.8, 0.42)], (0.06, 0.08, 0.06)), INK)
        eye(canvas, 0.5, -0.28, 0.15)


def _sitting_bear(canvas: Canvas, color: Color, look: Look) -> None:
    tilt = float(look.generator.uniform(-6, 6))
    body = outline([
        *((-0.34, -0.03), (-0.39, -0.24), (-0.3, -0.48), (-0.17, -0.64), (0.18, -0.64),
          (0.3, -0.48)),
        *((0.38, -0.24), (0.34, -0.03), (0.2, 0.0), (-0.2, 0.0)),
    ])  # fmt: skip
    form(canvas, body, color, look, rim=0.04)
    belly = mix(color, CREAM, 0.25) if sum(color) < 2.2 else dim(color, 0.04)
    canvas.mark(ellipse(0.02, -0.3, 0.2, 0.24), belly)
    for x, turn in ((-0.27, -14.0), (0.31, 14.0)):
        with canvas.at(x, -0.15, 1.0, turn=turn):
            form(canvas, ellipse(0, 0, 0.13, 0.15), color, look, rim=0.025)
            pads = [ellipse(0, 0.02, 0.07, 0.065)]
            pads += [ellipse(a, -0.085, 0.024, 0.026) for a in (-0.06, 0.0, 0.06)]
            canvas.mark(together(pads), _muzzle(color) if sum(color) < 2.2 else dim(color, 0.5))
    for s in (-1, 1):
        arm = tube([(0.01 + s * 0.22, -0.56), (0.01 + s * 0.3, -0.42), (0.02 + s * 0.2, -0.28)],
                   (0.17, 0.16, 0.15))  # fmt: skip
        form(canvas, arm, color, look, rim=0.025)
    with canvas.at(0.02, -0.76, 0.205, turn=tilt):
        ears = [ellipse(s * 0.74, -0.76, 0.36) for s in (-1, 1)]
        form(canvas, together(ears), color, look, rim=0.12)
        canvas.mark(together(ellipse(s * 0.74, -0.74, 0.2) for s in (-1, 1)),
                    mix(dim(color, 0.3), PINK, 0.35))  # fmt: skip
        form(canvas, ellipse(0, 0, 1.08, 0.96), color, look, rim=0.16)
        canvas.mark(ellipse(0.1, 0.36, 0.5, 0.42), _muzzle(color))
        canvas.mark(ellipse(0.1, 0.16, 0.2, 0.15), INK)
        canvas.mark(tube([(-0.1, 0.54), (0.1, 0.6), (0.3, 0.54)], (0.05, 0.08, 0.05)), INK)
        eye(canvas, -0.36, -0.14, 0.14)
        eye(canvas, 0.5, -0.14, 0.14)


# ------------------------------------------------------------------ giraffes


PATCH_PLACES = (  # x, y and size
    (-0.2, -0.46, 0.045), (-0.12, -0.5, 0.042), (-0.13, -0.425, 0.036), (-0.035, -0.44, 0.046),
    (-0.045, -0.53, 0.036), (0.055, -0.46, 0.045), (0.04, -0.555, 0.042), (0.11, -0.52, 0.034),
    (0.085, -0.635, 0.036), (0.13, -0.6, 0.024), (0.115, -0.7, 0.03), (0.15, -0.685, 0.022),
    (0.14, -0.77, 0.031), (0.185, -0.75, 0.02), (0.175, -0.84, 0.028), (0.21, -0.815, 0.02),
    (-0.2, -0.37, 0.032), (0.085, -0.375, 0.03), (-0.17, -0.3, 0.022), (0.09, -0.3, 0.02),
)  # fmt: skip
PATCH = ((-1, -0.5), (0.1, -1), (1, -0.4), (0.7, 0.8), (-0.6, 0.9))
PATCHES = together(
    outline([(x + r * u, y + 0.9 * r * v) for u, v in PATCH]) for x, y, r in PATCH_PLACES
)


def giraffe(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a giraffe: a long neck, brown patches, two horns."""
    pose_of("giraffe", look, WIDTHS["giraffe"])
    brown = (0.62, 0.37, 0.18) if sum(color) > 0.9 else mix(color, CREAM, 0.3)
    hind = Leg(((-0.165, -0.44), (-0.16, -0.34), (-0.2, -0.23), (-0.195, -0.035)),
               (0.15, 0.09, 0.048, 0.04), (0.055, 0.035), True)  # fmt: skip
    fore = Leg(((0.08, -0.45), (0.085, -0.24), (0.085, -0.035)), (0.12, 0.055, 0.04),
               (0.055, 0.035), True)  # fmt: skip
    legs = four(hind, fore, 0.045, float(look.generator.uniform(0.02, 0.06)), "walk")
    far_legs(canvas, (legs[0], legs[2]), color, brown)
    tail = [(-0.225, -0.47), (-0.275, -0.41), (-0.27, -0.3)]
    canvas.fill(tube(tail, (0.025, 0.02, 0.018)), dim(color, 0.12))
    canvas.fill(ellipse(-0.272, -0.265, 0.018, 0.045), INK)
    mane = tube(
        [(0.0, -0.58), (0.07, -0.69), (0.125, -0.82), (0.18, -0.94)], (0.03, 0.04, 0.04, 0.03)
    )
    canvas.fill(mane, dim(brown, 0.2))
    near = (legs[1], legs[3])
    body = outline([
        *((-0.245, -0.41), (-0.235, -0.475), (-0.15, -0.525), (-0.04, -0.56), (0.03, -0.61)),
        *((0.075, -0.68), (0.13, -0.81), (0.175, -0.92), (0.22, -0.95), (0.25, -0.87),
          (0.215, -0.76)),
        *((0.18, -0.62), (0.16, -0.51), (0.13, -0.42), (0.05, -0.385), (-0.08, -0.4),
          (-0.19, -0.375)),
    ])  # fmt: skip
    coat = coat_of(near, body, paws=False)
    form(canvas, coat, color, look, rim=0.02)
    hooves(canvas, near, dim(brown, 0.35))
    with canvas.inside(coat):
        canvas.mark(PATCHES, brown)
    horns = [tube([(x, -0.93), (x - 0.004, -0.985)], (0.024, 0.024)) for x in (0.2, 0.235)]
    canvas.fill(together(horns), dim(color, 0.1))
    canvas.fill(together(ellipse(x - 0.004, -0.985, 0.018, 0.016) for x in (0.2, 0.235)), INK)
    ear = outline([(0.185, -0.925), (0.15, -0.96), (0.1, -0.955), (0.1, -0.955), (0.13, -0.92),
                   (0.175, -0.9)])  # fmt: skip
    form(canvas, ear, dim(color, 0.06), look, rim=0.012)
    head = outline([
        *((0.17, -0.9), (0.2, -0.95), (0.25, -0.955), (0.3, -0.92), (0.36, -0.885),
          (0.375, -0.855)),
        *((0.35, -0.83), (0.3, -0.84), (0.24, -0.845), (0.19, -0.86)),
    ])  # fmt: skip
    form(canvas, head, color, look, rim=0.016)
    with canvas.inside(head):
        canvas.mark(box(0.325, -0.95, 0.4, -0.8, 0.03), mix(color, brown, 0.45))
    canvas.mark(ellipse(0.352, -0.873, 0.008), INK)
    eye(canvas, 0.26, -0.915, 0.018)
