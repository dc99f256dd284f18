"""Photos of any kind to upright RGB."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageOps

from mas_fast.scene.png import open_image

DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # grey of 16 bits


def read_image(file: str | os.PathLike | bytes, what: str = "image") -> Image.Image:
    """The picture, RGB, as its EXIF orientation says, of a path or of an encoded image.

    CMYK, grey and palettes are converted, 16 bits lose the lower 8, and what is transparent becomes
    white. ValueError as for scene.png.open_image, and for floating-point pixels.
    """
    image = open_image(file, what)
    try:
        return _rgb(ImageOps.exif_transpose(image))
    except MemoryError:
        raise
    except Exception as error:  # EXIF and colour modes are input too
        raise ValueError(f"{what if isinstance(file, bytes) else file}: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("found floating-point pixels, expected integers")
    if image.mode in DEEP:
        values = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
