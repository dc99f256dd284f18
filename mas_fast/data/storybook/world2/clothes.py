"""Clothes of people: garments on the upper body, skirts, trousers, shoes, scarves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    Point,
    box,
    ellipse,
    mix,
    polygon,
    shade,
    together,
)
from mas_fast.data.storybook.world2.forms import (
    CREAM,
    along,
    chance,
    contrast,
    dim,
    form,
    outline,
    pick,
    tube,
)
from mas_fast.data.storybook.world2.look import Look
from mas_fast.data.storybook.world2.skeleton import FOOT, TOE, Bones, Build

TROUSERS: tuple[Color, ...] = (
    (0.25, 0.33, 0.52),
    (0.45, 0.34, 0.28),
    (0.36, 0.38, 0.44),
    (0.8, 0.69, 0.52),
)
SHOES: tuple[Color, ...] = ((0.28, 0.22, 0.22), (0.72, 0.27, 0.24), (0.5, 0.34, 0.24))
SCARVES: tuple[Color, ...] = ((0.85, 0.27, 0.25), (0.96, 0.77, 0.34), (0.93, 0.9, 0.84))


@dataclass(frozen=True)
class Outfit:
    """What a person wears.

    Attributes:
        garment: LIP part of the garment that has the colour.
        color: its colour.
        pattern: "striped", "spotted" or None.
        collar: "round", "shirt" or "soft".
        sleeve: share of an arm that it covers.
        hem: share of a leg that it covers; 0 for a shirt.
        legs: share of a leg that trousers cover; 0 for none.
        trousers: their colour.
        shoe: colour of the shoes.
        boots: whether the shoes are boots.
        scarf: colour of a scarf, or None.
    """

    garment: str
    color: Color
    pattern: str | None
    collar: str
    sleeve: float
    hem: float
    legs: float
    trousers: Color
    shoe: Color
    boots: bool
    scarf: Color | None


def _unlike(options: tuple[Color, ...], color: Color) -> tuple[Color, ...]:
    """Return the options that do not look like that colour."""
    far = tuple(c for c in options if sum(abs(a - b) for a, b in zip(c, color, strict=True)) > 0.6)
    return far or options


def dressed(kind: str, color: Color, look: Look) -> Outfit:
    """Draw what a person of that kind wears: in the cold a coat, else a dress or a shirt.

    Args:
        kind: "man", "woman", "boy" or "girl".
        color: colour of the coat, the dress or the shirt.
        look: its generator draws the rest.
    """
    generator = look.generator
    trousers, shoe = pick(generator, _unlike(TROUSERS, color)), pick(generator, SHOES)
    collar = pick(generator, ("round", "shirt", "soft"))
    long = chance(generator, 0.4)
    scarf = pick(generator, _unlike(SCARVES, color))
    if look.cold:
        return Outfit("coat", color, look.pattern, "shirt", 0.94, 0.34, 0.9, trousers,
                      (0.34, 0.25, 0.22), True, scarf)  # fmt: skip
    if kind in ("woman", "girl"):
        hem = 0.66 if kind == "woman" else 0.5
        sleeve = 0.9 if long and kind == "woman" else 0.34
        return Outfit("dress", color, look.pattern, collar, sleeve, hem, 0.0, trousers, shoe,
                      False, None)  # fmt: skip
    legs = 0.97 if kind == "man" else 0.5
    return Outfit("upper-clothes", color, look.pattern, collar, 0.92 if long else 0.42, 0.0, legs,
                  trousers, shoe, False, None)  # fmt: skip


# ------------------------------------------------------------------ limbs


def _upto(points: list[Point], share: float) -> list[Point]:
    """Return the first part of a line of two pieces."""
    end = along(points, share)
    return [points[0], end] if share <= 0.5 else [points[0], points[1], end]


def draw_arm(
    canvas: Canvas, look: Look, outfit: Outfit, skin: Color, points: list[Point], width: float,
    side: str, far: bool = False,
) -> None:  # fmt: skip
    """Draw an arm in its sleeve."""
    (ax, ay), (bx, by) = points[1:]
    reach = 0.022 / math.hypot(bx - ax, by - ay)
    hand = ellipse(bx + (bx - ax) * reach, by + (by - ay) * reach, 0.52 * width)
    arm = together((tube(points, (width, 0.84 * width, 0.7 * width)), hand))
    covered = _upto(points, outfit.sleeve)
    widths = (1.34 * width, 1.2 * width, 1.12 * width)
    if outfit.sleeve < 0.5:
        widths = (1.34 * width, 1.3 * width, 0.0)
    sleeve = tube(covered, widths[: len(covered)], flat=True)
    color = dim(outfit.color, 0.14) if far else outfit.color
    if far:
        canvas.fill(arm, dim(skin, 0.1), part=f"{side}-arm")
        canvas.fill(sleeve, color, part=outfit.garment)
    else:
        form(canvas, arm, skin, look, part=f"{side}-arm", rim=0.014, amount=0.14)
        form(canvas, sleeve, color, look, part=outfit.garment, rim=0.018)
    _pattern(canvas, outfit, sleeve, color)


def draw_leg(
    canvas: Canvas, look: Look, outfit: Outfit, skin: Color, points: list[Point], pitch: float,
    width: float, side: str, far: bool = False,
) -> None:  # fmt: skip
    """Draw a leg, what there is of trousers on it, and its shoe."""
    with canvas.at(*points[-1], 1.0, turn=pitch):
        _shoe(canvas, outfit, side)
    if outfit.legs < 0.9:
        leg = tube(points, (1.6 * width, 1.15 * width, 0.74 * width))
        canvas.fill(leg, dim(skin, 0.1) if far else skin, part=f"{side}-leg")
    if outfit.legs:
        covered = _upto(points, outfit.legs)
        widths = (1.95 * width, 1.55 * width, 1.3 * width)
        if outfit.legs < 0.9:
            widths = (1.95 * width, 1.8 * width, 1.85 * width)
        leg = tube(covered, widths[: len(covered)], flat=True)
        if far:
            canvas.fill(leg, dim(outfit.trousers, 0.2), part="pants")
        else:
            form(canvas, leg, outfit.trousers, look, part="pants", rim=0.018)


def _shoe(canvas: Canvas, outfit: Outfit, side: str) -> None:
    top = -0.075 if outfit.boots else -0.012
    shoe = outline([(-0.032, top), (-0.034, FOOT - 0.01), (-0.03, FOOT), (-0.03, FOOT), (TOE, FOOT),
                    (TOE, FOOT), (TOE - 0.004, 0.01), (0.045, -0.004), (0.03, top)])  # fmt: skip
    canvas.fill(shoe, outfit.shoe, part=f"{side}-shoe")
    canvas.mark(box(-0.034, FOOT - 0.011, TOE, FOOT), shade(outfit.shoe, 0.55))


# ------------------------------------------------------------------ body


def draw_hips(canvas: Canvas, look: Look, outfit: Outfit, build: Build, joints: Bones) -> None:
    """Draw the seat of the trousers, which joins the legs."""
    if outfit.legs:
        wide = build.hips * joints.turned
        seat = box(-wide, -0.05, wide, 0.035, 0.03)
        form(canvas, seat, outfit.trousers, look, part="pants", rim=0.016)


def draw_skirt(canvas: Canvas, look: Look, outfit: Outfit, build: Build, joints: Bones) -> None:
    """Draw what hangs down from the waist of a dress or a coat, in the frame of the hips."""
    if not outfit.hem:
        return
    near, far = joints.legs
    waist, tall = build.waist * joints.turned, 0.34 * build.torso
    lean = tall * math.sin(math.radians(joints.lean))
    knee = max(near[1], far[1])
    if near[1][1] < 0.13:  # it lies on bent legs
        wide = 0.075 if outfit.garment == "dress" else 0.06
        (ax, ay), (bx, by) = knee, max(near[2], far[2])
        share = 2 * max(outfit.hem, 0.44) - 1
        front = (ax + (bx - ax) * share + 0.045, ay + (by - ay) * share + 0.02)
        points = [
            *((lean - waist, -tall), (lean + waist, -tall), (waist + 0.03, -0.07)),
            *((ax + 0.02, ay - 0.06), (ax + 0.055, ay - 0.02), front, front),
            *((front[0] - 0.12, front[1] + 0.02), (front[0] - 0.12, front[1] + 0.02)),
            *((ax - 0.06, ay + wide), (-0.02, wide), (-build.hips - 0.02, 0.04)),
        ]
    else:
        flare = 0.055 if outfit.garment == "coat" else 0.075 if build.head < 0.13 else 0.1
        ends = [along(leg, outfit.hem) for leg in (near, far)]
        low = max(y for _, y in ends) + 0.01
        left, right = min(x for x, _ in ends) - flare, max(x for x, _ in ends) + flare
        wide = build.hips * joints.turned + 0.012
        points = [
            *((lean - waist, -tall), (lean + waist, -tall), (wide, 0.0), (right, low - 0.02)),
            *((right, low - 0.02), ((left + right) / 2, low + 0.012)),
            *((left, low - 0.01), (left, low - 0.01), (-wide, 0.0)),
        ]
    skirt = outline(points)
    form(canvas, skirt, outfit.color, look, part=outfit.garment, rim=0.03)
    _pattern(canvas, outfit, skirt, outfit.color)


def draw_torso(canvas: Canvas, look: Look, outfit: Outfit, build: Build, joints: Bones) -> None:
    """Draw the upper part of a garment, in the frame of the upper body."""
    t, share = -build.torso, joints.turned
    wide, waist, hips = build.shoulder * share, build.waist * share, build.hips * share
    low = -0.3 * build.torso if outfit.hem else 0.022
    end = waist if outfit.hem else hips + 0.006
    side = [
        (0.05, t - 0.012),
        (0.8 * wide, t + 0.006),
        (wide, t + 0.05),
        (0.5 * (wide + waist), t * 0.6),
    ]
    side += [(waist, t * 0.36), (end, low), (end, low)]
    torso = outline([(-x, y) for x, y in side] + side[::-1])
    form(canvas, torso, outfit.color, look, part=outfit.garment, rim=0.03)
    _pattern(canvas, outfit, torso, outfit.color)
    if outfit.hem:
        belt = mix(contrast(outfit.color), outfit.color, 0.2)
        canvas.mark(box(-end, low - 0.022, end, low + 0.006), belt)


def draw_collar(canvas: Canvas, look: Look, outfit: Outfit, skin: Color, build: Build) -> None:
    """Draw the neck, and a collar or a scarf around it."""
    t = -build.torso
    neck = outline([(-0.034, t - 0.05), (0.044, t - 0.05), (0.04, t), (0.052, t + 0.012),
                    (0.006, t + 0.035), (-0.042, t + 0.012), (-0.034, t)])  # fmt: skip
    canvas.fill(neck, dim(skin, 0.16), part="face")
    tone = shade(outfit.color, 0.35) if sum(outfit.color) < 2.4 else dim(outfit.color, 0.14)
    if outfit.scarf:
        hang = tube([(-0.02, t + 0.01), (-0.045, t + 0.08), (-0.04, t + 0.14)], (0.04, 0.05, 0.05))
        form(canvas, hang, outfit.scarf, look, part="scarf", rim=0.014)
        wrap = tube([(-0.066, t - 0.006), (0.0, t + 0.016), (0.074, t - 0.008)], (0.05, 0.06, 0.05))
        form(canvas, wrap, outfit.scarf, look, part="scarf", rim=0.014)
    elif outfit.collar == "shirt":
        flaps = [polygon([(s * 0.052 + 0.004, t - 0.016), (0.006, t + 0.036),
        (s * 0.05, t + 0.058)])
                 for s in (-1, 1)]  # fmt: skip
        canvas.fill(together(flaps), tone, part=outfit.garment)
    elif outfit.collar == "soft":
        flaps = [ellipse(s * 0.036 + 0.004, t + 0.026, 0.036, 0.02) for s in (-1, 1)]
        canvas.fill(
            together(flaps), CREAM if sum(outfit.color) < 2.4 else tone, part=outfit.garment
        )
    if outfit.collar == "shirt":
        low = -0.3 * build.torso if outfit.hem else 0.0
        buttons = [ellipse(0.008, t + (low - t) * share, 0.0085) for share in (0.34, 0.56, 0.78)]
        canvas.mark(together(buttons), contrast(outfit.color))


def _pattern(canvas: Canvas, outfit: Outfit, garment: skia.Path, color: Color) -> None:
    if outfit.pattern is None:
        return
    bounds, tone, step = garment.getBounds(), contrast(color), 0.074
    rows = [-0.4 + step * n for n in range(14)]
    rows = [y for y in rows if bounds.top() - step < y < bounds.bottom() + step]
    if outfit.pattern == "striped":
        bars = [box(bounds.left(), y, bounds.right(), y + 0.46 * step) for y in rows]
        marks = together(bars)
    else:
        columns = [-0.42 + step * n for n in range(13)]
        columns = [x for x in columns if bounds.left() - step < x < bounds.right() + step]
        dots = [ellipse(x + 0.5 * step * (round(y / step) % 2), y, 0.23 * step)
                for y in rows for x in columns]  # fmt: skip
        marks = together(dots)
    with canvas.inside(garment):
        canvas.mark(marks, tone)
