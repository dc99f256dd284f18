"""People of the storybook: parts of the body and of the face."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas
from mas_fast.data.storybook.world1.figures import draw_figure
from mas_fast.scene.labels import FACE_NAMES, LIP_NAMES
from mas_fast.scene.layers import Layers

PEOPLE = ("man", "woman", "boy", "girl")
COMMON = ("hair", "face", "left-arm", "right-arm", "left-shoe", "right-shoe")
WEARS = {
    "man": ("upper-clothes", "pants"),
    "woman": ("dress", "left-leg", "right-leg"),
    "boy": ("upper-clothes", "pants", "left-leg", "right-leg"),
    "girl": ("dress", "left-leg", "right-leg"),
}


def person(kind: str, seed: int, facing: int = 1, color: str = "red", tall: int = 60) -> Layers:
    canvas = Canvas(128)
    generator = np.random.default_rng(seed)
    draw_figure(canvas, kind, color, 0.5, 0.9, tall / 128, facing, generator)
    return canvas.layers()


def part(layers: Layers, name: str) -> np.ndarray:
    """bool [128, 128]."""
    if name in LIP_NAMES:
        return layers.human == LIP_NAMES.index(name)
    return layers.face == 1 + FACE_NAMES.index(name)


@pytest.mark.parametrize("kind", PEOPLE)
def test_every_part_is_there(kind: str) -> None:
    for seed in range(24):
        layers = person(kind, seed, color="white")
        for name in COMMON + WEARS[kind]:
            assert part(layers, name).sum() >= 10, (name, seed)
        for name, least in zip(FACE_NAMES, (4, 12, 3, 6, 2), strict=True):
            assert part(layers, name).sum() >= least, (name, seed)
        unworn = {"upper-clothes", "dress", "pants"} - set(WEARS[kind])
        assert not any(part(layers, name).any() for name in unworn)
        # the neck apart, all of a person is some part of one
        assert ((layers.panoptic == 0) == (layers.human > 0)).all()


@pytest.mark.parametrize("kind", PEOPLE)
def test_a_persons_own_left_is_at_the_viewers_right(kind: str) -> None:
    for facing in (1, -1):
        for name in ("arm", "shoe"):
            for seed in range(8):
                layers = person(kind, seed, facing)
                left, right = (part(layers, f"{side}-{name}") for side in ("left", "right"))
                assert np.nonzero(left)[1].min() > 62 > np.nonzero(right)[1].mean()


@pytest.mark.parametrize("kind", PEOPLE)
def test_the_face_is_in_order(kind: str) -> None:
    layers = person(kind, 5)
    order = ("eyebrows", "eyes", "nose", "outer-mouth")
    rows = [np.nonzero(part(layers, name))[0].mean() for name in order]
    assert rows == sorted(rows)
    columns = np.nonzero(part(layers, "eyes"))[1]
    assert columns.min() < 61
    assert columns.max() > 66
    assert not part(layers, "eyes")[:, 63:65].any()


def test_children_have_bigger_heads() -> None:
    def head(kind: str) -> float:
        return np.mean([np.ptp(np.nonzero(part(person(kind, n), "face"))[1]) for n in range(8)])

    assert head("boy") > 1.12 * head("man")
    assert head("girl") > 1.12 * head("woman")


def test_variety() -> None:
    """Hats, waving arms, skins: some of each among forty."""
    found = Counter()
    for seed in range(40):
        for kind in PEOPLE:
            layers = person(kind, seed)
            found["hat", kind] += part(layers, "hat").any()
            shoulder = np.nonzero(part(layers, "face"))[0].max()
            for side in ("left", "right"):
                hand = np.nonzero(part(layers, f"{side}-arm"))[0].min()
                found["raised", side] += hand < shoulder
    for key in (("hat", "man"), ("hat", "woman"), ("hat", "boy")):
        assert 4 <= found[key] <= 24, key
    for side in ("left", "right"):
        assert 30 < found["raised", side] < 110
