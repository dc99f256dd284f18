"""Dogs: breeds, poses."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import HIGH, SIZE, check_box, check_mirror, check_seeds, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import dogs as animals  # noqa: E402

BROWN, WHITE, GRAY, BLACK = rgb("80502c"), rgb("f4f2ec"), rgb("8c9097"), rgb("26262c")

COLORS = {
    "dog": [BROWN, WHITE, GRAY, BLACK],
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
            assert np.mean(shares) > 0.6, (pose, color)


def test_breeds_differ_in_height_and_length() -> None:
    boxes = [drawn(animals.dog, BROWN, n, pose="stand").box for n in range(30)]
    tall = {round(-top, 1) for _, top, _, _ in boxes}
    assert len(tall) >= 3
    lean = [(right - left) / -top for left, top, right, _ in boxes]
    assert max(lean) > 1.5 * min(lean)


def test_only_a_white_dog_may_be_a_dalmatian() -> None:
    def spots(color) -> list[int]:
        found = []
        for seed in range(30):
            figure = drawn(animals.dog, color, seed, pose="stand")
            top, low = (int(SIZE * 0.75 - y * HIGH) for y in (0.66, 0.4))
            dark = (figure.pixels.max(-1) < 60) & figure.shape
            found.append(int(dark[top:low, 80:140].sum()))
        return found

    assert 2 <= sum(n > 60 for n in spots(WHITE)) <= 14
    assert max(spots(BROWN)) < 60


def test_the_head_is_at_the_right_and_a_sitting_dog_is_upright() -> None:
    for seed in range(10):
        for pose in animals.WIDTHS["dog"]:
            shape = drawn(animals.dog, BROWN, seed, pose=pose).shape
            rows, columns = np.nonzero(shape)
            lower, upper = (columns[rows > 180], columns[rows < rows.min() + 20])
            assert upper[upper > SIZE / 2 - 20].size > 0.4 * upper.size, (seed, pose)
            assert lower.size > 0
    long = {
        p: np.ptp(np.nonzero(drawn(animals.dog, WHITE, 3, pose=p).shape)[1]) for p in ("sit", "run")
    }
    assert long["run"] > 1.1 * long["sit"]
