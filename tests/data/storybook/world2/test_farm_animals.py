"""Cows and sheep."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import SIZE, check_box, check_mirror, check_seeds, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import farm_animals as animals  # noqa: E402

BROWN, WHITE, GRAY, BLACK = rgb("80502c"), rgb("f4f2ec"), rgb("8c9097"), rgb("26262c")

COLORS = {
    "cow": [WHITE, BROWN, BLACK],
    "sheep": [WHITE, BLACK, GRAY],
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
            assert np.mean(shares) > 0.45, (pose, color)


def test_a_sheep_has_a_dark_face_or_a_light_one() -> None:
    faces = [drawn(animals.sheep, WHITE, n).pixels[115, 195].sum() for n in range(20)]
    assert 3 < sum(face > 450 for face in faces) < 17
    assert drawn(animals.sheep, BLACK, 1).pixels[115, 195].sum() > 450


def test_a_white_cow_has_black_patches_and_a_black_one_white_ones() -> None:
    for color, dark in ((WHITE, True), (BLACK, False)):
        body = drawn(animals.cow, color, 1).pixels[95:150, 60:150]
        patches = (body.max(-1) < 60) if dark else (body.min(-1) > 220)
        assert 0.1 < patches.mean() < 0.5


def test_a_cow_has_a_pink_muzzle_and_an_udder() -> None:
    figure = drawn(animals.cow, WHITE, 2)
    pink = np.abs(figure.pixels - np.array((242, 168, 163))).max(-1) < 14
    rows, columns = np.nonzero(pink)
    assert (columns > 195).sum() > 100
    assert (columns < 128).sum() > 60


def test_the_head_is_at_the_right() -> None:
    for kind in COLORS:
        for seed in range(6):
            rows, columns = np.nonzero(drawn(getattr(animals, kind), BLACK, seed).shape)
            assert columns[rows < rows.min() + 10].mean() > SIZE / 2 + 25
