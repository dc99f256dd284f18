"""Birds: songbirds, gulls, parrots, storks; ducks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mas_fast.data.storybook.canvas import Canvas, Color, Point, box, ellipse, mix, together
from mas_fast.data.storybook.world2.forms import (
    BEAK,
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

WIDTHS = {
    "bird": {"fly": 1.75, "perch": 1.4, "stand": 1.4},
    "duck": {"swim": 1.55, "stand": 1.26},
}
NATURAL: dict[str, tuple[Color, ...]] = {
    "bird": ((0.3, 0.55, 0.8), (0.85, 0.35, 0.25), (0.95, 0.94, 0.9), (0.95, 0.78, 0.3)),
    "duck": ((0.96, 0.95, 0.9), (0.6, 0.5, 0.42)),
}
RED_BILL: Color = (0.87, 0.3, 0.2)


@dataclass(frozen=True)
class Flight:
    """The shapes of a kind of bird in flight.

    Attributes:
        body: outline of head, body and tail.
        wing: outline of the nearer wing, raised.
        tip: how much of the wing, from its end, is dark.
        bill: outline of the bill.
        eye: place of the eye.
        belly: place and half axes of the light belly.
    """

    body: tuple[Point, ...]
    wing: tuple[Point, ...]
    tip: float
    bill: tuple[Point, ...]
    eye: Point
    belly: tuple[float, float, float, float]


FLIGHTS = {
    "songbird": Flight(
        ((-0.7, -0.46), (-0.66, -0.37), (-0.66, -0.37), (-0.76, -0.26), (-0.76, -0.26),
        (-0.42, -0.25), (-0.1, -0.16), (0.2, -0.2),
         (0.44, -0.34), (0.56, -0.5), (0.5, -0.64), (0.36, -0.66), (0.22, -0.56), (-0.06, -0.47),
         (-0.42, -0.39), (-0.7, -0.46)),
        ((0.24, -0.42), (0.18, -0.66), (-0.04, -0.9), (-0.34, -1.0), (-0.34, -1.0), (-0.24, -0.86),
         (-0.24, -0.86), (-0.44, -0.84), (-0.44, -0.84), (-0.28, -0.69), (-0.28, -0.69),
         (-0.44, -0.64), (-0.44, -0.64), (-0.24, -0.44), (0.04, -0.33)),
        0.0, ((0.52, -0.58), (0.72, -0.5), (0.72, -0.5), (0.52, -0.46)), (0.43, -0.54),
        (0.2, -0.26, 0.26, 0.11)),
    "gull": Flight(
        ((-0.58, -0.4), (-0.62, -0.28), (-0.62, -0.28), (-0.3, -0.24), (0.0, -0.18), (0.26, -0.22),
         (0.48, -0.32), (0.6, -0.42), (0.56, -0.52), (0.44, -0.54), (0.26, -0.46), (-0.1, -0.42)),
        ((0.2, -0.42), (0.12, -0.62), (-0.12, -0.78), (-0.44, -0.96), (-0.74, -0.94),
         (-0.74, -0.94), (-0.5, -0.82), (-0.34, -0.66), (-0.14, -0.4), (0.02, -0.34)),
        0.24, ((0.57, -0.47), (0.74, -0.43), (0.75, -0.36), (0.75, -0.36), (0.58, -0.38)),
        (0.5, -0.45), (0.1, -0.24, 0.3, 0.07)),
    "parrot": Flight(
        ((-0.46, -0.44), (-0.8, -0.44), (-0.8, -0.44), (-0.78, -0.32), (-0.4, -0.28),
        (-0.06, -0.18),
         (0.22, -0.22), (0.42, -0.34), (0.56, -0.46), (0.54, -0.62), (0.38, -0.68), (0.22, -0.56),
         (-0.08, -0.46)),
        ((0.24, -0.42), (0.22, -0.66), (0.04, -0.9), (-0.24, -1.0), (-0.24, -1.0), (-0.2, -0.87),
         (-0.2, -0.87), (-0.4, -0.84), (-0.4, -0.84), (-0.28, -0.7), (-0.28, -0.7), (-0.46, -0.62),
         (-0.46, -0.62), (-0.24, -0.42), (0.04, -0.32)),
        0.42, ((0.5, -0.64), (0.66, -0.6), (0.68, -0.44), (0.68, -0.44), (0.56, -0.46)),
        (0.42, -0.57), (0.5, -0.55, 0.0, 0.0)),
    "stork": Flight(
        ((-0.42, -0.42), (-0.46, -0.34), (-0.2, -0.26), (0.08, -0.26), (0.28, -0.36), (0.46, -0.42),
         (0.56, -0.42), (0.6, -0.48), (0.54, -0.53), (0.42, -0.5), (0.22, -0.46), (-0.1, -0.44)),
        ((0.18, -0.41), (0.14, -0.66), (-0.06, -0.9), (-0.36, -1.0), (-0.36, -1.0), (-0.32, -0.89),
         (-0.32, -0.89), (-0.52, -0.86), (-0.52, -0.86), (-0.36, -0.74), (-0.36, -0.74),
         (-0.48, -0.66), (-0.48, -0.66), (-0.22, -0.42), (0.02, -0.34)),
        0.5, ((0.57, -0.52), (0.8, -0.45), (0.8, -0.45), (0.58, -0.43)), (0.54, -0.485),
        (0.5, -0.4, 0.0, 0.0)),
}  # fmt: skip


def _kinds(color: Color) -> tuple[str, ...]:
    """Return the kinds of birds that may have a colour."""
    spread = max(color) - min(color)
    if spread > 0.35 and max(color) > 0.6:
        return ("songbird", "songbird", "parrot")
    if min(color) > 0.75:
        return ("gull", "stork", "songbird")
    return ("songbird",) if spread > 0.1 or max(color) < 0.3 else ("songbird", "gull")


def _accent(kind: str, color: Color) -> Color:
    """Return the colour of wing tips: black, or for a parrot a lively one."""
    if kind != "parrot":
        return INK
    blue, yellow = (0.17, 0.44, 0.78), (0.97, 0.8, 0.25)
    return yellow if color[2] > 0.6 or color[0] < 0.4 else blue


def bird(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a songbird, a gull, a parrot or a stork; flying, perched or standing."""
    pose = pose_of("bird", look, WIDTHS["bird"])
    kind = pick(look.generator, _kinds(color))
    if pose == "fly":
        _flying(canvas, color, look, kind)
    else:
        {"songbird": _songbird, "gull": _gull, "parrot": _parrot, "stork": _stork}[kind](
            canvas, color, look
        )


def _toward(points: Sequence[Point], x: float, y: float, wide: float, high: float) -> list[Point]:
    """Return points scaled about (x, y)."""
    return [(x + (a - x) * wide, y + (b - y) * high) for a, b in points]


def _flying(canvas: Canvas, color: Color, look: Look, kind: str) -> None:
    shape, tone = FLIGHTS[kind], _accent(kind, color)
    beat = float(look.generator.uniform(0.75, 1.0))
    lowered = chance(look.generator, 0.3)
    high = -0.62 * beat if lowered else beat
    back = 0.42 if not lowered else 0.5
    with canvas.at(0, -0.02, 1.0, turn=float(look.generator.uniform(-7, 3))):
        far = _toward(shape.wing, 0.1, -0.42, -0.5 if kind != "gull" else -0.62, 0.92 * abs(high))
        canvas.fill(outline([(x + 0.1, y) for x, y in far]), dim(color, 0.24))
        if kind == "stork":
            canvas.fill(tube([(-0.36, -0.34), (-0.66, -0.35), (-0.78, -0.33)], (0.035, 0.03, 0.05)),
                        RED_BILL)  # fmt: skip
        bill = RED_BILL if kind == "stork" else INK if kind == "parrot" else BEAK
        canvas.fill(outline(shape.bill), bill)
        body = outline(shape.body)
        form(canvas, body, color, look, rim=0.04)
        x, y, rx, ry = shape.belly
        with canvas.inside(body):
            if rx:
                canvas.mark(ellipse(x, y, rx, ry), mix(color, CREAM, 0.55))
            if kind == "parrot":
                canvas.mark(ellipse(0.5, -0.56, 0.13, 0.12), CREAM)
                canvas.mark(box(-0.9, -0.5, -0.5, -0.2), tone)
        eye(canvas, *shape.eye, 0.038)
        points = _toward(shape.wing, 0.1, -back, 1.0, high)
        wing = outline(points)
        form(
            canvas, wing, dim(color, 0.1) if sum(color) < 2.4 else dim(color, 0.07), look, rim=0.04
        )
        if shape.tip:
            left, right = min(x for x, _ in points), max(x for x, _ in points)
            edge = left + shape.tip * (right - left)
            with canvas.inside(wing):
                cut = [
                    (left - 0.1, -1.2),
                    (edge - 0.06, -1.2),
                    (edge + 0.05, 0.4),
                    (left - 0.1, 0.4),
                ]
                canvas.mark(outline([point for point in cut for _ in (0, 1)]), tone)


def _shanks(canvas: Canvas, places: Sequence[float], top: float, color: Color, wide: float) -> None:
    """Draw legs with toes."""
    legs = [tube([(x, top), (x, -0.02)], (wide, wide)) for x in places]
    toes = [tube([(x - 0.05, -0.018), (x + 0.1, -0.018)], (wide, wide)) for x in places]
    canvas.fill(together((*legs, *toes)), color)


def _songbird(canvas: Canvas, color: Color, look: Look) -> None:
    breast = pick(look.generator, (mix(color, CREAM, 0.6), (0.96, 0.62, 0.32)))
    if color[0] - color[2] > 0.3:
        breast = mix(color, CREAM, 0.65)
    _shanks(canvas, (0.0, 0.14), -0.26, (0.66, 0.42, 0.24), 0.036)
    with canvas.at(0, 0, 1.0, turn=float(look.generator.uniform(-7, 5))):
        tail = outline([(-0.24, -0.42), (-0.68, -0.18), (-0.68, -0.18), (-0.6, -0.06),
                        (-0.6, -0.06), (-0.14, -0.22)])  # fmt: skip
        canvas.fill(tail, dim(color, 0.28))
        bill = outline([(0.46, -0.84), (0.64, -0.76), (0.64, -0.76), (0.46, -0.7)])
        canvas.fill(bill, BEAK)
        body = outline([
            *((-0.4, -0.28), (-0.34, -0.46), (-0.16, -0.64), (-0.04, -0.78), (0.02, -0.9),
              (0.16, -0.99)),
            *((0.36, -0.98), (0.5, -0.86), (0.5, -0.7), (0.48, -0.5), (0.36, -0.28), (0.14, -0.17)),
            (-0.16, -0.18),
        ])  # fmt: skip
        form(canvas, body, color, look, rim=0.04)
        with canvas.inside(body):
            canvas.mark(ellipse(0.36, -0.42, 0.22, 0.26), breast)
        wing = outline([(0.1, -0.62), (0.16, -0.44), (0.02, -0.28), (-0.24, -0.22), (-0.54, -0.16),
                        (-0.54, -0.16), (-0.4, -0.38), (-0.16, -0.58)])  # fmt: skip
        form(canvas, wing, dim(color, 0.17), look, rim=0.04)
        eye(canvas, 0.33, -0.8, 0.05)


def _gull(canvas: Canvas, color: Color, look: Look) -> None:
    _shanks(canvas, (-0.04, 0.1), -0.3, (0.95, 0.7, 0.3), 0.04)
    canvas.fill(
        outline([(-0.3, -0.42), (-0.66, -0.36), (-0.66, -0.36), (-0.56, -0.26), (-0.2, -0.26)]), INK
    )
    bill = outline([(0.48, -0.9), (0.64, -0.88), (0.68, -0.78), (0.68, -0.78), (0.48, -0.78)])
    canvas.fill(bill, BEAK)
    canvas.mark(ellipse(0.62, -0.8, 0.028), RED_BILL)
    body = outline([
        *((-0.5, -0.34), (-0.4, -0.46), (-0.16, -0.58), (0.08, -0.68), (0.16, -0.84),
          (0.26, -0.97)),
        *((0.4, -0.99), (0.51, -0.9), (0.5, -0.78), (0.42, -0.64), (0.4, -0.46), (0.26, -0.28)),
        *((0.0, -0.2), (-0.26, -0.24)),
    ])  # fmt: skip
    form(canvas, body, color, look, rim=0.04)
    gray = (0.6, 0.66, 0.73) if sum(color) > 2.2 else dim(color, 0.25)
    wing = outline([(0.16, -0.6), (0.14, -0.42), (-0.12, -0.32), (-0.56, -0.28), (-0.56, -0.28),
                    (-0.38, -0.46), (-0.1, -0.58)])  # fmt: skip
    form(canvas, wing, gray, look, rim=0.035)
    eye(canvas, 0.38, -0.87, 0.034)


def _parrot(canvas: Canvas, color: Color, look: Look) -> None:
    tone = _accent("parrot", color)
    tail = outline([(-0.24, -0.34), (-0.5, -0.02), (-0.5, -0.02), (-0.36, 0.0), (-0.36, 0.0),
                    (0.02, -0.24)])  # fmt: skip
    _shanks(canvas, (0.02, 0.14), -0.22, (0.5, 0.46, 0.46), 0.05)
    canvas.fill(tail, tone)
    body = outline([
        *((-0.26, -0.36), (-0.24, -0.56), (-0.12, -0.74), (-0.06, -0.88), (0.06, -0.98),
          (0.22, -0.99)),
        *((0.36, -0.9), (0.36, -0.74), (0.34, -0.58), (0.32, -0.38), (0.2, -0.2), (0.0, -0.16)),
        (-0.16, -0.22),
    ])  # fmt: skip
    form(canvas, body, color, look, rim=0.04)
    with canvas.inside(body):
        canvas.mark(ellipse(0.26, -0.82, 0.13, 0.1), CREAM)
    bill = outline([(0.26, -0.94), (0.42, -0.92), (0.48, -0.78), (0.42, -0.66), (0.42, -0.66),
                    (0.36, -0.74), (0.28, -0.76)])  # fmt: skip
    canvas.fill(bill, INK)
    wing = outline([(0.06, -0.66), (0.12, -0.46), (0.0, -0.28), (-0.26, -0.14), (-0.36, -0.08),
                    (-0.36, -0.08), (-0.3, -0.36), (-0.16, -0.62)])  # fmt: skip
    form(canvas, wing, dim(color, 0.13), look, rim=0.035)
    with canvas.inside(wing):
        canvas.mark(
            outline([(-0.5, -0.3), (-0.1, -0.42), (0.16, -0.36), (0.1, 0.0), (-0.5, 0.0)]), tone
        )
        canvas.mark(tube([(-0.4, -0.36), (-0.1, -0.44), (0.16, -0.38)], (0.07, 0.07, 0.07)),
                    (0.97, 0.8, 0.25) if tone[2] > 0.6 else (0.3, 0.62, 0.4))  # fmt: skip
    eye(canvas, 0.2, -0.86, 0.042)


def _stork(canvas: Canvas, color: Color, look: Look) -> None:
    knee = chance(look.generator, 0.4)
    legs = [tube([(0.0, -0.5), (0.0, -0.24), (0.01, -0.015)], (0.035, 0.026, 0.026))]
    legs.append(tube([(-0.04, -0.018), (0.09, -0.018)], (0.03, 0.03)))
    if knee:
        legs.append(tube([(0.08, -0.5), (0.15, -0.3), (0.02, -0.22)], (0.035, 0.028, 0.024)))
    else:
        legs.append(tube([(0.08, -0.5), (0.09, -0.24), (0.1, -0.015)], (0.035, 0.026, 0.026)))
        legs.append(tube([(0.06, -0.018), (0.19, -0.018)], (0.03, 0.03)))
    canvas.fill(together(legs), RED_BILL)
    bill = outline([(0.3, -0.965), (0.62, -0.86), (0.62, -0.86), (0.3, -0.9)])
    canvas.fill(bill, RED_BILL)
    body = outline([
        *((-0.34, -0.44), (-0.22, -0.6), (-0.02, -0.67), (0.1, -0.72), (0.15, -0.82),
          (0.16, -0.92)),
        *((0.23, -0.99), (0.32, -0.965), (0.32, -0.9), (0.26, -0.85), (0.26, -0.72), (0.24, -0.56)),
        *((0.14, -0.46), (-0.06, -0.42), (-0.24, -0.42)),
    ])  # fmt: skip
    form(canvas, body, color, look, rim=0.03)
    wing = outline([(0.12, -0.62), (0.08, -0.5), (-0.1, -0.43), (-0.42, -0.37), (-0.42, -0.37),
                    (-0.28, -0.54), (-0.06, -0.64)])  # fmt: skip
    form(canvas, wing, dim(color, 0.07), look, rim=0.03)
    with canvas.inside(wing):
        canvas.mark(
            outline([(-0.5, -0.5), (-0.2, -0.52), (0.1, -0.46), (0.1, -0.3), (-0.5, -0.3)]), INK
        )
    eye(canvas, 0.255, -0.935, 0.02)


# ------------------------------------------------------------------ ducks


def duck(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a duck that swims, the water at its feet's height, or stands; or a mallard."""
    pose = pose_of("duck", look, WIDTHS["duck"])
    mallard = sum(color) < 2.2 and max(color) - min(color) < 0.35 and sum(color) > 0.75
    tilt = float(look.generator.uniform(-3, 3))
    if pose == "stand":
        _shanks(canvas, (-0.1, 0.1), -0.2, BEAK, 0.055)
    scale = 0.84 if pose == "stand" else 1.0
    with canvas.at(0, -0.15 if pose == "stand" else 0.0, scale, turn=-8 if pose == "stand" else 0):
        _duck_body(canvas, color, look, mallard, flat=pose == "swim", tilt=tilt)


def _duck_body(
    canvas: Canvas, color: Color, look: Look, mallard: bool, flat: bool, tilt: float
) -> None:
    low = [(0.48, 0.0), (0.48, 0.0), (-0.46, 0.0), (-0.46, 0.0)] if flat else [
        (0.36, -0.02), (0.0, 0.06), (-0.34, 0.0)]  # fmt: skip
    body = outline([
        *((-0.68, -0.46), (-0.68, -0.46), (-0.48, -0.42), (-0.2, -0.46), (0.08, -0.5),
          (0.26, -0.54)),
        *((0.48, -0.5), (0.6, -0.34), (0.58, -0.14), *low, (-0.58, -0.16), (-0.66, -0.32)),
    ])  # fmt: skip
    form(canvas, body, color, look, rim=0.05)
    if mallard:
        with canvas.inside(body):
            canvas.mark(ellipse(0.56, -0.28, 0.24, 0.3), (0.45, 0.29, 0.22))
            canvas.mark(ellipse(-0.68, -0.4, 0.16, 0.12), INK)
    wing = outline([(0.22, -0.42), (0.2, -0.22), (-0.06, -0.12), (-0.36, -0.2), (-0.58, -0.4),
                    (-0.58, -0.4), (-0.3, -0.4), (0.0, -0.46)])  # fmt: skip
    form(canvas, wing, dim(color, 0.09), look, rim=0.05)
    if mallard:
        with canvas.inside(wing):
            canvas.mark(ellipse(-0.3, -0.24, 0.16, 0.07), (0.2, 0.4, 0.66))
    head_tone = (0.13, 0.44, 0.32) if mallard else color
    with canvas.at(0.36, -0.5, 1.0, turn=tilt):
        bill = outline([(0.14, -0.32), (0.26, -0.27), (0.38, -0.24), (0.38, -0.18), (0.26, -0.17),
                        (0.12, -0.18)])  # fmt: skip
        canvas.fill(bill, BEAK)
        head = outline([
            *((-0.16, 0.04), (-0.12, -0.12), (-0.19, -0.3), (-0.1, -0.46), (0.04, -0.5),
              (0.18, -0.42)),
            *((0.2, -0.26), (0.14, -0.14), (0.12, 0.0), (0.16, 0.12), (0.0, 0.16)),
        ])  # fmt: skip
        form(canvas, head, head_tone, look, rim=0.04)
        if mallard:
            with canvas.inside(head):
                canvas.mark(box(-0.3, -0.07, 0.3, -0.01), CREAM)
                canvas.mark(box(-0.3, -0.01, 0.3, 0.3), (0.45, 0.29, 0.22))
        eye(canvas, 0.07, -0.32, 0.045)
