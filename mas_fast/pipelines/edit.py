"""Which tokens an edit draws anew: those of the cells that its region touches. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image

from mas_fast.pipelines.given import cells
from mas_fast.scene.png import open_image
from mas_fast.scene.scene import TEXT_KEY
from mas_fast.streams import Streams
from mas_fast.utils.documents import short
from mas_fast.utils.validate import check_choice

Region: TypeAlias = Sequence[int] | np.ndarray | Image.Image | str | os.PathLike
WHAT = {"both": ("seg", "img"), "scene": ("seg",), "picture": ("img",)}
MODES = ("1", "L", "RGB")  # of a mask


def erase(
    tokens: np.ndarray, streams: Streams, region: Region, what: str, sides: Mapping[str, int]
) -> np.ndarray:
    """Take away the tokens of a region.

    Args:
        tokens: int64 [S], all streams.
        streams: of the GPT.
        region: as in `Painter.edit`.
        what: one of WHAT.
        sides: pixels of a side, by stream.

    Returns:
        int64 [S], -1 in the region.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    check_choice("what", what, WHAT)
    drawn = [name for name in WHAT[what] if name in sides]
    if not drawn:
        allowed = f"expected 'picture' or 'both': the GPT has the streams {list(streams.names)}"
        raise ValueError(f"what: found {what!r}, {allowed}")
    mask, kept = region_mask(region, sides), tokens.copy()
    for name in drawn:
        grid = streams[name].grid
        assert grid is not None  # Codec.fit compared it
        kept[streams.slice(name)][cells(mask, grid).reshape(-1)] = -1
    return kept


def region_mask(region: Region, sides: Mapping[str, int]) -> np.ndarray:
    """Bring a region to a mask.

    Args:
        region: as in `Painter.edit`.
        sides: pixels of a side, by stream.

    Returns:
        bool [H, W], of the size of the picture or of the scene, true somewhere.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    name = "region"
    if isinstance(region, str | os.PathLike):
        name, region = f"region: {region}", open_image(region)
    if isinstance(region, Image.Image):
        if region.mode not in MODES or TEXT_KEY in region.info:
            kind = "a scene that mas_fast saved" if TEXT_KEY in region.info else region.mode
            allowed = f"expected a mask of the mode {', '.join(MODES)}, not 0 where it is drawn"
            raise ValueError(f"{name}: found {kind}, {allowed}")
        mask = np.asarray(region if region.mode != "RGB" else region.convert("L")) != 0
    elif isinstance(region, np.ndarray) and region.ndim > 1:
        if region.dtype not in (np.bool_, np.uint8):
            raise ValueError(f"{name}: found the dtype {region.dtype}, expected bool or uint8")
        mask = region != 0
    else:
        mask = _box(name, region, sides["img"])
    sizes = list(dict.fromkeys((side, side) for side in (sides["img"], *sides.values())))
    if mask.shape not in sizes:
        found = " x ".join(map(str, mask.shape))
        allowed = " or ".join(f"{side} x {side}" for side, _ in sizes)
        raise ValueError(f"{name}: found a mask of {found} pixels, expected {allowed}")
    if not mask.any():
        raise ValueError(f"{name}: found a mask that is 0 everywhere, expected some of it to draw")
    return mask


def _box(name: str, region: object, side: int) -> np.ndarray:
    """bool [side, side]: the pixels of a box."""
    values = list(region) if isinstance(region, Sequence | np.ndarray) and np.ndim(region) else []
    if len(values) == 4 and all(
        isinstance(value, int | np.integer) and not isinstance(value, bool) for value in values
    ):
        left, top, right, bottom = map(int, values)
        if 0 <= left < right <= side and 0 <= top < bottom <= side:
            mask = np.zeros((side, side), bool)
            mask[top:bottom, left:right] = True
            return mask
    raise ValueError(
        f"{name}: found {short(region)}, expected a mask of bool or uint8, or a box of whole "
        f"numbers (left, top, right, bottom) in pixels of the picture, left < right and top < "
        f"bottom in 0..{side}"
    )
