"""Boxes of the objects and faces that a scene shows, for the losses that look at them closely."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from mas_fast.scene import PERSON, VOID, Layers, Scene, find_edges
from mas_fast.scene.labels import COCO_NAMES, COCO_THINGS

SMALLEST = 4  # pixels of a box's shorter side: less is a splinter
TOUCHING = np.ones((3, 3))  # corners touch too
# How far a face's parts lie apart, and how much larger than the box around them is that of a face
# detector, by the 43 faces of dlib's examples (68 landmarks each): every face is found once.
REACH = 0.25  # of the longer side of each part
MARGIN = 0.2  # of width and height, on each side


def object_boxes(scene: Scene | Layers) -> np.ndarray:
    """float64 [n, 4], (x0, y0, x1, y1), exclusive: the tight box of each thing.

    Of layers with instances, one for each instance. Else one for each connected region of a class:
    an edge parts two instances of one class, and human and face parts are of the class person.
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
    found = [
        _boxes(ndimage.label((classes == thing) & ~borders)[0])
        for thing in np.unique(classes[classes < COCO_THINGS])
    ]
    return np.concatenate([np.empty((0, 4)), *found])


def face_boxes(scene: Scene) -> np.ndarray:
    """float64 [n, 4], (x0, y0, x1, y1), exclusive, within the picture: a face each. Its parts do
    not touch; those that are near each other for their size are one face."""
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
    """The tight box of each number above 0, less splinters."""
    found = [box for box in ndimage.find_objects(numbers) if box is not None]
    corners = [(x.start, y.start, x.stop, y.stop) for y, x in found]
    boxes = np.array(corners, np.float64).reshape(-1, 4)
    return boxes[(boxes[:, 2:] - boxes[:, :2]).min(1) >= SMALLEST]
