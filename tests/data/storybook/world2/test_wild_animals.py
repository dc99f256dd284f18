"""Elephants, bears and giraffes."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import check_box, check_mirror, check_seeds, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import wild_animals as animals  # noqa: E402

BROWN, WHITE, GRAY, BLACK = rgb("80502c"), rgb("f4f2ec"), rgb("8c9097"), rgb("26262c")

COLORS = {
    "elephant": [GRAY],
    "bear": [BROWN, WHITE, BLACK],
    "giraffe": [(0.96, 0.8, 0.48)],
}


@pytest.mark.parametrize("kind", COLORS)
def test_every_pose_is_in_its_box(kind: str) -> None:
    check_box(getattr(animals, kind), COLORS[kind], animals.WIDTHS[kind], None)


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
            assert np.mean(shares) > 0.42, (pose, color)


def test_an_elephant_raises_its_trunk_or_lets_it_hang() -> None:
    raised = []
    for seed in range(24):
        shape = drawn(animals.elephant, GRAY, seed).shape
        raised.append(bool(shape[75:95, 205:225].any()))
        low = shape[160:178, 190:210].any()
        assert low != raised[-1], seed
    assert 3 < sum(raised) < 20


def test_an_elephant_has_a_light_tusk() -> None:
    pixels = drawn(animals.elephant, GRAY, 1).pixels
    assert ((pixels.min(-1) > 225)[120:150, 175:215]).sum() > 60


def test_a_giraffe_is_mostly_neck_and_legs_with_brown_patches() -> None:
    figure = drawn(animals.giraffe, (0.96, 0.8, 0.48), 1)
    rows = figure.shape.sum(1)
    assert rows[90:110].max() < 0.55 * rows[125:145].max()  # the neck, the body
    brown = (np.abs(figure.pixels - np.array((158, 94, 46))).max(-1) < 30) & figure.shape
    assert 0.15 < brown.sum() / figure.shape.sum() < 0.5


def test_a_sitting_bear_is_narrower_than_a_standing_one() -> None:
    for color in COLORS["bear"]:
        boxes = [drawn(animals.bear, color, 1, pose=p).box for p in ("stand", "sit")]
        wide = [right - left for left, _, right, _ in boxes]
        assert wide[1] < 0.7 * wide[0]


def test_a_brown_bear_has_a_lighter_muzzle_and_a_polar_bear_none() -> None:
    def muzzle(color) -> int:
        figure = drawn(animals.bear, color, 1, pose="sit")
        return int(figure.pixels[106, 122:127].mean() - figure.pixels[82, 126:134].mean())

    assert muzzle(BROWN) > 15
    assert muzzle(WHITE) < 0
