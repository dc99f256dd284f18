"""Trees: where they stand, their seasons, their lit side."""

from itertools import product

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box  # noqa: E402
from mas_fast.data.storybook.world2.brush import Brush  # noqa: E402
from mas_fast.data.storybook.world2.light import Sky  # noqa: E402
from mas_fast.data.storybook.world2.plants import draw_tree, draw_wood  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

TREE = COCO_NAMES.index("tree-merged")
SEASONS = ("spring", "summer", "autumn", "winter")
HALF = {"oak": 0.5, "birch": 0.34, "poplar": 0.2, "pine": 0.36, "palm": 0.72}  # of its height


def easel(season: str, seed: int, sun: float = -0.6, without: tuple[str, ...] = ()) -> Brush:
    canvas = Canvas(128)
    with canvas.segment("wall-other-merged"):
        canvas.fill(box(0, 0, 1, 1), (0.5, 0.5, 0.5))
    sky = Sky("day", "clear", sun)
    return Brush(canvas, season, sky, without, np.random.default_rng(seed))


def tree(kind: str, season: str, seed: int, sun: float = -0.6) -> tuple[np.ndarray, np.ndarray]:
    brush = easel(season, seed, sun)
    draw_tree(brush, kind, 0.5, 0.9, 0.7)
    return brush.canvas.pixels().astype(int), brush.canvas.layers().panoptic == TREE


@pytest.mark.parametrize(("kind", "season"), list(product(HALF, SEASONS)))
def test_a_tree_stays_near_its_box(kind: str, season: str) -> None:
    for seed in range(10):
        _, mask = tree(kind, season, seed)
        rows, columns = np.nonzero(mask)
        assert rows.max() / 128 == pytest.approx(0.9, abs=0.03)
        assert 0.0 < rows.min() / 128 < 0.9 - 0.7 * 0.75
        assert np.abs(columns / 128 - 0.5).max() < 0.7 * 1.1 * HALF[kind] + 0.02
        assert len(rows) > 0.04 * (128 * 0.7) ** 2


@pytest.mark.parametrize("kind", ["oak", "birch", "poplar"])
def test_leaves_have_the_colour_of_the_season(kind: str) -> None:
    def crown(season: str, seed: int) -> np.ndarray:
        pixels, mask = tree(kind, season, seed)
        return pixels[20:80][mask[20:80]].mean(0)

    for seed in range(8):
        red, green, _ = crown("summer", seed)
        assert green > 1.1 * red
        red, green, _ = crown("autumn", seed)
        assert red > 1.1 * green
        assert tree(kind, "winter", seed)[1].sum() < 0.7 * tree(kind, "summer", seed)[1].sum()


def test_snow_lies_on_pines_in_winter() -> None:
    white = {s: (tree("pine", s, 0)[0].min(-1) > 200).sum() for s in SEASONS}
    assert white["summer"] == white["autumn"] == white["spring"] == 0
    assert white["winter"] > 300


@pytest.mark.parametrize("kind", ["oak", "birch", "poplar", "pine"])
def test_the_side_to_the_sun_is_lit(kind: str) -> None:
    for seed in range(4):
        light = []
        for sun in (-0.8, 0.8):
            pixels, mask = tree(kind, "summer", seed, sun)
            crown, gray = mask[20:75], pixels[20:75].sum(-1)
            middle = int(np.median(np.nonzero(crown)[1]))
            left = gray[:, :middle][crown[:, :middle]].mean()
            light.append(left - gray[:, middle:][crown[:, middle:]].mean())
        assert light[0] > 0 > light[1], seed


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("kind", ["leaf", "pine", "mixed"])
def test_a_wood_closes_the_horizon(kind: str, season: str) -> None:
    brush = easel(season, 5)
    draw_wood(brush, kind, 0.5, 0.2, 0.2)
    mask = brush.canvas.layers().panoptic == TREE
    rows = np.nonzero(mask)[0]
    assert 0.24 < rows.min() / 128 < 0.38
    assert rows.max() < 68
    assert mask[60:64].all()


def test_a_wood_has_a_span_and_a_slope() -> None:
    brush = easel("summer", 5)
    draw_wood(brush, "leaf", 0.5, 0.1, 0.2, (0.3, 0.7), lambda x: 0.2 * x)
    rows, columns = np.nonzero(brush.canvas.layers().panoptic == TREE)
    assert 0.24 < columns.min() / 128 < 0.32
    assert 0.68 < columns.max() / 128 < 0.76
    assert rows[columns < 50].max() < rows[columns > 80].max() - 4


def test_none_without_trees() -> None:
    brush = easel("summer", 0, without=("trees",))
    for kind in HALF:
        draw_tree(brush, kind, 0.5, 0.9, 0.7)
    draw_wood(brush, "mixed", 0.5, 0.2, 0.2)
    assert not (brush.canvas.layers().panoptic == TREE).any()
