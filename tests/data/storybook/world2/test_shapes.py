"""Outlines with rounded corners, rings, arches."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas
from mas_fast.data.storybook.world2.shapes import arch, bent, ring, rounded


def filled(path) -> np.ndarray:
    """Which pixels of 100 x 100 the path covers; the unit square is the picture."""
    canvas = Canvas(100)
    with canvas.segment("car"):
        canvas.fill(path, (1, 1, 1))
    return canvas.layers().panoptic != 255


SQUARE = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]


def test_corners_are_sharp_or_round() -> None:
    sharp, soft = filled(rounded(SQUARE)), filled(rounded(SQUARE, 0.2))
    assert sharp[11, 11]
    assert not soft[11, 11]
    assert soft[11, 50]


def test_one_corner_has_its_own_radius() -> None:
    seen = filled(rounded([(0.1, 0.1, 0.3), *SQUARE[1:]]))
    assert not seen[12, 12]
    assert seen[12, 87]


def test_a_radius_takes_at_most_half_of_a_side() -> None:
    assert (filled(rounded(SQUARE, 9.0)) == filled(rounded(SQUARE, 0.4))).all()


def test_a_ring_has_a_hole() -> None:
    seen = filled(ring(0.5, 0.5, 0.4, 0.2))
    assert not seen[50, 50]
    assert seen[50, 20]


def test_an_arch_is_round_above_and_straight_below() -> None:
    seen = filled(arch(0.2, 0.1, 0.8, 0.9))
    assert not seen[12, 24]
    assert seen[12, 50]
    assert seen[88, 22]


def test_bent_sides_are_pulled_outwards() -> None:
    seen = filled(bent([(0.3, 0.3), (0.5, 0.1), (0.7, 0.3), (0.9, 0.5), (0.7, 0.7), (0.5, 0.9),
                        (0.3, 0.7), (0.1, 0.5)]))  # fmt: skip
    assert seen[24, 50]
    assert not seen[15, 50]
