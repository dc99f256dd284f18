"""Decoding of unchecked images: a ValueError with the reason, never another error."""

from __future__ import annotations

import io
import os
from typing import cast

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

MAX_PIXELS = 2**26  # 200 MB as RGB: more is taken for a decompression bomb


def open_image(file: str | os.PathLike | bytes, name: str = "image") -> Image.Image:
    """Decode an image, in its own mode.

    Args:
        file: path of an image, or its content.
        name: name of the content in errors.

    Returns:
        The decoded image.

    Raises:
        ValueError: if the file is missing, is no image, is truncated, or has more than MAX_PIXELS
            pixels, which is seen before it is decoded.
    """
    name = name if isinstance(file, bytes) else str(file)
    if not isinstance(file, bytes) and not os.path.isfile(file):
        raise ValueError(f"{name}: found no such file")
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
    except Exception as error:  # on broken input, decoders raise almost anything
        raise ValueError(f"{name}: {_reason(error)}") from error


def png_array(
    file: str | os.PathLike | bytes, modes: tuple[str, ...], name: str = "image"
) -> tuple[np.ndarray, dict[str, str]]:
    """Read the pixels and the text entries of a PNG.

    Args:
        file: path of a PNG, or its content.
        modes: allowed modes.
        name: name of the content in errors.

    Returns:
        Pixels, [H, W] or [H, W, C], bool in mode 1, else uint8; and the text entries.

    Raises:
        ValueError: as for `open_image`, and for another mode.
    """
    image = open_image(file, name)
    name = name if isinstance(file, bytes) else str(file)
    if image.format != "PNG" or image.mode not in modes:
        raise ValueError(
            f"{name}: found {image.format} of mode {image.mode}, "
            f"expected PNG of mode {' or '.join(modes)}"
        )
    pixels = np.array(image)
    # Pillow's bools have the byte 255, which is no 1 when they are read as integers.
    return (pixels.view(np.uint8) != 0 if pixels.dtype == bool else pixels), png_text(image)


def png_text(image: Image.Image) -> dict[str, str]:
    """Return the text entries of a decoded PNG."""
    return cast(PngImageFile, image).text


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "found data that is no image"  # its own text is the address of a BytesIO
    return str(error) or type(error).__name__
