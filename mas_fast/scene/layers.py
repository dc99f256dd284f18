"""The annotation of one picture, before the cleaning rules make a scene of it.

layers = Layers(panoptic, instances)
layers = replace(layers, human=human)      # dataclasses.replace: another annotator adds its own
scene = layers.crop(0, 0, 256, 256).clean()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mas_fast.scene.labels import LIP_PAIRS, MINI158, Layout
from mas_fast.scene.rules import clean
from mas_fast.scene.scene import Scene, nearest


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of annotators. A layer that nobody looked for is None. `clean` checks the values.

    Layers are values: every method returns new ones. Geometry comes before `clean`, so that the
    person gate sees the remaining part of the picture, and edges stay one pixel wide.

    Attributes:
        panoptic: uint8 [H, W], 0..132 or 255 (void).
        instances: int32 [H, W], a different number for each segment.
        human: uint8 [H, W], LIP 0..19.
        face: uint8 [H, W], 0 (none) or part 1..5.
    """

    panoptic: np.ndarray
    instances: np.ndarray | None = None
    human: np.ndarray | None = None
    face: np.ndarray | None = None

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.panoptic.shape[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.panoptic.shape[1]

    def crop(self, top: int, left: int, height: int, width: int) -> Layers:
        """Cut out a part.

        Args:
            top: first row.
            left: first column.
            height: number of rows.
            width: number of columns.

        Returns:
            The part.

        Raises:
            ValueError: unless it lies within the layers.
        """
        if not (0 <= top < top + height <= self.height and 0 <= left < left + width <= self.width):
            raise ValueError(
                f"crop: found rows {top}..{top + height}, columns {left}..{left + width}, "
                f"expected some within {self.height} x {self.width}"
            )
        return self._each(lambda layer: layer[top : top + height, left : left + width])

    def resize(self, height: int, width: int) -> Layers:
        """Resize every layer, by its nearest pixels.

        Args:
            height: new height in pixels.
            width: new width in pixels.

        Returns:
            The resized layers.

        Raises:
            ValueError: if a side is less than 1.
        """
        if height < 1 or width < 1:
            raise ValueError(f"resize: found {height} x {width}, expected at least 1 x 1")
        rows, columns = nearest(self.height, height), nearest(self.width, width)
        return self._each(lambda layer: layer[rows[:, None], columns])

    def flip(self) -> Layers:
        """Exchange left and right, also in the names of arms, legs and shoes."""
        flipped = self._each(lambda layer: layer[:, ::-1])
        if flipped.human is None:
            return flipped
        mirrored = np.arange(256, dtype=np.uint8)
        for left, right in LIP_PAIRS:
            mirrored[[left, right]] = right, left
        return Layers(flipped.panoptic, flipped.instances, mirrored[flipped.human], flipped.face)

    def clean(
        self,
        layout: Layout | str = MINI158,
        *,
        min_person_px: int = 1,
        restrict_to_person: bool = False,
    ) -> Scene:
        """Make a scene by the rules of `rules.clean`.

        Args:
            layout: layout of the scene, or its name.
            min_person_px: as for `rules.clean`.
            restrict_to_person: as for `rules.clean`.

        Returns:
            The scene.

        Raises:
            ValueError: as for `rules.clean`.
        """
        return clean(
            self.panoptic,
            self.instances,
            self.human,
            self.face,
            layout=layout,
            min_person_px=min_person_px,
            restrict_to_person=restrict_to_person,
        )

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> Layers:
        others = (self.instances, self.human, self.face)
        return Layers(
            np.ascontiguousarray(change(self.panoptic)),
            *(None if layer is None else np.ascontiguousarray(change(layer)) for layer in others),
        )
