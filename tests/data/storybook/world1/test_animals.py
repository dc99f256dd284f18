"""Animals of the storybook: what tells one from another."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world1 import animals
from mas_fast.data.storybook.canvas import Canvas

WHITE, YELLOW = (0.95, 0.95, 0.93), (0.93, 0.74, 0.36)


def drawn(draw, color=WHITE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, shape) of an animal 96 pixels high in the middle of 160."""
    canvas = Canvas(160)
    with canvas.segment("dog"), canvas.at(0.5, 0.8, 0.6):
        draw(canvas, color, np.random.default_rng(seed))
    return canvas.pixels().astype(int), canvas.layers().panoptic != 255


@pytest.mark.parametrize("name", ["dog", "horse", "sheep", "cow", "zebra", "giraffe", "bear"])
def test_the_head_is_at_the_right(name: str) -> None:
    for seed in range(6):
        _, shape = drawn(getattr(animals, name), seed=seed)
        rows, columns = np.nonzero(shape)
        assert columns[rows < rows.min() + 6].mean() > 85


def test_a_zebra_has_stripes_and_a_horse_none() -> None:
    def changes(draw) -> int:
        pixels, shape = drawn(draw)
        row = pixels[80, 45:100][shape[80, 45:100]].sum(-1) < 300  # across the body
        return int((row[1:] != row[:-1]).sum())

    assert changes(animals.zebra) >= 6
    assert changes(animals.horse) == 0


def test_a_giraffe_is_mostly_neck_and_legs_with_brown_patches() -> None:
    pixels, shape = drawn(animals.giraffe, YELLOW)
    rows = shape.sum(1)
    assert rows[50:70].max() < 0.5 * rows[80:96].max()  # the neck, the body
    brown = (pixels[..., 0] < 155) & shape  # darker than the far legs
    assert 0.15 < brown.sum() / shape.sum() < 0.45


def test_an_elephant_raises_its_trunk_or_lets_it_hang() -> None:
    raised = [bool(drawn(animals.elephant, seed=n)[1][40:52, 138:].any()) for n in range(24)]
    assert 3 < sum(raised) < 20


def test_a_bird_perches_with_its_legs_on_the_ground() -> None:
    for seed in range(8):
        _, shape = drawn(animals.perched_bird, seed=seed)
        assert np.nonzero(shape)[0].max() == 127
        low = shape[124]  # two legs and no more
        assert low.sum() < 16
        assert (np.diff(low.astype(int)) == 1).sum() == 2
