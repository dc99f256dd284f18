"""scene/render.py: scenes as pictures with colours, names and a legend."""

import numpy as np
import pytest

from annotated import annotations
from mas_fast.scene import (
    COCO_NAMES,
    MINI158,
    VOID,
    Scene,
    clean,
    find_edges,
)


def test_rendering_has_colours_names_and_a_legend():
    labels = np.zeros((90, 120), np.uint8)
    labels[:, 60:] = COCO_NAMES.index("sea")
    labels[:2, :2] = VOID
    scene = Scene(labels, find_edges(labels))
    image = np.array(scene.render(scale=2))
    assert image.shape[0] == 180
    assert image.shape[1] > 240
    assert (image[100, 10] == MINI158.colors[0]).all()
    assert (image[10, 200] == scene.colors()[0, 99]).all()
    assert (image[100, 118] == MINI158.colors[0] // 2).all()  # the edge
    assert (image[:, :118] == 255).all(-1).any()  # "person", in white
    assert (image[7, 255] == scene.colors()[0, 99]).all()  # the legend: the largest comes first
    assert (image[23, 255] == MINI158.colors[0]).all()
    for shape in ((1, 1), (1, 300), (300, 2)):
        clean(*annotations(9, shape=shape)).render()
    with pytest.raises(ValueError, match="scale: found 0"):
        scene.render(scale=0)
