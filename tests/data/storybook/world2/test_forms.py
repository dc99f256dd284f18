"""Outlines, tubes and shading."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, together  # noqa: E402
from mas_fast.data.storybook.world2.forms import (  # noqa: E402
    along,
    contrast,
    dim,
    eye,
    form,
    outline,
    pose_of,
    tube,
)
from mas_fast.data.storybook.world2.look import Look  # noqa: E402

SQUARE = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
GRAY = (0.6, 0.6, 0.6)


def filled(path) -> np.ndarray:
    canvas = Canvas(100)
    with canvas.segment("kite"):
        canvas.fill(path, GRAY)
    return canvas.layers().instances > 0


def test_a_point_that_is_there_twice_is_a_corner() -> None:
    round_, sharp = filled(outline(SQUARE)), filled(outline([p for p in SQUARE for _ in (0, 1)]))
    assert sharp.sum() == 3600  # a square: nothing overshoots
    assert round_.sum() > sharp.sum() + 300
    closing = filled(outline([SQUARE[0], *SQUARE[1:], SQUARE[0]]))  # also over the closing point
    assert closing[20, 20]
    assert not filled(outline(SQUARE))[20:22, 20:22].all() or closing.sum() != round_.sum()


def test_outlines_run_the_same_way_round_so_that_overlaps_stay_filled() -> None:
    other = [(x + 0.1, y) for x, y in SQUARE][::-1]
    both = filled(together((outline(SQUARE), outline(other))))
    assert (both == (filled(outline(SQUARE)) | filled(outline(other)))).all()


def test_a_tube_has_its_widths() -> None:
    shape = filled(tube([(0.2, 0.5), (0.5, 0.5), (0.8, 0.5)], (0.1, 0.2, 0.3)))
    assert shape[:, 50].sum() == pytest.approx(20, abs=1)
    assert shape[:, 22].sum() < 14
    assert shape[50, 90]  # round ends reach further
    assert not filled(tube([(0.2, 0.5), (0.8, 0.5)], (0.2, 0.2), flat=True))[50, 82]


def test_a_form_is_dark_on_the_side_away_from_the_sun() -> None:
    for sun in (-0.8, 0.8):
        canvas = Canvas(100)
        with canvas.segment("kite"):
            square = outline([p for p in SQUARE for _ in (0, 1)])
            form(canvas, square, GRAY, Look(np.random.default_rng(0), sun=sun), rim=0.1)
        row = canvas.pixels()[45, :, 0].astype(int)
        lit, dark = (22, 77) if sun < 0 else (77, 22)
        assert row[lit] > row[dark] + 20
        assert row[50] == row[lit]


def test_a_black_form_gets_a_lit_side() -> None:
    canvas, black = Canvas(100), (0.15, 0.15, 0.17)
    with canvas.segment("kite"):
        form(canvas, outline(SQUARE), black, Look(np.random.default_rng(0)), rim=0.1)
    assert canvas.pixels()[40, 40, 0] > canvas.pixels()[70, 82, 0] + 8


def test_tones() -> None:
    assert sum(dim(GRAY)) < sum(GRAY)
    assert sum(contrast((0.1, 0.2, 0.6))) > 1.8
    assert sum(contrast((0.95, 0.95, 0.9))) < 2.1
    assert along([(0, 0), (1, 0), (1, 1)], 0.75) == (1, 0.5)


def test_an_eye_is_dark_with_a_light_in_it() -> None:
    canvas = Canvas(100)
    eye(canvas, 0.5, 0.5, 0.2)
    assert canvas.pixels()[60, 45].max() < 60
    assert canvas.pixels()[43, 56].min() > 200


def test_the_pose() -> None:
    generator = np.random.default_rng(0)
    assert pose_of("cat", Look(generator), {"sit": 1.0, "lie": 1.0}) == "sit"
    assert pose_of("cat", Look(generator, pose="lie"), ("sit", "lie")) == "lie"
    with pytest.raises(ValueError, match="cat: found pose 'swim', expected one of sit, lie"):
        pose_of("cat", Look(generator, pose="swim"), ("sit", "lie"))
