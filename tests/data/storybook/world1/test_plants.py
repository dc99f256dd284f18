"""Trees, bushes and flowers of the storybook."""

from itertools import product

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box  # noqa: E402
from mas_fast.data.storybook.world1.plants import (  # noqa: E402
    draw_bush,
    draw_cactus,
    draw_flowers,
    draw_tree,
    draw_wood,
    far,
    grass_tufts,
)
from mas_fast.data.storybook.world1.words import SEASONS  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

TREE, FLOWER = COCO_NAMES.index("tree-merged"), COCO_NAMES.index("flower")
HALF = {"round": 0.5, "poplar": 0.2, "fir": 0.36, "palm": 0.62}  # of a tree's height
AREA = {"round": 0.3, "poplar": 0.12, "fir": 0.22, "palm": 0.1}  # of its square


def drawn(draw, seed: int, *args) -> tuple[np.ndarray, np.ndarray]:
    """Picture and labels of what stands at (0.5, 0.9), 0.7 high, before a gray wall."""
    canvas = Canvas(128)
    with canvas.segment("wall-other-merged"):
        canvas.fill(box(0, 0, 1, 1), (0.5, 0.5, 0.5))
    draw(canvas, *args, np.random.default_rng(seed))
    return canvas.pixels(), canvas.layers().panoptic


def tree(kind: str, season: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    def draw(canvas: Canvas, generator: np.random.Generator) -> None:
        draw_tree(canvas, kind, 0.5, 0.9, 0.7, season, generator)

    return drawn(draw, seed)


@pytest.mark.parametrize(("kind", "season"), product(HALF, SEASONS))
def test_a_tree_stays_in_its_box(kind: str, season: str) -> None:
    for seed in range(12):
        _, labels = tree(kind, season, seed)
        rows, columns = np.nonzero(labels == TREE)
        assert rows.max() / 128 == pytest.approx(0.9, abs=0.03)
        assert 0.9 - 0.7 * 1.16 < rows.min() / 128 < 0.9 - 0.7 * 0.88
        assert np.abs(columns / 128 - 0.5).max() < 0.7 * HALF[kind]
        assert len(rows) / (128 * 0.7) ** 2 > AREA[kind]


def test_seeds_and_seasons_tell_trees_apart() -> None:
    for kind in HALF:
        first, again, other = (tree(kind, "summer", seed)[0] for seed in (0, 0, 1))
        assert (first == again).all()
        assert (first != other).any()
    leaves = {}
    for season in SEASONS:
        found = [tree("poplar", season, seed) for seed in range(9)]
        leaves[season] = np.mean([p[55:75, 60:68].reshape(-1, 3).mean(0) for p, _ in found], 0)
    for season in ("spring", "summer"):
        red, green, _ = leaves[season]
        assert green > 1.2 * red
    assert leaves["autumn"][0] > 1.3 * leaves["autumn"][1]
    white = {s: (tree("fir", s, 0)[0].min(-1) > 200).sum() for s in ("summer", "winter")}
    assert white["summer"] == 0
    assert white["winter"] > 300


def test_most_round_trees_blossom_in_spring() -> None:
    means = [tree("round", "spring", s)[0][30:60, 45:83].reshape(-1, 3).mean(0) for s in range(20)]
    assert 0.4 < np.mean([blue > 130 for _, _, blue in means]) < 0.95


def test_a_palm_is_green_above() -> None:
    for seed in range(8):
        pixels, labels = tree("palm", "summer", seed)
        crown = (labels == TREE)[:60]
        green = (pixels[:60, :, 1] > 1.2 * pixels[:60, :, 0].astype(float)) & crown
        assert green.sum() > 0.7 * crown.sum()


@pytest.mark.parametrize("season", SEASONS)
def test_a_wood_closes_the_horizon(season: str) -> None:
    for kinds in (("round", "fir"), ("fir",)):

        def draw(canvas: Canvas, generator: np.random.Generator, kinds=kinds) -> None:
            draw_wood(canvas, kinds, 0.5, 0.2, 8, season, generator)

        _, labels = drawn(draw, 5)
        rows = np.nonzero(labels == TREE)[0]
        assert 0.24 < rows.min() / 128 < 0.36
        assert rows.max() < 68
        assert (labels[62] == TREE).all()


def test_what_is_low() -> None:
    for seed in range(8):
        for draw, label, area in ((draw_bush, TREE, 1.3), (draw_flowers, FLOWER, 1.5)):
            _, labels = drawn(lambda c, g, d=draw: d(c, 0.5, 0.9, 0.2, "summer", g), seed)
            rows, columns = np.nonzero(labels == label)
            assert 0.67 < rows.min() / 128
            assert rows.max() / 128 < 0.92
            assert np.abs(columns / 128 - 0.5).max() < 0.32
            assert len(rows) > area * (128 * 0.2) ** 2
    _, labels = drawn(lambda c, g: draw_cactus(c, 0.5, 0.9, 0.7), 0)
    rows, columns = np.nonzero(labels == TREE)
    assert rows.min() / 128 == pytest.approx(0.2, abs=0.02)
    assert np.abs(columns / 128 - 0.5).max() < 0.28


def test_grass_and_air() -> None:
    bounds = grass_tufts([(0.3, 0.5), (0.6, 0.7)], 0.05).getBounds()
    assert (bounds.top(), bounds.bottom()) == pytest.approx((0.45, 0.7))
    assert far((0.0, 0.0, 0.0), 0) == (0, 0, 0)
    assert far((0.0, 0.0, 0.0), 1) == far((1.0, 0.5, 0.0), 1)
