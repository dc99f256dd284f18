"""Heads of people: face, hair, beards, glasses and hats.

A head is drawn in its own frame: its middle is at (0, 0), its radius is 1, and it is turned a
little to the right, so that the nearer ear is at the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    Point,
    box,
    ellipse,
    mix,
    shade,
    together,
)
from mas_fast.data.storybook.world2.forms import (
    CREAM,
    INK,
    chance,
    contrast,
    dim,
    form,
    outline,
    pick,
    tube,
)
from mas_fast.data.storybook.world2.look import Look, moved

SKINS: tuple[Color, ...] = (
    (0.99, 0.84, 0.73),
    (0.95, 0.75, 0.6),
    (0.84, 0.6, 0.43),
    (0.65, 0.43, 0.3),
    (0.48, 0.31, 0.22),
)
HAIRS: tuple[Color, ...] = (
    (0.17, 0.13, 0.14),
    (0.36, 0.21, 0.14),
    (0.58, 0.35, 0.18),
    (0.9, 0.7, 0.36),
    (0.78, 0.37, 0.17),
)
GRAY: Color = (0.8, 0.8, 0.82)
STRAW: Color = (0.93, 0.79, 0.5)
KNITS: tuple[Color, ...] = ((0.83, 0.25, 0.24), (0.2, 0.45, 0.6), (0.96, 0.74, 0.3))
LIPS: Color = (0.8, 0.3, 0.3)

# Styles of hair, then hats; "wool" is worn in the cold.
STYLES = {
    "man": ("parted", "short", "curly", "swept", "bald", "brim", "cap"),
    "woman": ("long", "bob", "bun", "tail", "waves", "sunhat", "beret"),
    "boy": ("tousled", "bowl", "curly", "swept", "cap"),
    "girl": ("bunches", "plaits", "tail", "bob", "long", "sunhat"),
}


@dataclass(frozen=True)
class Head:
    """What a head looks like.

    Attributes:
        skin: colour of the skin.
        hair: colour of the hair.
        style: one of its kind's STYLES, or "wool".
        beard: "full", "moustache" or None.
        glasses: whether it wears glasses.
        lashes: whether its lashes and lips are drawn.
        cloth: colour of a hat, a ribbon.
    """

    skin: Color
    hair: Color
    style: str
    beard: str | None
    glasses: bool
    lashes: bool
    cloth: Color


def draw_lots(kind: str, look: Look) -> Head:
    """Draw the head of a person of that kind.

    Args:
        kind: "man", "woman", "boy" or "girl".
        look: its generator draws the head; in the cold it wears a woollen hat.
    """
    generator = look.generator
    tone = int(generator.integers(len(SKINS)))
    hair = pick(generator, HAIRS if tone < 2 else HAIRS[: 2 if tone == 2 else 1])
    style, grown = pick(generator, STYLES[kind]), kind in ("man", "woman")
    if grown and chance(generator, 0.2):
        hair = GRAY
    beard = pick(generator, ("full", "moustache", None, None, None)) if kind == "man" else None
    glasses = chance(generator, 0.22 if grown else 0.12)
    cloth = pick(generator, KNITS)
    if look.cold:
        style = "wool"
    return Head(SKINS[tone], hair, style, beard, glasses, kind in ("woman", "girl"), cloth)


# ------------------------------------------------------------------ behind the body


def hair_behind(canvas: Canvas, head: Head, look: Look) -> None:
    """Draw the hair that hangs behind neck and shoulders."""
    style = "long" if head.style in ("sunhat", "wool") and head.lashes else head.style
    if style == "long":
        back = [(-0.9, -0.5), (-1.1, 0.4), (-1.16, 1.5), (-0.7, 1.95), (0.4, 1.8), (0.98, 1.5)]
        path = outline([*back, (0.98, 0.3), (0.8, -0.6), (0, -1.05)])
    elif style == "waves":
        back = [(-0.95, -0.5), (-1.36, 0.1), (-1.22, 0.6), (-1.42, 1.1), (-1.0, 1.6), (0, 1.5)]
        path = outline([*back, (1.0, 1.45), (1.2, 0.9), (1.1, 0.3), (0.9, -0.6), (0, -1.1)])
    elif style == "bob":
        path = outline([(-0.9, -0.6), (-1.18, 0.3), (-1.1, 0.95), (-0.4, 1.05), (0.9, 0.95),
                        (1.08, 0.4), (0.8, -0.7), (0, -1.05)])  # fmt: skip
    elif style == "bun":
        path = ellipse(-0.72, -0.98, 0.46)
    elif style == "tail":
        path = tube(
            [(-0.75, -0.55), (-1.35, -0.35), (-1.5, 0.5), (-1.3, 1.2)], (0.3, 0.6, 0.6, 0.1)
        )
    elif style == "bunches":
        path = together((ellipse(-1.2, 0.1, 0.42, 0.58), ellipse(1.14, 0.08, 0.34, 0.52)))
    elif style == "plaits":
        path = together((
            tube([(-0.85, 0.2), (-1.12, 0.9), (-1.08, 1.7)], (0.34, 0.44, 0.22)),
            tube([(0.85, 0.3), (1.04, 0.9), (0.98, 1.55)], (0.3, 0.36, 0.2)),
        ))  # fmt: skip
    else:
        return
    form(canvas, path, dim(head.hair, 0.1), look, part="hair", rim=0.14)
    bands = {
        "tail": [(-0.95, -0.5)],
        "bunches": [(-0.93, -0.3), (0.93, -0.3)],
        "plaits": [(-1.09, 1.45), (1.0, 1.35)],
    }
    knots = [ellipse(x, y, 0.2, 0.17) for x, y in bands.get(style, ())]
    if knots:
        canvas.mark(together(knots), head.cloth)


# ------------------------------------------------------------------ the face


FACE = outline((
    (-0.9, -0.2), (-0.82, 0.3), (-0.56, 0.74), (-0.02, 1.0), (0.4, 0.94), (0.78, 0.58),
    (0.9, 0.1), (0.9, -0.4), (0.5, -0.92), (-0.2, -1.0), (-0.74, -0.74),
))  # fmt: skip
BEARD = outline((
    (-1, -0.1), (-0.66, 0.12), (-0.4, 0.42), (0.22, 0.3), (0.74, 0.4), (1, 0.1), (1, 1.2),
    (-1, 1.2),
))  # fmt: skip
MOUSTACHE = outline((
    (-0.24, 0.5), (0.0, 0.37), (0.24, 0.4), (0.5, 0.37), (0.66, 0.48), (0.24, 0.53),
))  # fmt: skip
EAR, SHELL = ellipse(-0.84, 0.14, 0.2, 0.26), ellipse(-0.82, 0.16, 0.09, 0.14)
CHEEKS = together((ellipse(-0.42, 0.4, 0.2, 0.15), ellipse(0.7, 0.38, 0.15, 0.15)))
NOSE = outline((
    (0.22, 0.0), (0.44, 0.22), (0.4, 0.36), (0.2, 0.38), (0.12, 0.28), (0.24, 0.2),
))  # fmt: skip
MOUTH = outline((
    (-0.2, 0.48), (0.2, 0.53), (0.6, 0.46), (0.5, 0.7), (0.2, 0.82), (-0.08, 0.71),
))  # fmt: skip
TEETH = outline(((-0.12, 0.53), (0.2, 0.57), (0.52, 0.52), (0.44, 0.67), (-0.02, 0.68)))
EYES = ((-0.2, 0.19), (0.54, 0.17))  # x and half the width of each
WHITES = together(ellipse(x, 0.0, rx, 0.22) for x, rx in EYES)
PUPILS = together(ellipse(x + 0.05, 0.01, 0.13, 0.19) for x, _ in EYES)
GLINTS = together(ellipse(x + 0.1, -0.06, 0.05) for x, _ in EYES)
LIDS = together(
    tube(((x - 0.26, -0.06), (x - 0.12, -0.21), (x + 0.1, -0.22), (x + 0.2, -0.12)),
         (0.04, 0.1, 0.1, 0.04)) for x, _ in EYES
)  # fmt: skip
BROWS = together(
    tube(((x - 0.2, -0.36), (x, -0.44), (x + 0.2, -0.37)), (0.07, 0.13, 0.07)) for x, _ in EYES
)


def _glasses() -> skia.Path:
    """Return the frame of a pair of glasses."""
    frame = together((box(-0.84, -0.06, -0.46, 0.03), box(0.1, -0.06, 0.3, 0.03)))
    for x, rx in EYES:
        frame.addPath(ellipse(x + 0.03, 0.02, rx + 0.15, 0.35))
        frame.addPath(ellipse(x + 0.03, 0.02, rx + 0.07, 0.26))
    frame.setFillType(skia.PathFillType.kEvenOdd)
    return frame


GLASSES = _glasses()


def draw_head(canvas: Canvas, head: Head, look: Look) -> None:
    """Draw a head, but for what `hair_behind` draws."""
    form(canvas, FACE, head.skin, look, part="face", rim=0.16, amount=0.13)
    fringe = _fringe(head)
    if head.beard == "full":
        with canvas.inside(FACE):
            canvas.fill(BEARD, head.hair, part="hair")
    if head.style != "bald":
        canvas.mark(moved(fringe, 0.04, 0.14), dim(head.skin, 0.2), within=FACE)
    canvas.fill(EAR, head.skin, part="face")
    canvas.mark(SHELL, dim(head.skin, 0.22))
    _features(canvas, head)
    _hair(canvas, head, look, fringe)


def _features(canvas: Canvas, head: Head) -> None:
    """Draw cheeks, brows, eyes, nose and mouth."""
    skin = head.skin
    canvas.mark(CHEEKS, mix(skin, (0.94, 0.36, 0.33), 0.32))
    canvas.fill(WHITES, CREAM, part="eyes")
    canvas.mark(PUPILS, INK)
    canvas.mark(GLINTS, CREAM)
    if head.lashes:
        canvas.mark(LIDS, INK)
    tone = dim(head.hair, 0.15) if head.hair != GRAY else (0.6, 0.6, 0.62)
    canvas.fill(BROWS, tone, part="eyebrows")
    canvas.fill(NOSE, dim(mix(skin, (0.9, 0.4, 0.35), 0.12), 0.18), part="nose")
    if head.beard:
        canvas.fill(MOUSTACHE, dim(head.hair, 0.12), part="hair")
    canvas.fill(MOUTH, LIPS if head.lashes else (0.66, 0.24, 0.24), part="outer-mouth")
    canvas.fill(TEETH, CREAM, part="inner-mouth")
    if head.glasses:
        canvas.mark(GLASSES, INK)


# ------------------------------------------------------------------ hair and hats


HAIRLINES: dict[str, list[Point]] = {
    "parted": [(0.84, -0.3), (0.74, -0.62), (0.2, -0.7), (-0.35, -0.5), (-0.66, -0.24)],
    "short": [(0.84, -0.36), (0.6, -0.66), (0.1, -0.68), (-0.4, -0.6), (-0.7, -0.26)],
    "swept": [(0.86, -0.4), (0.7, -0.5), (0.2, -0.56), (-0.3, -0.66), (-0.68, -0.3)],
    "bowl": [(0.86, -0.26), (0.6, -0.42), (0.1, -0.46), (-0.5, -0.42), (-0.72, -0.1)],
    "tousled": [(0.84, -0.3), (0.62, -0.5), (0.45, -0.4), (0.1, -0.62), (-0.2, -0.44),
                (-0.66, -0.26)],
    "bob": [(0.8, 0.1), (0.76, -0.34), (0.2, -0.5), (-0.4, -0.46), (-0.64, -0.14)],
    "bunches": [(0.84, -0.2), (0.62, -0.5), (0.28, -0.72), (-0.3, -0.48), (-0.66, -0.14)],
    "usual": [(0.84, -0.16), (0.66, -0.56), (0.36, -0.74), (-0.2, -0.54), (-0.62, -0.16)],
}  # fmt: skip


def _fringe(head: Head) -> skia.Path:
    """Return the hair around the forehead."""
    line = HAIRLINES.get(head.style, HAIRLINES["usual"])
    side = 0.5 if head.style == "bob" else 0.14
    crown = [(-0.94, side), (-1.04, -0.2), (-0.88, -0.74), (-0.36, -1.1), (0.3, -1.12)]
    crown += [(0.82, -0.82), (0.99, -0.3), (0.93, 0.0)]
    return outline([*crown, *line, (-0.72, side - 0.06)])


def _hair(canvas: Canvas, head: Head, look: Look, fringe: skia.Path) -> None:
    """Draw the hair on top of the head, and a hat."""
    style, hair = head.style, head.hair
    if style == "bald":
        rim = outline([(-0.94, 0.24), (-1.02, -0.2), (-0.84, -0.5), (-0.68, -0.2), (-0.7, 0.14)])
        form(canvas, rim, hair, look, part="hair", rim=0.1)
        return
    paths = [fringe]
    if style == "curly":
        curls = [(-0.9, -0.3), (-0.82, -0.72), (-0.4, -1.0), (0.1, -1.06), (0.56, -0.92),
                 (0.86, -0.56)]  # fmt: skip
        paths += [ellipse(x, y, 0.29) for x, y in curls]
    elif style == "tousled":
        tips = [(-0.7, -0.8), (-0.72, -1.14), (-0.72, -1.14), (-0.36, -1.02), (-0.16, -1.26)]
        tips += [(-0.16, -1.26), (0.1, -1.06), (0.46, -1.22), (0.46, -1.22), (0.7, -0.84)]
        paths.append(outline(tips))
    elif style == "swept":
        paths.append(outline([(-0.6, -0.9), (-0.1, -1.22), (0.6, -1.2), (1.04, -0.86), (0.98, -0.5),
                              (0.5, -0.62)]))  # fmt: skip
    form(canvas, together(paths), hair, look, part="hair", rim=0.12)
    if style in ("parted", "long", "bob", "swept", "tail"):
        shine = tube([(-0.66, -0.66), (-0.3, -0.88), (0.16, -0.92)], (0.06, 0.13, 0.06))
        canvas.mark(shine, shade(hair, 0.2))
    hats = {"brim": _brim, "sunhat": _brim, "cap": _cap, "beret": _beret, "wool": _wool}
    if style in hats:
        hats[style](canvas, head, look)


def _brim(canvas: Canvas, head: Head, look: Look) -> None:
    """Draw a hat with a brim: of straw for her, of felt for him."""
    felt = (0.42, 0.33, 0.28)
    color, band = (STRAW, head.cloth) if head.lashes else (felt, INK)
    crown = outline([(-0.92, -0.5), (-0.84, -1.1), (-0.4, -1.34), (0.4, -1.34), (0.84, -1.1),
                     (0.94, -0.5)])  # fmt: skip
    form(canvas, crown, color, look, part="hat", rim=0.16)
    with canvas.inside(crown):
        canvas.mark(box(-1, -0.86, 1, -0.6), band)
    wide = 1.62 if head.lashes else 1.34
    brim = outline([(-wide, -0.4), (-0.8, -0.68), (0.8, -0.68), (wide, -0.42), (0.7, -0.46),
                    (-0.7, -0.44)])  # fmt: skip
    form(canvas, brim, color, look, part="hat", rim=0.06)


def _cap(canvas: Canvas, head: Head, look: Look) -> None:
    crown = outline([(-0.98, -0.36), (-0.96, -0.8), (-0.5, -1.2), (0.3, -1.22), (0.84, -0.9),
                     (0.94, -0.42), (0, -0.56)])  # fmt: skip
    form(canvas, crown, head.cloth, look, part="hat", rim=0.14)
    peak = outline([(0.16, -0.56), (0.9, -0.62), (1.56, -0.4), (1.5, -0.3), (0.9, -0.36)])
    canvas.fill(peak, dim(head.cloth, 0.28), part="hat")
    canvas.mark(ellipse(-0.1, -1.2, 0.12, 0.08), dim(head.cloth, 0.28))


def _beret(canvas: Canvas, head: Head, look: Look) -> None:
    felt = outline([(-1.3, -0.62), (-1.1, -1.02), (-0.4, -1.26), (0.5, -1.2), (0.98, -0.76),
                    (0.7, -0.62), (-0.6, -0.56)])  # fmt: skip
    form(canvas, felt, head.cloth, look, part="hat", rim=0.16)
    canvas.fill(tube([(-0.3, -1.2), (-0.26, -1.36)], (0.1, 0.1)), head.cloth, part="hat")


def _wool(canvas: Canvas, head: Head, look: Look) -> None:
    crown = outline([(-0.98, -0.6), (-0.86, -0.98), (-0.3, -1.24), (0.3, -1.24), (0.86, -0.98),
                     (0.98, -0.6)])  # fmt: skip
    form(canvas, crown, head.cloth, look, part="hat", rim=0.14)
    canvas.fill(ellipse(0, -1.3, 0.22), contrast(head.cloth), part="hat")
    canvas.fill(box(-1.06, -0.88, 1.06, -0.52, 0.16), contrast(head.cloth), part="hat")
