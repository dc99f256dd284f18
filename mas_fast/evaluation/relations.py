"""Whether a relation of a caption holds between two things of a scene, by where their pixels are.

left, right    of the centres of mass
beside         they share rows, and the columns of neither lie within the other's
front, behind  feet lower, or higher, in the picture
on             feet over those of the other thing, the middle within it, and the two touch
above, below   all of the upper one, but a tenth, over the top of the other
far            the thing is no higher than FAR of the scene

Thin things and stray pixels: extents leave out 2% of the pixels at either end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

FAR = 0.2  # of the scene's height; what is near is drawn higher
OUTSIDE = 0.02  # share of the pixels beyond either end of an extent
REACH = np.ones((5, 5), bool)  # what touches: up to two pixels apart

Relation = Callable[[np.ndarray, np.ndarray], bool]


def extent(mask: np.ndarray, axis: int) -> tuple[float, float]:
    """Return where a thing begins and ends.

    Args:
        mask: bool [H, W], true somewhere.
        axis: 0 for rows, 1 for columns.

    Returns:
        Two positions in pixels, without the OUTSIDE share at either end.
    """
    first, last = np.quantile(np.nonzero(mask)[axis], (OUTSIDE, 1 - OUTSIDE))
    return float(first), float(last)


def is_far(mask: np.ndarray) -> bool:
    """Tell whether a thing is drawn as one that is far away.

    Args:
        mask: bool [H, W], of a thing, or of several side by side; true somewhere.

    Returns:
        Whether it is no higher than FAR of the scene.
    """
    top, bottom = extent(mask, 0)
    return bottom - top + 1 <= FAR * len(mask)


def _centre(mask: np.ndarray) -> float:
    return float(np.nonzero(mask)[1].mean())


def _beside(first: np.ndarray, second: np.ndarray) -> bool:
    (top, bottom), (over, under) = extent(first, 0), extent(second, 0)
    (left, right), (begin, end) = extent(first, 1), extent(second, 1)
    within = begin <= left <= right <= end or left <= begin <= end <= right
    return max(top, over) <= min(bottom, under) and not within


def _behind(first: np.ndarray, second: np.ndarray) -> bool:
    return extent(first, 0)[1] < extent(second, 0)[1]


def _on(first: np.ndarray, second: np.ndarray) -> bool:
    touch = bool((ndimage.binary_dilation(first, REACH) & second).any())
    begin, end = extent(second, 1)
    return touch and begin <= _centre(first) <= end and _behind(first, second)


def _above(first: np.ndarray, second: np.ndarray) -> bool:
    rows = np.nonzero(first)[0]
    return bool(np.quantile(rows, 0.9) < extent(second, 0)[0])


RELATIONS: dict[str, Relation] = {
    "left": lambda first, second: _centre(first) < _centre(second),
    "right": lambda first, second: _centre(first) > _centre(second),
    "beside": _beside,
    "front": lambda first, second: _behind(second, first),
    "behind": _behind,
    "on": _on,
    "above": _above,
    "below": lambda first, second: _above(second, first),
}


def holds(relation: str, first: np.ndarray, second: np.ndarray) -> bool:
    """Tell whether a relation holds.

    Args:
        relation: one of RELATIONS, of the first thing to the second.
        first: bool [H, W], true somewhere.
        second: bool [H, W], true somewhere.

    Returns:
        Whether it holds.

    Raises:
        KeyError: for another relation.
    """
    return RELATIONS[relation](first, second)
