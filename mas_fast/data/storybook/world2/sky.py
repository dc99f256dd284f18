"""The sky with sun or moon, stars and clouds, and the weather in front of everything.

draw_sky(canvas, sky, without, generator)       # before all else
...
draw_weather(canvas, sky, generator)            # over all else, outdoors
"""

from __future__ import annotations

import skia
from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    blob,
    box,
    ellipse,
    mix,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.light import Sky

HORIZON = 0.58  # lower end of a sky's gradient
MOST = 0.4  # of the distance of sun or moon from the middle


def sun_at(sky: Sky) -> float:
    """Return the x of sun or moon."""
    return 0.5 + MOST * sky.sun


def draw_sky(canvas: Canvas, sky: Sky, without: tuple[str, ...], generator: Generator) -> None:
    """Draw the sky over the whole picture, before anything else.

    Args:
        canvas: where to draw.
        sky: hour, weather and sun.
        without: of "clouds" and "sun", what must not appear.
        generator: all chance.
    """
    brush = Brush(canvas, "summer", sky, without, generator)
    colors = brush.palette
    with canvas.segment("sky-other-merged"):
        canvas.fill(box(0, 0, 1, 1), colors.low, lit=False)
        canvas.mark(box(0, 0, 1, HORIZON * 0.5 + 0.004), colors.top, to=colors.middle, lit=False)
        canvas.mark(box(0, HORIZON * 0.5, 1, HORIZON), colors.middle, to=colors.low, lit=False)
        if sky.sunny and sky.dark:
            y = brush.between(0.12, 0.18)
            _stars(brush, 34 if sky.weather == "clear" else 10, y)
            if "sun" not in without:
                _moon(brush, y)
        elif sky.sunny and "sun" not in without:
            _sun(brush)
        if "clouds" not in without:
            _clouds(brush)


def _sun(brush: Brush) -> None:
    x, sky, color = sun_at(brush.sky), brush.sky, brush.palette.sun
    veil = 0.6 if sky.weather == "cloudy" else 1.0
    if sky.hour == "day":
        y, size = brush.between(0.11, 0.17), 0.048
        brush.glow(x, y, 0.34, rgb("fff7d6"), 0.75 * veil)
        disc = rgb("fff6c8")
    else:
        y, size = brush.between(0.35, 0.41), 0.062
        brush.glow(x, y, 0.5, color, 0.75 * veil)
        disc = rgb("fff1b8" if sky.hour == "dawn" else "ffe08a")
    brush.canvas.mark(ellipse(x, y, size * 1.55), disc, lit=False, alpha=0.3 * veil)
    brush.canvas.mark(ellipse(x, y, size), disc, lit=False, alpha=0.55 + 0.45 * veil)


def _moon(brush: Brush, y: float) -> None:
    x, size, pale = sun_at(brush.sky), 0.052, brush.palette.sun
    brush.glow(x, y, 0.3, rgb("9db7ea"), 0.5)
    disc = ellipse(x, y, size)
    brush.canvas.mark(ellipse(x, y, size * 1.4), pale, lit=False, alpha=0.12)
    if brush.chance(0.5):  # a crescent, open away from where the sun has set
        turn = -1 if brush.sky.sun > 0 else 1
        bite = ellipse(x + turn * size * 0.48, y - size * 0.22, size * 0.86)
        disc = skia.Op(disc, bite, skia.PathOp.kDifference_PathOp)
        brush.canvas.mark(disc, pale, lit=False)
        return
    brush.canvas.mark(disc, pale, lit=False)
    spots = ((-0.35, -0.2, 0.27), (0.28, 0.35, 0.2), (0.3, -0.38, 0.16))
    craters = together(ellipse(x + dx * size, y + dy * size, r * size) for dx, dy, r in spots)
    brush.canvas.mark(craters, rgb("e0d6b0"), lit=False, alpha=0.8)


def _stars(brush: Brush, count: int, moon: float) -> None:
    """Draw stars, none before the moon, whose y is `moon`."""
    small, large = [], []
    for x, y, size in brush.generator.random((count, 3)):
        y *= 0.42
        if abs(x - sun_at(brush.sky)) < 0.08 and abs(y - moon) < 0.08:
            continue
        if size < 0.72:
            small.append(ellipse(x, y, 0.0022 + 0.0022 * size))
            continue
        r = 0.006 + 0.014 * (size - 0.7)
        large.append(polygon([(x, y - r), (x + r / 4, y), (x, y + r), (x - r / 4, y)]))
        large.append(polygon([(x - r, y), (x, y - r / 4), (x + r, y), (x, y + r / 4)]))
    brush.canvas.mark(together(small), rgb("dfe9ff"), lit=False, alpha=0.8)
    brush.canvas.mark(together(large), rgb("fffbe6"), lit=False)


# ------------------------------------------------------------------ clouds


def cumulus(x: float, y: float, width: float, brush: Brush) -> skia.Path:
    """Return a cloud with a flat base at y and heaps above, highest off its middle."""
    bumps = [box(x - width * 0.5, y - width * 0.1, x + width * 0.5, y, width * 0.05)]
    top, count = brush.between(-0.25, 0.25), 5
    for i in range(count):
        at = (i + 0.5) / count - 0.5
        rise = (0.155 - 0.25 * (at - top) ** 2) * brush.between(0.85, 1.2)
        r = width * max(rise, 0.055)
        bumps.append(ellipse(x + width * at * 0.86, y - r * 0.92, r * 1.05, r))
    return together(bumps)


def _puff(brush: Brush, x: float, y: float, width: float, lit: Color, dark: Color) -> None:
    """Draw a cloud: a shaded shape, and a lit one inside that leaves a rim below."""
    shape = cumulus(x, y, width, brush)
    brush.canvas.mark(shape, dark, lit=False)
    low = brush.sky.hour in ("dawn", "dusk")
    with brush.canvas.inside(shape):
        copy = skia.Path(shape)
        copy.offset(brush.sky.sun * width * 0.035, -width * (0.02 if low else 0.045))
        brush.canvas.mark(copy, lit, to=mix(lit, dark, 0.45), lit=False)


def _clouds(brush: Brush) -> None:
    weather, colors = brush.sky.weather, brush.palette
    if weather == "fog":
        return
    if weather == "clear":
        if brush.sky.hour != "day":
            _streaks(brush, 3)
        count = int(brush.generator.integers(1, 4))
        spots = brush.generator.permutation(4)[:count]
        for k in sorted(spots):  # the higher, the nearer and larger
            y = 0.4 - 0.085 * k + brush.between(-0.03, 0.03)
            x = (0.62 * k + 0.2 + brush.between(-0.12, 0.12)) % 1.0
            width = 0.15 + 0.055 * k + brush.between(0, 0.05)
            if abs(x - sun_at(brush.sky)) < width / 2 + 0.08:  # it would hide sun or moon
                x = (x + 0.5) % 1.0
            _puff(brush, x, y, width, colors.lit, colors.shaded)
        return
    if weather == "cloudy":
        for k in range(5):
            y = 0.42 - 0.075 * k + brush.between(-0.02, 0.02)
            x = (0.38 * k + 0.1 + brush.between(-0.1, 0.1)) % 1.0
            width = 0.24 + 0.06 * k + brush.between(0, 0.08)
            _puff(brush, x, y, width, mix(colors.lit, colors.low, 0.3 - 0.05 * k), colors.shaded)
        return
    _lid(brush)


def _streaks(brush: Brush, count: int) -> None:
    """Draw long thin clouds near the horizon, lit from below."""
    for i in range(count):
        x, y = brush.between(0.1, 0.9), 0.3 + 0.06 * i + brush.between(-0.02, 0.02)
        half, thick = brush.between(0.16, 0.3), brush.between(0.008, 0.014)
        points = [(x - half, y), (x - half * 0.3, y - thick), (x + half * 0.4, y - thick * 0.7),
                  (x + half, y + 0.002), (x + half * 0.2, y + thick * 0.5)]  # fmt: skip
        color = mix(brush.palette.lit, brush.palette.shaded, 0.25 * i)
        brush.canvas.mark(blob(points), color, lit=False, alpha=0.6)


def _lid(brush: Brush) -> None:
    """Draw a sky full of clouds, three rows of heaps that hang down, the nearest the darkest."""
    colors = brush.palette
    dark = shade(colors.gray, {"rain": -0.3, "snowfall": -0.13}[brush.sky.weather])
    for row, low in enumerate((0.33, 0.22, 0.11)):
        heaps = [box(-0.02, -0.02, 1.02, low - 0.05)]
        shift = brush.between(0, 0.2)
        for i in range(5):
            r = brush.between(0.1, 0.16)
            heaps.append(ellipse(i * 0.25 + shift - 0.1, low - 0.05, r * 1.15, r * 0.5))
        color = mix(colors.low, dark, 0.25 + 0.25 * row)
        brush.canvas.mark(together(heaps), mix(color, dark, 0.5), to=color, lit=False)


# ------------------------------------------------------------------ weather


def draw_weather(canvas: Canvas, sky: Sky, generator: Generator) -> None:
    """Draw rain, falling snow or fog in front of everything, in the picture alone."""
    brush = Brush(canvas, "summer", sky, (), generator)
    if sky.weather == "rain":
        drops = []
        for x, y, size in generator.random((50, 3)):
            length, x = 0.04 + 0.04 * size, x * 1.1
            drops.append(polygon([(x, y), (x + 0.008, y), (x - 0.3 * length, y + length)]))
        canvas.mark(together(drops), rgb("e3f0fa"), lit=False, alpha=0.5)
    elif sky.weather == "snowfall":
        for low, high, count in ((0.003, 0.005, 40), (0.006, 0.011, 26)):
            places = generator.random((count, 3))
            flakes = [ellipse(x, y, low + (high - low) * r) for x, y, r in places]
            canvas.mark(together(flakes), rgb("ffffff"), lit=False, alpha=0.9)
    elif sky.weather == "fog":
        fog = shade(brush.palette.haze, 0.12)
        clear, thick = (skia.Color4f(*fog, a).toColor() for a in (0.06, 0.42))
        ends = [skia.Point(0, 0.2), skia.Point(0, 0.95)]
        shader = skia.GradientShader.MakeLinear(ends, [clear, thick, clear], [0, 0.42, 1])
        canvas.wash(box(0, 0.2, 1, 0.95), shader)
        for y in (0.5, 0.63):
            x, y = brush.between(0.2, 0.8), y + brush.between(-0.03, 0.03)
            points = [(x - 0.5, y), (x - 0.1, y - 0.03), (x + 0.5, y), (x + 0.05, y + 0.025)]
            canvas.mark(blob(points), fog, lit=False, alpha=0.3)
