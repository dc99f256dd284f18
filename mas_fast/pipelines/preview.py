"""What the tokens of a part of a picture look like. No torch."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from PIL import Image, ImageFilter

from mas_fast.models.codec import Codec, Item
from mas_fast.scene import Scene
from mas_fast.streams import Streams

GREY = 128  # of a scene's part that is unknown
BLUR = 32  # the side of a picture over the radius by which what is not the picture is blurred
KEPT = 64  # scenes that are decoded once for all their previews, as many as are drawn at once


class Previews:
    """Decodes pictures of which some tokens are unknown.

    Nothing of one preview gets into another: each is a function of its tokens. Scenes and pictures
    that are whole are decoded with those beside them, as far as the Codec takes them together.

    Args:
        streams: of the tokens.
        seg: the Codec of scenes; None where there are none.
        img: the Codec of pictures.
    """

    def __init__(self, streams: Streams, seg: Codec | None, img: Codec) -> None:
        self._streams, self._seg, self._img = streams, seg, img
        self._scenes = None if seg is None else _Decoded(seg, KEPT)
        self._images = _Decoded(img, 1)

    def scene(self, rows: np.ndarray, row: int) -> Scene | None:
        """Decode the scene.

        Args:
            rows: int64 [N, S], tokens, -1 where unknown.
            row: which of them is meant.

        Returns:
            The scene; None where a part of it is unknown, and where the model has none.
        """
        if self._scenes is None or (self._codes(rows[row], "seg") < 0).any():
            return None
        kept = cast(Scene, self._scenes(self._codes(rows, "seg"), row))
        return replace(kept, labels=kept.labels.copy(), edges=kept.edges.copy())

    def image(self, rows: np.ndarray, row: int) -> Image.Image | None:
        """Decode the picture, or what can be seen of it.

        Args:
            rows: int64 [N, S], tokens, -1 where unknown.
            row: which of them is meant.

        Returns:
            RGB. Where image tokens are unknown it shows the scene's colours, blurred and grey where
            the scene is unknown too; of a model without scenes it goes on, blurred, as the last row
            that is known. None where nothing is known but the caption.
        """
        codes = self._codes(rows[row], "img")
        known = codes >= 0
        if not known.any():
            return self._colors(rows[row])
        if known.all():
            return Image.fromarray(cast(np.ndarray, self._images(self._codes(rows, "img"), row)))
        image = Image.fromarray(cast(np.ndarray, self._img.decode(_filled(codes)[None])[0]))
        below = self._colors(rows[row]) or _blurred(image)
        return Image.composite(image, below, _mask(known, image.size))

    def _colors(self, tokens: np.ndarray) -> Image.Image | None:
        """The scene's colours in the size of the picture; None where nothing of it is known."""
        if self._scenes is None:
            return None
        codes = self._codes(tokens, "seg")
        if (codes < 0).all():
            return None
        colors = Image.fromarray(cast(Scene, self._scenes(_filled(codes)[None], 0)).colors())
        grey = Image.new("RGB", colors.size, (GREY, GREY, GREY))
        side = self._img.config.resolution
        seen = Image.composite(colors, grey, _mask(codes >= 0, colors.size))
        return _blurred(seen.resize((side, side)))

    def _codes(self, tokens: np.ndarray, name: str) -> np.ndarray:
        """int64 [..., h, w]: a stream's part of tokens [..., S]."""
        grid = self._streams[name].grid
        assert grid is not None  # seg and img have one: Codec.fit compared it
        return tokens[..., self._streams.slice(name)].reshape(*tokens.shape[:-1], *grid)


class _Decoded:
    """Decodes codes, and keeps what came of the last ones.

    Args:
        codec: decodes them.
        kept: items that are kept; as many at least as are decoded together.
    """

    def __init__(self, codec: Codec, kept: int) -> None:
        self._codec, self._most = codec, max(kept, codec.together)
        self._items: dict[bytes, Item] = {}

    def __call__(self, codes: np.ndarray, row: int) -> Item:
        """The item of row `row` of codes [N, h, w], which are whole in that row.

        With it are decoded those of its share of the rows, whichever of them is asked for first.
        """
        key = codes[row].tobytes()
        if key not in self._items:
            start = row // self._codec.together * self._codec.together
            share = codes[start : start + self._codec.together]
            share = share[(share >= 0).all((1, 2))]
            items = self._codec.decode(share)
            self._items |= zip((grid.tobytes() for grid in share), items, strict=True)
            for old in [*self._items][: -self._most]:
                del self._items[old]
        return self._items[key]


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
