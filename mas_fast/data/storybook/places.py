"""The places of the storybook: the ground that figures stand on, and what lies behind them.

Each fits `words.PLACES`: whoever has the feet at a y named there stands on the class of that part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    Color,
    blob,
    box,
    ellipse,
    ground,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.plants import (
    SNOW,
    draw_bush,
    draw_flowers,
    draw_tree,
    far,
    grass_tufts,
)
from mas_fast.data.storybook.structures import (
    draw_barn,
    draw_bridge,
    draw_fence,
    draw_houses,
    draw_track,
)

GRASS = {"summer": "8cc457", "spring": "a3d468", "autumn": "c4b458"}
HORIZONS = (0.46, 0.49, 0.52)
SAND, ROCK, ASPHALT = rgb("efd9a2"), rgb("9a9088"), rgb("80838b")
SEA, LAKE, RIVER = rgb("3b9fc4"), rgb("62b4cc"), rgb("6cbfe0")


def draw_place(canvas: Canvas, place: str, season: str, generator: Generator) -> None:
    """All that is behind the figures but the sky."""
    _PLACES[place](canvas, season, generator)


def draw_foreground(canvas: Canvas, place: str, season: str, generator: Generator) -> None:
    """What grows at the lower border, before the figures."""
    if place in ("sea", "street", "bridge", "desert", "snow"):
        return
    if place == "beach":
        for x in generator.uniform(0.05, 0.95, 3):
            canvas.mark(ellipse(x, 0.97, 0.02, 0.014), rgb("f7efe0"))
        return
    at = [(x + generator.uniform(-0.05, 0.05), 1.0) for x in (0.08, 0.3, 0.52, 0.72, 0.93)]
    color = shade(rgb("b9c7d4"), -0.1) if season == "winter" else shade(rgb(GRASS[season]), -0.3)
    canvas.mark(grass_tufts(at, 0.045), color)
    if season in ("spring", "summer") and place != "road" and generator.random() < 0.6:
        x = generator.choice((0.12, 0.85)) + generator.uniform(-0.04, 0.04)
        draw_flowers(canvas, x, 1.01, 0.065, season, generator)


# ------------------------------------------------------------------ what places share


def _horizon(generator: Generator) -> float:
    return HORIZONS[generator.integers(len(HORIZONS))]


def _side(generator: Generator) -> int:
    """-1 left or 1 right: what else differs between two pictures of a place."""
    return 1 if generator.random() < 0.5 else -1


def _around(side: int, offset: float) -> float:
    return 0.5 + side * offset


def _field(canvas: Canvas, season: str, heights: Sequence[float], distance: float = 0.0) -> None:
    """Grass below the curve through `heights`; snow in winter."""
    if season == "winter":
        with canvas.segment("snow"):
            canvas.fill(ground(heights), far(SNOW, distance), to=rgb("cfdceb"))
    else:
        color = far(rgb(GRASS[season]), distance)
        with canvas.segment("grass-merged"):
            canvas.fill(ground(heights), shade(color, 0.12), to=shade(color, -0.2))


def _tufts(
    canvas: Canvas, season: str, top: float, bottom: float, generator: Generator, count: int = 12
) -> None:
    """A little texture, larger where it is nearer."""
    color = rgb("b4c4d6") if season == "winter" else shade(rgb(GRASS[season]), -0.22)
    spots = [(x, top + (bottom - top) * y) for x, y in generator.random((count, 2))]
    middle = (top + bottom) / 2
    canvas.mark(grass_tufts([s for s in spots if s[1] < middle], 0.016), color, alpha=0.7)
    canvas.mark(grass_tufts([s for s in spots if s[1] >= middle], 0.026), color, alpha=0.7)


def _hills(canvas: Canvas, season: str, y: float, generator: Generator) -> None:
    """Two rows of them, up to the horizon at y."""
    for distance, rise in ((0.5, 0.06), (0.25, 0.03)):
        heights = [y - generator.uniform(0, rise * 1.6) for _ in range(4)]
        _field(canvas, season, heights, distance)


def _mountains(canvas: Canvas, y: float, generator: Generator, tops: Sequence[float]) -> None:
    """Peaks with feet at y, the highest in front."""
    count = len(tops)
    shift = generator.uniform(-0.08, 0.08)
    peaks = [((i + 0.5) / count + shift, top + generator.uniform(-0.03, 0.03))
             for i, top in enumerate(tops)]  # fmt: skip
    with canvas.segment("mountain-merged"):
        canvas.fill(ground([y - 0.06, y - 0.1, y - 0.05, y - 0.09], y), far(rgb("7e8fa8"), 0.4))
        for x, top in sorted(peaks, key=lambda peak: -peak[1]):
            rise = y + 0.03 - top
            half, color = rise * 0.78, far(rgb("71819c"), 0.42 - 0.9 * (0.42 - top))
            canvas.fill(polygon([(x - half, y + 0.03), (x, top), (x + half, y + 0.03)]),
                        color, to=shade(color, 0.12))  # fmt: skip
            ridge = [(x, top), (x + half, y + 0.03), (x + half * 0.12, y + 0.03)]
            bend = [(x + half * 0.2, top + rise * 0.7), (x - half * 0.02, top + rise * 0.4)]
            canvas.mark(polygon([*ridge, *bend]), shade(color, -0.2), alpha=0.7)
            cap = [
                (x, top),
                (x + half * 0.34, top + rise * 0.34),
                (x + half * 0.15, top + rise * 0.28),
            ]
            cap += [(x, top + rise * 0.4), (x - half * 0.15, top + rise * 0.27)]
            canvas.mark(polygon([*cap, (x - half * 0.34, top + rise * 0.34)]), SNOW)


def _wood(
    canvas: Canvas, season: str, y: float, generator: Generator, kinds: Sequence[str],
    height: float, count: int = 8, distance: float = 0.3,
) -> None:  # fmt: skip
    """A row of trees across the picture, with feet at y."""
    for i in range(count):
        x = (i + 0.5 + generator.uniform(-0.25, 0.25)) / count
        kind = kinds[generator.integers(len(kinds))]
        size = height * generator.uniform(0.85, 1.15)
        draw_tree(canvas, kind, x, y, size, season, generator, distance)


def _waves(canvas: Canvas, top: float, bottom: float, generator: Generator, count: int) -> None:
    """Light crests, longer where they are nearer."""
    crests = []
    for x, share in generator.random((count, 2)):
        y, size = top + (bottom - top) * share, 0.03 + 0.05 * share
        crests.append(
            blob([(x - size, y), (x, y - size * 0.22), (x + size, y), (x, y - size * 0.06)])
        )
    canvas.mark(together(crests), rgb("ffffff"), alpha=0.5)


def _rocks(canvas: Canvas, x: float, y: float, size: float, color: Color = ROCK) -> None:
    with canvas.segment("rock-merged"), canvas.at(x, y, size):
        canvas.shadow(2.2, 0.2, 0.2)
        small = [(0.35, 0), (0.45, -0.42), (0.75, -0.5), (1.0, -0.2), (1.05, 0)]
        canvas.fill(polygon(small), shade(color, -0.12))
        big = [(-0.8, 0), (-0.72, -0.5), (-0.3, -0.95), (0.2, -0.8), (0.5, -0.35), (0.55, 0)]
        canvas.fill(polygon(big), shade(color, 0.1), to=shade(color, -0.2))
        canvas.mark(polygon([big[2], big[3], (-0.05, -0.5), (-0.45, -0.45)]), shade(color, 0.3))


# ------------------------------------------------------------------ the places


def _meadow(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _hills(canvas, season, y, generator)
    _field(canvas, season, [y + generator.uniform(0.0, 0.05) for _ in range(4)])
    draw_tree(canvas, "round", _around(side, 0.36), y + 0.12, 0.32, season, generator)
    if generator.random() < 0.6:
        kind = ("round", "poplar")[generator.integers(2)]
        draw_tree(canvas, kind, _around(-side, 0.33), y + 0.07, 0.2, season, generator, 0.15)
    _tufts(canvas, season, y + 0.12, 0.98, generator)
    if season in ("spring", "summer"):
        for offset, depth in ((0.3, 0.16), (-0.22, 0.2)):
            draw_flowers(canvas, _around(side, offset), y + depth, 0.045, season, generator)


def _farm(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _hills(canvas, season, y, generator)
    _field(canvas, season, [y + 0.01, y, y + 0.01])
    if season != "winter":  # furrows that meet far off
        crop = {"summer": "e3c65c", "spring": "86bd55", "autumn": "b98a52"}[season]
        middle, rows = _around(-side, 0.12), []
        for i in range(-6, 7, 2):
            far_x, near_x = middle + i * 0.035, middle + i * 0.13
            rows.append(polygon([(far_x, y + 0.015), (far_x + 0.035, y + 0.015),
                                 (near_x + 0.13, 0.69), (near_x, 0.69)]))  # fmt: skip
        canvas.mark(together(rows), rgb(crop), alpha=0.85)
    draw_barn(canvas, _around(side, 0.33), y + 0.06, 0.2, season == "winter")
    draw_tree(canvas, "round", _around(-side, 0.42), y + 0.06, 0.2, season, generator, 0.1)
    _field(canvas, season, [0.68, 0.675, 0.68])
    draw_fence(canvas, 0.7, 0.11, rgb(("f1ebdc", "a97a4c")[generator.integers(2)]))
    _tufts(canvas, season, 0.74, 0.98, generator)


def _park(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _wood(canvas, season, y + 0.03, generator, ("round",), 0.2, 7, 0.35)
    _field(canvas, season, [y, y + 0.01, y])
    bend = [
        (_around(side, o), d) for o, d in ((-0.56, 0.6), (-0.2, 0.585), (0.1, 0.64), (0.56, 0.63))
    ]
    back = [
        (_around(side, o), d) for o, d in ((0.56, 0.71), (0.08, 0.7), (-0.22, 0.635), (-0.56, 0.65))
    ]
    with canvas.segment("pavement-merged"):
        canvas.fill(blob([*bend, *back]), rgb("e0cfae"), to=rgb("cdb894"))
    draw_tree(canvas, "round", _around(side, 0.38), y + 0.09, 0.36, season, generator)
    draw_tree(canvas, "round", _around(-side, 0.4), y + 0.07, 0.3, season, generator, 0.05)
    draw_bush(canvas, _around(-side, 0.24), y + 0.06, 0.07, season, generator)
    draw_bush(canvas, _around(side, 0.18), y + 0.05, 0.06, season, generator)
    _tufts(canvas, season, 0.73, 0.98, generator, 8)
    if season in ("spring", "summer"):
        draw_flowers(canvas, _around(-side, 0.28), 0.74, 0.055, season, generator)


def _forest(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    kinds = ("fir",) if season == "winter" else ("round", "fir", "round")
    with canvas.segment("tree-merged"):  # the depth of the wood
        deep = {"summer": "3f7a4c", "spring": "5c9a58", "autumn": "a8622f", "winter": "6d8790"}[
            season
        ]
        crowns = ground([0.2 + generator.uniform(-0.04, 0.04) for _ in range(9)], y + 0.1)
        canvas.fill(crowns, far(rgb(deep), 0.35), to=far(rgb(deep), 0.1))
        stems = []
        for i in range(9):
            x = (i + generator.uniform(0.2, 0.8)) / 9
            stems.append(box(x - 0.01, 0.32, x + 0.01, y + 0.1))
        canvas.mark(together(stems), shade(rgb(deep), -0.35), alpha=0.5)
    _wood(canvas, season, y + 0.06, generator, kinds, 0.34, 6, 0.15)
    _field(canvas, season, [y + 0.05, y + 0.04, y + 0.05])
    if season != "winter":  # in the shade of the trees
        canvas.mark(ground([y + 0.05, y + 0.04, y + 0.05]), rgb("4a6b3a"), alpha=0.25)
    for offset, size in ((0.42, 0.74), (-0.44, 0.66)):
        kind = "fir" if season == "winter" or generator.random() < 0.35 else "round"
        draw_tree(canvas, kind, _around(side, offset), 0.7 if size > 0.7 else 0.66, size, season,
                  generator)  # fmt: skip
    draw_bush(canvas, _around(side, 0.24), y + 0.09, 0.07, season, generator)
    _tufts(canvas, season, 0.72, 0.98, generator, 8)


def _mountain(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    tops = ((0.26, 0.12, 0.3), (0.3, 0.13, 0.22))[generator.integers(2)]
    _mountains(canvas, y + 0.03, generator, tops[::side])
    _field(canvas, season, [y + 0.03, y, y + 0.02, y + 0.01], 0.2)
    _wood(canvas, season, y + 0.06, generator, ("fir",), 0.11, 9, 0.25)
    _field(canvas, season, [y + 0.05, y + 0.07, y + 0.05])
    for offset, size in ((0.38, 0.3), (0.45, 0.24), (-0.42, 0.22)):
        draw_tree(
            canvas, "fir", _around(side, offset), y + 0.14 - size * 0.1, size, season, generator
        )
    _rocks(canvas, _around(-side, 0.3), 0.68, 0.05)
    _tufts(canvas, season, 0.7, 0.98, generator)


def _lake(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    if generator.random() < 0.5:
        _mountains(canvas, y, generator, (0.34, 0.27, 0.35)[::side])
    else:
        _hills(canvas, season, y, generator)
    _wood(canvas, season, y + 0.03, generator, ("round", "fir", "poplar"), 0.14, 9, 0.2)
    _field(canvas, season, [y + 0.02, y + 0.015, y + 0.02], 0.15)
    with canvas.segment("water-other"):
        canvas.fill(box(0, y + 0.045, 1, 0.9), shade(LAKE, 0.35), to=shade(LAKE, -0.12))
        mirror = ground([y + 0.045] * 2, y + 0.045 + 0.03)
        canvas.mark(mirror, rgb("4f8f7c"), alpha=0.35)
        _waves(canvas, y + 0.09, 0.74, generator, 7)
    _field(canvas, season, [0.75 - side * 0.03, 0.775, 0.765, 0.75 + side * 0.03])
    if season != "winter":
        spots = [(_around(side, 0.42) + dx, 0.79) for dx in (-0.06, -0.02, 0.02, 0.06)]
        canvas.mark(grass_tufts(spots, 0.07), rgb("5f8f45"))
    _tufts(canvas, season, 0.82, 0.98, generator, 8)


def _river(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _hills(canvas, season, y, generator)
    _field(canvas, season, [y + 0.01, y, y + 0.01])
    draw_tree(canvas, "poplar", _around(-side, 0.4), y + 0.06, 0.26, season, generator, 0.1)
    draw_tree(canvas, "round", _around(-side, 0.31), y + 0.06, 0.17, season, generator, 0.1)
    draw_tree(canvas, "round", _around(side, 0.42), y + 0.045, 0.2, season, generator, 0.1)
    upper = [(0.24, y + 0.005), (0.17, y + 0.025), (0.3, y + 0.05), (0.0, 0.565), (-0.56, 0.56)]
    lower = [(-0.56, 0.74), (-0.2, 0.71), (0.1, 0.755), (0.35, 0.74), (0.56, 0.75), (0.56, 0.585)]
    near = [(0.45, y + 0.055), (0.24, y + 0.025), (0.28, y + 0.005)]
    with canvas.segment("river"):
        bend = [(_around(side, o), d) for o, d in (*upper, *lower, *near)]
        canvas.mark(blob([(x, d + 0.012) for x, d in bend]), rgb("a98a5c"), alpha=0.6)
        canvas.fill(blob(bend), shade(RIVER, 0.3), to=shade(RIVER, -0.15))
        _waves(canvas, 0.6, 0.71, generator, 6)
    _rocks(canvas, _around(side, 0.4), 0.775, 0.05)
    _tufts(canvas, season, 0.79, 0.98, generator, 8)


def _beach(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _open_sea(canvas, y, 0.78, generator, 9)
    with canvas.segment("sand"):
        shore = [0.74 + side * 0.03, 0.755, 0.735, 0.75 - side * 0.02]
        canvas.mark(ground([h - 0.022 for h in shore]), rgb("ffffff"), alpha=0.85)
        canvas.fill(ground(shore), shade(SAND, 0.1), to=shade(SAND, -0.14))
        canvas.mark(ground([h + 0.02 for h in shore], 0.78), shade(SAND, -0.25), alpha=0.12)
        specks = [ellipse(x, 0.8 + 0.18 * d, 0.006) for x, d in generator.random((10, 2))]
        canvas.mark(together(specks), shade(SAND, -0.3))
    if generator.random() < 0.55:
        draw_tree(canvas, "palm", _around(side, 0.43), 0.8, 0.58, season, generator)
    elif generator.random() < 0.6:
        _rocks(canvas, _around(side, 0.42), 0.79, 0.07)


def _open_sea(canvas: Canvas, y: float, bottom: float, generator: Generator, waves: int) -> None:
    with canvas.segment("sea"):
        canvas.fill(box(0, y, 1, 1), shade(SEA, 0.3), to=shade(SEA, -0.28))
        _waves(canvas, y + 0.03, bottom - 0.03, generator, waves)


def _sea(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    if generator.random() < 0.4:  # an island far off
        with canvas.segment("mountain-merged"):
            x = _around(side, 0.33)
            hill = [
                (x - 0.17, y + 0.02),
                (x - 0.06, y - 0.06),
                (x + 0.04, y - 0.09),
                (x + 0.17, y + 0.02),
            ]
            canvas.fill(blob(hill), far(rgb("6f9a86"), 0.35))
    _open_sea(canvas, y, 0.98, generator, 10)
    with canvas.segment("sea"):
        for k, top in enumerate((0.66, 0.8, 0.92)):  # swell
            crest = [top + 0.014 * (-1) ** i for i in range(7 + k % 2)]
            canvas.mark(ground(crest), shade(SEA, -0.1 - 0.1 * k), to=shade(SEA, -0.3), alpha=0.55)


def _desert(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    sand = rgb("e8b765")
    if generator.random() < 0.5:  # a table mountain
        with canvas.segment("rock-merged"):
            x, color = _around(side, 0.3), far(rgb("b8694a"), 0.3)
            mesa = [
                (x - 0.17, y + 0.04),
                (x - 0.12, y - 0.15),
                (x + 0.1, y - 0.15),
                (x + 0.16, y + 0.04),
            ]
            canvas.fill(polygon(mesa), shade(color, 0.1), to=shade(color, -0.12))
            canvas.mark(box(x - 0.12, y - 0.11, x + 0.11, y - 0.085), shade(color, -0.2), alpha=0.6)
    with canvas.segment("sand"):
        dunes = ((0.35, 0.0, 0.07), (0.18, 0.09, 0.06), (0.0, 0.19, 0.05))
        for k, (distance, depth, rise) in enumerate(dunes):
            color = far(sand, distance)
            wave = [y + depth + rise * (0.5 if (i + k) % 2 == (side > 0) else -0.5)
                    + generator.uniform(-0.015, 0.015) for i in range(5)]  # fmt: skip
            canvas.fill(ground(wave), shade(color, 0.22), to=shade(color, -0.12))
            canvas.mark(ground([h + 0.035 for h in wave], 1), shade(color, -0.1), alpha=0.35)
    _rocks(canvas, _around(-side, 0.38), 0.71, 0.08, rgb("b07c58"))
    if generator.random() < 0.6:
        _cactus(canvas, _around(side, 0.41), 0.7, 0.26)


def _cactus(canvas: Canvas, x: float, y: float, height: float) -> None:
    green = rgb("4f8f55")
    with canvas.segment("tree-merged"), canvas.at(x, y, height):
        canvas.shadow(0.5, 0.08)
        arms = [box(-0.36, -0.5, 0.0, -0.38, 0.06), box(-0.36, -0.72, -0.24, -0.38, 0.06)]
        arms += [box(0.0, -0.4, 0.34, -0.28, 0.06), box(0.22, -0.64, 0.34, -0.28, 0.06)]
        canvas.fill(together([*arms, box(-0.09, -1, 0.09, 0.0, 0.09)]), green)
        canvas.mark(box(-0.05, -0.92, -0.01, -0.05, 0.02), shade(green, 0.3))


def _snow(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _hills(canvas, "winter", y, generator)
    _wood(canvas, "winter", y + 0.04, generator, ("fir",), 0.14, 6, 0.4)
    _field(canvas, "winter", [y + 0.02, y + 0.05, y + 0.03, y + 0.04])
    for offset, depth, size in ((0.4, 0.14, 0.36), (0.27, 0.09, 0.2), (-0.4, 0.11, 0.27)):
        draw_tree(canvas, "fir", _around(side, offset), y + depth, size, "winter", generator)
    drifts = [blob([(x - 0.16, d), (x, d - 0.025), (x + 0.16, d), (x, d + 0.006)])
              for x, d in ((_around(side, -0.2), 0.73), (_around(side, 0.25), 0.95))]  # fmt: skip
    canvas.mark(together(drifts), rgb("bccde0"), alpha=0.7)


def _road(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _hills(canvas, season, y, generator)
    _field(canvas, season, [y + 0.01, y + 0.03, y + 0.01])
    draw_tree(canvas, "poplar", _around(side, 0.44), y + 0.12, 0.3, season, generator)
    draw_tree(canvas, "poplar", _around(side, 0.34), y + 0.1, 0.25, season, generator, 0.08)
    draw_tree(canvas, "round", _around(-side, 0.42), y + 0.1, 0.2, season, generator, 0.08)
    _tufts(canvas, season, y + 0.1, 0.74, generator, 8)
    with canvas.segment("road"):
        _roadway(canvas, 0.77, 0.955, ASPHALT)
    _tufts(canvas, season, 0.97, 1.0, generator, 5)


def _roadway(canvas: Canvas, top: float, bottom: float, color: Color) -> None:
    """Across the picture, with a broken line in its middle."""
    canvas.fill(box(-0.02, top, 1.02, bottom), shade(color, 0.12), to=shade(color, -0.12))
    edges = [
        box(-0.02, top + 0.01, 1.02, top + 0.018),
        box(-0.02, bottom - 0.022, 1.02, bottom - 0.01),
    ]
    canvas.mark(together(edges), rgb("eceae2"), alpha=0.9)
    middle, dashes = top + (bottom - top) * 0.46, []
    for i in range(-3, 4):
        x, low = 0.5 + i * 0.19, 0.5 + i * 0.2
        points = [
            (x - 0.05, middle - 0.007),
            (x + 0.05, middle - 0.007),
            (low + 0.053, middle + 0.009),
        ]
        dashes.append(polygon([*points, (low - 0.053, middle + 0.009)]))
    canvas.mark(together(dashes), rgb("f2d873"))


def _street(canvas: Canvas, season: str, generator: Generator) -> None:
    draw_houses(canvas, 0.665, generator)
    with canvas.segment("pavement-merged"):
        stone = rgb("cfc6b8")
        canvas.fill(box(-0.02, 0.66, 1.02, 0.81), shade(stone, -0.08), to=shade(stone, 0.1))
        joints = []
        for i in range(-5, 6):
            x, low = 0.5 + i * 0.105, 0.5 + i * 0.122
            joints.append(
                polygon([(x, 0.662), (x + 0.007, 0.662), (low + 0.008, 0.78), (low, 0.78)])
            )
        joints.append(box(-0.02, 0.715, 1.02, 0.721))
        canvas.mark(together(joints), shade(stone, -0.25), alpha=0.6)
        canvas.fill(box(-0.02, 0.78, 1.02, 0.81), shade(stone, -0.22))  # the kerb
    with canvas.segment("road"):
        _roadway(canvas, 0.805, 1.03, shade(ASPHALT, -0.05))


def _bridge(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _hills(canvas, season, y, generator)
    _field(canvas, season, [y + 0.01, y, y + 0.01])
    draw_tree(canvas, "round", _around(side, 0.42), y + 0.08, 0.24, season, generator, 0.08)
    draw_tree(canvas, "poplar", _around(-side, 0.4), y + 0.08, 0.26, season, generator, 0.08)
    with canvas.segment("river"):
        x = _around(side, 0.05)
        bed = [(x - 0.05, y + 0.01), (x + 0.05, y + 0.01), (1.2, 0.76), (1.2, 1.02), (-0.2, 1.02)]
        canvas.fill(polygon([*bed, (-0.2, 0.76)]), shade(RIVER, 0.3), to=shade(RIVER, -0.2))
        shadow = box(-0.02, 0.74, 1.02, 0.83)
        canvas.mark(shadow, rgb("2f5f74"), to=rgb("6cbfe0"), alpha=0.45)
        _waves(canvas, 0.86, 0.98, generator, 7)
    draw_bridge(canvas, 0.66, generator)


def _railway(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = _horizon(generator), _side(generator)
    _hills(canvas, season, y, generator)
    _wood(canvas, season, y + 0.04, generator, ("round", "fir"), 0.13, 5, 0.25)
    _field(canvas, season, [y + 0.02, y + 0.03, y + 0.02])
    draw_tree(canvas, "round", _around(side, 0.41), y + 0.12, 0.28, season, generator)
    draw_bush(canvas, _around(-side, 0.4), y + 0.15, 0.07, season, generator)
    _tufts(canvas, season, y + 0.14, 0.76, generator, 9)
    draw_track(canvas, 0.85)
    _tufts(canvas, season, 0.96, 1.0, generator, 5)


_PLACES: dict[str, Callable[[Canvas, str, Generator], None]] = {
    "meadow": _meadow,
    "farm": _farm,
    "park": _park,
    "forest": _forest,
    "mountains": _mountain,
    "lake": _lake,
    "river": _river,
    "beach": _beach,
    "sea": _sea,
    "desert": _desert,
    "snow": _snow,
    "road": _road,
    "street": _street,
    "bridge": _bridge,
    "railway": _railway,
}
