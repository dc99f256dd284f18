"""Trees for each season, bushes, flowers and grass. Each stands with its feet at (x, y)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import skia
from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    Point,
    blob,
    box,
    ellipse,
    ground,
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
AIR = rgb("cfe0ea")  # the colour into which far things fade


def far(color: Color, distance: float) -> Color:
    """Return a colour as it looks through the air; `distance` is 0 here and 1 out of sight."""
    return mix(color, AIR, distance)


def _pick(generator: Generator, codes: Sequence[str]) -> Color:
    return rgb(codes[int(generator.integers(len(codes)))])


def _tapered(start: Point, end: Point, width: float) -> skia.Path:
    """Return a branch, pointed at its end."""
    (x, y), radius = start, width / 2
    return polygon([(x - radius, y), end, (x + radius, y)])


@dataclass(frozen=True)
class _Tree:
    """The shapes of a tree, with feet at (0, 0) and the top near y = -1.

    `patches` are the lighter parts of a crown of leaves, or the darker parts of a fir.
    """

    wood: skia.Path
    leaves: skia.Path
    patches: skia.Path | None = None
    snow: skia.Path | None = None


def draw_tree(
    canvas: Canvas, kind: str, x: float, y: float, height: float, season: str,
    generator: Generator, distance: float = 0.0,
) -> None:  # fmt: skip
    """Draw a tree: round, poplar, fir or palm. `distance` is that of `far`.

    In winter leaves are gone and firs bear snow; in spring most round trees blossom.
    """
    blossom = kind == "round" and season == "spring" and generator.random() < 0.7
    fruit = kind == "round" and season == "summer" and generator.random() < 0.25
    color = _leaf_color(kind, season, blossom, generator)
    facing = 1 if generator.random() < 0.5 else -1
    tree = _shapes(kind, season, generator)
    with canvas.segment("tree-merged"), canvas.at(x, y, height, facing=facing):
        canvas.shadow(0.36 if kind == "poplar" else 0.62, 0.07, 0.18)
        _draw(canvas, tree, kind, season, far(color, distance), distance)
        if blossom or fruit:
            dots = [(-0.2, -0.68), (0.02, -0.86), (0.2, -0.72), (0.1, -0.52), (-0.12, -0.5)]
            spots = together(ellipse(*dot, 0.034) for dot in dots)
            canvas.mark(spots, far(rgb("ffffff" if blossom else "d8352c"), distance))


def draw_wood(
    canvas: Canvas, kinds: Sequence[str], y: float, height: float, count: int, season: str,
    generator: Generator, distance: float = 0.3,
) -> None:  # fmt: skip
    """Draw trees across the whole picture, with feet at y, crown beside crown above a thicket."""
    groups: dict[str, list[tuple[_Tree, skia.Matrix]]] = {}
    for i in range(count):
        kind = kinds[int(generator.integers(len(kinds)))]
        size = height * generator.uniform(0.8, 1.12)
        matrix = skia.Matrix.Translate((i + 0.5 + generator.uniform(-0.2, 0.2)) / count, y)
        matrix.preScale(size * 1.15, size)
        groups.setdefault(kind, []).append((_shapes(kind, season, generator), matrix))
    tops = [y - height * generator.uniform(0.3, 0.42) for _ in range(7)]
    colors = {}
    for kind in kinds:
        blossom = kind == "round" and season == "spring" and generator.random() < 0.5
        colors[kind] = far(_leaf_color(kind, season, blossom, generator), distance)
    with canvas.segment("tree-merged"):
        canvas.fill(ground(tops, y), shade(colors[kinds[0]], -0.18))
        for kind, trees in groups.items():
            parts = (
                _moved([(getattr(tree, part), matrix) for tree, matrix in trees])
                for part in ("wood", "leaves", "patches", "snow")
            )
            _draw(canvas, _Tree(*parts), kind, season, colors[kind], distance)


def _moved(shapes: Sequence[tuple[skia.Path | None, skia.Matrix]]) -> skia.Path | None:
    """Join shapes to one, each moved by its matrix; None without shapes."""
    if any(shape is None for shape, _ in shapes):
        return None
    union = skia.Path()
    for shape, matrix in shapes:
        union.addPath(shape, matrix)
    return union


def _leaf_color(kind: str, season: str, blossom: bool, generator: Generator) -> Color:
    if kind == "palm":
        return rgb("4a9c4c")
    if kind == "fir":
        return shade(FIR, generator.uniform(-0.08, 0.12))
    if season == "winter":
        return TWIGS
    return _pick(generator, BLOSSOM if blossom else LEAVES[season])


def _shapes(kind: str, season: str, generator: Generator) -> _Tree:
    if kind == "palm":
        return _palm(generator)
    if kind == "fir":
        return _fir(season, generator)
    if season == "winter":
        return _bare(0.13 if kind == "poplar" else 0.36, generator)
    return _poplar(generator) if kind == "poplar" else _round(generator)


def _draw(
    canvas: Canvas, tree: _Tree, kind: str, season: str, color: Color, distance: float
) -> None:
    bark = far(shade(BARK, 0.2 if kind == "palm" else -0.05), distance)
    if season == "winter" and kind in ("round", "poplar"):
        canvas.fill(tree.leaves, color, alpha=0.4)
        canvas.fill(tree.wood, bark)
        return
    canvas.fill(tree.wood, bark)
    canvas.fill(tree.leaves, shade(color, 0.05), to=shade(color, -0.2))
    if tree.patches:
        lighter = shade(color, -0.22 if kind == "fir" else 0.22)
        canvas.mark(tree.patches, lighter, alpha=0.75)
    if tree.snow:
        canvas.mark(tree.snow, far(SNOW, distance / 2))


def _round(generator: Generator) -> _Tree:
    fork = _tapered((0.0, -0.25), (0.17, -0.55), 0.07)
    trunk = polygon([(-0.07, 0.0), (-0.04, -0.5), (0.04, -0.5), (0.07, 0.0)])
    wide = generator.uniform(0.9, 1.12)
    heaps = [(0, -0.7, 0.24, 0.28), (-0.19, -0.56, 0.2, 0.19), (0.2, -0.57, 0.2, 0.2)]
    heaps += [(-0.14, -0.77, 0.17, 0.17), (0.15, -0.77, 0.17, 0.17), (0, -0.5, 0.2, 0.14)]
    lights = [(-0.13, -0.8, 0.1, 0.08), (0.09, -0.68, 0.09, 0.06), (-0.22, -0.58, 0.08, 0.06)]
    leaves, patches = (
        together(ellipse(x * wide, *size) for x, *size in part) for part in (heaps, lights)
    )
    return _Tree(together((trunk, fork)), leaves, patches)


def _poplar(generator: Generator) -> _Tree:
    wide = generator.uniform(0.12, 0.15)
    points = [(0, -1), (wide, -0.62), (wide * 0.9, -0.24), (0, -0.12), (-wide * 0.9, -0.24)]
    crown = blob([*points, (-wide, -0.62)])
    light = ellipse(-wide * 0.35, -0.6, wide * 0.35, 0.2)
    return _Tree(box(-0.03, -0.25, 0.03, 0.0), crown, light)


def _fir(season: str, generator: Generator) -> _Tree:
    """Make a fir of three tiers, each in the shadow of the one above."""
    wide, tiers, shadows, snow = generator.uniform(0.27, 0.33), [], [], []
    for top, bottom, share in ((-0.58, -0.1, 1.0), (-0.78, -0.35, 0.8), (-1.0, -0.6, 0.58)):
        spread = wide * share
        tiers.append(polygon([(0, top), (spread, bottom), (0, bottom + 0.04), (-spread, bottom)]))
        if share < 1:
            hem = [(spread, bottom), (spread * 0.3, bottom + 0.1), (-spread * 0.5, bottom + 0.08)]
            shadows.append(polygon([(-spread, bottom), (0, bottom - 0.03), *hem]))
        deep = (bottom - top) * 0.62
        low = [(spread * 0.36, deep * 0.7), (0, deep * 0.95), (-spread * 0.33, deep * 0.68)]
        teeth = [(spread * 0.62, deep), *low, (-spread * 0.62, deep)]
        snow.append(polygon([(0, top), *[(x, top + down) for x, down in teeth]]))
    white = together(snow) if season == "winter" else None
    return _Tree(box(-0.04, -0.15, 0.04, 0.0), together(tiers), together(shadows), white)


def _bare(wide: float, generator: Generator) -> _Tree:
    """Make a fan of branches, with a haze of twigs that makes it one shape from afar."""
    branches = [polygon([(-0.06, 0.0), (-0.025, -0.5), (0.0, -0.98), (0.025, -0.5), (0.06, 0.0)])]
    for start, reach, top in ((-0.3, 0.85, -0.62), (-0.42, 0.7, -0.82), (-0.58, 0.45, -0.94)):
        for side in (-1, 1):
            lift = generator.uniform(-0.05, 0.05)
            end = (side * reach * wide, top + lift)
            branches.append(_tapered((0.0, start + lift), end, 0.055))
            middle = (end[0] * 0.55, start + (top - start) * 0.55)
            branches.append(_tapered(middle, (end[0] * 0.5, top - 0.12 + lift), 0.035))
    return _Tree(together(branches), ellipse(0, -0.64, wide, 0.35))


def _palm(generator: Generator) -> _Tree:
    lean, fronds = generator.uniform(0.08, 0.16), []
    ends = ((-0.42, -0.62), (-0.38, -0.86), (-0.14, -1.0), (0.18, -1.0), (0.4, -0.85), (0.42, -0.6))
    for reach, y in ends:
        rise = (lean + reach * 0.55, min(-0.84, y) - 0.1)
        fall = (lean + reach * 0.6, rise[1] + 0.13)
        fronds.append(blob([(lean, -0.8), rise, (lean + reach, y), fall]))
    trunk = limb([(0, 0), (lean * 0.3, -0.4), (lean, -0.78)], 0.06)
    return _Tree(trunk, together(fronds))


def draw_bush(
    canvas: Canvas, x: float, y: float, height: float, season: str, generator: Generator,
    distance: float = 0.0,
) -> None:  # fmt: skip
    """Draw a low heap of leaves, twice as wide as high; snow lies on it in winter."""
    winter = season == "winter"
    color = rgb("7d8f7e") if winter else _pick(generator, LEAVES[season])
    with canvas.segment("tree-merged"), canvas.at(x, y, height):
        heaps = [(-0.55, -0.3, 0.4, 0.32), (0.55, -0.32, 0.42, 0.34), (0, -0.5, 0.55, 0.5)]
        lights = [(-0.2, -0.68, 0.22, 0.14), (0.5, -0.44, 0.18, 0.1)]
        color = far(color, distance)
        leaves = together(ellipse(*e) for e in heaps)
        canvas.fill(leaves, shade(color, 0.04), to=shade(color, -0.22))
        canvas.mark(together(ellipse(*e) for e in lights), shade(color, 0.22), alpha=0.75)
        if winter:
            canvas.mark(ellipse(0, -0.78, 0.42, 0.2), far(SNOW, distance / 2))


def draw_flowers(
    canvas: Canvas, x: float, y: float, height: float, season: str, generator: Generator
) -> None:
    """Draw a bed of blossoms among leaves, three times as wide as high."""
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


def draw_cactus(canvas: Canvas, x: float, y: float, height: float) -> None:
    """Draw a cactus with two arms, with its foot at (x, y)."""
    green = rgb("4f8f55")
    with canvas.segment("tree-merged"), canvas.at(x, y, height):
        canvas.shadow(0.5, 0.08)
        arms = [box(-0.36, -0.5, 0.0, -0.38, 0.06), box(-0.36, -0.72, -0.24, -0.38, 0.06)]
        arms += [box(0.0, -0.4, 0.34, -0.28, 0.06), box(0.22, -0.64, 0.34, -0.28, 0.06)]
        canvas.fill(together([*arms, box(-0.09, -1, 0.09, 0.0, 0.09)]), green)
        canvas.mark(box(-0.05, -0.92, -0.01, -0.05, 0.02), shade(green, 0.3))


def grass_tufts(points: Sequence[Point], size: float) -> skia.Path:
    """Return tufts of grass with three blades at each point."""
    tufts = []
    for x, y in points:
        for lean in (-0.6, 0.0, 0.6):
            tip = (x + lean * size, y - size * (1 - abs(lean) / 3))
            tufts.append(_tapered((x + lean * size * 0.3, y), tip, size * 0.3))
    return together(tufts)
