"""A picture and its annotation, drawn together: each shape goes to both.

    canvas = Canvas(128)
    with canvas.segment("dog"), canvas.at(0.5, 0.8, 0.3):    # feet at (0.5, 0.8), 0.3 high
        canvas.fill(blob(points), brown)
    canvas.pixels(), canvas.layers()

The picture is the unit square, x to the right and y down. Within `at`, a figure's feet are at
(0, 0), and y = -1 is its full height; facing -1 mirrors it. The picture is anti-aliased; the label
of a pixel is that of its centre. Skia draws both (pip install -e ".[storybook]").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import skia

from mas_fast.scene.labels import COCO_NAMES, COCO_THINGS, FACE_NAMES, LIP_NAMES, VOID
from mas_fast.scene.layers import Layers

Color = tuple[float, float, float]  # red, green, blue in 0..1
Point = tuple[float, float]
MOST_SEGMENTS = 255  # a byte


# ------------------------------------------------------------------ colours


def rgb(code: str) -> Color:
    """Return the colour of six hexadecimal digits."""
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def mix(a: Color, b: Color, share: float) -> Color:
    """Mix colours: `share` of b, the remaining share of a."""
    red, green, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return red, green, blue


def shade(color: Color, amount: float) -> Color:
    """Make a colour lighter (amount 0..1, 1 is white) or darker (-1..0, -1 is black)."""
    return mix(color, (1, 1, 1) if amount > 0 else (0, 0, 0), abs(amount))


@dataclass(frozen=True)
class Light:
    """A change of every colour: color * tint, mixed with fog.

    Attributes:
        tint: factor of red, green and blue.
        fog: colour of the fog.
        haze: share of the fog, 0..1.
    """

    tint: Color = (1, 1, 1)
    fog: Color = (1, 1, 1)
    haze: float = 0.0

    def __call__(self, color: Color) -> Color:
        red, green, blue = (c * t for c, t in zip(color, self.tint, strict=True))
        return mix((red, green, blue), self.fog, self.haze)


# ------------------------------------------------------------------ shapes


def polygon(points: Sequence[Point]) -> skia.Path:
    """Return straight lines from point to point, closed."""
    path = skia.Path()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    return path


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    """Return a rectangle, its corners rounded by `radius`."""
    path = skia.Path()
    path.addRoundRect(skia.Rect(left, top, right, bottom), radius, radius)
    return path


def ellipse(x: float, y: float, rx: float, ry: float | None = None) -> skia.Path:
    """Return an ellipse around (x, y) with half axes rx and ry; a circle without ry."""
    ry = rx if ry is None else ry
    path = skia.Path()
    path.addOval(skia.Rect(x - rx, y - ry, x + rx, y + ry))
    return path


def together(paths: Iterable[skia.Path]) -> skia.Path:
    """Join paths to one shape, which is drawn at once: a crown of leaves, a field of stars."""
    union = skia.Path()
    for path in paths:
        union.addPath(path)
    return union


def blob(points: Sequence[Point], closed: bool = True) -> skia.Path:
    """Return a smooth curve through the points (Catmull-Rom), closed or open at its ends."""
    count = len(points)
    at: Callable[[int], Point] = (
        (lambda i: points[i % count]) if closed else (lambda i: points[min(max(i, 0), count - 1)])
    )
    path = skia.Path()
    path.moveTo(*points[0])
    for i in range(count if closed else count - 1):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = (at(i + k) for k in (-1, 0, 1, 2))
        path.cubicTo(
            *(bx + (cx - ax) / 6, by + (cy - ay) / 6),
            *(cx - (dx - bx) / 6, cy - (dy - by) / 6),
            *(cx, cy),
        )
    if closed:
        path.close()
    return path


def limb(points: Sequence[Point], width: float, smooth: bool = True) -> skia.Path:
    """Return a line of that width with round ends: legs, arms, tails, trunks."""
    if smooth and len(points) > 2:
        line = blob(points, closed=False)
    else:
        line = skia.Path()
        line.moveTo(*points[0])
        for point in points[1:]:
            line.lineTo(*point)
    pen = skia.Paint(
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    )
    path = skia.Path()
    if not pen.getFillPath(line, path):
        raise ValueError(f"limb: found width {width}, expected more than 0")
    return path


def arches(deck: float, water: float, count: int, rise: float) -> skia.Path:
    """Return the body of a bridge from the deck to the water, with `count` openings."""
    path = skia.Path()
    path.moveTo(1.02, deck)
    path.lineTo(-0.02, deck)
    path.lineTo(-0.02, water)
    pier, span = 0.07, 1 / count
    for i in range(count):
        start, end = i * span + pier / 2, (i + 1) * span - pier / 2
        path.lineTo(start, water)
        path.cubicTo(start, water - rise * 1.33, end, water - rise * 1.33, end, water)
    path.lineTo(1.02, water)
    path.close()
    return path


def ground(heights: Sequence[float], bottom: float = 1.0) -> skia.Path:
    """Return the area below a curve through `heights`, evenly spread from x = 0 to 1."""
    last = len(heights) - 1
    path = blob([(-0.02 + 1.04 * i / last, y) for i, y in enumerate(heights)], closed=False)
    path.lineTo(1.02, bottom + 0.02)
    path.lineTo(-0.02, bottom + 0.02)
    path.close()
    return path


# ------------------------------------------------------------------ the canvas


class Canvas:
    """A square picture and its annotation.

    Args:
        size: height and width in pixels.
        light: change of every colour, except for shapes with `lit` False (lamps, windows at night,
            the sky).
    """

    def __init__(self, size: int, light: Light = Light()) -> None:  # noqa: B008
        self.size, self._light = size, light
        self._picture = np.zeros((size, size, 4), np.uint8)
        self._marks = np.zeros((size, size, 4), np.uint8)  # segment, LIP part, face part
        surfaces = [skia.Surface(array) for array in (self._picture, self._marks)]
        self._surfaces = surfaces  # their canvases do not keep them alive
        self._pen, self._stamp = (surface.getCanvas() for surface in surfaces)
        for target in (self._pen, self._stamp):
            target.scale(size, size)
        self._labels: dict[int, int] = {}  # of each segment
        self._current = 0  # the segment that is drawn; 0: none
        self._flipped = False
        self._paints: dict[tuple[Color, bool, float], skia.Paint] = {}  # there are few of them

    # -------------------------------------------------------------- frames

    @contextmanager
    def at(
        self, x: float, y: float, height: float, width: float | None = None, *,
        facing: int = 1, turn: float = 0.0,
    ) -> Iterator[None]:  # fmt: skip
        """Draw a figure in its own frame.

        Args:
            x: position of its feet, 0..1.
            y: position of its feet, 0..1, downwards.
            height: its height.
            width: scale of its width; by default `height`.
            facing: 1 to the right, -1 to the left.
            turn: degrees, clockwise.
        """
        was = self._flipped
        self._flipped ^= facing < 0
        for target in (self._pen, self._stamp):
            target.save()
            target.translate(x, y)
            target.rotate(turn)
            target.scale((height if width is None else width) * facing, height)
        try:
            yield
        finally:
            for target in (self._pen, self._stamp):
                target.restore()
            self._flipped = was

    @contextmanager
    def inside(self, path: skia.Path) -> Iterator[None]:
        """Draw only within the path: stripes and spots."""
        for target, smooth in ((self._pen, True), (self._stamp, False)):
            target.save()
            target.clipPath(path, doAntiAlias=smooth)
        try:
            yield
        finally:
            for target in (self._pen, self._stamp):
                target.restore()

    @property
    def light(self) -> Light:
        """The change of every colour from now on."""
        return self._light

    @light.setter
    def light(self, light: Light) -> None:
        self._light = light
        self._paints.clear()

    @property
    def mirrored(self) -> bool:
        """Whether what is drawn now faces left: letters are turned back then."""
        return self._flipped

    # -------------------------------------------------------------- shapes

    @contextmanager
    def segment(self, name: str) -> Iterator[None]:
        """Draw shapes of a new instance (things), or of all that there is of a class (stuff).

        Args:
            name: one of COCO's 133 classes.

        Raises:
            ValueError: for an unknown name, and for too many segments.
        """
        if name not in COCO_NAMES:
            raise ValueError(f"segment: found {name!r}, expected one of COCO's panoptic classes")
        label = COCO_NAMES.index(name)
        stuff = [n for n, known in self._labels.items() if known == label >= COCO_THINGS]
        number = stuff[0] if stuff else len(self._labels) + 1
        if number > MOST_SEGMENTS:
            raise ValueError(f"found {number} segments, expected at most {MOST_SEGMENTS}")
        self._labels[number] = label
        was, self._current = self._current, number
        try:
            yield
        finally:
            self._current = was

    def fill(
        self, path: skia.Path, color: Color, *, to: Color | None = None, part: str | None = None,
        lit: bool = True, alpha: float = 1.0,
    ) -> None:  # fmt: skip
        """Fill a path in the picture and in the annotation.

        Args:
            path: the shape.
            color: its colour.
            to: colour at its lower end, for a gradient.
            part: the LIP part or the face part that it shows; "left-" and "right-" are those of a
                figure that is not mirrored.
            lit: whether the light changes its colour.
            alpha: opacity, 0..1.
        """
        self.mark(path, color, to=to, lit=lit, alpha=alpha)
        human, face = self._part(part)
        mark = skia.ColorSetARGB(255, self._current, human, face)
        self._stamp.drawPath(path, skia.Paint(Color=mark, AntiAlias=False))

    def mark(
        self, path: skia.Path, color: Color, *, to: Color | None = None,
        lit: bool = True, alpha: float = 1.0, within: skia.Path | None = None,
    ) -> None:  # fmt: skip
        """Fill a path in the picture alone: shadows, patterns, rain.

        Args:
            path: the shape.
            color: its colour.
            to: colour at its lower end, for a gradient.
            lit: whether the light changes its colour.
            alpha: opacity, 0..1.
            within: a shape that it does not leave; None for no limit.
        """
        if to is None:
            paint = self._paint(color, lit, alpha)
        else:
            paint = skia.Paint(AntiAlias=True, Color4f=self._color(color, lit, alpha))
            bounds = path.getBounds()
            ends = [skia.Point(0, bounds.top()), skia.Point(0, bounds.bottom())]
            colors = [self._color(c, lit, alpha).toColor() for c in (color, to)]
            paint.setShader(skia.GradientShader.MakeLinear(ends, colors))
        if within is None:
            self._pen.drawPath(path, paint)
            return
        self._pen.save()
        self._pen.clipPath(within, doAntiAlias=True)
        self._pen.drawPath(path, paint)
        self._pen.restore()

    def wash(self, path: skia.Path, shader: skia.Shader) -> None:
        """Fill a path with a shader, in the picture alone: a glow, light from one side.

        Args:
            path: the shape.
            shader: its colours, as they are seen: no light changes them.
        """
        self._pen.drawPath(path, skia.Paint(AntiAlias=True, Shader=shader))

    def mirror(self, line: float, bottom: float, waves: float, share: float, fade: float) -> None:
        """Show in the current segment, below a horizontal line, what is above the line.

        Args:
            line: y of the water's edge.
            bottom: y where the image ends.
            waves: how far the image is shifted to the sides at the bottom, in parts of the picture.
            share: how much of the image is seen at the line, 0..1.
            fade: how much of it is seen at the bottom, 0..1.
        """
        size, edge = self.size, round(line * self.size)
        rows = np.arange(edge, min(round(bottom * size), size))
        depth = (rows - edge + 0.5) / size
        near = np.sqrt(depth / (bottom - line))
        swing = np.sin(44 * np.sqrt(depth) + 1)  # waves look shorter far off
        shift = np.rint(swing * near * waves * size).astype(int)
        columns = np.clip(np.arange(size) + shift[:, None], 0, size - 1)
        source = np.clip(2 * edge - 1 - rows, 0, None)[:, None] * size + columns
        image = self._picture.view(np.uint32).reshape(-1)[source].view(np.uint8)
        water = self._picture[edge : edge + len(rows)]
        weight = np.rint(256 * (share + (fade - share) * near)).astype(np.uint16)[:, None]
        mixed = water.reshape(len(rows), -1) * (256 - weight) + image * weight >> 8
        here = self._marks[edge : edge + len(rows), :, 0] == self._current
        np.copyto(water, mixed.astype(np.uint8).reshape(water.shape), where=here[..., None])

    def shadow(self, width: float, height: float = 0.06, alpha: float = 0.25) -> None:
        """Draw an ellipse on the ground under the feet of the figure."""
        self.mark(ellipse(0, 0, width / 2, height / 2), (0.0, 0.0, 0.05), lit=False, alpha=alpha)

    def _paint(self, color: Color, lit: bool, alpha: float) -> skia.Paint:
        """Return the paint of a colour; making one takes as long as drawing a small shape."""
        key = (color, lit, alpha)
        if key not in self._paints:
            self._paints[key] = skia.Paint(AntiAlias=True, Color4f=self._color(color, lit, alpha))
        return self._paints[key]

    def _color(self, color: Color, lit: bool, alpha: float) -> skia.Color4f:
        return skia.Color4f(*(self.light(color) if lit else color), alpha)

    def _part(self, name: str | None) -> tuple[int, int]:
        if name is None:
            return 0, 0
        if self._flipped and name.startswith(("left-", "right-")):
            side, limb_name = name.split("-")
            name = f"{'left' if side == 'right' else 'right'}-{limb_name}"
        if name in LIP_NAMES:
            return LIP_NAMES.index(name), 0
        if name in FACE_NAMES:  # on the face
            return LIP_NAMES.index("face"), 1 + FACE_NAMES.index(name)
        raise ValueError(f"part: found {name!r}, expected one of LIP's or of the face's")

    # -------------------------------------------------------------- results

    def pixels(self) -> np.ndarray:
        """Return the picture, uint8 [size, size, 3]."""
        return np.ascontiguousarray(self._picture[..., :3])

    def layers(self) -> Layers:
        """Return the annotation: panoptic labels, instances, human and face parts."""
        segments, human, face = (np.ascontiguousarray(self._marks[..., i]) for i in range(3))
        panoptic = np.full(MOST_SEGMENTS + 1, VOID, np.uint8)
        panoptic[list(self._labels)] = list(self._labels.values())
        return Layers(panoptic[segments], segments.astype(np.int32), human, face)
