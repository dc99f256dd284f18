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


def test_a_mark_within_a_shape_does_not_leave_it_and_changes_no_label() -> None:
    canvas, hole = Canvas(64), ellipse(0.5, 0.5, 0.2)
    with canvas.segment("kite"):
        canvas.fill(hole, (1, 0, 0))
    before = canvas.layers().panoptic
    canvas.mark(ellipse(0.7, 0.5, 0.3), (0, 0, 1), within=hole)
    pixels = canvas.pixels()
    assert pixels[32, 40].tolist() == [0, 0, 255]
    assert pixels[32, 22].tolist() == [255, 0, 0]
    assert not pixels[32, 48:].any()
    assert (canvas.layers().panoptic == before).all()
    canvas.mark(ellipse(0.9, 0.5, 0.05), (0, 0, 1))  # the next one is free again
    assert canvas.pixels()[32, 57].tolist() == [0, 0, 255]
