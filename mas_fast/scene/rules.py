"""From annotations to a scene: the three cleaning rules, then edges.

P is the panoptic label of a pixel (0..132, 255 void), I its instance, S its human part (LIP 0..19),
F its face part (0 none, 1..5). In this order:

1. the person gate, on the original P: without enough person pixels, S and F are 0 everywhere. A
   parser that sees no person invents one;
2. no human background: LIP 0 is no label. As a class of its own it covers nearly every pixel, and
   a tokenizer learns to predict nothing else;
3. one label per pixel: the face part, else the human part, else P, else void;
4. edges, where (label, I) changes: one pixel wide, on the left or the upper side of a border.

The precedence of rule 3 and the side of the edges are our choice. The gate comes before any
merging, so parts in a picture without people change neither labels nor edges.
"""

from __future__ import annotations

import numpy as np

from mas_fast.scene.labels import (
    COCO_NAMES,
    FACE_NAMES,
    LIP_NAMES,
    MINI158,
    PERSON,
    VOID,
    Layout,
    layout_named,
)
from mas_fast.scene.scene import Scene


def clean(
    panoptic: np.ndarray,
    instances: np.ndarray | None = None,
    human: np.ndarray | None = None,
    face: np.ndarray | None = None,
    *,
    layout: Layout | str = MINI158,
    min_person_px: int = 1,
    restrict_to_person: bool = False,
) -> Scene:
    """Make a scene of integer maps [H, W].

    Args:
        panoptic: P, 0..132 or 255 (void).
        instances: I; None: 0 everywhere.
        human: S, LIP 0..19; None: 0 everywhere.
        face: F, 0 (none) or 1..5; None: 0 everywhere.
        layout: layout of the scene, or its name.
        min_person_px: number of person pixels that open the gate.
        restrict_to_person: whether human and face parts count only where P is person.

    Returns:
        The scene.

    Raises:
        ValueError: names a map of another shape, dtype or range.
    """
    layout = layout_named(layout)
    shape = np.shape(panoptic)
    panoptic = _checked("panoptic", panoptic, shape, len(COCO_NAMES), void=True)
    human = _checked("human", human, shape, len(LIP_NAMES))
    face = _checked("face", face, shape, len(FACE_NAMES) + 1)
    if instances is not None:
        _check_map("instances", instances, shape)
    person = panoptic == PERSON
    if np.count_nonzero(person) < min_person_px:
        human = face = np.zeros(shape, np.uint8)
    elif restrict_to_person:
        human, face = human * person, face * person
    labels = merge(panoptic, human, face, layout)
    return Scene(labels, find_edges(labels, instances), layout)


def merge(panoptic: np.ndarray, human: np.ndarray, face: np.ndarray, layout: Layout) -> np.ndarray:
    """Merge maps to one label per pixel: face before human before panoptic.

    Args:
        panoptic: uint8 [H, W], in range.
        human: uint8 [H, W], in range.
        face: uint8 [H, W], in range.
        layout: layout of the labels.

    Returns:
        uint8 [H, W].
    """
    labels = np.where(human > 0, human + np.uint8(layout.human), panoptic)
    return np.where(face > 0, face + np.uint8(layout.face), labels)


def find_edges(labels: np.ndarray, instances: np.ndarray | None = None) -> np.ndarray:
    """Find the edges of a label map.

    Args:
        labels: uint8 [H, W].
        instances: integers [H, W], or None.

    Returns:
        bool [H, W]: whether the label or the instance of a pixel differs from that of its right or
        lower neighbour.
    """
    edges = np.zeros(labels.shape, bool)
    for values in (labels,) if instances is None else (labels, instances):
        edges[:, :-1] |= values[:, :-1] != values[:, 1:]
        edges[:-1] |= values[:-1] != values[1:]
    return edges


def _checked(
    name: str, values: np.ndarray | None, shape: tuple[int, ...], count: int, void: bool = False
) -> np.ndarray:
    """Return a map as uint8 [H, W], in 0..count - 1, or 255 if `void` is allowed."""
    if values is None:
        return np.zeros(shape, np.uint8)
    _check_map(name, values, shape)
    wrong = (values < 0) | (values >= count)
    if void:
        wrong &= values != VOID
    if wrong.any():
        allowed = f"0..{count - 1}" + (f" or {VOID} (void)" if void else "")
        raise ValueError(
            f"{name}: found {np.unique(values[wrong])[:5].tolist()}, expected {allowed}"
        )
    return values.astype(np.uint8)


def _check_map(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    dtype = getattr(values, "dtype", np.dtype(object))
    if dtype.kind not in "iu" or values.ndim != 2 or values.shape != shape or values.size == 0:
        expected = list(shape) if len(shape) == 2 else "[H, W]"
        raise ValueError(
            f"{name}: found {dtype} {list(np.shape(values))}, expected integers {expected}"
        )
