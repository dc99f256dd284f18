"""scene/layers.py: geometry before the cleaning rules."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_fast.scene import LIP_NAMES, MAS159, MINI158, PERSON, VOID, Layers, clean

FIELDS = ("panoptic", "instances", "human", "face")


def some(seed: int = 0, shape=(13, 17)) -> Layers:
    rng = np.random.default_rng(seed)
    return Layers(
        rng.choice(np.array([0, 1, 80, 132, VOID], np.uint8), shape),
        rng.integers(0, 3, shape, dtype=np.int32),
        rng.integers(0, 20, shape, dtype=np.uint8),
        np.maximum(rng.integers(-20, 6, shape), 0).astype(np.uint8),
    )


def arrays(layers: Layers) -> list[np.ndarray]:
    return [getattr(layers, field) for field in FIELDS]


def same(one: Layers, other: Layers) -> bool:
    return all(map(np.array_equal, arrays(one), arrays(other)))


def test_size_and_missing_layers():
    layers = Layers(np.zeros((3, 5), np.uint8))
    assert (layers.height, layers.width) == (3, 5)
    for other in (layers.crop(0, 1, 2, 3), layers.resize(4, 4), layers.flip()):
        assert (other.instances, other.human, other.face) == (None, None, None)
    assert layers.clean().labels.shape == (3, 5)


def test_crop_takes_the_same_part_of_every_layer():
    layers = some()
    part = layers.crop(2, 3, 5, 7)
    for found, whole in zip(arrays(part), arrays(layers), strict=True):
        assert np.array_equal(found, whole[2:7, 3:10])
        assert found.dtype == whole.dtype
        assert not np.shares_memory(found, whole) or found.base is None
    assert same(layers.crop(0, 0, 13, 17), layers)


@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, 0, 14, 2), (0, 16, 2, 2), (0, 0, 0, 2)])
def test_crop_within(box):
    with pytest.raises(ValueError, match="crop: found rows .* expected some within 13 x 17"):
        some().crop(*box)


def test_resize_is_nearest_and_alike_in_every_layer():
    layers = some()
    for height, width in ((26, 34), (5, 6), (1, 1), (13, 17)):
        small = layers.resize(height, width)
        rows = [(2 * i + 1) * 13 // (2 * height) for i in range(height)]
        columns = [(2 * j + 1) * 17 // (2 * width) for j in range(width)]
        for found, whole in zip(arrays(small), arrays(layers), strict=True):
            assert np.array_equal(found, whole[np.ix_(rows, columns)])
            assert found.dtype == whole.dtype
    assert same(layers.resize(26, 34).resize(13, 17), layers)
    with pytest.raises(ValueError, match="resize: found 0 x 3"):
        layers.resize(0, 3)


def test_flip_swaps_sides_in_parts_alone():
    layers = some()
    flipped = layers.flip()
    assert np.array_equal(flipped.panoptic, layers.panoptic[:, ::-1])
    assert np.array_equal(flipped.instances, layers.instances[:, ::-1])
    assert np.array_equal(flipped.face, layers.face[:, ::-1])
    for number, name in enumerate(LIP_NAMES):
        other = {"left": "right", "right": "left"}.get(name.split("-")[0])
        target = LIP_NAMES.index(name.replace(name.split("-")[0], other)) if other else number
        assert np.array_equal(flipped.human == target, (layers.human == number)[:, ::-1])
    assert same(flipped.flip(), layers)


@given(st.integers(0, 1000), st.sampled_from(["mini158", "mas159"]))
@settings(max_examples=25, deadline=None)
def test_labels_commute_with_geometry(seed, layout):
    """A scene cut from layers has the labels of the scene, cut, wherever the gate decides alike;
    edges differ, since they are found last."""
    layers = some(seed)
    scene = layers.clean(layout)
    assert np.array_equal(layers.flip().clean(layout).labels, scene.flip().labels)
    small = layers.resize(30, 40)
    assert np.array_equal(small.clean(layout).labels, scene.resize(30, 40).labels)
    part = layers.crop(1, 2, 9, 9)
    if (part.panoptic == PERSON).any():
        assert np.array_equal(part.clean(layout).labels, scene.crop(1, 2, 9, 9).labels)


def test_the_gate_sees_what_is_left_of_the_picture():
    """A person on the left, and a parser that finds parts everywhere: cut to the right half, the
    picture has no person, so it has no parts."""
    panoptic = np.full((6, 10), 5, np.uint8)
    panoptic[:, :3] = PERSON
    human, face = np.full((6, 10), 2, np.uint8), np.full((6, 10), 1, np.uint8)
    layers = Layers(panoptic, None, human, face)
    assert (layers.clean().labels == MINI158.face + 1).all()
    right = layers.crop(0, 4, 6, 6).clean()
    assert (right.labels == 5).all()
    assert not right.edges.any()
    assert (layers.crop(0, 2, 6, 6).clean().labels == MINI158.face + 1).all()
    left = layers.crop(0, 0, 6, 4)
    assert (left.clean(min_person_px=19).labels == panoptic[:, :4]).all()
    assert (left.clean(min_person_px=18).labels == MINI158.face + 1).all()


def test_edges_stay_one_pixel_wide():
    panoptic = np.full((40, 40), 100, np.uint8)
    panoptic[:, 20:] = 101
    layers = Layers(panoptic)
    for size in (10, 40, 90):
        assert (layers.resize(size, size).clean().edges.sum(1) == 1).all()


def test_clean_passes_everything_on():
    layers = some(3)
    for options in ({}, {"layout": MAS159}, {"min_person_px": 10**6}, {"restrict_to_person": True}):
        assert layers.clean(**options) == clean(*arrays(layers), **options)
    with pytest.raises(ValueError, match="human: found"):
        replace(layers, human=layers.human + np.uint8(20)).clean()
    with pytest.raises(ValueError, match="face: found"):
        replace(layers, face=layers.face[:5]).clean()
