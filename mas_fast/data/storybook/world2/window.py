"""A window in a wall: it shows the hour, the weather and the season, between curtains."""

from __future__ import annotations

from dataclasses import replace

from mas_fast.data.storybook.canvas import Color, box, ellipse, limb, mix, rgb, shade, together
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.land import draw_field, rolling
from mas_fast.data.storybook.world2.plants import draw_tree, draw_wood
from mas_fast.data.storybook.world2.sky import draw_sky, draw_weather

WHITE = rgb("fbf7ee")


def draw_window(
    brush: Brush, x: float, y: float, half: float, high: float, cloth: Color,
    short: bool = False, long: bool = False,
) -> None:  # fmt: skip
    """Draw a window.

    Args:
        brush: draws the room.
        x: its middle.
        y: its middle.
        half: half its width.
        high: half its height.
        cloth: colour of the curtains.
        short: whether there is only a valance.
        long: whether the curtains reach the floor.
    """
    canvas, size = brush.canvas, 2 * max(half, high)
    frame = box(x - half - 0.018, y - high - 0.018, x + half + 0.018, y + high + 0.018, 0.006)
    glass = box(x - half, y - high, x + half, y + high)
    with canvas.segment("window-other"):
        brush.mark(
            box(x - half - 0.01, y - high, x + half + 0.03, y + high + 0.03), (0, 0, 0), alpha=0.1
        )
        brush.fill(frame, WHITE, to=shade(WHITE, -0.12))
    with canvas.inside(glass), canvas.at(x - size / 2, y - high, size):
        _view(brush)
    with canvas.segment("window-other"):
        canvas.fill(glass, WHITE, alpha=0.0)  # what is seen through it is window too
        across = y - high * 0.15
        bars = [box(x - 0.008, y - high, x + 0.008, y + high),
                box(x - half, across - 0.008, x + half, across + 0.008)]  # fmt: skip
        brush.fill(together(bars), WHITE, to=shade(WHITE, -0.1))
        sill = box(x - half - 0.04, y + high + 0.012, x + half + 0.04, y + high + 0.036, 0.006)
        brush.fill(sill, shade(WHITE, 0.3), to=shade(WHITE, -0.18))
    with canvas.segment("curtain"):
        if short:
            _valance(brush, x, y - high, half, cloth)
        else:
            _curtains(brush, x, y, half, high, cloth, 0.6 if long else y + high + 0.06)


def _view(brush: Brush) -> None:
    """Draw the landscape outside, in the unit square."""
    outside = replace(brush, indoors=False)
    draw_sky(brush.canvas, brush.sky, brush.without, brush.generator)
    draw_field(outside, rolling(outside, 0.72, 0.14), 0.35)
    draw_wood(outside, "leaf", 0.8, 0.16, 0.3)
    draw_field(outside, rolling(outside, 0.84, 0.06), 0.05)
    draw_tree(outside, "oak", outside.between(0.2, 0.8), 0.92, 0.42)
    draw_weather(brush.canvas, brush.sky, brush.generator)


def _curtains(
    brush: Brush, x: float, y: float, half: float, high: float, cloth: Color, low: float
) -> None:  # fmt: skip
    top = y - high - 0.045
    for side in (-1, 1):
        outer, inner = x + side * (half + 0.055), x + side * (half - 0.035)
        left, right = min(outer, inner), max(outer, inner)
        drape = box(left, top, right, low, 0.01)
        brush.fill(drape, shade(cloth, 0.08), to=shade(cloth, -0.12))
        folds = [box(left + (right - left) * k, top, left + (right - left) * (k + 0.13), low)
                 for k in (0.22, 0.5, 0.78)]  # fmt: skip
        with brush.canvas.inside(drape):
            brush.mark(together(folds), shade(cloth, -0.2), alpha=0.6)
    rod = limb([(x - half - 0.08, top), (x + half + 0.08, top)], 0.014)
    brush.fill(rod, rgb("8a6244"))
    ends = [ellipse(x + s * (half + 0.085), top, 0.012) for s in (-1, 1)]
    brush.fill(together(ends), rgb("8a6244"))


def _valance(brush: Brush, x: float, top: float, half: float, cloth: Color) -> None:
    count = 5
    wide = 2 * (half + 0.03) / count
    left = x - half - 0.03
    scallops = [ellipse(left + wide * (i + 0.5), top + 0.035, wide / 2, 0.03) for i in range(count)]
    brush.fill(
        together([box(left, top - 0.035, left + wide * count, top + 0.035), *scallops]), cloth
    )
    with_dots = [ellipse(left + wide * (i + 0.5), top + 0.01, 0.011) for i in range(count)]
    brush.mark(together(with_dots), mix(cloth, (1, 1, 1), 0.75))
