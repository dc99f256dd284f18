"""What is drawn is in the picture and in the annotation."""

import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, ellipse, limb, together  # noqa: E402


@pytest.mark.parametrize(
    "paths",
    [
        [ellipse(0.4, 0.5, 0.2), ellipse(0.6, 0.5, 0.2)],
        [limb([(0.2, 0.2), (0.8, 0.8)], 0.1), limb([(0.8, 0.2), (0.2, 0.8)], 0.1)],
        [limb([(0.2, 0.2), (0.8, 0.8)], 0.1), limb([(0.8, 0.2), (0.3, 0.5), (0.2, 0.8)], 0.1)],
    ],
)
def test_together_is_the_union(paths) -> None:
    union, apart = Canvas(64), Canvas(64)
    with union.segment("kite"), apart.segment("kite"):
        union.fill(together(paths), (1, 0, 0))
        for path in paths:
            apart.fill(path, (1, 0, 0))
    assert (union.layers().panoptic == apart.layers().panoptic).all()


def test_a_canvas_knows_whether_it_is_mirrored() -> None:
    canvas = Canvas(8)
    assert not canvas.mirrored
    with canvas.at(0.5, 0.5, 1, facing=-1):
        assert canvas.mirrored
        with canvas.at(0, 0, 1, facing=-1):
            assert not canvas.mirrored
    assert not canvas.mirrored
