"""Water: what stands behind it mirrored in it, ripples, and the glitter below sun or moon."""

from __future__ import annotations

import skia

from mas_fast.data.storybook.canvas import Color, blob, box, ground, mix, rgb, shade, together
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.sky import sun_at

LAKE, RIVER, SEA = rgb("4fa3c4"), rgb("5ab0cf"), rgb("2f93bd")


def ripple(x: float, y: float, half: float, thick: float) -> skia.Path:
    """Return a flat lens: a ripple."""
    path = skia.Path()
    path.moveTo(x - half, y)
    path.quadTo(x, y - 2 * thick, x + half, y)
    path.quadTo(x, y + 0.8 * thick, x - half, y)
    path.close()
    return path


def winding(top: float, bottom: float, x: float, side: int) -> skia.Path:
    """Return a river that comes from afar in a bend, and widens as it nears us.

    Args:
        top: y of its far end.
        bottom: y of its near end.
        x: of its far end.
        side: to which side it bends first, -1 or 1.
    """
    bends = ((0.0, 0.0, 0.008), (0.12, 0.05, 0.014), (0.3, 0.11, 0.026), (0.5, 0.07, 0.04),
             (0.72, -0.06, 0.07), (0.88, -0.12, 0.14), (1.0, -0.14, 0.34))  # fmt: skip
    left, right = [], []
    for share, shift, wide in bends:
        at, y = x + side * shift, top + (bottom - top) * share
        left.append((at - wide / 2, y))
        right.append((at + wide / 2, y))
    return blob([*left, *reversed(right)])


def draw_water(
    brush: Brush, path: skia.Path, line: float, bottom: float, color: Color, label: str,
    share: float = 0.72,
) -> None:  # fmt: skip
    """Draw water that mirrors what is already drawn above its far edge.

    Args:
        brush: draws it.
        path: the water.
        line: y of its far edge.
        bottom: y of its near edge.
        color: its own colour.
        label: its class.
        share: how much of the image is seen at the far edge.
    """
    calm = share * (0.6 if brush.sky.weather in ("rain", "fog") else 1.0)
    low = brush.sky.hour != "day"
    with brush.canvas.segment(label):
        fill_water(brush, path, color)
        brush.canvas.mirror(line, bottom, 0.011, calm, calm * (0.5 if low else 0.3))
        with brush.canvas.inside(path):
            _ripples(brush, line, bottom)
            glitter(brush, line, bottom)


def fill_water(brush: Brush, path: skia.Path, color: Color, by_day: float = 0.3) -> None:
    """Fill water with its own colour, and with that of the sky that it shows."""
    sky, share = brush.palette, by_day if brush.sky.hour == "day" else 0.62
    top = mix(brush.tone(shade(color, 0.25)), sky.low, share)
    deep = mix(brush.tone(shade(color, -0.2)), sky.middle, share * 0.7)
    brush.canvas.fill(path, top, to=deep, lit=False)


def _ripples(brush: Brush, line: float, bottom: float) -> None:
    dark: list[skia.Path] = []
    bright: list[skia.Path] = []
    for k, (x, share) in enumerate(brush.generator.random((16, 2))):
        y = line + (bottom - line) * (0.08 + 0.9 * share)
        half = 0.03 + 0.08 * share + 0.04 * (k % 3)
        shape = ripple(x, y, half, 0.003 + 0.004 * share)
        (bright if k % 2 else dark).append(shape)
    deep = mix(brush.palette.top, (0.05, 0.2, 0.35), 0.4)
    brush.canvas.mark(together(dark), deep, lit=False, alpha=0.18)
    brush.canvas.mark(together(bright), mix(brush.palette.low, (1, 1, 1), 0.3), lit=False,
                      alpha=0.4)  # fmt: skip


def draw_swell(brush: Brush, heights: list[float]) -> None:
    """Draw a long wave: bright along its crest, dark below it, fading into the sea."""
    low, last = max(heights) + 0.1, len(heights) - 1
    line = [(-0.02 + 1.04 * i / last, h) for i, h in enumerate(heights)]
    crest = blob([*((x, h - 0.005) for x, h in line), *((x, h + 0.004) for x, h in line[::-1])])
    deep = brush.tone(shade(SEA, -0.35))
    dark, clear = (skia.Color4f(*deep, a).toColor() for a in (0.4, 0.0))
    ends = [skia.Point(0, min(heights)), skia.Point(0, low)]
    with brush.canvas.inside(box(-0.02, 0, 1.02, low)):
        light = mix(brush.palette.low, brush.tone(rgb("bdeef2")), 0.5)
        brush.canvas.wash(ground(heights), skia.GradientShader.MakeLinear(ends, [dark, clear]))
        brush.canvas.mark(crest, light, lit=False, alpha=0.35)


def glitter(brush: Brush, line: float, bottom: float) -> None:
    """Draw the broken column of light below sun or moon."""
    if not brush.sky.sunny or "sun" in brush.without:
        return
    x, rows = sun_at(brush.sky), 8
    shapes = []
    for i in range(rows):
        share = (i + 0.4) / rows
        y = line + (bottom - line) * share**1.2
        half = (0.034 + 0.06 * share) * brush.between(0.55, 1.15)
        shapes.append(ripple(x + brush.between(-0.02, 0.02), y, half, 0.0035 + 0.004 * share))
    alpha = {"day": 0.5, "night": 0.55}.get(brush.sky.hour, 0.75)
    if brush.sky.weather == "cloudy":
        alpha *= 0.5
    brush.canvas.mark(together(shapes), mix(brush.palette.sun, (1, 1, 1), 0.3), lit=False,
                      alpha=alpha)  # fmt: skip


def draw_sea(brush: Brush, y: float, bottom: float) -> None:
    """Draw the sea from the horizon at y down, with crests that widen towards us."""
    with brush.canvas.segment("sea"):
        path = skia.Path()
        path.addRect(skia.Rect(-0.02, y, 1.02, 1.02))
        fill_water(brush, path, shade(SEA, -0.1), 0.12)
        brush.canvas.mirror(y, bottom, 0.014, 0.4 if brush.sky.sunny else 0.25, 0.1)
        crests, hollows = [], []
        count = 22
        for i in range(count):
            share = ((i + brush.between(0.1, 0.9)) / count) ** 1.25
            at = y + 0.012 + (bottom - y) * share
            x, half = brush.between(0, 1), 0.05 + 0.13 * share
            crests.append(ripple(x, at, half, 0.003 + 0.007 * share))
            hollows.append(ripple(x + 0.03, at + 0.012 + 0.015 * share, half * 1.2,
                                  0.003 + 0.008 * share))  # fmt: skip
        brush.mark(together(hollows), shade(SEA, -0.38), alpha=0.35)
        light = mix(brush.palette.low, (1, 1, 1), 0.35)
        brush.canvas.mark(together(crests), light, lit=False, alpha=0.5)
        glitter(brush, y + 0.004, bottom)
