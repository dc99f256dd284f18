"""The interface of an image tokenizer: pictures or scenes to codes and back. No torch.

    codes = codec.encode([picture])          # int64 [1, h, w]
    (picture,) = codec.decode(codes)         # uint8 [H, W, 3], or a Scene

Items are processed one at a time: memory does not grow with their number, and no result depends on
the rest of a batch (a library may choose another convolution for another batch size, which can move
a value from one byte to the next). Where it is worth that, a runtime decodes some `together`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image

from mas_fast.models.vqvae_config import VQConfig
from mas_fast.scene.scene import Scene
from mas_fast.streams import Stream

Item: TypeAlias = np.ndarray | Scene


class Codec(ABC):
    """An image tokenizer of the given config; each runtime implements it.

    An item is a picture, uint8 [H, W, 3], RGB, or, if the config has labels, a Scene in its layout;
    H and W are the config's resolution.

    Args:
        subject: what errors call the tokenizer.
        config: of the tokenizer.

    Attributes:
        together: how many items are decoded at once.

    Raises:
        ValueError: the config has labels without a layout.
    """

    together = 1

    def __init__(self, subject: str, config: VQConfig) -> None:
        if config.input == "labels" and config.layout is None:
            raise ValueError(f"{subject}: found no layout of scenes, expected mini158 or mas159")
        self.subject, self.config = subject, config

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of an item's codes."""
        side = self.config.resolution // self.config.f
        return side, side

    def fit(self, stream: Stream) -> None:
        """Checks that a stream has this tokenizer's codes, in its grid.

        Raises:
            ValueError: it has not.
        """
        codes, (side, _) = self.config.codes, self.grid
        if (codes, self.grid) != (stream.vocab, stream.grid):
            codes_in_grid = f"found {codes} codes in a grid of {side} x {side}"
            expected = f"expected {stream.vocab} in {stream.grid}, as the GPT has"
            raise ValueError(f"{self.subject}: {codes_in_grid}, {expected}")

    def encode(self, items: Sequence[Item | Image.Image]) -> np.ndarray:
        """Encodes items.

        Args:
            items: N of them; a picture may also be Pillow's.

        Returns:
            int64 [N, h, w].

        Raises:
            ValueError: there is no item, or one is unfit.
        """
        if isinstance(items, Scene | Image.Image) or not len(items):
            raise ValueError(f"{self.subject}: found {items!r:.80}, expected a list, not empty")
        return np.concatenate([self._encode(self._checked(n, x)) for n, x in enumerate(items)])

    def decode(self, codes: np.ndarray) -> list[Item]:
        """Decodes codes.

        Args:
            codes: integers [N, h, w].

        Returns:
            N items.

        Raises:
            ValueError: the codes have a wrong shape or dtype, or are out of range.
        """
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu" or codes.ndim != 3 or codes.shape[1:] != self.grid:
            expected = f"expected integers [N, {self.grid[0]}, {self.grid[1]}]"
            raise ValueError(f"{self.subject}: found codes {_shape(codes)}, {expected}")
        wrong = codes[(codes < 0) | (codes >= self.config.codes)]
        if len(wrong):
            allowed = f"0 to {self.config.codes - 1}"
            raise ValueError(f"{self.subject}: found the code {wrong[0]}, expected {allowed}")
        codes, items = codes.astype(np.int64), list[Item]()
        for start in range(0, len(codes), self.together):
            items += self._decode(codes[start : start + self.together])
        return items

    @abstractmethod
    def _encode(self, item: Item) -> np.ndarray:
        """int64 [1, h, w] of a checked item; a scene is in the config's layout."""

    @abstractmethod
    def _decode(self, codes: np.ndarray) -> Sequence[Item]:
        """The items of checked codes, int64 [1..together, h, w]."""

    def _checked(self, n: int, item: Item | Image.Image) -> Item:
        name, size = f"{self.subject}: item {n + 1}", self.config.resolution
        if self.config.input == "labels":
            if not isinstance(item, Scene):
                raise ValueError(f"{name}: found {_shape(item)}, expected a Scene")
            if (item.height, item.width) != (size, size):
                scene_size = f"found a scene of {item.height} x {item.width}"
                raise ValueError(f"{name}: {scene_size}, expected {size} x {size}")
            assert self.config.layout is not None  # checked by __init__
            return item.to(self.config.layout)
        if isinstance(item, Image.Image):
            item = np.array(item.convert("RGB"))
        shape = (size, size, self.config.channels)
        if not isinstance(item, np.ndarray) or (item.dtype, item.shape) != (np.uint8, shape):
            expected = f"expected a picture, uint8 {list(shape)}"
            raise ValueError(f"{name}: found {_shape(item)}, {expected}")
        return item


def _shape(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__name__
