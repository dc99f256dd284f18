"""Boxes of the objects and faces in a scene, for the losses that look at them closely."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from mas_fast.scene import PERSON, VOID, Layers, Scene, find_edges
from mas_fast.scene.labels import COCO_NAMES, COCO_THINGS

SMALLEST = 4  # pixels of the shorter side of a box; smaller boxes are splinters
TOUCHING = np.ones((3, 3))  # corners touch too
# How far the parts of a face lie apart, and how much larger the box of a face detector is than the
# box around the parts. With the 43 faces of dlib's examples (68 landmarks each), every face is
# found once.
REACH = 0.25  # of the longer side of each part
MARGIN = 0.2  # of width and height, on each side


def object_boxes(scene: Scene | Layers) -> np.ndarray:
    """Find the tight box of each thing.

    Layers with instances have a box for each instance. Otherwise there is one for each connected
    region of a class: an edge separates two instances of one class, and human and face parts belong
    to the class person.

    Args:
        scene: a clean scene, or raw layers.

    Returns:
        float64 [n, 4], (x0, y0, x1, y1) in pixels, exclusive.
    """
    if isinstance(scene, Layers) and scene.instances is not None:
        things = np.where(scene.panoptic < COCO_THINGS, scene.instances.astype(np.int64), -1)
        values, numbers = np.unique(things, return_inverse=True)
        numbers = numbers.reshape(things.shape) + (values[0] != -1)  # 0: no thing
        return _boxes(numbers)
    if isinstance(scene, Layers):
        classes, borders = scene.panoptic, np.zeros(scene.panoptic.shape, bool)
    else:
        parts = (scene.labels >= len(COCO_NAMES)) & (scene.labels != VOID)
        classes = np.where(parts, PERSON, scene.labels)
        borders = scene.edges & ~find_edges(scene.labels)
        borders = ndimage.binary_dilation(borders, TOUCHING) & scene.edges  # to where they end
    boxes = [
        _boxes(ndimage.label((classes == thing) & ~borders)[0])
        for thing in np.unique(classes[classes < COCO_THINGS])
    ]
    return np.concatenate([np.empty((0, 4)), *boxes])


def face_boxes(scene: Scene) -> np.ndarray:
    """Find the box of each face.

    The parts of a face do not touch. Parts that are near each other for their size are one face.

    Args:
        scene: a clean scene.

    Returns:
        float64 [n, 4], (x0, y0, x1, y1) in pixels, exclusive, within the picture.
    """
    channels = scene.layout.face_channels
    parts = (scene.labels >= channels.start) & (scene.labels < channels.stop)
    near = np.zeros_like(parts)
    for rows, columns in ndimage.find_objects(ndimage.label(parts, TOUCHING)[0]):
        reach = math.ceil(REACH * max(rows.stop - rows.start, columns.stop - columns.start))
        up, left = max(0, rows.start - reach), max(0, columns.start - reach)
        near[up : rows.stop + reach, left : columns.stop + reach] = True
    boxes = _boxes(ndimage.label(near, TOUCHING)[0] * parts)
    size = boxes[:, 2:] - boxes[:, :2]
    grown = boxes + MARGIN * np.concatenate([-size, size], 1)
    return grown.clip(0, (scene.width, scene.height) * 2)


def _boxes(numbers: np.ndarray) -> np.ndarray:
    """Return the tight box of each number above 0, without splinters."""
    extents = [box for box in ndimage.find_objects(numbers) if box is not None]
    corners = [(x.start, y.start, x.stop, y.stop) for y, x in extents]
    boxes = np.array(corners, np.float64).reshape(-1, 4)
    return boxes[(boxes[:, 2:] - boxes[:, :2]).min(1) >= SMALLEST]
