"""Birds and ducks."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import SIZE, check_box, check_mirror, check_seeds, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import birds as animals  # noqa: E402

BROWN, WHITE, GRAY, BLACK = rgb("80502c"), rgb("f4f2ec"), rgb("8c9097"), rgb("26262c")

COLORS = {
    "bird": [rgb("cf2a27"), WHITE, GRAY, rgb("2c63c9"), BLACK],
    "duck": [WHITE, GRAY, rgb("f3cf34")],
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
            assert np.mean(shares) > 0.3, (pose, color)


def test_birds_stand_on_two_legs() -> None:
    for pose in ("perch", "stand"):
        for seed in range(10):
            shape = drawn(animals.bird, GRAY, seed, pose=pose).shape
            low = shape[184, 118:].astype(int)  # without a tail
            assert (np.diff(low) == 1).sum() == 2, (pose, seed)
            assert low.sum() < 20


def test_a_flying_bird_is_in_the_air_with_its_wings_up_or_down() -> None:
    tops = []
    for seed in range(24):
        _, top, _, bottom = drawn(animals.bird, GRAY, seed, pose="fly").box
        assert bottom < -0.1
        tops.append(top)
    assert min(tops) < -0.9
    assert max(tops) > -0.85


def test_white_birds_are_gulls_storks_and_songbirds() -> None:
    """A stork's legs are long: there is little of it below its middle."""
    low = [drawn(animals.bird, WHITE, n, pose="stand").shape[142:180].sum() for n in range(30)]
    storks = sum(n < 700 for n in low)
    assert 4 < storks < 20


def test_the_beak_is_at_the_right() -> None:
    for pose in animals.WIDTHS["bird"]:
        for seed in range(8):
            pixels = drawn(animals.bird, WHITE, seed, pose=pose).pixels
            warm = (
                (pixels[..., 0] > 190) & (pixels[..., 2] < 110) & (np.arange(SIZE) < 170)[:, None]
            )
            columns = np.nonzero(warm)[1]
            assert columns.max() > SIZE / 2 + 25, (pose, seed)


def test_a_gray_duck_is_a_mallard() -> None:
    def green(color) -> int:
        pixels = drawn(animals.duck, color, 1).pixels
        return int(
            ((pixels[..., 1] > pixels[..., 0] + 40) & (pixels[..., 1] > pixels[..., 2])).sum()
        )

    assert green(GRAY) > 300
    assert green(WHITE) == 0


def test_a_swimming_duck_ends_at_the_water() -> None:
    shape = drawn(animals.duck, WHITE, 1, pose="swim").shape
    assert shape[190].sum() > 90  # its whole breadth is in the water
