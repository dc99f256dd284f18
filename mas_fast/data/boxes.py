"""Boxes of objects and faces that come with a picture, followed through any geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of the objects and faces of a picture.

    Boxes are values: every method returns new ones, which fit the picture after the same operation.

    Attributes:
        objects: float64 [n, 4], any n, of (x0, y0, x1, y1) in pixels from the upper left corner of
            the picture, x1 and y1 exclusive; None if the data say nothing.
        faces: as `objects`.
    """

    objects: np.ndarray | None = None
    faces: np.ndarray | None = None

    @classmethod
    def of(cls, info: Mapping) -> Boxes:
        """Read the boxes in the JSON of a picture.

        Args:
            info: values with the lists "object_boxes" and "face_boxes" of [x0, y0, x1, y1].

        Returns:
            The boxes.

        Raises:
            ValueError: if there is another value than such a list, or a box without width or
                height.
        """
        return cls(*(_read(name, info.get(name)) for name in ("object_boxes", "face_boxes")))

    def to_dict(self) -> dict[str, list[list[float]]]:
        """Return the boxes that there are, in the form that `of` reads."""
        boxes = {"object_boxes": self.objects, "face_boxes": self.faces}
        return {name: values.tolist() for name, values in boxes.items() if values is not None}

    def crop(self, top: float, left: float, height: float, width: float) -> Boxes:
        """Follow a crop of the picture, all in pixels.

        Args:
            top: first row.
            left: first column.
            height: number of rows.
            width: number of columns.

        Returns:
            The boxes, cut at the border of that part; boxes outside it are left out.
        """

        def cut(boxes: np.ndarray) -> np.ndarray:
            moved = boxes - (left, top, left, top)
            moved = np.clip(moved, 0, (width, height, width, height))
            return moved[(moved[:, :2] < moved[:, 2:]).all(1)]

        return self._each(cut)

    def scale(self, down: float, across: float) -> Boxes:
        """Follow a resize of the picture.

        Args:
            down: factor of the height.
            across: factor of the width.

        Returns:
            The scaled boxes.
        """
        return self._each(lambda boxes: boxes * (across, down, across, down))

    def flip(self, width: float) -> Boxes:
        """Follow a flip of a picture that is `width` pixels wide."""
        mirrored = np.array([-1, 1, -1, 1]), np.array([width, 0, width, 0])
        return self._each(lambda boxes: (boxes * mirrored[0] + mirrored[1])[:, [2, 1, 0, 3]])

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> Boxes:
        return Boxes(*(None if b is None else change(b) for b in (self.objects, self.faces)))


def _read(name: str, values: object) -> np.ndarray | None:
    if values is None:
        return None
    expected = "expected a list of [x0, y0, x1, y1] with x0 < x1 and y0 < y1"
    if not isinstance(values, list):
        raise ValueError(f"{name}: found {type(values).__name__}, {expected}")
    for box in values:
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_coordinate, box)):
            raise ValueError(f"{name}: found {str(box)[:80]}, {expected}")
        if not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"{name}: found {box}, {expected}")
    return np.array(values, np.float64).reshape(-1, 4)


def _is_coordinate(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**31  # NaN is no coordinate either
