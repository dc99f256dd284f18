"""How a figure looks in one picture, and shapes that have a lit and a shaded side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from mas_fast.data.storybook.canvas import Canvas, Color, shade


@dataclass(frozen=True)
class Look:
    """How a figure looks.

    Attributes:
        generator: draws its details: breed, style, face.
        sun: where the light comes from in the figure's own frame, -1 (its left) to 1 (its right).
        pose: one of its kind's poses; None for the usual one.
        pattern: "striped" or "spotted"; None for plain.
        night: whether lamps and windows are lit.
        cold: whether people wear winter clothes: a coat, a scarf, a woollen hat.
    """

    generator: np.random.Generator
    sun: float = -0.6
    pose: str | None = None
    pattern: str | None = None
    night: bool = False
    cold: bool = False


def moved(path: skia.Path, x: float, y: float) -> skia.Path:
    """Return a path that is moved by (x, y)."""
    copy = skia.Path(path)
    copy.offset(x, y)
    return copy


def solid(
    canvas: Canvas, path: skia.Path, color: Color, look: Look, *, part: str | None = None,
    depth: float = 0.1, amount: float = 0.16,
) -> None:  # fmt: skip
    """Fill a shape that has a shaded side: the shape in shadow, and its lit copy within it.

    Args:
        canvas: where to draw.
        path: the shape.
        color: its colour in the light.
        look: says where the light comes from.
        part: as in `Canvas.fill`.
        depth: width of the shaded rim, ratio to the smaller side of the shape.
        amount: how much darker the rim is, 0..1.
    """
    bounds = path.getBounds()
    rim = depth * min(bounds.width(), bounds.height())
    canvas.fill(path, shade(color, -amount), part=part)
    with canvas.inside(path):
        canvas.mark(moved(path, look.sun * rim, -0.6 * rim), color)
