"""What is drawn is in the picture and in the annotation."""

import pytest

skia = pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, Light, box, ellipse, limb, together  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402


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


def test_a_wash_is_in_the_picture_alone() -> None:
    canvas = Canvas(32)
    with canvas.segment("snow"):
        canvas.fill(box(0, 0, 1, 1), (0, 0, 0))
        red = skia.Color4f(1, 0, 0, 1).toColor()
        shader = skia.GradientShader.MakeLinear([skia.Point(0, 0), skia.Point(1, 0)], [red, red])
        canvas.wash(box(0, 0, 0.5, 1), shader)
    assert (canvas.pixels()[:, :16] == (255, 0, 0)).all()
    assert not canvas.pixels()[:, 16:].any()
    assert (canvas.layers().panoptic == COCO_NAMES.index("snow")).all()


def test_a_mirror_shows_what_is_above_in_its_segment_alone() -> None:
    canvas = Canvas(64)
    with canvas.segment("tree-merged"):
        canvas.fill(box(0, 0, 1, 1), (0, 0, 0))
        canvas.mark(box(0, 0.4, 1, 0.5), (1, 1, 1))
    with canvas.segment("river"):
        canvas.fill(box(0, 0.5, 0.5, 1), (0, 0, 1))
        canvas.mirror(0.5, 1.0, 0.0, 1.0, 1.0)
    pixels = canvas.pixels()
    assert (pixels[32:38, :32] == 255).all()  # the stripe above the line
    assert not pixels[40:, :32].any()
    assert not pixels[32:, 32:].any()  # no water


def test_a_mirror_fades() -> None:
    canvas = Canvas(64)
    with canvas.segment("river"):
        canvas.fill(box(0, 0, 1, 0.5), (1, 1, 1))
        canvas.fill(box(0, 0.5, 1, 1), (0, 0, 0))
        canvas.mirror(0.5, 0.9, 0.02, 0.8, 0.2)
    rows = canvas.pixels()[:, :, 0].mean(1)
    assert rows[32] > 0.7 * 255
    assert (rows[32:57] >= rows[33:58]).all()
    assert rows[56] < 0.25 * 255
    assert not rows[58:].any()


def test_a_canvas_knows_whether_it_is_mirrored() -> None:
    canvas = Canvas(8)
    assert not canvas.mirrored
    with canvas.at(0.5, 0.5, 1, facing=-1):
        assert canvas.mirrored
        with canvas.at(0, 0, 1, facing=-1):
            assert not canvas.mirrored
    assert not canvas.mirrored


def test_a_new_light_changes_what_is_drawn_from_then_on() -> None:
    canvas = Canvas(8)
    for light in (Light(), Light((0.5, 0.5, 0.5))):
        canvas.light = light
        assert canvas.light == light
        canvas.mark(box(0, 0, 1, 1), (1, 1, 1))
        assert canvas.pixels()[4, 4, 0] == pytest.approx(255 * light.tint[0], abs=1)


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
