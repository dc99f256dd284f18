"""Cats: tabby, plain and tuxedo; they look out of the picture."""

from __future__ import annotations

from mas_fast.data.storybook.canvas import Canvas, Color, Point, ellipse, mix, together
from mas_fast.data.storybook.world2.forms import (
    CREAM,
    INK,
    PINK,
    dim,
    form,
    outline,
    pick,
    pose_of,
    tube,
)
from mas_fast.data.storybook.world2.look import Look
from mas_fast.data.storybook.world2.quadruped import Leg, coat_of, far_legs, four

WIDTHS = {"cat": {"sit": 1.1, "stand": 1.26, "lie": 1.26}}
HEIGHTS = {"lie": 0.64}  # of the pose that is lower than 1
NATURAL: dict[str, tuple[Color, ...]] = {
    "cat": ((0.92, 0.6, 0.28), (0.55, 0.55, 0.58), (0.2, 0.19, 0.21))
}
EYES: tuple[Color, ...] = ((0.98, 0.82, 0.3), (0.6, 0.82, 0.36), (0.5, 0.78, 0.92))


def cat(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a cat: a tabby, a plain one or one with a white bib and white paws."""
    pose = pose_of("cat", look, WIDTHS["cat"])
    coats = ("tabby", "plain") if sum(color) > 2.5 else ("tabby", "plain", "tuxedo")
    coat = pick(look.generator, coats)
    curl = float(look.generator.uniform(-0.05, 0.05))
    draw = {"sit": _sitting, "stand": _standing, "lie": _lying}[pose]
    x, y, tilt = draw(canvas, color, look, coat, curl)
    with canvas.at(x, y, 0.19, turn=tilt + float(look.generator.uniform(-5, 5))):
        _head(canvas, color, look, coat, pick(look.generator, EYES))


def _dark(color: Color) -> Color:
    return mix(color, (0.16, 0.1, 0.12), 0.42) if sum(color) > 0.75 else mix(color, CREAM, 0.22)


def _tail(canvas: Canvas, color: Color, look: Look, coat: str, points: list[Point]) -> None:
    tail = tube(points, (0.08, 0.1, 0.1, 0.07)[: len(points)])
    form(canvas, tail, color, look, rim=0.025)
    with canvas.inside(tail):
        if coat == "tabby":
            (ax, ay), (bx, by) = points[-2:]
            rings = [
                ellipse(ax + (bx - ax) * t, ay + (by - ay) * t, 0.08, 0.028) for t in (0.2, 0.7)
            ]
            canvas.mark(together(rings), _dark(color))
        elif coat == "tuxedo":
            canvas.mark(ellipse(*points[-1], 0.07), CREAM)


def _sitting(
    canvas: Canvas, color: Color, look: Look, coat: str, curl: float
) -> tuple[float, float, float]:
    """Draw a sitting cat without its head; return place and tilt of the head."""
    _tail(canvas, color, look, coat, [(-0.2, -0.06), (-0.42, -0.06), (-0.5, -0.22 + curl),
                                      (-0.4 - curl, -0.36)])  # fmt: skip
    body = outline([
        *((-0.06, -0.7), (-0.18, -0.54), (-0.3, -0.34), (-0.35, -0.14), (-0.3, -0.01),
          (-0.3, -0.01)),
        *((0.27, -0.01), (0.27, -0.01), (0.25, -0.2), (0.27, -0.4), (0.24, -0.58), (0.18, -0.7)),
    ])  # fmt: skip
    form(canvas, body, color, look, rim=0.03)
    with canvas.inside(body):
        if coat == "tabby":
            stripes = [tube([(-0.4, y - 0.06), (-0.22, y), (-0.12, y + 0.03)], (0.05, 0.05, 0.02))
                       for y in (-0.5, -0.38, -0.26)]  # fmt: skip
            canvas.mark(together(stripes), _dark(color))
        if coat != "plain" or sum(color) > 0.75:
            chest = CREAM if coat == "tuxedo" else mix(color, CREAM, 0.42)
            canvas.mark(ellipse(0.14, -0.46, 0.1, 0.17), chest)
    haunch = outline([(-0.32, -0.08), (-0.3, -0.26), (-0.16, -0.32), (-0.03, -0.2), (-0.02, -0.03),
                      (-0.16, 0.0)])  # fmt: skip
    form(canvas, haunch, color, look, rim=0.025)
    legs = [tube([(x, -0.34), (x + 0.01, -0.16), (x + 0.015, -0.052)], (0.12, 0.1, 0.1))
            for x in (0.19, 0.07)]  # fmt: skip
    for leg in legs:
        form(canvas, leg, color, look, rim=0.02)
    paws = [ellipse(x, -0.035, 0.07, 0.036) for x in (0.22, 0.095, -0.05)]
    canvas.fill(together(paws), CREAM if coat == "tuxedo" else mix(color, CREAM, 0.16))
    return 0.09, -0.755, 0.0


def _standing(
    canvas: Canvas, color: Color, look: Look, coat: str, curl: float
) -> tuple[float, float, float]:
    """Draw a cat on its legs without its head; return place and tilt of the head."""
    hind = Leg(((-0.28, -0.44), (-0.27, -0.3), (-0.37, -0.17), (-0.36, -0.05)),
               (0.22, 0.16, 0.08, 0.075), (0.12, 0.05))  # fmt: skip
    fore = Leg(((0.24, -0.42), (0.23, -0.24), (0.24, -0.05)), (0.16, 0.1, 0.075), (0.12, 0.05))
    legs = four(hind, fore, 0.08, 0.09, "walk")
    far_legs(canvas, (legs[0], legs[2]), color)
    _tail(canvas, color, look, coat, [(-0.38, -0.5), (-0.5, -0.6), (-0.5 + curl, -0.8),
                                      (-0.42 - curl, -0.94)])  # fmt: skip
    body = outline([
        *((-0.42, -0.42), (-0.38, -0.54), (-0.24, -0.6), (-0.04, -0.57), (0.14, -0.6),
          (0.3, -0.74)),
        *((0.44, -0.64), (0.42, -0.48), (0.34, -0.36), (0.16, -0.31), (-0.08, -0.34),
          (-0.3, -0.34)),
    ])  # fmt: skip
    near = (legs[1], legs[3])
    form(canvas, coat_of(near, body), color, look, rim=0.028)
    with canvas.inside(coat_of(near, body)):
        if coat == "tabby":
            stripes = [tube([(x - 0.03, -0.62), (x, -0.5), (x - 0.03, -0.4)], (0.05, 0.045, 0.01))
                       for x in (-0.26, -0.13, 0.0, 0.13)]  # fmt: skip
            canvas.mark(together(stripes), _dark(color))
        elif coat == "tuxedo":
            canvas.mark(together((ellipse(0.44, -0.48, 0.12, 0.14), ellipse(0.3, -0.02, 0.3, 0.07),
                                  ellipse(-0.4, -0.02, 0.24, 0.07))), CREAM)  # fmt: skip
    return 0.4, -0.75, 0.0


def _lying(
    canvas: Canvas, color: Color, look: Look, coat: str, curl: float
) -> tuple[float, float, float]:
    """Draw a lying cat without its head; return place and tilt of the head."""
    body = outline([
        *((-0.5, -0.02), (-0.5, -0.02), (-0.54, -0.2), (-0.42, -0.38), (-0.2, -0.44), (0.08, -0.4)),
        *((0.3, -0.36), (0.46, -0.2), (0.46, -0.01), (0.46, -0.01)),
    ])  # fmt: skip
    form(canvas, body, color, look, rim=0.03)
    with canvas.inside(body):
        if coat == "tabby":
            stripes = [tube([(x - 0.04, -0.48), (x, -0.36), (x - 0.02, -0.24)], (0.05, 0.05, 0.01))
                       for x in (-0.38, -0.25, -0.12, 0.01)]  # fmt: skip
            canvas.mark(together(stripes), _dark(color))
        elif coat == "tuxedo":
            canvas.mark(ellipse(0.42, -0.16, 0.12, 0.14), CREAM)
    haunch = outline([(-0.48, -0.04), (-0.42, -0.24), (-0.24, -0.28), (-0.1, -0.14), (-0.08, 0.0),
                      (-0.3, 0.0)])  # fmt: skip
    form(canvas, haunch, color, look, rim=0.025)
    paw = tube([(0.24, -0.06), (0.44, -0.045), (0.58, -0.04)], (0.12, 0.09, 0.08))
    form(canvas, paw, color, look, rim=0.02)
    if coat == "tuxedo":
        canvas.mark(ellipse(0.58, -0.04, 0.06, 0.04), CREAM)
    _tail(canvas, color, look, coat, [(-0.5, -0.07), (-0.36, -0.045), (-0.16, -0.05),
                                      (0.06, -0.07 + curl * 0.4)])  # fmt: skip
    return 0.32, -0.38, 4.0


def _head(canvas: Canvas, color: Color, look: Look, coat: str, iris: Color) -> None:
    """Draw a head of radius 1, seen from the front."""
    skull = outline([
        *((-1.12, 0.2), (-1.02, -0.36), (-0.86, -1.28), (-0.86, -1.28), (-0.34, -0.9),
          (0.38, -0.9)),
        *((0.92, -1.28), (0.92, -1.28), (1.08, -0.36), (1.14, 0.2), (0.74, 0.76), (0.06, 0.94)),
        (-0.7, 0.76),
    ])  # fmt: skip
    form(canvas, skull, color, look, rim=0.16)
    pale = CREAM if coat == "tuxedo" else mix(color, CREAM, 0.5)
    ears = [outline([(s * 0.82 + 0.03, -0.56), (s * 0.8 + 0.03, -1.06), (s * 0.8 + 0.03, -1.06),
                     (s * 0.46 + 0.03, -0.8)]) for s in (-1, 1)]  # fmt: skip
    canvas.mark(together(ears), mix(color, PINK, 0.7))
    with canvas.inside(skull):
        if coat == "tabby":
            lines = [tube([(x * 1.5, -1.0), (x, -0.46)], (0.17, 0.08)) for x in (-0.24, 0.06, 0.36)]
            lines += [tube([(s * 1.2, 0.2), (s * 0.8, 0.24)], (0.15, 0.08)) for s in (-1, 1)]
            canvas.mark(together(lines), _dark(color))
        canvas.mark(together((ellipse(-0.14, 0.5, 0.36, 0.3), ellipse(0.32, 0.5, 0.36, 0.3))), pale)
    eyes = ((-0.4, -0.04), (0.56, -0.04))
    canvas.mark(together(ellipse(x, y, 0.27, 0.27) for x, y in eyes), INK)
    canvas.mark(together(ellipse(x, y, 0.22, 0.23) for x, y in eyes), iris)
    canvas.mark(together(ellipse(x + 0.03, y, 0.11, 0.2) for x, y in eyes), INK)
    canvas.mark(together(ellipse(x + 0.1, y - 0.1, 0.07) for x, y in eyes), CREAM)
    canvas.mark(outline([(-0.07, 0.26), (0.25, 0.26), (0.09, 0.44), (0.09, 0.44)]), dim(PINK, 0.1))
    smile = [tube([(0.09, 0.44), (0.09 + s * 0.1, 0.6),
    (0.09 + s * 0.26, 0.58)], (0.06, 0.07, 0.04))
             for s in (-1, 1)]  # fmt: skip
    canvas.mark(together(smile), dim(pale, 0.55))
