"""What every annotator is: RGB pictures and what is known of them in, more layers out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mas_fast.scene import Layers


class Segmenter(ABC):
    """Adds layers to those that are known of some pictures.

    A panoptic segmenter comes first, since the others may look where it found people. A segmenter
    is made once in each process; a picture's result does not depend on the pictures beside it.
    """

    adds: ClassVar[tuple[str, ...]]  # fields of Layers that it fills

    @abstractmethod
    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        """images: uint8 [H, W, 3], RGB, each of its own size. layers: what is known of each, None
        before any panoptic segmenter. ValueError for an image of another dtype or shape, and for
        missing layers that it needs."""
