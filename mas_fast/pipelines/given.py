"""What is given with captions, as the tokens that it forces. No torch.

A cell is the part of a scene, or of a picture, that one token of its grid stands for.

* Of a scene a cell is given where it holds paint: only cells of nothing but void are drawn.
* Of a picture a cell is given where all of it is: a hole is drawn up to its rim.

What an encoder sees beside the given cells, it must not take for an end of something; so the rest
is filled with what is nearest (scene/fill.py).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mas_fast.data.photos.photo import Photo, cut, open_photo
from mas_fast.models.codec import Codec
from mas_fast.pipelines.options import Options
from mas_fast.scene import VOID, Scene, is_words, open_scene, scene_from_words, square
from mas_fast.scene.fill import fill_nearest, fill_void
from mas_fast.scene.png import open_image
from mas_fast.streams import Streams
from mas_fast.text.hints import hinted, hints
from mas_fast.utils.validate import check_int

if TYPE_CHECKING:
    from mas_fast.text.bpe import BPE


def cells(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Find the cells that a mask touches.

    Args:
        mask: bool [H, W].
        grid: (h, w), rows and columns of cells.

    Returns:
        bool [h, w].
    """
    for axis, (side, count) in enumerate(zip(mask.shape, grid, strict=True)):
        fine = np.repeat(mask, math.lcm(side, count) // side, axis)  # so that borders agree
        starts = np.arange(count) * (fine.shape[axis] // count)
        mask = np.logical_or.reduceat(fine, starts, axis)
    return mask


def forced_tokens(
    options: Options,
    count: int,
    streams: Streams,
    seg: Codec | None,
    img: Codec,
    encoder: Callable[[], Codec],
) -> np.ndarray:
    """Encode all that is given.

    Args:
        options: those of a painter.
        count: captions.
        streams: of the GPT.
        seg: the Codec of scenes; None where the GPT has no scenes.
        img: the Codec of pictures.
        encoder: returns the Codec that encodes pictures.

    Returns:
        int64 [count, S], -1 where nothing is given.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    forced = np.full((count, streams.length), -1, np.int64)
    scene, labels = options.get("scene"), options.get("scene_labels")
    image, rows = options.get("image"), options.get("image_rows")
    if scene is None and labels is not None:
        raise ValueError(f"scene_labels: found {labels}, expected a scene with it")
    if image is None and rows is not None:
        raise ValueError(f"image_rows: found {rows}, expected an image with it")
    if scene is not None:
        if seg is None:
            raise ValueError(
                "scene: found one, expected None: this model has no scenes, it draws pictures from "
                "captions alone"
            )
        side = img.config.resolution
        forced[:, streams.slice("seg")] = scene_codes(seg, scene, labels, count, side)
    if image is not None:
        forced[:, streams.slice("img")] = picture_codes(encoder(), image, rows, count)
    return forced


def scene_codes(
    codec: Codec, scene: Any, labels: str | os.PathLike | None, count: int, side: int
) -> np.ndarray:
    """Encode the scenes that are given.

    Args:
        codec: of scenes.
        scene: a Scene, a file of one, or words and boxes, or a list of one for each caption.
        labels: the label space of files that do not say theirs.
        count: captions.
        side: of a picture in pixels, in which the boxes are.

    Returns:
        int64 [1 or count, length of seg], -1 where a cell is void.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    return np.stack([_scene(codec, item, labels, side) for item in _each("scene", scene, count)])


def picture_codes(codec: Codec, image: Any, rows: int | None, count: int) -> np.ndarray:
    """Encode the pictures that are given in part.

    Args:
        codec: of pictures, with its encoder.
        image: a file, or Pillow's, or a list of one for each caption; where it is transparent,
            also in part, it is not given.
        rows: of the picture at the codec's size, in pixels, those that are given; None: all.
        count: captions.

    Returns:
        int64 [1 or count, length of img], -1 where a cell is not given as a whole.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    size = codec.config.resolution
    if rows is not None:
        check_int("image_rows", rows, 1, size)
    found = []
    for item in _each("image", image, count):
        pixels, given = read_picture(item, size)
        given[size if rows is None else rows :] = False
        drawn = cells(~given, codec.grid)
        if drawn.all() or not drawn.any():
            part = "nothing is left to draw" if not drawn.any() else "no token is given"
            side = size // codec.grid[0]
            problem = f"image: found {_name(item)}, of which {part}"
            raise ValueError(
                f"{problem}, expected transparent pixels where it shall be drawn, or image_rows, "
                f"of {size}; a token stands for {side} x {side} pixels"
            )
        codes = codec.encode([fill_nearest(pixels, given)])[0]
        found.append(np.where(drawn, -1, codes).reshape(-1))
    return np.stack(found)


def read_picture(image: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a picture and which pixels of it are given.

    Args:
        image: a file, or Pillow's.
        size: of the middle square, which is cut out and resized.

    Returns:
        Its pixels, uint8 [size, size, 3], and where it is opaque, bool [size, size].

    Raises:
        ValueError: names what was found and what is allowed.
    """
    if not isinstance(image, str | os.PathLike | Image.Image):
        raise ValueError(f"image: found {_name(image)}, expected a path or a Pillow image")
    opened = image if isinstance(image, Image.Image) else open_image(image)
    photo: Photo
    alpha = None
    if "A" in opened.getbands() or "transparency" in opened.info:
        colors = np.asarray(opened.convert("RGBA"))
        photo, alpha = np.ascontiguousarray(colors[..., :3]), colors[..., 3:].repeat(3, 2)
    elif isinstance(image, Image.Image):
        photo = np.array(image.convert("RGB"))
    else:
        photo = open_photo(image)
    if isinstance(photo, np.ndarray):
        height, width = photo.shape[:2]
    else:
        height, width = photo.height, photo.width
    side = min(height, width)
    box = (height - side) // 2, (width - side) // 2, side, side
    pixels = np.array(cut(photo, *box, size, size))
    if alpha is None:
        return pixels, np.ones((size, size), bool)
    return pixels, cut(alpha, *box, size, size)[..., 0] == 255


def tell_given(captions: list[str], given: np.ndarray, codec: Codec, bpe: BPE) -> list[str]:
    """Tell at the end of captions what is given of their scenes behind the first drawn cell.

    Args:
        captions: the captions.
        given: int64 [captions, length of seg], -1 where a token is drawn.
        codec: of scenes.
        bpe: the tokenizer of captions.

    Returns:
        Captions with hints, as a GPT knows them that learned from such.
    """
    told = []
    for caption, row in zip(captions, given, strict=True):
        late = (row >= 0) & np.logical_or.accumulate(row < 0)
        if late.any():
            codes = np.where(row < 0, row[late][0], row)  # any code, where none is known
            (scene,) = codec.decode(codes.reshape(1, *codec.grid))
            assert isinstance(scene, Scene)
            shown = late.reshape(codec.grid)
            for axis, side in enumerate(scene.labels.shape):
                shown = shown.repeat(side // shown.shape[axis], axis)
            caption = hinted(bpe, caption, hints(scene.labels, shown, scene.layout))
        told.append(caption)
    return told


def _scene(codec: Codec, scene: Any, labels: str | os.PathLike | None, side: int) -> np.ndarray:
    size = codec.config.resolution
    if isinstance(scene, str) and is_words(scene):
        scene = scene_from_words(scene, side, side)
    if isinstance(scene, Scene):
        scene = square(scene, size)
    elif isinstance(scene, str | os.PathLike):
        scene = open_scene(scene, labels=labels, size=size)
    else:
        expected = "expected a Scene, the path of one, or words and boxes"
        raise ValueError(f"scene: found {_name(scene)}, {expected}")
    given = cells(scene.labels != VOID, codec.grid)
    if not given.any():
        return np.full(given.size, -1)
    return np.where(given, codec.encode([fill_void(scene)])[0], -1).reshape(-1)


def _each(name: str, value: Any, count: int) -> list:
    """One for all captions, or one for each."""
    if not isinstance(value, list | tuple):
        return [value]
    if len(value) != count:
        raise ValueError(f"{name}: found {len(value)}, expected one, or {count} as captions")
    return list(value)


def _name(value: object) -> str:
    return str(value) if isinstance(value, str | os.PathLike) else type(value).__name__
