"""Vehicles of the storybook: wheels, wagons, lamps."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world1 import vehicles
from mas_fast.data.storybook.canvas import Canvas, Light

RED = (0.81, 0.16, 0.15)
DARK = Light((0.25, 0.28, 0.4))


def drawn(draw, seed: int = 0, night: bool = False, light: Light = Light()) -> Canvas:  # noqa: B008
    """A vehicle 40 pixels high, its foot 32 pixels above the bottom of 160."""
    canvas = Canvas(160, light)
    with canvas.segment("car"), canvas.at(0.5, 0.8, 0.25):
        draw(canvas, RED, np.random.default_rng(seed), night)
    return canvas


@pytest.mark.parametrize("name, wheels", [("car", 2), ("bus", 2), ("truck", 3), ("bicycle", 2)])
def test_it_stands_on_its_wheels(name: str, wheels: int) -> None:
    for seed in range(8):
        shape = drawn(getattr(vehicles, name), seed).layers().panoptic != 255
        assert (np.diff(shape[126].astype(int)) == 1).sum() == wheels
        assert not shape[129:].any()


def test_a_train_pulls_one_wagon_or_two() -> None:
    gaps = set()
    for seed in range(12):
        row = (drawn(vehicles.train, seed).layers().panoptic != 255)[104]  # below the roofs
        gaps.add(int((np.diff(row.astype(int)) == 1).sum()))
    assert gaps == {2, 3}  # the locomotive and its wagons


@pytest.mark.parametrize("name", ["car", "bus", "truck", "train", "boat", "airplane"])
def test_windows_and_lamps_shine_in_the_dark(name: str) -> None:
    def bright(night: bool) -> int:
        shots = [drawn(getattr(vehicles, name), seed, night, DARK) for seed in range(6)]
        return sum(int((shot.pixels()[..., 0] > 150).sum()) for shot in shots)

    assert bright(False) == 0
    assert bright(True) > 40


def test_a_beam_lies_ahead_and_has_no_label() -> None:
    day, night = (drawn(vehicles.car, 1, dark) for dark in (False, True))
    lit = (day.pixels() != night.pixels()).any(-1)
    ahead = lit & (day.layers().panoptic == 255)
    assert np.nonzero(ahead)[1].min() > 120
    assert ahead.sum() > 50
    assert (day.layers().panoptic == night.layers().panoptic).all()


def test_a_boat_sails_or_steams() -> None:
    widths = []
    for seed in range(24):
        shape = drawn(vehicles.boat, seed).layers().panoptic != 255
        widths.append(int(shape[95].sum()))  # near the top: a mast with its sail, or a funnel
    assert len(set(widths)) > 1
    assert 4 < sum(w > 8 for w in widths) < 22
