"""Dogs of several breeds, from the side."""

from __future__ import annotations

from dataclasses import dataclass

from mas_fast.data.storybook.canvas import Canvas, Color, Point, box, ellipse, mix, together
from mas_fast.data.storybook.world2.forms import (
    CREAM,
    INK,
    PINK,
    chance,
    contrast,
    dim,
    eye,
    form,
    outline,
    pick,
    pose_of,
    tube,
)
from mas_fast.data.storybook.world2.look import Look
from mas_fast.data.storybook.world2.quadruped import Leg, coat_of, far_legs, four

WIDTHS = {"dog": {"stand": 1.4, "walk": 1.4, "run": 1.5, "sit": 1.35}}
NATURAL: dict[str, tuple[Color, ...]] = {
    "dog": ((0.83, 0.6, 0.34), (0.58, 0.37, 0.22), (0.95, 0.92, 0.86))
}
COLLARS: tuple[Color, ...] = ((0.82, 0.2, 0.2), (0.2, 0.45, 0.8), (0.97, 0.77, 0.2))


@dataclass(frozen=True)
class Breed:
    """What makes a breed.

    Attributes:
        size: its height.
        long: length of the body, relative to a retriever of its size.
        head: radius of the skull.
        muzzle: length of the muzzle, in radii.
        ear: "flop", "fold" or "point".
        tail: points of the tail from its root, and widths.
        marks: "bib", "saddle", "spots" or "mask".
    """

    size: float
    long: float
    head: float
    muzzle: float
    ear: str
    tail: tuple[tuple[Point, ...], tuple[float, ...]]
    marks: str


BUSHY = (((0.0, 0.0), (-0.12, -0.05), (-0.21, -0.17), (-0.2, -0.28)), (0.08, 0.13, 0.12, 0.03))
WHIP = (((0.0, 0.0), (-0.12, -0.06), (-0.19, -0.17), (-0.21, -0.28)), (0.08, 0.06, 0.05, 0.03))
STUB = (((0.02, 0.0), (-0.03, -0.1), (-0.02, -0.2)), (0.09, 0.08, 0.06))
CURL = (((0.02, 0.0), (-0.09, -0.1), (-0.06, -0.24), (0.06, -0.24)), (0.1, 0.14, 0.14, 0.06))
BREEDS = {
    "retriever": Breed(1.0, 1.0, 0.137, 1.15, "flop", BUSHY, "bib"),
    "terrier": Breed(0.9, 0.9, 0.15, 1.0, "fold", STUB, "saddle"),
    "dalmatian": Breed(1.0, 0.98, 0.125, 1.2, "flop", WHIP, "spots"),
    "dachshund": Breed(0.86, 1.34, 0.165, 1.4, "flop", WHIP, "bib"),
    "spitz": Breed(0.95, 0.94, 0.142, 0.95, "point", CURL, "mask"),
}


def dog(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a dog: a retriever, a terrier, a dalmatian, a dachshund or a spitz."""
    pose = pose_of("dog", look, WIDTHS["dog"])
    names = [name for name in BREEDS if name != "dalmatian" or sum(color) > 2.2]
    breed = BREEDS[pick(look.generator, names)]
    wag = float(look.generator.uniform(-8, 14))
    collar = pick(look.generator, COLLARS)
    panting = chance(look.generator, 0.4) or pose == "run"
    with canvas.at(0, 0, breed.size):
        if pose == "sit":
            neck = _sitting(canvas, color, look, breed, wag)
        else:
            neck = _on_its_legs(canvas, color, look, breed, wag, pose)
        x, y = neck
        band = tube([(x - 0.13, y + 0.1), (x - 0.01, y + 0.16), (x + 0.1, y + 0.13)], (0.05,) * 3)
        canvas.mark(band, collar)
        with canvas.at(x, y, breed.head):
            _head(canvas, color, look, breed, panting)


def _tail(canvas: Canvas, color: Color, look: Look, breed: Breed, x: float, y: float,
          turn: float) -> None:  # fmt: skip
    with canvas.at(x, y, 1.0, turn=turn):
        form(canvas, tube(*breed.tail), color, look, rim=0.03)


def _on_its_legs(
    canvas: Canvas, color: Color, look: Look, breed: Breed, wag: float, pose: str
) -> Point:
    """Draw a dog without its head, and return the place of the head."""
    k = breed.long
    low = 0.28 if k > 1.2 else 0.0  # short legs: all but the feet is lower
    hind = Leg(((-0.31 * k, -0.48), (-0.29 * k, -0.33), (-0.4 * k, -0.2), (-0.385 * k, -0.06)),
               (0.25, 0.18, 0.085, 0.08), (0.14, 0.06))  # fmt: skip
    fore = Leg(((0.22 * k, -0.48), (0.21 * k, -0.27), (0.22 * k, -0.06)), (0.22, 0.12, 0.085),
               (0.14, 0.06))  # fmt: skip
    if low:
        hind = hind.bent(*((x, -0.36 if y < -0.4 else -0.06 + (y + 0.06) * 0.5)
                           for x, y in hind.joints))  # fmt: skip
        fore = fore.bent((0.22 * k, -0.42), (0.21 * k, -0.22), (0.22 * k, -0.06))
    rise = 0.0
    if pose == "run":
        rise = 0.0
        reach, top = (-0.12, -0.34) if low else (-0.2, -0.47)
        legs = (
            hind.bent(
                (-0.3 * k, top), (-0.4 * k, 0.7 * top), (-0.5 * k, reach), (-0.55 * k, -0.07)
            ),
            hind.bent(
                (-0.31 * k, top),
                (-0.42 * k, 0.75 * top),
                (-0.55 * k, reach - 0.02),
                (-0.6 * k, -0.09),
            ),
            fore.bent((0.22 * k, top), (0.4 * k, 0.8 * top), (0.52 * k, -0.2)),
            fore.bent((0.22 * k, top), (0.36 * k, 0.64 * top), (0.46 * k, -0.09)),
        )
    else:
        legs = four(hind, fore, 0.09, 0.12 if not low else 0.08, pose)
    with canvas.at(0, -rise, 1.0):
        far_legs(canvas, (legs[0], legs[2]), color)
        _tail(canvas, color, look, breed, -0.4 * k, -0.6 + 0.5 * low, wag)
        back = -0.67 + 0.6 * low
        neck = (0.14 * k + 0.2, -0.86 + low + (0.07 if pose == "run" else 0.0))
        x, y = neck
        body = outline([
            *((-0.44 * k, -0.5 + 0.5 * low), (-0.39 * k, -0.63 + 0.55 * low), (-0.24 * k, back)),
            *((0.0, back + 0.01), (0.12 * k, back - 0.03), (x - 0.14, y + 0.04), (x, y - 0.02)),
            *((x + 0.09, y + 0.1), (0.37 * k, -0.54 + 0.4 * low), (0.34 * k, -0.41 + 0.4 * low)),
            *((0.2 * k, -0.32 + 0.4 * low), (0.0, -0.35 + 0.5 * low)),
            *((-0.2 * k, -0.41 + 0.6 * low), (-0.42 * k, -0.4 + 0.5 * low)),
        ])  # fmt: skip
        near = (legs[1], legs[3])
        form(canvas, coat_of(near, body), color, look, rim=0.03)
        with canvas.inside(coat_of(near, body)):
            _markings(
                canvas, color, breed, [(-0.12 * k, back + 0.08), (0.34 * k, -0.42 + 0.4 * low)]
            )
            if breed.marks in ("saddle", "mask"):
                canvas.mark(box(-0.9, -0.09, 0.9, 0.0), CREAM)
    return x, y - rise


def _sitting(canvas: Canvas, color: Color, look: Look, breed: Breed, wag: float) -> Point:
    """Draw a sitting dog without its head, and return the place of the head."""
    _tail(canvas, color, look, breed, -0.3, -0.1, -34 + wag)
    fore = Leg(((0.13, -0.44), (0.15, -0.25), (0.16, -0.06)), (0.2, 0.12, 0.09), (0.14, 0.06))
    if breed.long > 1.2:
        fore = fore.bent((0.13, -0.4), (0.15, -0.2), (0.16, -0.06))
    far_legs(canvas, (fore.moved(0.09, 0.02),), color)
    x, y = (0.15, -0.86 if breed.long < 1.2 else -0.84)
    body = outline([
        *((-0.33, -0.03), (-0.4, -0.18), (-0.34, -0.4), (-0.2, -0.57), (-0.05, -0.71)),
        *((x - 0.14, y + 0.04), (x, y - 0.02), (x + 0.1, y + 0.1), (0.27, -0.58), (0.26, -0.44)),
        *((0.18, -0.26), (0.06, -0.06), (-0.1, 0.0), (-0.26, 0.0)),
    ])  # fmt: skip
    coat = coat_of((fore,), body)
    form(canvas, coat, color, look, rim=0.03)
    with canvas.inside(coat):
        _markings(canvas, color, breed, [(-0.2, -0.44), (0.26, -0.46)])
    foot = Leg(((-0.12, -0.2), (-0.02, -0.07), (-0.05, -0.05)), (0.2, 0.12, 0.1), (0.2, 0.05))
    haunch = outline([(-0.34, -0.12), (-0.28, -0.34), (-0.1, -0.36), (0.03, -0.2), (0.0, -0.04),
                      (-0.2, 0.0)])  # fmt: skip
    form(canvas, together((haunch, foot.sole)), color, look, rim=0.025)
    return x, y


def _markings(canvas: Canvas, color: Color, breed: Breed, places: list[Point]) -> None:
    """Draw what is of another colour; `places` are the middle of the back and the chest."""
    (bx, by), (cx, cy) = places
    pale = mix(color, CREAM, 0.6)
    if breed.marks == "saddle":
        tone = contrast(color) if sum(color) > 2.2 else dim(color, 0.5)
        canvas.mark(ellipse(bx - 0.02, by, 0.2, 0.17), tone)
    elif breed.marks == "spots":
        spots = [(-0.2, -0.02), (-0.03, 0.1), (0.1, -0.04), (0.26, 0.08), (-0.26, 0.17),
        (0.3, -0.1),
                 (0.12, 0.2)]  # fmt: skip
        paths = [ellipse(bx + x, by + y, 0.038, 0.034) for x, y in spots]
        canvas.mark(together(paths), INK)
    if breed.marks in ("bib", "mask", "saddle"):
        canvas.mark(ellipse(cx + 0.06, cy, 0.1, 0.16), pale)


def _head(canvas: Canvas, color: Color, look: Look, breed: Breed, panting: bool) -> None:
    """Draw a head, whose skull has radius 1."""
    m, dark = breed.muzzle, dim(color, 0.35) if sum(color) > 0.75 else mix(color, CREAM, 0.2)
    if breed.ear == "point":
        far = outline([(0.05, -0.8), (0.3, -1.5), (0.3, -1.5), (0.62, -0.7)])
        canvas.fill(far, dim(color, 0.3))
    if panting:
        canvas.fill(tube([(0.75 + 0.5 * m, 0.5), (0.8 + 0.55 * m, 1.1)], (0.34, 0.32)), PINK)
    deep = 0.98 if breed.ear == "fold" else 0.68
    skull = outline([
        *((-0.95, 0.2), (-0.88, -0.5), (-0.3, -0.98), (0.45, -0.86), (0.86, -0.4)),
        *((0.9 + 0.6 * m, -0.26), (0.95 + m, -0.1), (1.0 + m, 0.25), (0.85 + 0.85 * m, deep)),
        *((0.7 + 0.3 * m, 0.8), (0.2, 1.0), (-0.6, 0.9)),
    ])  # fmt: skip
    form(canvas, skull, color, look, rim=0.16)
    with canvas.inside(skull):
        if breed.marks in ("mask", "saddle"):
            canvas.mark(ellipse(0.95 + 0.7 * m, 0.5, 0.95, 0.68), mix(color, CREAM, 0.75))
        elif breed.marks == "bib":
            canvas.mark(ellipse(0.9 + 0.8 * m, 0.62, 0.8, 0.5), mix(color, CREAM, 0.5))
    canvas.mark(ellipse(0.93 + m, -0.05, 0.25, 0.2), INK)
    mouth = tube(
        [(0.98 + m, 0.36), (0.7 + 0.6 * m, 0.5), (0.62 + 0.2 * m, 0.36)], (0.08, 0.1, 0.08)
    )
    canvas.mark(mouth, INK if sum(color) > 0.75 else (0.4, 0.36, 0.38))
    eye(canvas, 0.5, -0.3, 0.19)
    if breed.ear == "flop":
        ear = outline([(-0.5, -0.8), (-0.05, -0.6), (0.08, 0.3), (-0.2, 1.0), (-0.62, 1.1),
                       (-0.88, 0.5), (-0.82, -0.4)])  # fmt: skip
        form(canvas, ear, dark, look, rim=0.12)
    elif breed.ear == "fold":
        ear = outline([(-0.7, -0.6), (-0.5, -1.2), (-0.1, -1.3), (0.36, -0.72), (0.36, -0.72),
                       (-0.1, -0.86), (-0.1, -0.5)])  # fmt: skip
        form(canvas, ear, dark, look, rim=0.1)
    else:
        ear = outline([(-0.72, -0.5), (-0.62, -1.62), (-0.62, -1.62), (0.14, -0.8)])
        form(canvas, ear, color, look, rim=0.12)
        canvas.mark(outline([(-0.54, -0.66), (-0.52, -1.3), (-0.52, -1.3), (-0.08, -0.8)]),
                    mix(color, PINK, 0.6))  # fmt: skip
