"""figures.py: every kind of thing is drawn in its box, in its colour, in the light of its place."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box, rgb  # noqa: E402
from mas_fast.data.storybook.colors import COLORS  # noqa: E402
from mas_fast.data.storybook.world2 import (  # noqa: E402
    birds,
    cats,
    cycles,
    dogs,
    furniture,
    horses,
    leisure,
    people,
    street,
    wild_animals,
)
from mas_fast.data.storybook.world2.figures import FIGURES, draw_figure  # noqa: E402
from mas_fast.data.storybook.world2.kinds import KINDS  # noqa: E402
from mas_fast.data.storybook.world2.light import Sky  # noqa: E402
from mas_fast.data.storybook.world2.seats import LEGS, SEATS  # noqa: E402
from mas_fast.data.storybook.world2.stage import Placed  # noqa: E402
from mas_fast.data.storybook.world2.words import (  # noqa: E402
    AIR,
    GARMENTS,
    LAND,
    ON,
    PATTERNS,
    WATER,
)
from mas_fast.evaluation.faithfulness import lab  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES, LIP_NAMES  # noqa: E402

SIZE, FEET = 256, 0.75
GROUND = (0.62, 0.78, 0.52)


def placed(kind: str, **changes) -> Placed:
    """A thing in the middle of a picture, as high as there is room for it."""
    figure = KINDS[kind]
    height = min(0.6, 0.9 / max([figure.width, *figure.widths.values()]))
    color = figure.colors[0] if figure.colors else None
    part = next(iter(figure.heights))
    return replace(Placed(0, kind, color, part, height, 0.5, FEET), **changes)


def drawn(thing: Placed, seed: int = 0, sky: Sky = Sky(), **more) -> Canvas:  # noqa: B008
    canvas = Canvas(SIZE)
    with canvas.segment("wall-other-merged"):
        canvas.fill(box(0, 0, 1, 1), GROUND)
    draw_figure(canvas, thing, sky, np.random.default_rng(seed), **more)
    return canvas


def area(canvas: Canvas, kind: str) -> np.ndarray:
    """bool [SIZE, SIZE]: the figure's pixels."""
    return canvas.layers().panoptic == COCO_NAMES.index(KINDS[kind].label)


def test_each_kind_has_a_figure() -> None:
    assert set(FIGURES) == set(KINDS)


def poses(kind: str) -> list[str | None]:
    seated = {seat.poses[kind] for seat in SEATS.values() if kind in seat.poses}
    return [None, *KINDS[kind].poses, *sorted({*seated} - {None, *KINDS[kind].poses})]


@pytest.mark.parametrize(("kind", "pose"), [(k, pose) for k in KINDS for pose in poses(k)])
def test_it_stays_in_its_box(kind: str, pose: str | None) -> None:
    lowest = 0.0
    for seed in range(10):
        thing = placed(kind, pose=pose, facing=1 if seed % 2 else -1)
        rows, columns = np.nonzero(area(drawn(thing, seed), kind))
        bottom = ((rows.max() + 1) / SIZE - FEET) / thing.height
        top = (FEET - rows.min() / SIZE) / thing.height
        sides = (columns.min() / SIZE, (columns.max() + 1) / SIZE)
        assert max(abs(x - 0.5) for x in sides) <= thing.width / 2 + 3 / SIZE
        assert 0.4 < top < 1.08
        assert bottom < 0.04
        lowest = max(lowest, bottom)
    assert lowest > -0.02 or thing.part == AIR  # it does not float


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].colors])
def test_its_colour_is_the_named_one(kind: str) -> None:
    """Of the 11 colours no more than one other is commoner: that of tyres, leaves, pages."""
    names, table = list(COLORS), lab(np.array([rgb(code) for code in COLORS.values()]))
    for color in KINDS[kind].colors:
        for seed in range(6):
            canvas = drawn(placed(kind, color=color), seed)
            pixels, garment = area(canvas, kind), KINDS[kind].garment
            if garment:
                pixels = canvas.layers().human == LIP_NAMES.index(GARMENTS[garment])
            distances = np.square(lab(canvas.pixels()[pixels] / 255)[:, None] - table).sum(-1)
            shares = np.bincount(distances.argmin(1), minlength=len(names)) / pixels.sum()
            share = shares[names.index(color)]
            assert (shares > share).sum() <= 1
            assert share > (0.6 if garment else 0.15)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].patterned])
def test_patterns_are_seen(kind: str) -> None:
    plain = drawn(placed(kind), 1).pixels().astype(int)
    for pattern in PATTERNS:
        other = drawn(placed(kind, pattern=pattern), 1).pixels()
        assert (np.abs(plain - other).max(-1) > 40).sum() > 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_a_figure(kind: str) -> None:
    first, again, other = (drawn(placed(kind), seed).pixels() for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_name_it_has_a_colour_of_its_own(kind: str) -> None:
    assert area(drawn(placed(kind, color=None), 1), kind).any()
    for own in FIGURES[kind].natural:
        assert own in COLORS if isinstance(own, str) else max(own) <= 1


def test_only_what_stands_on_ground_has_a_shadow() -> None:
    for part, shaded in ((LAND, True), (AIR, False), (WATER, False), (ON, False)):
        canvas = drawn(placed("ball", part=part))
        around = canvas.pixels()[~area(canvas, "ball")].astype(int).sum(-1)
        assert ((around < 255 * sum(GROUND) - 40).sum() > 200) == shaded


@pytest.mark.parametrize("facing", [1, -1])
def test_the_shadow_lies_away_from_the_sun(facing) -> None:
    reach = []
    for sun in (-0.9, 0.9):
        canvas = drawn(placed("man", facing=facing), sky=Sky("dusk", sun=sun))
        dark = canvas.pixels().astype(int).sum(-1) < 255 * sum(GROUND) - 40
        columns = np.nonzero((dark & ~area(canvas, "man"))[180:200])[1]
        reach.append(columns.mean() / SIZE)
    assert reach[0] > 0.53
    assert reach[1] < 0.47


def test_far_things_are_hazy_and_night_is_dark() -> None:
    def color(**more) -> np.ndarray:
        thing = placed("ball", color="red", ground=more.pop("ground", 1.0))
        canvas = drawn(thing, sky=Sky(**more))
        return canvas.pixels()[area(canvas, "ball")].mean(0)

    near, far, night = color(), color(ground=0.58), color(hour="night")
    assert far[2] > near[2] + 30
    assert night.sum() < near.sum() - 50


def test_people_wear_coats_in_the_cold() -> None:
    for kind in ("man", "woman", "boy", "girl"):
        worn = [np.unique(drawn(placed(kind), cold=cold).layers().human) for cold in (False, True)]
        coat, usual = LIP_NAMES.index("coat"), LIP_NAMES.index(GARMENTS[KINDS[kind].garment])
        assert usual in worn[0]
        assert coat not in worn[0]
        assert coat in worn[1]


def test_tables_fit_the_drawings() -> None:
    for module in (furniture, leisure, street, cycles):
        for kind, width in module.WIDTHS.items():
            assert KINDS[kind].width == width
        for kind, (x, y) in module.SEATS.items():
            assert (SEATS[kind].x, SEATS[kind].y) == (x, y)
    assert SEATS["horse"].y == horses.BACK
    for module in (people, dogs, cats, horses, birds, wild_animals):
        for kind, widths in module.WIDTHS.items():
            for pose, width in widths.items():
                if pose in poses(kind) or pose == next(iter(widths)):
                    assert KINDS[kind].width_in(pose) == width
    for kind, legs in LEGS.items():
        for pose, length in legs.items():
            assert people.SEATS[kind][pose] == pytest.approx(length, abs=0.005)
