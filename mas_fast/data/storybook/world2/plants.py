"""Trees for each season. Each stands with its foot at (x, y) and has a lit and a shaded side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import skia

from mas_fast.data.storybook.canvas import (
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
from mas_fast.data.storybook.world2.brush import Brush

LEAVES = {  # of trees with broad leaves
    "spring": ("86c257", "9fd067", "78b85a"),
    "summer": ("5da24c", "4b944d", "76ae4b"),
    "autumn": ("e38a34", "d05a32", "e9b23f", "c7793a"),
}
BIRCH = {"spring": "a8d46c", "summer": "8aba58", "autumn": "f0c54a"}
BLOSSOM = ("f7c3d6", "fbe1e8", "f2a9c6")
BARK, TWIGS, FIR, SNOW = rgb("7a563b"), rgb("8b7468"), rgb("3a7557"), rgb("f4f8fd")
SNOW_SHADE = rgb("c3d3e6")
BARE = {"oak": 1.0, "birch": 0.7, "poplar": 0.4}  # width without leaves, ratio to that of an oak


def leaf_color(brush: Brush) -> Color:
    """Return a colour of leaves in the season; of twigs in winter."""
    return TWIGS if brush.winter else rgb(brush.pick(LEAVES[brush.season]))


def draw_tree(brush: Brush, kind: str, x: float, y: float, height: float, far: float = 0.0) -> None:
    """Draw a tree with its shadow near (x, y), unless the picture is to be without trees.

    Args:
        brush: draws it.
        kind: "oak", "birch", "poplar", "pine" or "palm".
        x: where its foot is.
        y: where its foot is.
        height: about its height.
        far: how far it is, 0..1.
    """
    if not brush.trees:
        return
    draw, spread = _TREES[kind]
    x, height = x + brush.between(-0.02, 0.02), height * brush.between(0.88, 1.1)
    brush.shadow(x, y, spread * height, 0.2 * (1 - far))
    bare = brush.winter and kind in BARE
    width = height * BARE[kind] if bare else height
    with brush.canvas.segment("tree-merged"), brush.canvas.at(x, y, height, width):
        (_bare if bare else draw)(brush, far)


# ------------------------------------------------------------------ broad leaves


def _crown(brush: Brush, lobes: Sequence[tuple[float, float, float]], color: Color, far: float
           ) -> None:  # fmt: skip
    """Draw a crown of round lobes in three tones."""
    shape = together(ellipse(*lobe) for lobe in lobes)
    sun = brush.sky.sun
    brush.fill(shape, shade(color, -0.24), far=far)
    with brush.canvas.inside(shape):
        lit = together(ellipse(x + 0.06 * sun, y - 0.07, r * 0.93) for x, y, r in lobes)
        brush.mark(lit, color, to=shade(color, -0.1), far=far)
        bright = [lobe for lobe in lobes if lobe[0] * sun > -0.06 and lobe[1] < -0.55]
        tips = together(
            ellipse(x + 0.4 * r * sun, y - r * 0.5, r * 0.66, r * 0.52) for x, y, r in bright
        )
        brush.mark(tips, mix(shade(color, 0.1), rgb("fff0a0"), 0.12), far=far)


def _oak(brush: Brush, far: float) -> None:
    blossom = brush.season == "spring" and brush.flowers and brush.chance(0.5)
    color = rgb(brush.pick(BLOSSOM)) if blossom else leaf_color(brush)
    wide, bark = brush.between(0.92, 1.15), shade(BARK, -0.1)
    lean = brush.between(-0.02, 0.02)
    trunk = skia.Path()
    trunk.moveTo(-0.075, 0)
    trunk.quadTo(-0.035, -0.06, -0.04 + lean, -0.5)
    trunk.lineTo(0.04 + lean, -0.5)
    trunk.quadTo(0.035, -0.06, 0.08, 0)
    trunk.close()
    arms = [limb([(lean, -0.26), (s * 0.16 * wide, -0.46)], 0.035) for s in (-1, 1)]
    brush.fill(together([trunk, *arms]), bark, far=far)
    lobes = [(0, -0.72, 0.25), (-0.22, -0.56, 0.19), (0.22, -0.57, 0.19), (-0.15, -0.78, 0.17),
             (0.15, -0.8, 0.16), (-0.08, -0.47, 0.15), (0.11, -0.46, 0.14)]  # fmt: skip
    lobes = [(x * wide + brush.between(-0.025, 0.025), y + brush.between(-0.025, 0.025), r)
             for x, y, r in lobes]  # fmt: skip
    _crown(brush, lobes, color, far)


def _birch(brush: Brush, far: float) -> None:
    lean = brush.between(-0.05, 0.05)
    trunk = limb([(0, -0.012), (lean * 0.4, -0.4), (lean, -0.85)], 0.05)
    color = TWIGS if brush.winter else rgb(BIRCH[brush.season])
    lobes = [
        (lean, -0.82, 0.15),
        (lean - 0.12, -0.64, 0.14),
        (lean + 0.12, -0.67, 0.14),
        (lean - 0.03, -0.52, 0.14),
        (lean + 0.1, -0.47, 0.11),
        (lean - 0.12, -0.45, 0.1),
    ]
    brush.fill(trunk, rgb("f0ece4"), far=far)
    _crown(brush, lobes, color, far)
    bands = [box(side * 0.012 - 0.012, -y - 0.014, side * 0.012 + 0.012, -y)
             for y, side in ((0.08, -1), (0.19, 1), (0.29, -1))]  # fmt: skip
    brush.mark(together(bands), rgb("6b6460"), far=far, alpha=0.8)


def _poplar(brush: Brush, far: float) -> None:
    wide, color = brush.between(0.12, 0.15), shade(leaf_color(brush), -0.06)
    brush.fill(box(-0.028, -0.22, 0.028, 0.005), shade(BARK, -0.1), far=far)
    points = [(0.01, -1), (wide * 0.7, -0.75), (wide, -0.42), (wide * 0.6, -0.14), (0, -0.1),
              (-wide * 0.6, -0.14), (-wide, -0.42), (-wide * 0.75, -0.72)]  # fmt: skip
    brush.solid(blob(points), color, far=far, depth=0.4, amount=0.22)


def _bare(brush: Brush, far: float) -> None:
    """Draw a tree without leaves: branches that fork, with snow on the larger ones."""
    branches: list[skia.Path] = []
    snow: list[skia.Path] = []

    def grow(x: float, y: float, angle: float, length: float, width: float, left: int) -> None:
        tip = (x + length * math.sin(angle), y - length * math.cos(angle))
        branches.append(_tapered((x, y), tip, width))
        if left == 1 and abs(angle) > 0.3:
            ends = [_along((x, y), tip, share, 0.4 * width) for share in (0.2, 0.8)]
            snow.append(limb(ends, width * 0.5))
        if left:
            for turn in (-0.52, 0.5):
                start = _along((x, y), tip, 0.55 if turn < 0 else 0.75)
                bend = angle + turn + brush.between(-0.16, 0.16)
                grow(*start, bend, length * brush.between(0.66, 0.78), width * 0.6, left - 1)
            if left > 1:
                top = angle + brush.between(-0.12, 0.12)
                grow(*_along((x, y), tip, 0.9), top, length * 0.8, width * 0.7, left - 1)

    branches.append(polygon([(-0.07, 0), (-0.035, -0.22), (0.035, -0.22), (0.075, 0)]))
    grow(0, -0.08, brush.between(-0.06, 0.06), 0.42, 0.085, 3)
    brush.fill(together(branches), shade(BARK, -0.06), far=far)
    brush.mark(together(snow), SNOW, far=far)


def _along(start: Point, end: Point, share: float, up: float = 0.0) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share - up


def _tapered(start: Point, end: Point, width: float) -> skia.Path:
    """Return a branch, thin at its end."""
    (x, y), (u, v) = start, end
    length = math.hypot(u - x, v - y)
    dx, dy = -(v - y) / length * width / 2, (u - x) / length * width / 2
    tip = 0.3
    return polygon([(x - dx, y - dy), (u - dx * tip, v - dy * tip), (u + dx * tip, v + dy * tip),
                    (x + dx, y + dy)])  # fmt: skip


# ------------------------------------------------------------------ pines and palms


def _tier(top: float, bottom: float, wide: float) -> skia.Path:
    path = skia.Path()
    path.moveTo(0, top)
    middle = top + (bottom - top) * 0.6
    path.quadTo(wide * 0.3, middle, wide, bottom)
    path.quadTo(wide * 0.75, bottom + 0.025, wide * 0.45, bottom + 0.005)
    path.quadTo(wide * 0.15, bottom + 0.055, -wide * 0.25, bottom + 0.012)
    path.quadTo(-wide * 0.6, bottom + 0.045, -wide, bottom)
    path.quadTo(-wide * 0.3, middle, 0, top)
    path.close()
    return path


def _pine(brush: Brush, far: float) -> None:
    wide, color = brush.between(0.25, 0.33), shade(FIR, brush.between(-0.08, 0.1))
    if brush.winter:
        color = mix(color, rgb("5c8092"), 0.25)
    rows = ((-0.52, -0.1, 1.0), (-0.7, -0.3, 0.82), (-0.86, -0.5, 0.62), (-1.0, -0.69, 0.42))
    away = 1 if brush.sky.sun < 0 else -1
    shape = together(_tier(top, low, wide * share) for top, low, share in rows)
    hems = [
        polygon([(-x * 0.5, low + 0.005), (x * 0.5, low + 0.005), (x * 0.62, low + 0.1),
                 (-x * 0.62, low + 0.1)])
        for x, (_, low, _) in zip((wide * share for _, _, share in rows), rows[1:], strict=False)
    ]  # fmt: skip
    half = polygon([(0, -1.02), (0.07 * away, -0.5), (0.0, 0.1), (0.6 * away, 0.1),
                    (0.6 * away, -1.02)])  # fmt: skip
    brush.fill(box(-0.035, -0.14, 0.035, 0.005), shade(BARK, -0.15), far=far)
    brush.fill(shape, color, far=far)
    with brush.canvas.inside(shape):
        brush.mark(together(hems), shade(color, -0.22), far=far)
        if brush.winter:
            brush.mark(together(_cap(top, low, wide * share) for top, low, share in rows), SNOW,
                       far=far * 0.7)  # fmt: skip
        brush.mark(half, shade(color, -0.35), far=far, alpha=0.3 if brush.winter else 0.55)


def _cap(top: float, bottom: float, wide: float) -> skia.Path:
    """Return the snow on a tier of a pine."""
    down, x = top + (bottom - top) * 0.72, wide * 0.62
    hem = [(x, down), (x * 0.45, down - 0.015), (x * 0.1, down + 0.05), (-x * 0.4, down),
           (-x * 0.7, down + 0.025), (-x, down - 0.01)]  # fmt: skip
    return polygon([(0, top - 0.02), *hem])


def _palm(brush: Brush, far: float) -> None:
    lean = brush.between(0.1, 0.2) * brush.side()
    green, crown = rgb("4f9d4d"), (lean, -0.8)
    trunk = limb([(0, 0), (lean * 0.25, -0.35), (lean * 0.65, -0.62), crown], 0.055)
    brush.solid(trunk, rgb("a97c52"), far=far, depth=0.12)
    rings = [box(lean * k * k - 0.025, -0.8 * k, lean * k * k + 0.025, -0.8 * k + 0.012)
             for k in (0.2, 0.35, 0.5, 0.65, 0.8)]  # fmt: skip
    with brush.canvas.inside(trunk):
        brush.mark(together(rings), rgb("7d5638"), far=far, alpha=0.5)
    back = ((-0.3, -1.03), (0.1, -1.06), (0.34, -0.98))
    front = ((-0.45, -0.88), (-0.4, -0.66), (0.42, -0.86), (0.4, -0.63), (-0.16, -0.58))
    for ends, color in ((back, shade(green, -0.22)), (front, green)):
        fronds = together(_frond(crown, (lean + x, y)) for x, y in ends)
        brush.fill(fronds, color, far=far)
    lit = [end for end in front if end[0] * brush.sky.sun > 0]
    ribs = together(_frond(crown, (lean + x, y), 0.4) for x, y in lit)
    brush.mark(ribs, mix(shade(green, 0.22), rgb("fff0a0"), 0.15), far=far)
    nuts = [ellipse(lean + dx, -0.765 + dy, 0.03) for dx, dy in ((-0.03, 0), (0.03, 0.005))]
    brush.mark(together(nuts), rgb("6e4a2c"), far=far)


def _frond(start: Point, end: Point, share: float = 1.0) -> skia.Path:
    """Return a leaf that rises and then hangs; `share` of its width."""
    (x, y), (u, v) = start, end
    rise = min(y, v) - 0.13
    path = skia.Path()
    path.moveTo(x, y)
    path.quadTo(x + (u - x) * 0.5, rise, u, v)
    path.quadTo(x + (u - x) * 0.5, rise + 0.17 * share, x, y + 0.02)
    path.close()
    return path


_TREES: dict[str, tuple[Callable[[Brush, float], None], float]] = {
    "oak": (_oak, 0.6),
    "birch": (_birch, 0.35),
    "poplar": (_poplar, 0.26),
    "pine": (_pine, 0.5),
    "palm": (_palm, 0.4),
}


# ------------------------------------------------------------------ many trees at once


def draw_wood(
    brush: Brush, kind: str, y: float, height: float, far: float, span: Point = (-0.03, 1.03),
    slope: Callable[[float], float] = lambda x: 0.0,
) -> None:  # fmt: skip
    """Draw the edge of a wood as one shape, unless the picture is to be without trees.

    Args:
        brush: draws it.
        kind: "leaf", "pine" or "mixed".
        y: where its feet are.
        height: of its trees.
        far: how far it is, 0..1.
        span: its left and its right end.
        slope: what is added to y at an x.
    """
    if not brush.trees:
        return
    left, right = span
    count = max(int((right - left) / (height * 0.42)), 3)
    crowns, cones, tips = [], [], []
    for i in range(count):
        at = (i + brush.between(0.2, 0.8)) / count
        x, size = left + (right - left) * at, height * brush.between(0.72, 1.12)
        foot = y + slope(x)
        if kind == "pine" or (kind == "mixed" and brush.chance(0.35)):
            cones.append(
                polygon([(x, foot - size), (x + size * 0.3, foot), (x - size * 0.3, foot)])
            )
            continue
        r = size * 0.36
        crowns.append(ellipse(x, foot - size * 0.56, r, size * 0.42))
        tips.append(ellipse(x + r * 0.25 * brush.sky.sun, foot - size * 0.66, r * 0.7, size * 0.26))
    base = [y + slope(left + (right - left) * i / 6) - height * 0.3 for i in range(7)]
    body = blob([(left + (right - left) * i / 6, h) for i, h in enumerate(base)], closed=False)
    body.lineTo(right, y + slope(right) + 0.01)
    body.lineTo(left, y + slope(left) + 0.01)
    body.close()
    green = shade(FIR, 0.06) if kind == "pine" else leaf_color(brush)
    if brush.winter:
        green = mix(green, rgb("9aa5b8"), 0.5)
    with brush.canvas.segment("tree-merged"):
        if kind != "pine":
            brush.fill(together([body, *crowns]), shade(green, -0.16), far=far)
            brush.mark(together(tips), mix(green, SNOW, 0.3) if brush.winter else green, far=far)
        if cones:
            dark = mix(shade(FIR, -0.05), green, 0.2)
            brush.fill(together([body, *cones] if kind == "pine" else cones), dark, far=far)
