"""Decoding images that nobody has checked: a ValueError with the reason, never anything else."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image

MAX_PIXELS = 2**26  # 200 MB as RGB: more is taken for a decompression bomb


def open_image(file: str | os.PathLike | bytes, what: str = "image") -> Image.Image:
    """The decoded image, in its own mode, of a path or of an encoded image.

    what: how errors call it where there is no path. ValueError for a file that is not there, is no
    image, is truncated, or has more than MAX_PIXELS pixels (seen before it is decoded).
    """
    what = what if isinstance(file, bytes) else str(file)
    if not isinstance(file, bytes) and not os.path.isfile(file):
        raise ValueError(f"{what}: found no such file")
    try:
        image = Image.open(io.BytesIO(file) if isinstance(file, bytes) else file)
        with image:
            if image.format == "EPS":  # a program, which Pillow hands to Ghostscript
                raise ValueError("found PostScript, expected a picture")
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(
                    f"found {width} x {height} pixels, expected at most {MAX_PIXELS} in all"
                )
            image.load()
            return image
    except MemoryError:
        raise
    except Exception as error:  # on broken input, decoders raise about everything that there is
        raise ValueError(f"{what}: {_reason(error)}") from error


def png_array(
    file: str | os.PathLike | bytes, modes: tuple[str, ...], what: str = "image"
) -> tuple[np.ndarray, dict[str, str]]:
    """(array, text): the pixels of a PNG, [H, W] or [H, W, C], bool in mode 1 and else uint8, and
    its text entries. ValueError as for open_image, and for a mode that is not in `modes`."""
    image = open_image(file, what)
    what = what if isinstance(file, bytes) else str(file)
    if image.format != "PNG" or image.mode not in modes:
        raise ValueError(
            f"{what}: found {image.format} of mode {image.mode}, "
            f"expected PNG of mode {' or '.join(modes)}"
        )
    pixels = np.array(image)
    # Pillow's bools have the byte 255, which whoever takes them for integers does not expect.
    return (pixels.view(np.uint8) != 0 if pixels.dtype == bool else pixels), image.text


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "found data that is no image"  # its own text is the address of a BytesIO
    return str(error) or type(error).__name__
