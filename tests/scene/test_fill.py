"""scene/fill.py: what is not given takes the values beside it."""

import numpy as np
import pytest

from mas_fast.scene import VOID, Scene, find_edges
from mas_fast.scene.fill import fill_nearest, fill_void

SKY, GRASS, DOG = 119, 125, 16


def test_the_nearest_known_value() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, (7, 9))
    known = rng.random((7, 9)) < 0.15
    filled = fill_nearest(values, known)
    assert (filled[known] == values[known]).all()
    places = np.argwhere(known)
    for y, x in np.argwhere(~known):
        steps = np.abs(places - (y, x)).sum(1)
        nearest = {int(values[tuple(p)]) for p in places[steps == steps.min()]}
        assert int(filled[y, x]) in nearest
    colors = fill_nearest(np.stack([values] * 3, -1), known)
    assert (colors == filled[..., None]).all()
    with pytest.raises(ValueError, match="fill_nearest: found no known pixel"):
        fill_nearest(values, known & False)


def test_a_whole_scene_stays_itself(scene) -> None:
    assert fill_void(scene) is scene


def test_stuff_goes_on_and_things_end() -> None:
    labels = np.full((6, 8), VOID, np.uint8)
    labels[:2, :4], labels[2:4, :4] = SKY, GRASS
    labels[2:4, 4:6] = DOG
    filled = fill_void(Scene(labels, find_edges(labels)))
    assert (filled.labels[labels != VOID] == labels[labels != VOID]).all()
    assert (filled.labels[:2, :4] == SKY).all()
    assert filled.labels[0, 4] == SKY
    assert (filled.labels[4:, :4] == GRASS).all()
    assert (filled.labels[2:, 6:] == VOID).all()  # beside the dog
    assert (filled.labels[4:, 4:] == VOID).all()
    arm = Scene(np.where(labels == DOG, np.uint8(146), labels), np.zeros(labels.shape, bool))
    assert ((fill_void(arm).labels == VOID) == (filled.labels == VOID)).all()


def test_no_edge_towards_the_void() -> None:
    labels = np.full((6, 6), VOID, np.uint8)
    labels[1:5, 1:3], labels[1:5, 3:5] = SKY, GRASS
    scene = Scene(labels, find_edges(labels))
    assert scene.edges.sum() > 4
    edges = np.zeros((6, 6), bool)
    edges[1:5, 2] = True  # between sky and grass
    assert (fill_void(scene).edges == edges).all()
    instances = np.zeros((6, 6), int)
    instances[:3] = 1
    twins = Scene(np.where(labels == VOID, labels, np.uint8(DOG)), find_edges(labels, instances))
    assert fill_void(twins).edges[2, 2:4].tolist() == [True, True]  # of two dogs, apart from void
