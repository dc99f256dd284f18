"""Colour profiles (ICC): pixels in any colours to pixels in sRGB, by LittleCMS (Pillow's ImageCms).

    conversion = to_srgb(profile, "RGB")             # bytes, and Pillow's mode of the pixels
    image = conversion.apply(image) if conversion else image.convert("RGB")

A profile is looked at once in a process. What it does to a grid of colours says whether it is
sRGB: descriptions are free text. PNG's gAMA, cHRM and cICP are not read, nor by Pillow or OpenCV.
"""

from __future__ import annotations

import functools
import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}  # of a profile, by the mode of its pixels
SAME = 2  # levels: sRGB's own profiles differ from each other by so many in the darkest colours
GRID = 17  # colours a side that a profile is tried on
LOOKED_AT = 64  # profiles that are kept


@dataclass(frozen=True, eq=False)
class Conversion:
    """To sRGB, by the profile's perceptual intent."""

    transform: ImageCms.ImageCmsTransform

    def apply(self, image: Image.Image) -> Image.Image:
        """An RGB image, in sRGB, of one of the mode that the conversion was made for."""
        return ImageCms.applyTransform(image, self.transform)


def to_srgb(profile: bytes, mode: str) -> Conversion | None:
    """What turns pixels of mode L, RGB or CMYK into sRGB; None where they are (no profile, or one
    of sRGB), where the profile is one of other pixels (an RGB one on a grey picture), and where it
    cannot be read: such pixels count as sRGB, and a warning says so, once for each profile."""
    return _look(profile, mode)[1] if profile else None


def is_srgb(profile: bytes, mode: str) -> bool:
    """Whether any reader takes these pixels for sRGB, one that heeds profiles or one that does
    not: there is none, or one of sRGB."""
    return not profile or _look(profile, mode)[0]


@functools.lru_cache(LOOKED_AT)
def _look(profile: bytes, mode: str) -> tuple[bool, Conversion | None]:
    """(whether it is one of sRGB, the conversion if there is one)."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space != SPACES[mode]:
            return False, None
        srgb = ImageCms.createProfile("sRGB")
        conversion = Conversion(ImageCms.buildTransform(opened, srgb, mode, "RGB"))
        found = np.asarray(conversion.apply(_grid(mode))).astype(int)
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
    same = mode != "CMYK" and np.abs(found - np.asarray(_grid(mode).convert("RGB"))).max() <= SAME
    return bool(same), None if same else conversion


def _grid(mode: str) -> Image.Image:
    """Colours all over the mode's space."""
    steps = np.linspace(0, 255, GRID).round().astype(np.uint8)
    channels = len(Image.new(mode, (1, 1)).getbands())
    if channels == 1:
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    axes = np.meshgrid(*[steps] * min(channels, 3), *[steps[:1]] * (channels - 3))
    pixels = np.ascontiguousarray(np.stack(axes, -1).reshape(GRID, -1, channels))
    return Image.fromarray(pixels, mode)
