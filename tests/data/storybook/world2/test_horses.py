"""Horses and zebras."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import HIGH, SIZE, check_box, check_mirror, check_seeds, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import horses as animals  # noqa: E402

BROWN, WHITE, GRAY, BLACK = rgb("80502c"), rgb("f4f2ec"), rgb("8c9097"), rgb("26262c")

COLORS = {
    "horse": [BROWN, WHITE, GRAY, BLACK],
    "zebra": [WHITE],
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


def test_a_horse_has_mostly_the_colour_asked_for() -> None:
    for pose in animals.WIDTHS["horse"]:
        for color in COLORS["horse"]:
            assert drawn(animals.horse, color, 2, pose=pose).share(color) > 0.6


def test_a_zebra_has_stripes_and_a_horse_none() -> None:
    def changes(draw) -> int:
        figure = drawn(draw, WHITE, 1, pose="stand")
        row = int(SIZE * 0.75 - 0.56 * HIGH)
        line = figure.pixels[row][figure.shape[row]].sum(-1)[16:72] < 300
        return int((line[1:] != line[:-1]).sum())

    assert changes(animals.zebra) >= 6
    assert changes(animals.horse) == 0


def test_the_back_is_where_a_rider_sits() -> None:
    for pose in animals.WIDTHS["horse"]:
        shape = drawn(animals.horse, BROWN, 1, pose=pose).shape
        top = np.nonzero(shape[:, SIZE // 2])[0].min()
        assert (SIZE * 0.75 - top) / HIGH == pytest.approx(animals.BACK, abs=0.02)


def test_it_looks_to_the_right_and_has_a_long_neck() -> None:
    for kind in COLORS:
        shape = drawn(getattr(animals, kind), WHITE, 1).shape
        rows, columns = np.nonzero(shape)
        assert columns[rows < rows.min() + 12].min() > SIZE / 2 + 20


def test_a_gallop_is_longer_than_a_stand() -> None:
    for kind in COLORS:
        boxes = [drawn(getattr(animals, kind), WHITE, 1, pose=p).box for p in ("stand", "gallop")]
        assert boxes[1][2] - boxes[1][0] > 1.2 * (boxes[0][2] - boxes[0][0])


def test_some_horses_have_socks() -> None:
    low = [drawn(animals.horse, BROWN, n).pixels[168:186].min(-1) > 200 for n in range(20)]
    assert 4 < sum(found.sum() > 30 for found in low) < 17
