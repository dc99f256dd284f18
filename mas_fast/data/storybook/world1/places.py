"""The places of the storybook: the ground that figures stand on, and the landscape behind them.

Each fits `words.PLACES`: a figure whose feet are at a y named there stands on the class of that
part.
"""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from mas_fast.data.storybook.canvas import (
    Canvas,
    blob,
    box,
    ellipse,
    ground,
    polygon,
    rgb,
    shade,
    together,
)
from mas_fast.data.storybook.world1.plants import (
    draw_bush,
    draw_cactus,
    draw_flowers,
    draw_tree,
    draw_wood,
    far,
    grass_tufts,
)
from mas_fast.data.storybook.world1.scenery import (
    GRASS,
    SEA,
    around,
    choose_horizon,
    choose_side,
    draw_field,
    draw_hills,
    draw_mountains,
    draw_rocks,
    draw_sea,
    draw_tufts,
    draw_waves,
)
from mas_fast.data.storybook.world1.structures import (
    draw_barn,
    draw_bridge,
    draw_fence,
    draw_houses,
    draw_roadway,
    draw_track,
)

SAND, ASPHALT = rgb("efd9a2"), rgb("80838b")
LAKE, RIVER = rgb("62b4cc"), rgb("6cbfe0")


def draw_place(canvas: Canvas, place: str, season: str, generator: Generator) -> None:
    """Draw everything behind the figures except the sky."""
    _PLACES[place](canvas, season, generator)


def draw_foreground(canvas: Canvas, place: str, season: str, generator: Generator) -> None:
    """Draw the plants at the lower border, in front of the figures."""
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
        draw_flowers(canvas, x, 1.01, 0.075, season, generator)


# ------------------------------------------------------------------ the places


def _meadow(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_hills(canvas, season, y, generator)
    draw_field(canvas, season, [y + generator.uniform(0.0, 0.05) for _ in range(4)])
    draw_tree(canvas, "round", around(side, 0.36), y + 0.12, 0.32, season, generator)
    if generator.random() < 0.6:
        kind = ("round", "poplar")[generator.integers(2)]
        draw_tree(canvas, kind, around(-side, 0.33), y + 0.07, 0.2, season, generator, 0.15)
    rise = side * 0.025
    draw_field(canvas, season, [0.66 - rise, 0.69, 0.66, 0.67 + rise])
    draw_tufts(canvas, season, 0.7, 0.98, generator)
    if season in ("spring", "summer"):
        for offset, low in ((0.3, 0.73), (-0.28, 0.72)):
            draw_flowers(canvas, around(side, offset), low, 0.065, season, generator)


def _farm(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_hills(canvas, season, y, generator)
    draw_field(canvas, season, [y + 0.01, y, y + 0.01])
    if season != "winter":  # furrows that meet far off
        crop = {"summer": "e3c65c", "spring": "86bd55", "autumn": "b98a52"}[season]
        middle, rows = around(-side, 0.12), []
        for i in range(-6, 7, 2):
            far_x, near_x = middle + i * 0.035, middle + i * 0.13
            rows.append(polygon([(far_x, y + 0.015), (far_x + 0.035, y + 0.015),
                                 (near_x + 0.13, 0.69), (near_x, 0.69)]))  # fmt: skip
        canvas.mark(together(rows), rgb(crop), alpha=0.85)
    draw_barn(canvas, around(side, 0.33), y + 0.06, 0.2, season == "winter")
    draw_tree(canvas, "round", around(-side, 0.42), y + 0.06, 0.2, season, generator, 0.1)
    draw_field(canvas, season, [0.68, 0.675, 0.68])
    draw_fence(canvas, 0.7, 0.11, rgb(("f1ebdc", "a97a4c")[generator.integers(2)]))
    draw_tufts(canvas, season, 0.74, 0.98, generator)


def _park(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_wood(canvas, ("round",), y + 0.04, 0.2, 8, season, generator, 0.35)
    draw_field(canvas, season, [y, y + 0.01, y])
    bend = [
        (around(side, o), d) for o, d in ((-0.56, 0.6), (-0.2, 0.585), (0.1, 0.64), (0.56, 0.63))
    ]
    back = [
        (around(side, o), d) for o, d in ((0.56, 0.71), (0.08, 0.7), (-0.22, 0.635), (-0.56, 0.65))
    ]
    with canvas.segment("pavement-merged"):
        canvas.fill(blob([*bend, *back]), rgb("e0cfae"), to=rgb("cdb894"))
    draw_tree(canvas, "round", around(side, 0.38), y + 0.09, 0.36, season, generator)
    draw_tree(canvas, "round", around(-side, 0.4), y + 0.07, 0.3, season, generator, 0.05)
    draw_bush(canvas, around(-side, 0.24), y + 0.06, 0.07, season, generator)
    draw_bush(canvas, around(side, 0.18), y + 0.05, 0.06, season, generator)
    draw_tufts(canvas, season, 0.73, 0.98, generator, 8)
    if season in ("spring", "summer"):
        draw_flowers(canvas, around(-side, 0.28), 0.73, 0.065, season, generator)


def _forest(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
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
    draw_wood(canvas, kinds, y + 0.06, 0.36, 6, season, generator, 0.15)
    draw_field(canvas, season, [y + 0.05, y + 0.04, y + 0.05])
    if season != "winter":  # in the shade of the trees
        canvas.mark(ground([y + 0.05, y + 0.04, y + 0.05]), rgb("4a6b3a"), alpha=0.25)
    for offset, size in ((0.42, 0.74), (-0.44, 0.66)):
        kind = "fir" if season == "winter" or generator.random() < 0.35 else "round"
        draw_tree(canvas, kind, around(side, offset), 0.7 if size > 0.7 else 0.66, size, season,
                  generator)  # fmt: skip
    draw_bush(canvas, around(side, 0.24), y + 0.09, 0.07, season, generator)
    draw_tufts(canvas, season, 0.72, 0.98, generator, 8)


def _mountain(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    tops = ((0.26, 0.12, 0.3), (0.3, 0.13, 0.22))[generator.integers(2)]
    draw_mountains(canvas, y + 0.03, generator, tops[::side])
    draw_field(canvas, season, [y + 0.03, y, y + 0.02, y + 0.01], 0.2)
    draw_wood(canvas, ("fir",), y + 0.07, 0.12, 12, season, generator, 0.25)
    draw_field(canvas, season, [y + 0.05, y + 0.07, y + 0.05])
    for offset, size in ((0.38, 0.3), (0.45, 0.24), (-0.42, 0.22)):
        draw_tree(
            canvas, "fir", around(side, offset), y + 0.14 - size * 0.1, size, season, generator
        )
    draw_rocks(canvas, around(-side, 0.3), 0.68, 0.05)
    draw_tufts(canvas, season, 0.7, 0.98, generator)


def _lake(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    if generator.random() < 0.5:
        draw_mountains(canvas, y, generator, (0.34, 0.27, 0.35)[::side])
    else:
        draw_hills(canvas, season, y, generator)
    draw_wood(canvas, ("round", "fir", "round"), y + 0.035, 0.14, 11, season, generator, 0.22)
    draw_field(canvas, season, [y + 0.02, y + 0.015, y + 0.02], 0.15)
    with canvas.segment("water-other"):
        canvas.fill(box(0, y + 0.045, 1, 0.9), shade(LAKE, 0.35), to=shade(LAKE, -0.12))
        mirror = [
            (-0.1, y + 0.04),
            (1.1, y + 0.04),
            (0.8, y + 0.08),
            (0.5, y + 0.09),
            (0.2, y + 0.08),
        ]
        canvas.mark(blob(mirror), rgb("3f8672"), alpha=0.3)
        draw_waves(canvas, y + 0.09, 0.74, generator, 7)
    draw_field(canvas, season, [0.75 - side * 0.03, 0.775, 0.765, 0.75 + side * 0.03])
    if season != "winter":
        reeds = [(around(side, 0.42) + dx, 0.79) for dx in (-0.06, -0.03, 0.0, 0.03, 0.06)]
        stems = [
            box(rx - 0.004, 0.68 + 0.02 * (i % 2), rx + 0.004, 0.79)
            for i, (rx, _) in enumerate(reeds)
        ]
        heads = [
            box(rx - 0.01, 0.67 + 0.02 * (i % 2), rx + 0.01, 0.715 + 0.02 * (i % 2), 0.01)
            for i, (rx, _) in enumerate(reeds)
        ]
        canvas.mark(together([*stems, grass_tufts(reeds, 0.05)]), rgb("4f7f3d"))
        canvas.mark(together(heads), rgb("7a5232"))
    draw_tufts(canvas, season, 0.82, 0.98, generator, 8)


def _river(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_hills(canvas, season, y, generator)
    draw_field(canvas, season, [y + 0.01, y, y + 0.01])
    draw_tree(canvas, "poplar", around(-side, 0.4), y + 0.06, 0.26, season, generator, 0.1)
    draw_tree(canvas, "round", around(-side, 0.31), y + 0.06, 0.17, season, generator, 0.1)
    draw_tree(canvas, "round", around(side, 0.42), y + 0.045, 0.2, season, generator, 0.1)
    upper = [(0.1, y + 0.008), (0.02, y + 0.025), (0.18, 0.555), (-0.1, 0.575), (-0.56, 0.565)]
    lower = [(-0.56, 0.72), (-0.25, 0.685), (0.05, 0.72), (0.3, 0.7), (0.56, 0.72), (0.56, 0.58)]
    near = [(0.36, 0.555), (0.17, y + 0.03), (0.18, y + 0.008)]
    with canvas.segment("river"):
        bend = [(around(side, o), d) for o, d in (*upper, *lower, *near)]
        canvas.mark(blob([(x, d + 0.02) for x, d in bend]), rgb("d8bd84"))
        canvas.fill(blob(bend), shade(RIVER, 0.3), to=shade(RIVER, -0.15))
        draw_waves(canvas, 0.6, 0.68, generator, 6)
    draw_rocks(canvas, around(side, 0.4), 0.74, 0.06)
    draw_rocks(canvas, around(-side, 0.41), 0.65, 0.04)
    draw_tufts(canvas, season, 0.77, 0.98, generator, 8)


def _beach(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_sea(canvas, y, 0.78, generator, 9)
    with canvas.segment("sand"):
        shore = [0.74 + side * 0.03, 0.755, 0.735, 0.75 - side * 0.02]
        canvas.mark(ground([h - 0.022 for h in shore]), rgb("ffffff"), alpha=0.85)
        canvas.fill(ground(shore), shade(SAND, 0.1), to=shade(SAND, -0.14))
        canvas.mark(ground([h + 0.02 for h in shore], 0.78), shade(SAND, -0.25), alpha=0.12)
        specks = [ellipse(x, 0.8 + 0.18 * d, 0.006) for x, d in generator.random((10, 2))]
        canvas.mark(together(specks), shade(SAND, -0.3))
    if generator.random() < 0.55:
        draw_tree(canvas, "palm", around(side, 0.43), 0.8, 0.58, season, generator)
    elif generator.random() < 0.6:
        draw_rocks(canvas, around(side, 0.42), 0.79, 0.07)


def _sea(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    if generator.random() < 0.4:  # an island far off
        with canvas.segment("mountain-merged"):
            x = around(side, 0.33)
            hill = [
                (x - 0.17, y + 0.02),
                (x - 0.06, y - 0.06),
                (x + 0.04, y - 0.09),
                (x + 0.17, y + 0.02),
            ]
            canvas.fill(blob(hill), far(rgb("6f9a86"), 0.35))
    draw_sea(canvas, y, 0.98, generator, 10)
    with canvas.segment("sea"):
        for k, top in enumerate((0.66, 0.8, 0.92)):  # swell
            crest = [top + 0.014 * (-1) ** i for i in range(7 + k % 2)]
            canvas.mark(ground(crest), shade(SEA, -0.1 - 0.1 * k), to=shade(SEA, -0.3), alpha=0.55)


def _desert(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    sand = rgb("e8b765")
    if generator.random() < 0.5:  # a table mountain
        with canvas.segment("rock-merged"):
            x, color = around(side, 0.3), far(rgb("b8694a"), 0.3)
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
    draw_rocks(canvas, around(-side, 0.38), 0.71, 0.08, rgb("b07c58"))
    if generator.random() < 0.6:
        draw_cactus(canvas, around(side, 0.41), 0.7, 0.26)


def _snow(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_hills(canvas, "winter", y, generator)
    draw_wood(canvas, ("fir",), y + 0.05, 0.14, 11, "winter", generator, 0.4)
    draw_field(canvas, "winter", [y + 0.02, y + 0.05, y + 0.03, y + 0.04])
    for offset, depth, size in ((0.4, 0.14, 0.36), (0.27, 0.09, 0.2), (-0.4, 0.11, 0.27)):
        draw_tree(canvas, "fir", around(side, offset), y + depth, size, "winter", generator)
    drifts = [blob([(x - 0.16, d), (x, d - 0.025), (x + 0.16, d), (x, d + 0.006)])
              for x, d in ((around(side, -0.2), 0.73), (around(side, 0.25), 0.95))]  # fmt: skip
    canvas.mark(together(drifts), rgb("bccde0"), alpha=0.7)


def _road(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_hills(canvas, season, y, generator)
    draw_field(canvas, season, [y + 0.01, y + 0.03, y + 0.01])
    draw_tree(canvas, "poplar", around(side, 0.44), y + 0.12, 0.3, season, generator)
    draw_tree(canvas, "poplar", around(side, 0.34), y + 0.1, 0.25, season, generator, 0.08)
    draw_tree(canvas, "round", around(-side, 0.42), y + 0.1, 0.2, season, generator, 0.08)
    draw_tufts(canvas, season, y + 0.1, 0.74, generator, 8)
    with canvas.segment("road"):
        draw_roadway(canvas, 0.77, 0.955, ASPHALT)
    draw_tufts(canvas, season, 0.97, 1.0, generator, 5)


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
        draw_roadway(canvas, 0.805, 1.03, shade(ASPHALT, -0.05))


def _bridge(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_hills(canvas, season, y, generator)
    draw_field(canvas, season, [y + 0.01, y, y + 0.01])
    draw_tree(canvas, "round", around(side, 0.42), y + 0.08, 0.24, season, generator, 0.08)
    draw_tree(canvas, "poplar", around(-side, 0.4), y + 0.08, 0.26, season, generator, 0.08)
    with canvas.segment("river"):
        bend = [(0.14, y + 0.008), (0.05, y + 0.025), (0.08, 0.56), (-0.2, 0.62), (-0.3, 0.68)]
        bend += [(0.4, 0.68), (0.28, 0.62), (0.3, 0.56), (0.16, y + 0.03), (0.21, y + 0.008)]
        canvas.fill(blob([(around(side, o), d) for o, d in bend]), shade(RIVER, 0.3))
        canvas.fill(box(-0.02, 0.7, 1.02, 1.02), shade(RIVER, 0.1), to=shade(RIVER, -0.2))
        shadow = box(-0.02, 0.74, 1.02, 0.83)
        canvas.mark(shadow, rgb("2f5f74"), to=rgb("6cbfe0"), alpha=0.45)
        draw_waves(canvas, 0.86, 0.98, generator, 7)
    draw_bridge(canvas, 0.66, generator)


def _railway(canvas: Canvas, season: str, generator: Generator) -> None:
    y, side = choose_horizon(generator), choose_side(generator)
    draw_hills(canvas, season, y, generator)
    draw_wood(canvas, ("round", "fir"), y + 0.045, 0.14, 11, season, generator, 0.3)
    draw_field(canvas, season, [y + 0.02, y + 0.03, y + 0.02])
    draw_tree(canvas, "round", around(side, 0.41), y + 0.12, 0.28, season, generator)
    draw_bush(canvas, around(-side, 0.4), y + 0.15, 0.07, season, generator)
    draw_tufts(canvas, season, y + 0.14, 0.76, generator, 9)
    draw_track(canvas, 0.85)
    draw_tufts(canvas, season, 0.96, 1.0, generator, 5)


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
