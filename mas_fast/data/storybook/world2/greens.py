"""What grows low: bushes, flowers, tufts of grass, reeds, a cactus."""

from __future__ import annotations

from collections.abc import Sequence

import skia

from mas_fast.data.storybook.canvas import (
    Point,
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
from mas_fast.data.storybook.world2.plants import LEAVES, SNOW, leaf_color

PETALS = ("e8504a", "f8d648", "fbf7f0", "e07fd0", "f49a3c", "7f86e0")


def draw_bush(brush: Brush, x: float, y: float, height: float, far: float = 0.0) -> None:
    """Draw a low heap of leaves, twice as wide as high, unless there are to be no trees."""
    if not brush.trees:
        return
    color = mix(rgb("7d8f7e"), rgb("8d98a8"), 0.3) if brush.winter else leaf_color(brush)
    heaps = [(-0.6, -0.3, 0.38, 0.32), (0.6, -0.32, 0.4, 0.34), (-0.1, -0.52, 0.48, 0.46),
             (0.25, -0.44, 0.4, 0.4)]  # fmt: skip
    brush.shadow(x, y, 1.8 * height, 0.18 * (1 - far))
    with brush.canvas.segment("tree-merged"), brush.canvas.at(x, y, height):
        brush.solid(together(ellipse(*e) for e in heaps), color, far=far, depth=0.16)
        if brush.winter:
            brush.mark(ellipse(-0.05, -0.84, 0.42, 0.14), SNOW, far=far)


def draw_flowers(brush: Brush, x: float, y: float, height: float, far: float = 0.0) -> None:
    """Draw a bed of blossoms among leaves, three times as wide as high, where there may be any."""
    if not brush.flowers:
        return
    first, count = int(brush.generator.integers(len(PETALS))), 7
    with brush.canvas.segment("flower"), brush.canvas.at(x, y, height):
        bed = together(ellipse(bx, -0.3, 0.6, 0.32) for bx in (-0.85, 0.0, 0.85))
        brush.solid(bed, shade(rgb(LEAVES[brush.season][0]), -0.12), far=far)
        heads = [
            (
                -1.35 + 2.7 * (i + 0.5) / count + brush.between(-0.1, 0.1),
                (-0.46, -0.76)[i % 2] + brush.between(-0.06, 0.06),
            )
            for i in range(count)
        ]
        for turn in (0, 1):
            color = rgb(PETALS[(first + turn) % len(PETALS)])
            brush.fill(together(_petals(hx, hy, 0.21) for hx, hy in heads[turn::2]), color, far=far)
        hearts = together(ellipse(hx, hy, 0.085) for hx, hy in heads)
        brush.mark(hearts, rgb("f7c23c" if first != 1 else "b0682c"), far=far)


def draw_stalks(brush: Brush, x: float, y: float, height: float) -> None:
    """Draw tall flowers on leafy stems, where there may be any."""
    if not brush.flowers:
        return
    green = shade(rgb(LEAVES[brush.season][0]), -0.15)
    stems, heads = [], []
    for dx, size in ((-0.45, 0.72), (-0.22, 1.0), (0.02, 0.82), (0.24, 1.02), (0.46, 0.7)):
        dx += brush.between(-0.04, 0.04)
        stems.append(box(dx - 0.016, -size, dx + 0.016, 0.0))
        stems.append(ellipse(dx + 0.08, -size * 0.35, 0.09, 0.035))
        stems.append(ellipse(dx - 0.08, -size * 0.55, 0.08, 0.03))
        heads.append((dx, -size))
    color = rgb(brush.pick(PETALS))
    with brush.canvas.segment("flower"), brush.canvas.at(x, y, height):
        brush.fill(together(stems), green)
        brush.fill(together(_petals(hx, hy, 0.15) for hx, hy in heads), color)
        brush.mark(together(ellipse(hx, hy, 0.06) for hx, hy in heads), rgb("8a5630"))


def _petals(x: float, y: float, r: float) -> skia.Path:
    """Return five petals around a point."""
    spots = ((0, -1), (0.95, -0.31), (0.59, 0.81), (-0.59, 0.81), (-0.95, -0.31))
    return together(ellipse(x + dx * r * 0.62, y + dy * r * 0.62, r * 0.56) for dx, dy in spots)


def meadow_flowers(brush: Brush, top: float, bottom: float, count: int) -> None:
    """Scatter single blossoms over the grass, larger in the foreground, off the middle."""
    if not brush.flowers:
        return
    first = int(brush.generator.integers(len(PETALS)))
    rows: list[list[skia.Path]] = [[], []]
    stems = []
    for k, (x, share) in enumerate(brush.generator.random((count, 2))):
        x = 0.02 + 0.32 * x if k % 2 else 0.98 - 0.32 * x
        y, r = top + (bottom - top) * share, 0.006 + 0.008 * share
        stems.append(box(x - r * 0.16, y, x + r * 0.16, y + r * 2.4))
        rows[k // 2 % 2].append(_petals(x, y, r))
    with brush.canvas.segment("flower"):
        brush.mark(together(stems), shade(rgb(LEAVES[brush.season][0]), -0.25))
        for turn, heads in enumerate(rows):
            brush.fill(together(heads), rgb(PETALS[(first + turn) % len(PETALS)]))


def tufts(points: Sequence[Point], size: float) -> skia.Path:
    """Return tufts of grass with three bent blades at each point."""
    blades = []
    for x, y in points:
        for lean in (-0.75, -0.05, 0.7):
            path = skia.Path()
            path.moveTo(x + lean * size * 0.2 - size * 0.12, y)
            path.quadTo(x + lean * size * 0.3, y - size * 0.6, x + lean * size,
                        y - size * (1.05 - abs(lean) / 2.6))  # fmt: skip
            path.quadTo(
                x + lean * size * 0.5, y - size * 0.3, x + lean * size * 0.2 + size * 0.12, y
            )
            path.close()
            blades.append(path)
    return together(blades)


def draw_reeds(brush: Brush, x: float, y: float, height: float) -> None:
    """Draw a clump of reeds with brown heads at the edge of water."""
    green = rgb("c7b06a") if brush.season in ("autumn", "winter") else rgb("5f8f48")
    stems, heads = [], []
    for dx, size in ((-0.3, 0.75), (-0.14, 1.0), (0.02, 0.85), (0.17, 1.05), (0.32, 0.7)):
        dx += brush.between(-0.04, 0.04)
        tip = (dx * 1.35, -size)
        stems.append(limb([(dx * 0.7, 0.0), tip], 0.03))
        heads.append(limb([(tip[0], tip[1] + 0.02), (tip[0] * 0.97, tip[1] + 0.2)], 0.075))
    leaves = []
    for dx, lean in ((-0.35, -0.5), (-0.1, 0.35), (0.15, -0.3), (0.35, 0.5)):
        leaves.append(polygon([(dx - 0.04, 0), (dx + lean * 0.6, -0.62), (dx + 0.05, 0)]))
    with brush.canvas.segment("grass-merged"), brush.canvas.at(x, y, height):
        brush.fill(together([*stems, *leaves]), green, to=shade(green, -0.2))
        brush.fill(together(heads), rgb("7a5232"))


def draw_cactus(brush: Brush, x: float, y: float, height: float) -> None:
    """Draw a cactus with two arms, with its foot at (x, y), unless there are to be no trees."""
    if not brush.trees:
        return
    brush.shadow(x, y, 0.4 * height)
    turn = brush.side()
    arms = [limb([(0, -0.34), (-0.27 * turn, -0.4), (-0.29 * turn, -0.7)], 0.12),
            limb([(0, -0.24), (0.26 * turn, -0.29), (0.28 * turn, -0.56)], 0.12)]  # fmt: skip
    body = together([*arms, box(-0.09, -1, 0.09, 0.01, 0.09)])
    with brush.canvas.segment("tree-merged"), brush.canvas.at(x, y, height):
        brush.solid(body, rgb("5b9a5c"), depth=0.09, amount=0.28)
