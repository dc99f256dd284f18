"""What draws a landscape: colours in the light of the hour, fading with distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import skia
from numpy.random import Generator

from mas_fast.data.storybook.canvas import Canvas, Color, Light, Point, blob, mix, shade
from mas_fast.data.storybook.world2.light import Palette, Sky, light_of, palette_of, product
from mas_fast.data.storybook.world2.look import moved

T = TypeVar("T")


@dataclass
class Brush:
    """Draws shapes of a place in the light of its sky.

    Attributes:
        canvas: where it draws.
        season: "spring", "summer", "autumn" or "winter".
        sky: hour, weather and sun.
        without: what must not appear.
        generator: all chance.
        indoors: whether it draws a room.
    """

    canvas: Canvas
    season: str
    sky: Sky
    without: tuple[str, ...]
    generator: Generator
    indoors: bool = False
    palette: Palette = field(init=False)
    light: Light = field(init=False)

    def __post_init__(self) -> None:
        self.palette = palette_of(self.sky)
        tint = light_of(self.sky, indoors=self.indoors).tint
        if not self.indoors:
            tint = product(tint, self.palette.land)
        self.light = Light(tint)

    # -------------------------------------------------------------- chance

    def chance(self, share: float) -> bool:
        """Return True in that share of pictures."""
        return bool(self.generator.random() < share)

    def between(self, low: float, high: float) -> float:
        """Return a number between two."""
        return float(self.generator.uniform(low, high))

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[int(self.generator.integers(len(options)))]

    def side(self) -> int:
        """Return -1 (left) or 1 (right)."""
        return 1 if self.chance(0.5) else -1

    # -------------------------------------------------------------- what is there

    @property
    def winter(self) -> bool:
        """Whether snow lies."""
        return self.season == "winter"

    @property
    def trees(self) -> bool:
        """Whether there may be trees and bushes."""
        return "trees" not in self.without

    @property
    def flowers(self) -> bool:
        """Whether there may be flowers: in spring and in summer."""
        return "flowers" not in self.without and self.season in ("spring", "summer")

    @property
    def buildings(self) -> bool:
        """Whether there may be buildings."""
        return "buildings" not in self.without

    # -------------------------------------------------------------- shapes

    def tone(self, color: Color, far: float = 0.0) -> Color:
        """Return a colour as it is seen; `far` is 0 here and 1 out of sight."""
        if not self.indoors:
            if self.sky.weather == "fog":
                far = min(0.16 + 1.35 * far, 0.93)
            if self.sky.dark:  # even what is near is blue at night
                far = 0.2 + 0.8 * far
        return mix(self.light(color), self.palette.haze, far)

    def fill(
        self, path: skia.Path, color: Color, to: Color | None = None, far: float = 0.0,
        alpha: float = 1.0,
    ) -> None:  # fmt: skip
        """Fill a path in the picture and in the annotation; `to` is the colour at its lower end."""
        low = None if to is None else self.tone(to, far)
        self.canvas.fill(path, self.tone(color, far), to=low, lit=False, alpha=alpha)

    def mark(
        self, path: skia.Path, color: Color, to: Color | None = None, far: float = 0.0,
        alpha: float = 1.0,
    ) -> None:  # fmt: skip
        """Fill a path in the picture alone."""
        low = None if to is None else self.tone(to, far)
        self.canvas.mark(path, self.tone(color, far), to=low, lit=False, alpha=alpha)

    def solid(
        self, path: skia.Path, color: Color, far: float = 0.0, depth: float = 0.22,
        amount: float = 0.2,
    ) -> None:  # fmt: skip
        """Fill a shape whose side away from the sun is in shadow."""
        bounds = path.getBounds()
        rim = depth * min(bounds.width(), bounds.height())
        self.fill(path, shade(color, -amount), far=far)
        with self.canvas.inside(path):
            lit = moved(path, self.sky.sun * rim, -0.7 * rim)
            self.mark(lit, color, far=far)

    def glow(self, x: float, y: float, radius: float, color: Color, alpha: float) -> None:
        """Draw a soft round light, in the picture alone."""
        path = skia.Path()
        path.addCircle(x, y, radius)
        falls = [skia.Color4f(*color, a).toColor() for a in (alpha, 0.4 * alpha, 0.0)]
        shader = skia.GradientShader.MakeRadial(skia.Point(x, y), radius, falls)
        self.canvas.wash(path, shader)

    def shadow(self, x: float, y: float, width: float, alpha: float = 0.22) -> None:
        """Draw the shadow of what stands at (x, y), longer when the sun is low."""
        long = {"day": 0.5, "night": 0.6}.get(self.sky.hour, 1.1) if self.sky.sunny else 0.1
        reach = -self.sky.sun * long * width
        path = skia.Path()
        left, right = sorted((x - reach * 0.1, x + reach))
        path.addOval(skia.Rect(left - width * 0.42, y - width * 0.07,
                               right + width * 0.42, y + width * 0.1))  # fmt: skip
        dark = mix((0.05, 0.09, 0.2), self.palette.top, 0.15)
        self.canvas.mark(path, dark, lit=False, alpha=alpha * (1 if self.sky.sunny else 0.6))


def trail(
    middle: Callable[[float], float], top: float, bottom: float, narrow: float, wide: float,
    steps: int = 8,
) -> skia.Path:  # fmt: skip
    """Return a path that leads into depth.

    Args:
        middle: its x at a y.
        top: y of its far end.
        bottom: y of its near end.
        narrow: its width at the far end.
        wide: its width at the near end.
        steps: number of bends that it can show.

    Returns:
        The shape.
    """
    left: list[Point] = []
    right: list[Point] = []
    for i in range(steps + 1):
        share = (i / steps) ** 1.6  # more points far off, where it bends more
        y = top + (bottom - top) * share
        half = (narrow + (wide - narrow) * share) / 2
        left.append((middle(y) - half, y))
        right.append((middle(y) + half, y))
    path = blob(left, closed=False)
    path.addPath(blob(right[::-1], closed=False), skia.Path.AddPathMode.kExtend_AddPathMode)
    path.close()
    return path
