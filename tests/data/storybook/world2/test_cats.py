"""Cats: coats, poses."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import SIZE, check_box, check_mirror, check_seeds, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import cats as animals  # noqa: E402

BROWN, WHITE, GRAY, BLACK = rgb("80502c"), rgb("f4f2ec"), rgb("8c9097"), rgb("26262c")

COLORS = {
    "cat": [GRAY, WHITE, BROWN, BLACK],
}


@pytest.mark.parametrize("kind", COLORS)
def test_every_pose_is_in_its_box(kind: str) -> None:
    check_box(getattr(animals, kind), COLORS[kind], animals.WIDTHS[kind], animals.HEIGHTS)


@pytest.mark.parametrize("kind", COLORS)
def test_a_seed_is_an_animal(kind: str) -> None:
    draw = getattr(animals, kind)
    check_seeds(draw, COLORS[kind][0], kinds=3)
    check_mirror(draw, COLORS[kind][0])
    with pytest.raises(ValueError, match=f"{kind}: found pose 'knit', expected one of"):
        drawn(draw, COLORS[kind][0], pose="knit")


@pytest.mark.parametrize("kind", COLORS)
def test_an_animal_has_mostly_the_colour_asked_for(kind: str) -> None:
    for pose in animals.WIDTHS[kind]:
        for color in COLORS[kind]:
            figures = [drawn(getattr(animals, kind), color, n, pose=pose) for n in range(6)]
            shares = [figure.share(color) for figure in figures]
            assert np.mean(shares) > 0.6, (pose, color)


def test_a_cat_has_two_ears_and_looks_out_of_the_picture() -> None:
    for pose in animals.WIDTHS["cat"]:
        figure = drawn(animals.cat, GRAY, 1, pose=pose)
        left, top, right, _ = figure.box
        right_half = figure.shape.copy()
        right_half[:, : SIZE // 2 - 24] = False  # without a tail that is raised
        rows = np.nonzero(right_half)[0]
        ears = right_half[rows.min() + 5].astype(int)
        assert (np.diff(ears) == 1).sum() == 2, pose


def test_coats() -> None:
    """Plain, tabby and white-bibbed cats: their shares of the colour differ."""
    shares = [drawn(animals.cat, BROWN, n, pose="sit").share(BROWN) for n in range(24)]
    assert max(shares) > 1.08 * min(shares)
    light = [
        (drawn(animals.cat, BROWN, n, pose="sit").pixels[112:192, 96:160].min(-1) > 215).sum()
        for n in range(24)
    ]
    assert 4 <= sum(n > 250 for n in light) <= 16


def test_a_lying_cat_is_low() -> None:
    tops = {p: drawn(animals.cat, GRAY, 2, pose=p).box[1] for p in animals.WIDTHS["cat"]}
    assert tops["lie"] > -0.7
    assert tops["sit"] < -0.95
