"""People from the front, with the parts of body and face.

A person's own left is at the viewer's right (x > 0). Feet at y = 0, top of the head at -1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    blob,
    box,
    ellipse,
    limb,
    polygon,
    shade,
    together,
)
from mas_fast.data.storybook.world1.pieces import CREAM, INK, accent, chance, pick

SKINS: tuple[Color, ...] = (
    (0.97, 0.82, 0.7),
    (0.91, 0.71, 0.55),
    (0.78, 0.55, 0.38),
    (0.58, 0.38, 0.25),
    (0.42, 0.27, 0.18),
)
HAIRS: tuple[Color, ...] = (
    (0.14, 0.1, 0.09),
    (0.33, 0.2, 0.12),
    (0.55, 0.34, 0.16),
    (0.88, 0.68, 0.3),
    (0.74, 0.34, 0.14),
)
TROUSERS: tuple[Color, ...] = (
    (0.2, 0.26, 0.42),
    (0.4, 0.28, 0.2),
    (0.3, 0.31, 0.34),
    (0.7, 0.6, 0.42),
)
SHOES: tuple[Color, ...] = ((0.2, 0.16, 0.15), (0.6, 0.2, 0.18), (0.45, 0.3, 0.2))
MOUTH: Color = (0.78, 0.27, 0.27)
STRAW: Color = (0.9, 0.76, 0.45)
SIDES = ((1, "left"), (-1, "right"))


@dataclass(frozen=True)
class Build:
    """Measures of a person, in units of the height.

    Attributes:
        head: radius of the head.
        hip: y where the legs begin.
        chest: half the width of the shoulders.
    """

    head: float
    hip: float
    chest: float

    @property
    def face(self) -> float:
        """The y of the middle of the face."""
        return -1 + 1.12 * self.head

    @property
    def shoulder(self) -> float:
        """The y of the shoulders."""
        return self.face + 1.14 * self.head


ADULT = Build(head=0.135, hip=-0.4, chest=0.15)
CHILD = Build(head=0.165, hip=-0.33, chest=0.135)


@dataclass(frozen=True)
class Traits:
    """Details that differ from one person to the next."""

    skin: Color
    hair: Color
    stride: float  # half the distance of the feet
    raised: tuple[int, ...]  # sides whose arm is raised


def _traits(generator: np.random.Generator, gray: bool = False) -> Traits:
    skin = int(generator.integers(len(SKINS)))
    hair = pick(generator, HAIRS if skin < 3 else HAIRS[:2])
    if gray and chance(generator, 0.15):
        hair = (0.72, 0.72, 0.74)
    stride = float(generator.uniform(0.06, 0.115))
    return Traits(SKINS[skin], hair, stride, pick(generator, ((), (), (1,), (-1,), (1, -1))))


# ------------------------------------------------------------------ body


def _arms(canvas: Canvas, build: Build, traits: Traits, color: Color, garment: str) -> None:
    """Draw both arms, with short sleeves of that colour."""
    x, y, thick, sleeves = build.chest, build.shoulder + 0.045, 0.075, []
    for side, name in SIDES:
        if side in traits.raised:
            elbow, hand = (side * (x + 0.1), y + 0.03), (side * (x + 0.13), y - 0.17)
        else:
            elbow, hand = (side * (x + 0.055), y + 0.12), (side * (x + 0.075), build.hip + 0.02)
        arm = limb([elbow, hand], thick)
        arm.addPath(limb([hand, hand], thick * 1.3))
        canvas.fill(arm, traits.skin, part=f"{name}-arm")
        cuff = (elbow[0] * 0.8 + side * x * 0.2, elbow[1] * 0.8 + y * 0.2)
        sleeves.append(limb([(side * (x - 0.04), y + 0.01), cuff], thick * 1.3))
    canvas.fill(together(sleeves), color, part=garment)


def _legs(canvas: Canvas, traits: Traits, top: float, thick: float, shoe: Color) -> None:
    """Draw bare legs and shoes."""
    for side, name in SIDES:
        foot = side * traits.stride
        canvas.fill(
            limb([(side * 0.06, top), (foot, -0.05)], thick), traits.skin, part=f"{name}-leg"
        )
        heel, toe = foot - side * 0.045, foot + side * 0.095
        sole = box(min(heel, toe), -0.065, max(heel, toe), 0, 0.03)
        canvas.fill(sole, shoe, part=f"{name}-shoe")


def _trousers(canvas: Canvas, build: Build, traits: Traits, color: Color, bottom: float) -> None:
    """Draw trousers down to `bottom`, along the legs."""
    top, wide, legs = build.hip - 0.02, build.chest - 0.015, []
    x = 0.06 + (traits.stride - 0.06) * (bottom - build.hip) / -build.hip  # of a leg's end
    for side in (1, -1):
        outer = [(-0.02, top), (wide, top), (x + 0.062, bottom)]
        inner = [(max(x - 0.05, 0.012), bottom), (0.012, build.hip + 0.07)]
        legs.append(polygon([(side * a, b) for a, b in outer + inner]))
    for leg in legs:
        canvas.fill(leg, color, part="pants")


def _shirt(
    canvas: Canvas, build: Build, traits: Traits, color: Color, generator: np.random.Generator
) -> None:
    top, wide, hip = build.shoulder, build.chest, build.hip
    _arms(canvas, build, traits, color, "upper-clothes")
    body = box(-wide, top, wide, hip + 0.02, 0.05)
    canvas.fill(body, color, part="upper-clothes")
    style = int(generator.integers(3))
    if style == 0:
        with canvas.inside(body):
            bars = [box(-wide, y, wide, y + 0.04) for y in (top + 0.12, top + 0.21)]
            canvas.mark(together(bars), shade(color, 0.35) if sum(color) < 2.3 else accent(color))
    elif style == 1:
        canvas.mark(box(-0.012, top + 0.05, 0.012, hip), accent(color, 0.3))


def _dress(
    canvas: Canvas, build: Build, traits: Traits, color: Color, generator: np.random.Generator,
    hem: float,
) -> None:  # fmt: skip
    top, wide, waist = build.shoulder, build.chest - 0.02, build.hip - 0.1
    flare = float(generator.uniform(0.2, 0.26))
    _arms(canvas, build, traits, color, "dress")
    side = [(wide, top + 0.02), (wide - 0.03, waist), (flare, hem)]
    body = polygon([(-0.07, top), (0.07, top), *side, *((-x, y) for x, y in reversed(side))])
    canvas.fill(body, color, part="dress")
    tone = shade(color, 0.45) if sum(color) < 2.4 else (0.85, 0.5, 0.55)
    with canvas.inside(body):
        style = int(generator.integers(3))
        if style == 0:
            canvas.mark(box(-0.3, hem - 0.05, 0.3, hem), tone)
        elif style == 1:
            rows = (-0.1, 0.1, 0.0, -0.06, 0.08)
            high = (hem - waist) / 5
            dots = [ellipse(x, waist + 0.05 + i * high, 0.017) for i, x in enumerate(rows)]
            canvas.mark(together(dots), tone)
        canvas.mark(box(-0.3, waist - 0.02, 0.3, waist + 0.02), accent(color, 0.3))


# ------------------------------------------------------------------ head


def _head(canvas: Canvas, build: Build, traits: Traits, beard: bool = False) -> None:
    """Draw neck, ears and a face with nothing on it but a beard."""
    r, y, skin = build.head, build.face, traits.skin
    dark = shade(skin, -0.25)
    canvas.fill(box(-0.045, y + 0.7 * r, 0.045, build.shoulder + 0.03, 0.02), dark, part="face")
    ears = [ellipse(s * 0.93 * r, y + 0.05 * r, 0.2 * r, 0.25 * r) for s in (-1, 1)]
    canvas.fill(together(ears), skin, part="face")
    head = ellipse(0, y, 0.95 * r, r)
    canvas.fill(head, skin, part="face")
    if beard:
        with canvas.inside(head):
            canvas.fill(box(-r, y + 0.3 * r, r, y + 1.1 * r, 0.3 * r), traits.hair, part="hair")


def _features(canvas: Canvas, build: Build, traits: Traits) -> None:
    """Draw cheeks, brows, eyes, nose and a smile; over the hair, so that they are always seen."""
    r, y, pair = build.head, build.face + 0.04 * build.head, (-1, 1)
    cheeks = [ellipse(s * 0.6 * r, y + 0.36 * r, 0.19 * r, 0.14 * r) for s in pair]
    canvas.mark(together(cheeks), (0.95, 0.42, 0.38), alpha=0.35)
    brows = [
        box((s * 0.4 - 0.21) * r, y - 0.54 * r, (s * 0.4 + 0.21) * r, y - 0.37 * r, 0.06 * r)
        for s in pair
    ]
    canvas.fill(together(brows), shade(traits.hair, -0.25), part="eyebrows")
    whites = [ellipse(s * 0.39 * r, y - 0.04 * r, 0.23 * r, 0.25 * r) for s in pair]
    canvas.fill(together(whites), CREAM, part="eyes")
    pupils = [ellipse(s * 0.37 * r, y - 0.02 * r, 0.16 * r, 0.2 * r) for s in pair]
    canvas.mark(together(pupils), INK)
    canvas.fill(ellipse(0, y + 0.2 * r, 0.15 * r, 0.17 * r), shade(traits.skin, -0.25), part="nose")
    smile = [(-0.4, 0.48), (0, 0.5), (0.4, 0.48), (0.24, 0.78), (-0.24, 0.78)]
    canvas.fill(blob([(a * r, y + b * r) for a, b in smile]), MOUTH, part="outer-mouth")
    teeth = box(-0.25 * r, y + 0.49 * r, 0.25 * r, y + 0.67 * r, 0.06 * r)
    canvas.fill(teeth, CREAM, part="inner-mouth")


def _fringe(build: Build, sides: float, brow: float, part: float) -> skia.Path:
    """Return hair above the forehead, which parts at `part`, -1..1.

    It reaches down to `sides` beside the face and to `brow` on the forehead, in radii of the head
    from the middle of the face.
    """
    r, y = build.head, build.face
    points = [(-1.02, sides), (-1.06, -0.3), (-0.72, -0.92), (0, -1.12), (0.72, -0.92)]
    points += [(1.06, -0.3), (1.02, sides), (0.78, -0.36), (part, brow), (-0.78, -0.36)]
    return blob([(x * r, y + v * r) for x, v in points])


def _hat(canvas: Canvas, build: Build, color: Color, band: Color, wide: float) -> None:
    r, y = build.head, build.face
    canvas.fill(blob([(-0.85 * r, y - 0.6 * r), (-0.66 * r, y - 1.14 * r), (0.66 * r, y - 1.14 * r),
                      (0.85 * r, y - 0.6 * r)]), color, part="hat")  # fmt: skip
    canvas.mark(box(-0.8 * r, y - 0.9 * r, 0.8 * r, y - 0.66 * r), band)
    canvas.fill(ellipse(0, y - 0.64 * r, wide * r, 0.16 * r), color, part="hat")


# ------------------------------------------------------------------ figures


def man(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a man: a shirt of that colour, long trousers; with or without a beard, a hat."""
    traits, build = _traits(generator, gray=True), ADULT
    beard, style = chance(generator, 0.3), int(generator.integers(4))
    canvas.shadow(0.5, 0.04)
    _legs(canvas, traits, -0.3, 0.09, pick(generator, SHOES))
    _trousers(canvas, build, traits, _unlike(generator, color), -0.055)
    _shirt(canvas, build, traits, color, generator)
    _head(canvas, build, traits, beard)
    canvas.fill(
        _fringe(build, -0.05, -0.56, (-0.3, 0.3, 0.0, 0.0)[style]), traits.hair, part="hair"
    )
    if style == 3:
        _hat(canvas, build, (0.36, 0.27, 0.2), INK, 1.3)
    _features(canvas, build, traits)


def boy(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a boy: a shirt of that colour and shorts; tousled hair or a cap."""
    traits, build = _traits(generator), CHILD
    canvas.shadow(0.5, 0.05)
    _legs(canvas, traits, -0.25, 0.085, pick(generator, SHOES))
    _trousers(canvas, build, traits, _unlike(generator, color), -0.17)
    _shirt(canvas, build, traits, color, generator)
    _head(canvas, build, traits)
    style, r, y = int(generator.integers(3)), build.head, build.face
    if style == 0:
        tip = [(-0.6, -0.8), (-0.75, -1.1), (-0.3, -1.0), (-0.1, -1.18), (0.2, -1.0), (0.6, -1.12)]
        tuft = polygon([(a * r, y + b * r) for a, b in [*tip, (0.65, -0.75)]])
        canvas.fill(tuft, traits.hair, part="hair")
    canvas.fill(_fringe(build, -0.05, -0.5, (0.25, -0.3, 0.0)[style]), traits.hair, part="hair")
    if style == 2:
        cap = _unlike(generator, color)
        _hat(canvas, build, cap, accent(cap), 0.95)
        canvas.fill(limb([(0.2 * r, y - 0.62 * r), (1.2 * r, y - 0.58 * r)], 0.2 * r), accent(cap),
                    part="hat")  # fmt: skip
    _features(canvas, build, traits)


def woman(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a woman: a calf-length dress of that colour; long hair, a bun, a bob or a straw hat."""
    traits, build = _traits(generator, gray=True), ADULT
    style, r, y = int(generator.integers(4)), ADULT.head, ADULT.face
    canvas.shadow(0.5, 0.04)
    length = 1.75 if style in (0, 3) else 0.95
    if style == 1:
        canvas.fill(ellipse(0, y - 1.02 * r, 0.42 * r, 0.34 * r), traits.hair, part="hair")
    else:
        back = [(-1.0, -0.5), (0, -1.0), (1.0, -0.5), (1.16, length - 0.2), (0.9, length)]
        back += [(-0.9, length), (-1.16, length - 0.2)]
        canvas.fill(blob([(a * r, y + b * r) for a, b in back]), traits.hair, part="hair")
    _legs(canvas, traits, -0.3, 0.075, pick(generator, SHOES))
    _dress(canvas, build, traits, color, generator, -0.19)
    _head(canvas, build, traits)
    canvas.fill(_fringe(build, 0.1, -0.5, (0.35, 0.0, -0.35, 0.0)[style]), traits.hair, part="hair")
    if style == 3:
        _hat(canvas, build, STRAW, (0.8, 0.3, 0.3), 1.5)
    _features(canvas, build, traits)


def girl(canvas: Canvas, color: Color, generator: np.random.Generator) -> None:
    """Draw a girl: a short dress of that colour; bunches, plaits or loose hair with a bow."""
    traits, build = _traits(generator), CHILD
    style, r, y = int(generator.integers(3)), CHILD.head, CHILD.face
    ribbon = pick(generator, ((0.9, 0.25, 0.3), (0.3, 0.5, 0.85), (0.95, 0.8, 0.25)))
    canvas.shadow(0.5, 0.05)
    if style == 0:
        bunches = [ellipse(s * 1.2 * r, y + 0.05 * r, 0.36 * r, 0.5 * r) for s in (-1, 1)]
    elif style == 1:
        bunches = [limb([(s * 0.9 * r, y), (s * 1.1 * r, y + 1.5 * r)], 0.36 * r) for s in (-1, 1)]
    else:
        bunches = [box(-1.1 * r, y - 0.6 * r, 1.1 * r, y + 1.2 * r, 0.5 * r)]
    canvas.fill(together(bunches), traits.hair, part="hair")
    _legs(canvas, traits, -0.25, 0.075, pick(generator, SHOES))
    _dress(canvas, build, traits, color, generator, -0.17)
    _head(canvas, build, traits)
    canvas.fill(_fringe(build, 0.05, -0.42, (0.0, 0.0, 0.4)[style]), traits.hair, part="hair")
    if style == 2:
        knots = [(0.5, -0.95)]
    else:
        knots = [(s * 0.98, -0.35 if style == 0 else 1.35) for s in (-1, 1)]
    bows = [ellipse(a * r, y + b * r, 0.22 * r, 0.16 * r) for a, b in knots]
    canvas.mark(together(bows), ribbon)
    _features(canvas, build, traits)


def _unlike(generator: np.random.Generator, color: Color) -> Color:
    """Return a colour for trousers that does not look like that colour."""
    far = [c for c in TROUSERS if sum(abs(a - b) for a, b in zip(c, color, strict=True)) > 0.6]
    return pick(generator, far)
