"""What is not given takes the values beside it, so that an encoder, which sees the neighbours of
what it encodes, meets nothing that looks like an end."""

from __future__ import annotations

import numpy as np

from mas_fast.scene.labels import COCO_NAMES, COCO_THINGS, VOID
from mas_fast.scene.scene import Scene

SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


def fill_nearest(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give each pixel that is not known the value of a known one that is nearest, by steps along
    rows and columns.

    Args:
        values: [H, W] or [H, W, C], of any dtype.
        known: bool [H, W], true somewhere.

    Returns:
        The values, as `values`.

    Raises:
        ValueError: if nothing is known.
    """
    if not known.any():
        raise ValueError("fill_nearest: found no known pixel, expected one")
    values, known = values.copy(), known.copy()
    while not known.all():
        before, from_which = values.copy(), known.copy()
        for y, x in SIDES:
            to, of = _shifted(y, x)
            new = from_which[of] & ~known[to]
            values[to][new] = before[of][new]
            known[to] |= new
    return values


def fill_void(scene: Scene) -> Scene:
    """Paint the void of a scene with the stuff beside it: what is nearest goes on, if it is stuff.

    A thing (animals, vehicles, people and their parts) ends where its paint ends, and the void
    beside it stays. An edge of a pixel beside the void stays where that pixel differs from paint
    too: where paint ends because the rest is not given, nothing ends.

    Args:
        scene: a scene, not void everywhere.

    Returns:
        The scene; itself where it has no void.

    Raises:
        ValueError: if it is void everywhere.
    """
    paint = scene.labels != VOID
    if paint.all():
        return scene
    differs, beside = np.zeros((2, *paint.shape), bool)
    for y, x in SIDES:
        to, of = _shifted(y, x)
        beside[to] |= ~paint[of]
        if (y, x) in ((1, 0), (0, 1)):  # as rules.find_edges looks
            differs[to] |= paint[of] & (scene.labels[to] != scene.labels[of])
    edges = scene.edges & paint & (~beside | differs)
    filled = fill_nearest(scene.labels, paint)
    stuff = (filled >= COCO_THINGS) & (filled < len(COCO_NAMES))
    return Scene(np.where(paint | stuff, filled, np.uint8(VOID)), edges, scene.layout)


def _shifted(y: int, x: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The pixels that have a neighbour y below and x to the right, and those neighbours."""
    cuts = {0: slice(None), 1: slice(None, -1), -1: slice(1, None)}
    return (cuts[y], cuts[x]), (cuts[-y], cuts[-x])
