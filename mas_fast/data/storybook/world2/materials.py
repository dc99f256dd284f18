"""What things are made of: their colours, glass, lamps, wheels, patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import skia

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    Point,
    box,
    ellipse,
    mix,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.look import Look

T = TypeVar("T")
INK = rgb("2a2a33")  # tyres, iron
CREAM = rgb("fbf5e6")
STEEL = rgb("a9b1ba")
SHINE = rgb("e2e7ec")  # polished metal
WOOD, DARK_WOOD = rgb("b07a48"), rgb("7d5231")
GOLD = rgb("e8b648")
LAMP = rgb("ffe08a")  # lit windows and lamps
TAIL = rgb("d8342c")
GLASS, GLINT = rgb("6fa6c4"), rgb("b5dae8")
LEAF = rgb("4f9a4b")


def pick(generator: np.random.Generator, options: Sequence[T]) -> T:
    """Return one of the options, each with the same chance."""
    return options[int(generator.integers(len(options)))]


def chance(generator: np.random.Generator, share: float) -> bool:
    """Return True in `share` of the cases."""
    return bool(generator.random() < share)


def accent(color: Color, amount: float = 0.22) -> Color:
    """Return a darker tone of a colour, or a lighter one if it is nearly black."""
    return shade(color, amount if sum(color) < 0.75 else -amount)


def trim(color: Color) -> Color:
    """Return what stands out on a colour: cream, or a soft blue on a pale one."""
    return CREAM if sum(color) < 2.4 else rgb("5b86b8")


def apart(a: Color, b: Color) -> float:
    """Return how different two colours are: 0 for the same, 3 for black and white."""
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def standing_out(generator: np.random.Generator, colors: Sequence[Color], on: Color) -> Color:
    """Return one of the colours that differ clearly from `on`."""
    return pick(generator, [c for c in colors if apart(c, on) > 0.45])


def glass(canvas: Canvas, panes: Sequence[skia.Path], look: Look, *, lit: bool = True) -> None:
    """Fill window panes: each with a slanted glint by day, warm light at night.

    Args:
        canvas: where to draw.
        panes: the panes; all that are given are drawn at once.
        look: says whether it is night.
        lit: whether there is light behind them at night.
    """
    whole = together(panes)
    if look.night and lit:
        canvas.fill(whole, LAMP, to=rgb("ffc765"), lit=False)
        return
    canvas.fill(whole, GLASS)
    glints = []
    for pane in panes:
        bounds = pane.getBounds()
        left, width, slant = bounds.left(), bounds.width(), 0.35 * bounds.height()
        for start, share in ((0.2, 0.28), (0.6, 0.1)):
            x, end = left + start * width, left + (start + share) * width
            foot = [(end - slant, bounds.bottom()), (x - slant, bounds.bottom())]
            glints.append(polygon([(x, bounds.top()), (end, bounds.top()), *foot]))
    with canvas.inside(whole):
        canvas.mark(together(glints), GLINT)


def lamp(canvas: Canvas, path: skia.Path, look: Look, color: Color = LAMP) -> None:
    """Fill a lamp; at night it shines."""
    canvas.fill(path, color, lit=not look.night)


def glow(canvas: Canvas, x: float, y: float, radius: float, look: Look) -> None:
    """Draw the light around a lamp at (x, y), at night alone."""
    if look.night:
        for share in (1.0, 0.82, 0.64, 0.46):
            canvas.mark(ellipse(x, y, radius * share), LAMP, lit=False, alpha=0.09)


def headlights(
    canvas: Canvas, front: Sequence[skia.Path], rear: Sequence[skia.Path], look: Look
) -> None:
    """Draw headlamps, at night with a beam ahead of them, and red lamps."""
    if look.night:
        bounds = front[0].getBounds()
        x, top, bottom = bounds.right() - 0.02, bounds.top(), bounds.bottom()
        for reach in (1.0, 0.84, 0.68, 0.52):
            far = [(x + reach, top - 0.1 * reach), (x + reach, bottom + 0.24 * reach)]
            canvas.mark(polygon([(x, top), *far, (x, bottom)]), LAMP, lit=False, alpha=0.1)
    lamp(canvas, together(front), look, LAMP if look.night else rgb("fff3c4"))
    lamp(canvas, together(rear), look, TAIL)


def wheels(
    canvas: Canvas, places: Sequence[float], radius: float, *, hub: Color = STEEL, rise: float = 0.0
) -> None:
    """Draw wheels that stand on y = -rise: tyre, rim, hub."""
    y = -radius - rise
    canvas.fill(together(ellipse(x, y, radius) for x in places), INK)
    canvas.mark(together(ellipse(x, y, radius * 0.58) for x in places), shade(hub, -0.25))
    rims = (ellipse(x, y - 0.06 * radius, radius * 0.52) for x in places)
    canvas.mark(together(rims), shade(hub, 0.25))
    canvas.mark(together(ellipse(x, y, radius * 0.2) for x in places), shade(hub, -0.35))


def patterned(
    canvas: Canvas, path: skia.Path, color: Color, look: Look, *, size: float = 0.12,
    turn: float = 0.0,
) -> None:  # fmt: skip
    """Draw the look's pattern on a shape that is filled already; nothing for a plain look.

    Args:
        canvas: where to draw.
        path: the shape.
        color: the shape's colour; the pattern stands out on it.
        look: says which pattern.
        size: width of a stripe, and distance of the spots.
        turn: degrees by which stripes lean; 90 for upright ones.
    """
    if look.pattern is None:
        return
    bounds = path.getBounds()
    x, y = (bounds.left() + bounds.right()) / 2, (bounds.top() + bounds.bottom()) / 2
    reach = 0.5 * (bounds.width() + bounds.height())
    count = int(reach / (2 * size)) + 1
    steps = range(-count, count + 1)
    with canvas.inside(path):
        if look.pattern == "striped":
            with canvas.at(x, y, 1, turn=turn):
                stripes = (
                    box(-reach, (2 * i - 0.5) * size, reach, (2 * i + 0.5) * size) for i in steps
                )
                canvas.mark(together(stripes), trim(color))
        else:
            step = 2 * size
            spots = (
                ellipse(x + (i + 0.5 * (j % 2)) * step, y + 0.86 * j * step, 0.52 * size)
                for i in steps
                for j in steps
            )
            canvas.mark(together(spots), trim(color))


def line(a: Point, b: Point, width: float) -> skia.Path:
    """Return a straight bar from a to b with flat ends."""
    (ax, ay), (bx, by) = a, b
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
    dx, dy = (ay - by) / length * width / 2, (bx - ax) / length * width / 2
    return polygon([(ax + dx, ay + dy), (bx + dx, by + dy), (bx - dx, by - dy), (ax - dx, ay - dy)])


def warm(color: Color, share: float = 0.2) -> Color:
    """Return a colour with a share of cream."""
    return mix(color, CREAM, share)
