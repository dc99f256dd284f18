"""Trees for each season, bushes, flowers and grass. Each stands with its feet at (x, y)."""

from __future__ import annotations

from collections.abc import Sequence

import skia
from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    Point,
    blob,
    box,
    ellipse,
    limb,
    mix,
    polygon,
    rgb,
    shade,
    together,
)

LEAVES = {
    "summer": ("4f9f4a", "3f8f4c", "6bad4b"),
    "spring": ("7cc45c", "92cf63", "68b957"),
    "autumn": ("e2812e", "cc4a2a", "e8b03a"),
}
BLOSSOM = ("f6bcd2", "fbe3ea", "f19fc0")
BARK, TWIGS, FIR, SNOW = rgb("7b5638"), rgb("8f7d72"), rgb("2f6f50"), rgb("f3f7fc")
PETALS = ("e8423f", "f6d13c", "f4f2ec", "d86bd0", "f08a2e")
AIR = rgb("cfe0ea")  # what far things fade into


def far(color: Color, distance: float) -> Color:
    """As it looks through the air. distance: 0 here, 1 out of sight."""
    return mix(color, AIR, distance)


def _pick(generator: Generator, codes: Sequence[str]) -> Color:
    return rgb(codes[generator.integers(len(codes))])


def _tapered(start: Point, end: Point, width: float) -> skia.Path:
    """A branch, pointed at its end."""
    (x, y), half = start, width / 2
    return polygon([(x - half, y), end, (x + half, y)])


def draw_tree(
    canvas: Canvas, kind: str, x: float, y: float, height: float, season: str,
    generator: Generator, distance: float = 0.0,
) -> None:  # fmt: skip
    """kind: round, poplar, fir or palm. In winter leaves are gone and firs bear snow; in spring
    most round trees blossom. distance: see `far`."""
    facing = 1 if generator.random() < 0.5 else -1
    with canvas.segment("tree-merged"), canvas.at(x, y, height, facing=facing):
        if distance < 0.2:
            canvas.shadow(0.62 if kind != "poplar" else 0.36, 0.07, 0.18)
        if kind == "fir":
            _fir(canvas, season, generator, distance)
        elif kind == "palm":
            _palm(canvas, generator, distance)
        elif season == "winter":
            _bare(canvas, kind, generator, distance)
        elif kind == "poplar":
            _poplar(canvas, season, generator, distance)
        else:
            _round(canvas, season, generator, distance)


def _crown(canvas: Canvas, heaps: Sequence[tuple], color: Color, lights: Sequence[tuple]) -> None:
    """Heaps of leaves (x, y, rx, ry), those in the light brighter."""
    canvas.fill(together(ellipse(*e) for e in heaps), shade(color, 0.04), to=shade(color, -0.22))
    canvas.mark(together(ellipse(*e) for e in lights), shade(color, 0.22), alpha=0.75)


def _round(canvas: Canvas, season: str, generator: Generator, distance: float) -> None:
    blossom = season == "spring" and generator.random() < 0.7
    color = far(_pick(generator, BLOSSOM if blossom else LEAVES[season]), distance)
    bark = far(BARK, distance)
    fork = _tapered((0.0, -0.25), (0.17, -0.55), 0.07)
    trunk = polygon([(-0.07, 0.0), (-0.04, -0.5), (0.04, -0.5), (0.07, 0.0)])
    canvas.fill(together((trunk, fork)), bark)
    wide = generator.uniform(0.9, 1.12)
    heaps = [(0, -0.7, 0.24, 0.28), (-0.19, -0.56, 0.2, 0.19), (0.2, -0.57, 0.2, 0.2)]
    heaps += [(-0.14, -0.77, 0.17, 0.17), (0.15, -0.77, 0.17, 0.17), (0, -0.5, 0.2, 0.14)]
    lights = [(-0.13, -0.8, 0.1, 0.08), (0.09, -0.68, 0.09, 0.06), (-0.22, -0.58, 0.08, 0.06)]
    heaps, lights = ([(cx * wide, *rest) for cx, *rest in part] for part in (heaps, lights))
    _crown(canvas, heaps, color, lights)
    if blossom or (season == "summer" and generator.random() < 0.25):  # petals or apples
        dots = [(-0.2, -0.68), (0.02, -0.86), (0.2, -0.72), (0.1, -0.52), (-0.12, -0.5)]
        spots = together(ellipse(px * wide, py, 0.032) for px, py in dots)
        canvas.mark(spots, far(rgb("ffffff" if blossom else "d8352c"), distance))


def _poplar(canvas: Canvas, season: str, generator: Generator, distance: float) -> None:
    color = far(_pick(generator, LEAVES[season]), distance)
    canvas.fill(box(-0.03, -0.25, 0.03, 0.0), far(BARK, distance))
    wide = generator.uniform(0.12, 0.15)
    points = [(0, -1), (wide, -0.62), (wide * 0.9, -0.24), (0, -0.12), (-wide * 0.9, -0.24)]
    crown = blob([*points, (-wide, -0.62)])
    canvas.fill(crown, shade(color, 0.05), to=shade(color, -0.2))
    canvas.mark(ellipse(-wide * 0.35, -0.6, wide * 0.35, 0.2), shade(color, 0.2), alpha=0.6)


def _fir(canvas: Canvas, season: str, generator: Generator, distance: float) -> None:
    color = far(shade(FIR, generator.uniform(-0.08, 0.12)), distance)
    canvas.fill(box(-0.04, -0.15, 0.04, 0.0), far(shade(BARK, -0.15), distance))
    wide, tiers, snow = generator.uniform(0.27, 0.33), [], []
    for top, bottom, share in ((-0.58, -0.1, 1.0), (-0.78, -0.35, 0.8), (-1.0, -0.6, 0.58)):
        half = wide * share
        low = [
            (half, bottom),
            (half * 0.4, bottom + 0.035),
            (0, bottom),
            (-half * 0.4, bottom + 0.035),
        ]
        tiers.append(polygon([(0, top), *low, (-half, bottom)]))
        deep, reach = (bottom - top) * 0.58, half * 0.62
        teeth = [(reach, deep), (reach * 0.45, deep * 0.75), (0, deep), (-reach * 0.45, deep * 0.7)]
        snow.append(
            polygon([(0, top), *[(sx, top + sy) for sx, sy in teeth], (-reach, top + deep)])
        )
    for i, tier in enumerate(tiers):
        canvas.fill(tier, shade(color, 0.08), to=shade(color, -0.18))
        if season == "winter":
            canvas.mark(snow[i], far(SNOW, distance / 2))


def _bare(canvas: Canvas, kind: str, generator: Generator, distance: float) -> None:
    """A fan of branches, with the haze of twigs that makes it one shape from afar."""
    bark, wide = far(shade(BARK, -0.1), distance), 0.12 if kind == "poplar" else 0.36
    crown = ellipse(0, -0.64, wide, 0.35)
    canvas.fill(crown, far(TWIGS, distance), alpha=0.4)
    branches = [polygon([(-0.06, 0.0), (-0.025, -0.5), (0.0, -0.98), (0.025, -0.5), (0.06, 0.0)])]
    for start, reach, top in ((-0.3, 0.85, -0.62), (-0.42, 0.7, -0.82), (-0.58, 0.45, -0.94)):
        for side in (-1, 1):
            lift = generator.uniform(-0.05, 0.05)
            end = (side * reach * wide, top + lift)
            branches.append(_tapered((0.0, start + lift), end, 0.055))
            middle = (end[0] * 0.55, start + (top - start) * 0.55)
            branches.append(_tapered(middle, (end[0] * 0.5, top - 0.12 + lift), 0.035))
    canvas.fill(together(branches), bark)


def _palm(canvas: Canvas, generator: Generator, distance: float) -> None:
    lean = generator.uniform(0.08, 0.16)
    bark, green = far(rgb("a9794a"), distance), far(rgb("4a9c4c"), distance)
    canvas.fill(limb([(0, 0), (lean * 0.3, -0.4), (lean, -0.78)], 0.06), bark)
    fronds = []
    for angle in (
        (-0.42, -0.62),
        (-0.38, -0.86),
        (-0.14, -1.0),
        (0.18, -1.0),
        (0.4, -0.85),
        (0.42, -0.6),
    ):
        tip = (lean + angle[0], angle[1])
        rise = (lean + angle[0] * 0.55, min(-0.84, angle[1]) - 0.1)
        fall = (lean + angle[0] * 0.6, rise[1] + 0.13)
        fronds.append(blob([(lean, -0.8), rise, tip, fall]))
    canvas.fill(together(fronds), shade(green, 0.1), to=shade(green, -0.2))
    nuts = together(ellipse(lean + dx, -0.755, 0.03) for dx in (-0.035, 0.035))
    canvas.mark(nuts, far(rgb("6b4426"), distance))


def draw_bush(
    canvas: Canvas, x: float, y: float, height: float, season: str, generator: Generator,
    distance: float = 0.0,
) -> None:  # fmt: skip
    """A low heap of leaves, twice as wide as it is high; snow lies on it in winter."""
    winter = season == "winter"
    color = rgb("7d8f7e") if winter else _pick(generator, LEAVES[season])
    with canvas.segment("tree-merged"), canvas.at(x, y, height):
        heaps = [(-0.55, -0.3, 0.4, 0.32), (0.55, -0.32, 0.42, 0.34), (0, -0.5, 0.55, 0.5)]
        lights = [(-0.2, -0.68, 0.22, 0.14), (0.5, -0.44, 0.18, 0.1)]
        _crown(canvas, heaps, far(color, distance), lights)
        if winter:
            canvas.mark(ellipse(0, -0.78, 0.42, 0.2), far(SNOW, distance / 2))


def draw_flowers(
    canvas: Canvas, x: float, y: float, height: float, season: str, generator: Generator
) -> None:
    """A bed of blossoms among leaves, three times as wide as it is high."""
    first = generator.integers(len(PETALS))
    with canvas.segment("flower"), canvas.at(x, y, height):
        bed = together(ellipse(bx, -0.32, 0.62, 0.34) for bx in (-0.85, 0.0, 0.85))
        canvas.fill(bed, _pick(generator, LEAVES["spring" if season == "spring" else "summer"]))
        heads = [(-1.2, -0.5), (-0.75, -0.78), (-0.35, -0.42), (0.05, -0.8), (0.4, -0.42)]
        heads += [(0.8, -0.75), (1.2, -0.48)]
        heads = [(hx + generator.uniform(-0.08, 0.08), hy) for hx, hy in heads]
        for turn in (0, 1):
            color = rgb(PETALS[(first + turn) % len(PETALS)])
            canvas.fill(together(ellipse(*h, 0.24) for h in heads[turn::2]), color)
        canvas.mark(together(ellipse(*h, 0.08) for h in heads), rgb("8a5a1c"))


def grass_tufts(points: Sequence[Point], size: float) -> skia.Path:
    """Three blades at each point."""
    tufts = []
    for x, y in points:
        for lean in (-0.6, 0.0, 0.6):
            tip = (x + lean * size, y - size * (1 - abs(lean) / 3))
            tufts.append(_tapered((x + lean * size * 0.3, y), tip, size * 0.3))
    return together(tufts)
