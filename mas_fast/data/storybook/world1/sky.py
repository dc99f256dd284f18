"""Hour and weather in a picture: its light, its sky, and rain, snow and fog.

canvas = Canvas(128, light_of(hour, weather))
draw_sky(canvas, hour, weather, generator)      # before all else
...
draw_weather(canvas, weather, generator)        # over all else
"""

from __future__ import annotations

import skia
from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    Light,
    box,
    ellipse,
    mix,
    polygon,
    rgb,
    shade,
    together,
)

TINTS = {"day": (1.0, 1.0, 1.0), "dusk": (1.0, 0.9, 0.83), "night": (0.68, 0.73, 0.95)}
FILTERS = {  # of the weather, on top of the hour's tint
    "clear": (1.0, 1.0, 1.0),
    "cloudy": (0.94, 0.95, 0.97),
    "rain": (0.87, 0.9, 0.94),
    "snowfall": (0.95, 0.97, 1.0),
    "fog": (0.97, 0.98, 0.98),
}
SKIES = {  # colours from the top of the picture down to the horizon
    "day": ("5aa9e8", "9fd2f4", "e2f3f8"),
    "dusk": ("5d5a9c", "e5806c", "fdd48a"),
    "night": ("121a40", "24346c", "4a5f98"),
}
OVERCAST = {"day": "c6d0d8", "dusk": "b8979a", "night": "3b4566"}
COVER = {"clear": 0.0, "cloudy": 0.6, "rain": 0.85, "snowfall": 0.75, "fog": 0.95}
CLOUDS = {"day": "ffffff", "dusk": "f7b9a4", "night": "55658f"}
HORIZON = 0.6  # lower end of a sky's gradient


def light_of(hour: str, weather: str) -> Light:
    """Return the change of every colour by hour and weather."""
    red, green, blue = (a * b for a, b in zip(TINTS[hour], FILTERS[weather], strict=True))
    tint = (red, green, blue)
    if weather == "fog":
        return Light(tint, rgb(OVERCAST[hour]), 0.22)
    return Light(tint)


def is_dark(light: Light) -> bool:
    """Tell whether it is night: windows and lamps are lit."""
    return light.tint[0] < 0.75


def draw_sky(canvas: Canvas, hour: str, weather: str, generator: Generator) -> None:
    """Draw the sky over the whole picture, before anything else."""
    cover, cloud = COVER[weather], rgb(OVERCAST[hour])
    stops = [mix(rgb(code), cloud, cover) for code in SKIES[hour]]
    if weather == "rain":
        stops = [shade(color, -0.14) for color in stops]
    top, middle, low = stops
    with canvas.segment("sky-other-merged"):
        canvas.fill(box(0, 0, 1, 1), middle, lit=False)
        canvas.mark(box(0, 0, 1, HORIZON / 2), top, to=middle, lit=False)
        canvas.mark(box(0, HORIZON / 2, 1, HORIZON), middle, to=low, lit=False)
        if weather in ("clear", "cloudy"):
            if hour == "night":
                _stars(canvas, 26 if weather == "clear" else 8, generator)
                _moon(canvas, top, generator)
            else:
                _sun(canvas, hour, generator)
        _clouds(canvas, hour, weather, generator)


def _side(generator: Generator) -> float:
    """Return an x on the left or on the right of the figures in the middle."""
    x = generator.uniform(0.1, 0.24)
    return x if generator.random() < 0.5 else 1 - x


def _sun(canvas: Canvas, hour: str, generator: Generator) -> None:
    x = _side(generator)
    if hour == "day":
        y, size, color, glow = generator.uniform(0.1, 0.17), 0.06, rgb("ffdf5a"), rgb("fff6c4")
    else:
        y, size, color, glow = generator.uniform(0.36, 0.42), 0.085, rgb("ff7a45"), rgb("ffd9a0")
    canvas.mark(ellipse(x, y, size * 1.9), glow, lit=False, alpha=0.3)
    canvas.mark(ellipse(x, y, size * 1.4), glow, lit=False, alpha=0.5)
    canvas.mark(ellipse(x, y, size), color, lit=False)


def _moon(canvas: Canvas, dark: Color, generator: Generator) -> None:
    x, y, size, pale = _side(generator), generator.uniform(0.11, 0.17), 0.06, rgb("fbf3cf")
    canvas.mark(ellipse(x, y, size * 1.7), pale, lit=False, alpha=0.12)
    disc = ellipse(x, y, size)
    canvas.mark(disc, pale, lit=False)
    with canvas.inside(disc):
        if generator.random() < 0.5:  # a crescent
            canvas.mark(ellipse(x + size * 0.5, y - size * 0.2, size * 0.9), dark, lit=False)
        else:
            spots = ((-0.35, -0.2, 0.25), (0.3, 0.35, 0.2), (0.25, -0.4, 0.15))
            craters = [ellipse(x + dx * size, y + dy * size, r * size) for dx, dy, r in spots]
            canvas.mark(together(craters), rgb("ded3a4"), lit=False)


def _stars(canvas: Canvas, count: int, generator: Generator) -> None:
    stars = []
    for x, y, size in generator.random((count, 3)):
        r = 0.006 + 0.007 * size
        y *= 0.44
        points = [(x, y - r), (x + r / 3, y), (x, y + r), (x - r / 3, y)]
        across = [(x - r, y), (x, y - r / 3), (x + r, y), (x, y + r / 3)]
        stars += [polygon(points), polygon(across)]
    canvas.mark(together(stars), rgb("fff8dc"), lit=False)


def _cloud(x: float, y: float, width: float, generator: Generator) -> skia.Path:
    """Return a cloud, flat below, with three heaps above."""
    bumps = [box(x - width / 2, y - width * 0.16, x + width / 2, y, width * 0.08)]
    for offset, size in ((-0.26, 0.15), (0.0, 0.21), (0.24, 0.16)):
        r = width * size * generator.uniform(0.85, 1.15)
        bumps.append(ellipse(x + width * offset, y - width * 0.14, r, r * 0.85))
    return together(bumps)


def _clouds(canvas: Canvas, hour: str, weather: str, generator: Generator) -> None:
    if weather == "fog":
        return
    color, gray = rgb(CLOUDS[hour]), rgb(OVERCAST[hour])
    if weather == "clear":
        low = mix(color, rgb(SKIES[hour][1]), 0.3)
        for x in (0.22, 0.58, 0.9)[: generator.integers(1, 4)]:
            x, y = x + generator.uniform(-0.12, 0.12), generator.uniform(0.1, 0.34)
            cloud = _cloud(x, y, generator.uniform(0.2, 0.3), generator)
            canvas.mark(cloud, color, to=low, lit=False, alpha=0.92)
        return
    dark = shade(gray, {"cloudy": -0.08, "rain": -0.32, "snowfall": -0.12}[weather])
    light = mix(color, dark, {"cloudy": 0.25, "rain": 0.75, "snowfall": 0.5}[weather])
    for row, y in enumerate((0.3, 0.17, 0.07)):  # a lid of clouds, the nearest above
        xs = [i * 0.34 + 0.17 * (row % 2) + generator.uniform(-0.06, 0.06) for i in range(4)]
        heaps = [_cloud(x, y, generator.uniform(0.34, 0.44), generator) for x in xs]
        canvas.mark(
            together(heaps if weather != "cloudy" else heaps[row % 2 :: 2]),
            mix(light, gray, 0.6 - 0.3 * row),
            to=mix(dark, gray, 0.6 - 0.3 * row),
            lit=False,
        )


def draw_weather(canvas: Canvas, weather: str, generator: Generator) -> None:
    """Draw rain, falling snow or fog in front of everything, in the picture alone."""
    if weather == "rain":
        drops = []
        for x, y, size in generator.random((44, 3)):
            length = 0.04 + 0.03 * size
            slant, x = 0.35 * length, x * 1.1
            drops.append(polygon([(x, y), (x + 0.007, y), (x - slant, y + length)]))
        canvas.mark(together(drops), rgb("e3f0fa"), lit=False, alpha=0.6)
    elif weather == "snowfall":
        flakes = [ellipse(x, y, 0.006 + 0.007 * r) for x, y, r in generator.random((56, 3))]
        canvas.mark(together(flakes), rgb("ffffff"), lit=False, alpha=0.92)
    elif weather == "fog":
        canvas.mark(box(0, 0.3, 1, 1), rgb("e4e9ec"), alpha=0.14)
        for y in (0.52, 0.72):
            x, y = generator.uniform(0.2, 0.8), y + generator.uniform(-0.04, 0.04)
            canvas.mark(ellipse(x, y, 0.6, 0.05), rgb("f4f7f8"), alpha=0.16)
