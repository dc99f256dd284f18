"""Animals from the side, looking to the right; a cat sits and looks out of the picture.

Each draws within its own frame: feet at y = 0, top at about -1 (see canvas.py).
"""

from __future__ import annotations

import numpy as np
import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    blob,
    box,
    ellipse,
    limb,
    mix,
    polygon,
    shade,
    together,
)
from mas_fast.data.storybook.world1.pieces import CREAM, INK, accent, chance, eye, pick

PINK: Color = (0.95, 0.66, 0.66)


def _legs(
    canvas: Canvas, generator: np.random.Generator, color: Color, back: float, front: float,
    top: float, width: float, *, foot: Color | None = None,
) -> skia.Path:  # fmt: skip
    """Draw four legs in mid-stride, the far ones darker, and return the near ones.

    `foot` is the colour of hooves or paws.
    """
    gap, step = width * 0.95, float(generator.uniform(0.01, 0.06))
    pairs = []
    for shift, lean in ((gap, -step), (0.0, step)):
        legs = [(back + shift, back + shift - lean), (front + shift, front + shift + lean)]
        pairs.append([limb([(a, top), (b, -width / 2)], width) for a, b in legs])
        tone = color if shift == 0 else accent(color, 0.3)
        canvas.fill(together(pairs[-1]), tone)
        if foot is not None:
            feet = [box(b - width / 2, -width * 0.7, b + width / 2, 0, 0.02) for _, b in legs]
            canvas.fill(together(feet), foot)
    return together(pairs[1])


def dog(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a dog: a floppy or pointed ear, a collar, a tail that wags."""
    dark, wag = accent(color, 0.35), float(generator.uniform(-0.12, 0.08))
    stretch = float(generator.uniform(-0.05, 0.05))
    canvas.shadow(1.2)
    canvas.fill(limb([(-0.42 - stretch, -0.48), (-0.6, -0.62), (-0.58 + wag, -0.88)], 0.11), color)
    _legs(canvas, generator, color, -0.4 - stretch, 0.14, -0.38, 0.14)
    body = limb([(-0.34 - stretch, -0.44), (0.2, -0.46)], 0.34)
    canvas.fill(body, color)
    if chance(generator, 0.5):
        with canvas.inside(body):
            canvas.mark(ellipse(-0.2 + wag, -0.56, 0.17, 0.14), dark)
    canvas.fill(limb([(0.22, -0.5), (0.36, -0.74)], 0.25), color)
    canvas.fill(limb([(0.19, -0.62), (0.42, -0.56)], 0.07), pick(generator, COLLARS))
    canvas.fill(limb([(0.46, -0.73), (0.6, -0.69)], 0.19), shade(color, 0.1))  # the snout
    canvas.fill(ellipse(0.38, -0.78, 0.2, 0.18), color)
    canvas.fill(ellipse(0.68, -0.74, 0.055, 0.05), INK)
    if chance(generator, 0.4):
        canvas.fill(limb([(0.58, -0.59), (0.6, -0.53)], 0.075), PINK)
    if chance(generator, 0.65):
        canvas.fill(limb([(0.27, -0.86), (0.21, -0.72), (0.24, -0.6)], 0.13), dark)
    else:
        canvas.fill(polygon([(0.2, -0.84), (0.22, -1.0), (0.38, -0.9)]), dark)
    eye(canvas, (0.44, -0.82), 0.052)


COLLARS: tuple[Color, ...] = ((0.8, 0.15, 0.15), (0.2, 0.4, 0.8), (0.95, 0.75, 0.15))


def cat(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a sitting cat: triangular ears, a face, a tail that curls up beside it."""
    dark, curl = accent(color), float(generator.uniform(-0.06, 0.06))
    canvas.shadow(0.8)
    tail = [(-0.2, -0.08), (-0.44, -0.12), (-0.44 + curl, -0.38), (-0.52 - curl, -0.58)]
    canvas.fill(limb(tail, 0.12), color)
    canvas.fill(ellipse(-0.52 - curl, -0.58, 0.06), dark)
    sides = [(-0.33, -0.1), (-0.28, -0.34), (-0.14, -0.58), (0.2, -0.58), (0.28, -0.3)]
    canvas.fill(blob([*sides, (0.31, -0.06), (0.22, 0.0), (-0.24, 0.0)]), color)
    canvas.mark(ellipse(-0.14, -0.15, 0.17, 0.15), dark, alpha=0.6)
    canvas.mark(ellipse(0.12, -0.38, 0.12, 0.16), shade(color, 0.5), alpha=0.8)
    canvas.mark(together((box(0.1, -0.3, 0.13, 0.0), box(0.0, -0.16, 0.02, 0.0))), dark)
    ears = [
        [(-0.2, -0.72), (-0.18, -1.0), (0.04, -0.86)],
        [(0.1, -0.86), (0.32, -1), (0.34, -0.72)],
    ]
    canvas.fill(together(map(polygon, ears)), color)
    canvas.mark(together(ellipse(x, -0.86, 0.05, 0.06) for x in (-0.13, 0.27)), PINK)
    head = ellipse(0.07, -0.7, 0.28, 0.22)
    canvas.fill(head, color)
    if chance(generator, 0.6):  # a tabby
        with canvas.inside(head):
            stripes = [limb([(x, -0.95), (x, -0.83)], 0.04) for x in (-0.02, 0.07, 0.16)]
            canvas.mark(together(stripes), dark)
    iris = pick(generator, ((0.95, 0.83, 0.3), (0.55, 0.8, 0.35), (0.45, 0.75, 0.9)))
    canvas.mark(together((ellipse(-0.04, -0.72, 0.07), ellipse(0.19, -0.72, 0.07))), iris)
    canvas.mark(together((ellipse(-0.03, -0.72, 0.03, 0.06), ellipse(0.2, -0.72, 0.03, 0.06))), INK)
    canvas.mark(ellipse(0.085, -0.59, 0.1, 0.06), shade(color, 0.6))
    canvas.mark(ellipse(0.085, -0.62, 0.04, 0.03), PINK)


def _equine(
    canvas: Canvas, generator: np.random.Generator, color: Color, hoof: Color
) -> tuple[skia.Path, skia.Path]:
    """Return the shapes of a horse without mane and tail: (all but the head, the head)."""
    nod = float(generator.uniform(-0.03, 0.05))
    legs = _legs(canvas, generator, color, -0.4, 0.14, -0.44, 0.1, foot=hoof)
    body = limb([(-0.3, -0.5), (0.14, -0.51)], 0.3)
    neck = limb([(0.14, -0.5), (0.24, -0.66), (0.34, -0.86)], 0.2)
    head = limb([(0.38, -0.87), (0.57, -0.73 + nod)], 0.15)
    coat = together((legs, body, neck))
    canvas.fill(polygon([(0.31, -0.9), (0.35, -1.0), (0.42, -0.92)]), accent(color, 0.15))
    canvas.fill(together((body, neck, head)), color)
    return coat, head


def horse(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a horse with a flowing mane and tail of another colour."""
    options = ((0.2, 0.14, 0.12), (0.93, 0.85, 0.68), (0.45, 0.27, 0.16))
    hairs = [c for c in options if sum(abs(a - b) for a, b in zip(c, color, strict=True)) > 0.45]
    hair, flow = pick(generator, hairs), float(generator.uniform(-0.05, 0.05))
    canvas.shadow(1.1)
    _, head = _equine(canvas, generator, color, INK)
    with canvas.inside(head):
        canvas.mark(ellipse(0.62, -0.69, 0.09), accent(color, 0.3))
        if chance(generator, 0.4):
            canvas.mark(limb([(0.44, -0.92), (0.6, -0.8)], 0.05), CREAM)
    tail = [(-0.4, -0.58), (-0.54, -0.52), (-0.57 + flow, -0.34), (-0.55 - flow, -0.18)]
    canvas.fill(limb(tail, 0.12), hair)
    canvas.fill(limb([(0.38, -0.95), (0.24, -0.84), (0.15, -0.68), (0.1, -0.6)], 0.11), hair)
    eye(canvas, (0.42, -0.87), 0.034)


def zebra(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a zebra: a horse with stripes, a brush for a mane and a tuft at its tail."""
    canvas.shadow(1.1)
    canvas.fill(limb([(0.38, -0.96), (0.25, -0.84), (0.13, -0.64)], 0.12), INK)
    canvas.fill(limb([(-0.42, -0.56), (-0.53, -0.46), (-0.54, -0.34)], 0.05), color)
    canvas.fill(limb([(-0.54, -0.34), (-0.53, -0.25)], 0.09), INK)
    coat, head = _equine(canvas, generator, color, INK)
    lean = float(generator.uniform(0.02, 0.06))
    with canvas.inside(coat):
        across = [(-0.42 + 0.125 * i, -0.7, -0.33) for i in range(5)]
        bars = [limb([(x - lean, a), (x, -0.5), (x + lean, b)], 0.052) for x, a, b in across]
        bars += [limb([(0.08 + d, -0.66 - d), (0.32 + d, -0.62 - d)], 0.05) for d in (0, 0.1, 0.2)]
        bars += [limb([(-0.6, y), (0.5, y)], 0.04) for y in (-0.15, -0.26)]
        canvas.mark(together(bars), INK)
    with canvas.inside(head):
        canvas.mark(ellipse(0.63, -0.68, 0.1), INK)
        canvas.mark(limb([(0.46, -0.98), (0.46, -0.74)], 0.045), INK)
    eye(canvas, (0.4, -0.87), 0.032)


def sheep(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a sheep: a cloud of wool with a dark face; a black sheep has a light one."""
    skin = (0.24, 0.21, 0.22) if sum(color) > 1.2 else (0.72, 0.6, 0.5)
    canvas.shadow(1.15)
    _legs(canvas, generator, skin, -0.34, 0.16, -0.3, 0.11)
    canvas.fill(ellipse(-0.56, -0.52, 0.09, 0.11), color)
    turn, puffs = float(generator.uniform(0, 0.6)), []
    for angle in np.arange(9) * (2 * np.pi / 9) + turn:
        x, y = float(np.cos(angle)), float(np.sin(angle))
        puffs.append(ellipse(-0.07 + 0.37 * x, -0.56 + 0.22 * y, 0.19, 0.18))
    canvas.fill(together((ellipse(-0.07, -0.56, 0.4, 0.25), *puffs)), color)
    curls = [ellipse(x, y, 0.075) for x, y in ((-0.3, -0.6), (-0.06, -0.46), (0.1, -0.66))]
    canvas.mark(together(curls), accent(color, 0.1))
    canvas.fill(limb([(0.46, -0.74), (0.55, -0.56)], 0.25), skin)
    canvas.fill(limb([(0.36, -0.72), (0.26, -0.64)], 0.11), skin)
    tuft = [ellipse(x, y, 0.11) for x, y in ((0.36, -0.86), (0.48, -0.89), (0.57, -0.83))]
    canvas.fill(together(tuft), color)
    eye(canvas, (0.53, -0.7), 0.05)
    canvas.mark(ellipse(0.62, -0.53, 0.035, 0.025), PINK)


def cow(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a cow: patches, horns, a pink muzzle and an udder."""
    patch = INK if sum(color) > 1.5 else CREAM
    swing = float(generator.uniform(-0.05, 0.05))
    canvas.shadow(1.4)
    canvas.fill(limb([(-0.58, -0.66), (-0.68, -0.5), (-0.68 + swing, -0.3)], 0.045), color)
    canvas.fill(ellipse(-0.68 + swing, -0.26, 0.06, 0.08), patch)
    canvas.fill(ellipse(-0.2, -0.28, 0.12, 0.09), PINK)
    _legs(canvas, generator, color, -0.5, 0.14, -0.36, 0.12, foot=INK)
    body = box(-0.62, -0.78, 0.32, -0.3, 0.16)
    canvas.fill(body, color)
    x, y, size = (float(v) for v in generator.uniform((-0.45, -0.72, 0.11), (-0.2, -0.6, 0.16)))
    with canvas.inside(body):
        corners = [(-1, -0.6), (0.2, -1.1), (1.2, -0.3), (0.7, 0.8), (-0.6, 1)]
        canvas.mark(blob([(x + size * a, y + size * b) for a, b in corners]), patch)
        canvas.mark(ellipse(0.1 + swing, -0.38, 0.12, 0.1), patch)
    canvas.fill(limb([(0.2, -0.62), (0.44, -0.76)], 0.26), color)
    horns = [limb([(x, -0.88), (x + 0.02, -0.93), (x + 0.06, -0.97)], 0.06) for x in (0.36, 0.5)]
    canvas.fill(together(horns), (0.9, 0.82, 0.62))
    canvas.fill(limb([(0.34, -0.82), (0.22, -0.84)], 0.1), accent(color, 0.3))
    canvas.fill(limb([(0.47, -0.79), (0.56, -0.66)], 0.23), color)
    canvas.fill(limb([(0.57, -0.58), (0.62, -0.6)], 0.18), PINK)
    canvas.mark(ellipse(0.64, -0.61, 0.028), shade(PINK, -0.4))
    eye(canvas, (0.5, -0.8), 0.045)


def elephant(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw an elephant: big ears, a tusk, a trunk that hangs or is raised."""
    dark = accent(color, 0.18)
    canvas.shadow(1.1)
    canvas.fill(limb([(-0.5, -0.6), (-0.59, -0.5), (-0.58, -0.34)], 0.045), dark)
    _legs(canvas, generator, color, -0.4, 0.1, -0.36, 0.21)
    nails = [ellipse(x, -0.02, 0.08, 0.03) for x in (-0.41, 0.11)]
    canvas.mark(together(nails), CREAM, alpha=0.7)
    canvas.fill(ellipse(-0.1, -0.6, 0.45, 0.35), color)
    swing = float(generator.uniform(-0.04, 0.04))
    if chance(generator, 0.6):
        trunk = [(0.46, -0.7), (0.57, -0.48), (0.56 + swing, -0.26), (0.64 + swing, -0.13)]
    else:
        trunk = [(0.44, -0.66), (0.6, -0.52), (0.68, -0.68), (0.66 + swing, -0.9)]
    canvas.fill(limb(trunk, 0.14), color)
    canvas.fill(ellipse(0.36, -0.74, 0.22, 0.23), color)
    canvas.fill(limb([(0.44, -0.54), (0.56, -0.47), (0.64, -0.5)], 0.06), CREAM)
    flap = float(generator.uniform(-0.03, 0.03))
    ear = [(0.26, -0.92), (0.1 + flap, -0.9), (0.0 + flap, -0.66), (0.14, -0.42), (0.28, -0.58)]
    canvas.fill(blob(ear), dark)
    canvas.mark(blob([(x * 0.7 + 0.05, y * 0.7 - 0.2) for x, y in ear]), mix(dark, PINK, 0.35))
    eye(canvas, (0.44, -0.79), 0.036)


def bear(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a bear: heavy and round, on four thick legs, with round ears and a light snout."""
    dark, low = accent(color, 0.2), float(generator.uniform(-0.03, 0.05))
    canvas.shadow(1.3)
    _legs(canvas, generator, color, -0.44, 0.1, -0.34, 0.2)
    back = [(-0.64, -0.4), (-0.52, -0.76), (-0.2, -0.84), (0.12, -0.9), (0.34, -0.66)]
    canvas.fill(blob([*back, (0.3, -0.36), (0.0, -0.24), (-0.46, -0.22)]), color)
    canvas.fill(ellipse(-0.62, -0.58, 0.07), dark)
    with canvas.at(0, low, 1):
        ears = (0.29, 0.53)
        canvas.fill(together(ellipse(x, -0.88, 0.095) for x in ears), color)
        canvas.mark(together(ellipse(x, -0.87, 0.05) for x in ears), dark)
        canvas.fill(ellipse(0.42, -0.7, 0.25, 0.23), color)
        canvas.fill(ellipse(0.56, -0.62, 0.14, 0.11), mix(color, (0.9, 0.75, 0.55), 0.55))
        canvas.fill(ellipse(0.64, -0.67, 0.06, 0.045), INK)
        eye(canvas, (0.46, -0.76), 0.04)


def giraffe(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a giraffe: a long neck and brown patches."""
    brown, bow = (0.55, 0.32, 0.14), float(generator.uniform(-0.03, 0.03))
    canvas.shadow(0.7, 0.05)
    canvas.fill(limb([(-0.26, -0.44), (-0.33, -0.36), (-0.32, -0.24)], 0.03), brown)
    canvas.fill(ellipse(-0.32, -0.22, 0.03, 0.045), INK)
    legs = _legs(canvas, generator, color, -0.23, 0.06, -0.34, 0.075, foot=brown)
    canvas.fill(limb([(0.0, -0.48), (0.09 + bow, -0.68), (0.18, -0.94)], 0.07), brown)  # the mane
    body = limb([(-0.17, -0.41), (0.06, -0.44)], 0.2)
    neck = limb([(0.06, -0.46), (0.14 + bow, -0.68), (0.22, -0.9)], 0.115)
    horns = [limb([(x, -0.92), (x - 0.005, -0.985)], 0.03) for x in (0.2, 0.25)]
    canvas.fill(together(horns), brown)
    head = limb([(0.23, -0.92), (0.35, -0.865)], 0.095)
    canvas.fill(together((body, neck, head)), color)
    spots = [(-0.22, -0.46), (-0.11, -0.48), (-0.16, -0.37), (-0.04, -0.38), (0.01, -0.48)]
    spots += [(0.08, -0.41), (0.07, -0.56), (0.13, -0.65), (0.14, -0.77), (0.2, -0.83)]
    spots += [(-0.23, -0.26), (0.06, -0.26)]
    shift = generator.uniform(-0.012, 0.012, (len(spots), 2)).tolist()
    with canvas.inside(together((legs, body, neck))):
        squares = [
            box(x + a - 0.037, y + b - 0.04, x + a + 0.037, y + b + 0.04, 0.018)
            for (x, y), (a, b) in zip(spots, shift, strict=True)
        ]
        canvas.mark(together(squares), brown)
    canvas.fill(limb([(0.2, -0.93), (0.13, -0.95)], 0.04), color)
    eye(canvas, (0.25, -0.925), 0.022)


def bird(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a bird in flight: both wings up or the near one down."""
    dark, beat = accent(color), float(generator.uniform(-0.08, 0.08))
    up = chance(generator, 0.6)
    canvas.fill(polygon([(-0.3, -0.5), (-0.76, -0.6), (-0.72, -0.38), (-0.3, -0.32)]), dark)
    canvas.fill(blob([(0.2, -0.5), (0.16 + beat, -0.98), (-0.1, -0.5)]), dark)
    canvas.fill(polygon([(0.5, -0.58), (0.76, -0.48), (0.5, -0.42)]), (0.95, 0.6, 0.12))
    canvas.fill(together((ellipse(-0.02, -0.38, 0.42, 0.24), ellipse(0.38, -0.52, 0.21))), color)
    canvas.mark(ellipse(0.06, -0.26, 0.24, 0.1), shade(color, 0.3), alpha=0.6)
    if up:
        wing = [(0.12, -0.42), (-0.1 + beat, -0.8), (-0.4 + beat, -1.0), (-0.3, -0.42)]
    else:
        wing = [(0.14, -0.5), (-0.1 + beat, -0.14), (-0.42 + beat, 0.0), (-0.3, -0.46)]
    canvas.fill(blob(wing), accent(color, 0.09))
    eye(canvas, (0.44, -0.56), 0.07)


def perched_bird(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a bird on its feet, its wing folded."""
    tilt = float(generator.uniform(-6, 6))
    canvas.fill(together(box(x, -0.2, x + 0.05, 0) for x in (-0.05, 0.1)), (0.8, 0.5, 0.15))
    with canvas.at(0, 0, 1, turn=tilt):
        canvas.fill(
            polygon([(-0.2, -0.5), (-0.66, -0.3), (-0.6, -0.12), (-0.1, -0.2)]), accent(color)
        )
        canvas.fill(polygon([(0.4, -0.82), (0.66, -0.7), (0.4, -0.62)]), (0.95, 0.6, 0.12))
        canvas.fill(together((ellipse(0.02, -0.44, 0.34, 0.3), ellipse(0.22, -0.74, 0.24))), color)
        canvas.mark(ellipse(0.16, -0.34, 0.16, 0.14), shade(color, 0.35), alpha=0.7)
        canvas.fill(
            blob([(0.1, -0.58), (-0.2, -0.6), (-0.44, -0.26), (-0.08, -0.3)]), accent(color, 0.15)
        )
        eye(canvas, (0.28, -0.78), 0.075)
