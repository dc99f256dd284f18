"""What the tokens of a part of a picture look like. No torch."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import cast

import numpy as np
from PIL import Image, ImageFilter

from mas_fast.models.codec import Codec
from mas_fast.scene import Scene
from mas_fast.streams import Streams

GREY = 128  # of a scene's part that is unknown
BLUR = 32  # the side of a picture over the radius by which what is not the picture is blurred
SCENES = 16  # decoded ones that are kept, so that a scene is decoded once for all its previews


class Previews:
    """Decodes pictures of which some tokens are unknown.

    Nothing of one preview gets into another: each is a function of its tokens.

    Args:
        streams: of the tokens.
        seg: the Codec of scenes; None where there are none.
        img: the Codec of pictures.
    """

    def __init__(self, streams: Streams, seg: Codec | None, img: Codec) -> None:
        self._streams, self._seg, self._img = streams, seg, img
        self._decode_scene = lru_cache(SCENES)(self._scene)

    def scene(self, tokens: np.ndarray) -> Scene | None:
        """Decode the scene.

        Args:
            tokens: int64 [S], -1 where unknown.

        Returns:
            The scene; None where a part of it is unknown, and where the model has none.
        """
        if self._seg is None or (self._codes(tokens, "seg") < 0).any():
            return None
        kept = self._decode_scene(self._codes(tokens, "seg").tobytes())
        return replace(kept, labels=kept.labels.copy(), edges=kept.edges.copy())

    def image(self, tokens: np.ndarray) -> Image.Image | None:
        """Decode the picture, or what can be seen of it.

        Args:
            tokens: int64 [S], -1 where unknown.

        Returns:
            RGB. Where image tokens are unknown it shows the scene's colours, blurred and grey where
            the scene is unknown too; of a model without scenes it goes on, blurred, as the last row
            that is known. None where nothing is known but the caption.
        """
        codes = self._codes(tokens, "img")
        known = codes >= 0
        if not known.any():
            return self._colors(tokens)
        image = Image.fromarray(cast(np.ndarray, self._img.decode(_filled(codes)[None])[0]))
        if known.all():
            return image
        below = self._colors(tokens) or _blurred(image)
        return Image.composite(image, below, _mask(known, image.size))

    def _colors(self, tokens: np.ndarray) -> Image.Image | None:
        """The scene's colours in the size of the picture; None where nothing of it is known."""
        if self._seg is None:
            return None
        codes = self._codes(tokens, "seg")
        if (codes < 0).all():
            return None
        colors = Image.fromarray(self._decode_scene(_filled(codes).tobytes()).colors())
        grey = Image.new("RGB", colors.size, (GREY, GREY, GREY))
        side = self._img.config.resolution
        seen = Image.composite(colors, grey, _mask(codes >= 0, colors.size))
        return _blurred(seen.resize((side, side)))

    def _scene(self, codes: bytes) -> Scene:
        assert self._seg is not None
        grid = np.frombuffer(codes, np.int64).reshape(1, *self._seg.grid)
        return cast(Scene, self._seg.decode(grid)[0])

    def _codes(self, tokens: np.ndarray, name: str) -> np.ndarray:
        """int64 [h, w]: a stream's part of the tokens."""
        grid = self._streams[name].grid
        assert grid is not None  # seg and img have one: Codec.fit compared it
        return tokens[self._streams.slice(name)].reshape(grid)


def _filled(codes: np.ndarray) -> np.ndarray:
    """The codes, with the last known one above in place of those unknown, so that the decoder sees
    next to the border what is likely there."""
    rows = np.where(codes >= 0, np.arange(len(codes))[:, None], -1)
    above = np.maximum.accumulate(rows)  # -1, the lowest row, where there is none above
    return np.take_along_axis(codes, above, 0).clip(0)


def _mask(known: np.ndarray, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(known).convert("L").resize(size, Image.Resampling.NEAREST)


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / BLUR))
