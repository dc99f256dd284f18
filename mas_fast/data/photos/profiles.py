"""Colour profiles (ICC): pixels in any colours to pixels in sRGB, by LittleCMS (Pillow's ImageCms).

    conversion = to_srgb(profile, "RGB")             # bytes, and Pillow's mode of the pixels
    image = conversion.apply(image) if conversion else image.convert("RGB")

A profile is examined once per process. Its effect on a grid of colours tells whether it is sRGB:
descriptions are free text. PNG's gAMA, cHRM and cICP are not read; Pillow and OpenCV do not read
them either.
"""

from __future__ import annotations

import functools
import io
import warnings
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image, ImageCms

SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}  # colour space of a profile, by mode
SAME = 2  # levels by which profiles of sRGB differ from each other, in the darkest colours
GRID = 17  # colours per side of the grid that a profile is tried on
LOOKED_AT = 64  # profiles that are kept


@dataclass(frozen=True, eq=False)
class Conversion:
    """A conversion to sRGB, by the perceptual intent of a profile.

    Attributes:
        transform: LittleCMS' transform.
    """

    transform: ImageCms.ImageCmsTransform

    def apply(self, image: Image.Image) -> Image.Image:
        """Convert an image.

        Args:
            image: an image of the mode that the conversion was made for.

        Returns:
            An RGB image, in sRGB.
        """
        # None is the answer for a transform in place alone
        return cast(Image.Image, ImageCms.applyTransform(image, self.transform))


def to_srgb(profile: bytes, mode: str) -> Conversion | None:
    """Return the conversion of pixels to sRGB.

    Args:
        profile: content of the profile; empty for none.
        mode: mode of the pixels: "L", "RGB" or "CMYK".

    Returns:
        The conversion. It is None for pixels that are sRGB (without a profile, or with one of
        sRGB), for a profile of other pixels (an RGB one on a grey picture), and for a profile that
        cannot be read. Such pixels count as sRGB, and a warning says so, once for each profile.
    """
    return _look(profile, mode)[1] if profile else None


def is_srgb(profile: bytes, mode: str) -> bool:
    """Tell whether any reader takes pixels for sRGB, whether it heeds profiles or not.

    Args:
        profile: content of the profile; empty for none.
        mode: mode of the pixels: "L", "RGB" or "CMYK".

    Returns:
        Whether there is no profile, or one of sRGB.
    """
    return not profile or _look(profile, mode)[0]


@functools.lru_cache(LOOKED_AT)
def _look(profile: bytes, mode: str) -> tuple[bool, Conversion | None]:
    """Return whether a profile is one of sRGB, and the conversion if there is one."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space != SPACES[mode]:
            return False, None
        srgb = ImageCms.createProfile("sRGB")
        conversion = Conversion(ImageCms.buildTransform(opened, srgb, mode, "RGB"))
        converted = np.asarray(conversion.apply(_grid(mode))).astype(int)
    except MemoryError:
        raise
    except Exception as error:  # of LittleCMS, and of what Pillow makes of its answers
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"found a colour profile of {len(profile)} bytes that cannot be read ({reason}): "
            "pictures with it are taken as sRGB",
            stacklevel=2,
        )
        return False, None
    same = (
        mode != "CMYK" and np.abs(converted - np.asarray(_grid(mode).convert("RGB"))).max() <= SAME
    )
    return bool(same), None if same else conversion


def _grid(mode: str) -> Image.Image:
    """Return an image of colours from all over the space of a mode."""
    steps = np.linspace(0, 255, GRID).round().astype(np.uint8)
    channels = len(Image.new(mode, (1, 1)).getbands())
    if channels == 1:
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    axes = np.meshgrid(*[steps] * min(channels, 3), *[steps[:1]] * (channels - 3))
    pixels = np.ascontiguousarray(np.stack(axes, -1).reshape(GRID, -1, channels))
    return Image.fromarray(pixels, mode)
