"""Photos of any kind to upright RGB: whole, or cut and resized in one go.

JPEGs are decoded by libjpeg-turbo (simplejpeg), at a half, a quarter or an eighth of their size if
that is enough. Everything else is decoded by Pillow. csrc/core/resize.h resizes. Pixels are uint8
[H, W, 3] RGB, in sRGB: colour profiles are honoured (see profiles).

Unreadable metadata is no reason to lose a picture: it counts as upright and as sRGB.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from mas_fast.data.photos import jpeg
from mas_fast.data.photos.profiles import is_srgb, to_srgb
from mas_fast.scene.png import MAX_PIXELS, open_image
from mas_fast.scene.scene import TEXT_KEY
from mas_fast.utils import native

DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # grey with 16 bits
MODES = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}  # by the colours of a JPEG; all others: RGB
MOST_SHRINK, LEAST_SIDE = 8, 16  # of a JPEG that is decoded smaller
KEPT = 2**24  # bytes of the largest decoded picture whose memory a thread uses again

# How the stored picture becomes upright, by EXIF orientation: whether rows and columns are
# exchanged, then whether the rows, then whether the columns are reversed.
TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
UPRIGHT = TURNS[1]


@dataclass(frozen=True, eq=False)
class Jpeg:
    """A JPEG whose header was read, and nothing else.

    If libjpeg cannot decode all pixels (the file is cut off, or its data is damaged), decoding is
    an error.

    Attributes:
        content: the encoded picture.
        height: height of the upright picture, in pixels.
        width: width of the upright picture, in pixels.
        turn: how it becomes upright, see `TURNS`.
        mode: mode of its pixels: "L", "RGB" or "CMYK".
        profile: its colour profile, or empty.
        name: name of the picture in errors.
    """

    content: bytes
    height: int
    width: int
    turn: tuple[bool, bool, bool] = UPRIGHT
    mode: str = "RGB"
    profile: bytes = b""
    name: str = "image"

    def decode(self) -> np.ndarray:
        """Decode the whole picture.

        Returns:
            uint8 [H, W, 3].

        Raises:
            ValueError: if the data is damaged.
        """
        return _turned(self._colors(self._decode(1)), self.turn)

    def cut(
        self, top: int, left: int, height: int, width: int, to_height: int, to_width: int
    ) -> np.ndarray:
        """Cut out a part and resize it, decoded no larger than needed; see the function `cut`."""
        shrink = 1
        while (
            2 * shrink * to_height <= height
            and 2 * shrink * to_width <= width
            and shrink < MOST_SHRINK
            and min(self.height, self.width) >= LEAST_SIDE
        ):
            shrink *= 2
        swap, reverse_rows, reverse_columns = self.turn
        if reverse_rows:
            top = self.height - top - height
        if reverse_columns:
            left = self.width - left - width
        part, size = (top, left, height, width), (to_height, to_width)
        if swap:
            part, size = (left, top, width, height), (to_width, to_height)
        # Fresh memory for each picture costs a tenth of the time, and more beside other processes.
        if not hasattr(_kept, "buffer"):
            _kept.buffer = np.empty(KEPT, np.uint8)
        small = 4 * self.height * self.width <= KEPT * shrink * shrink // 2
        pixels = self._decode(shrink, _kept.buffer if small else None)
        box = tuple(value / shrink for value in part)
        if self.mode == "CMYK":
            pixels = native.engine().resize(self._colors(pixels), *size, box)
        else:  # fewer pixels to convert
            pixels = self._colors(native.engine().resize(pixels, *size, box))
        return _turned(pixels, self.turn)

    def _decode(self, shrink: int, buffer: np.ndarray | None = None) -> np.ndarray:
        """Decode the picture as it is stored: [H, W, 3], or [H, W, 4] for CMYK.

        The result lies in the buffer, if there is one.
        """
        swap = self.turn[0]
        height, width = (self.width, self.height) if swap else (self.height, self.width)
        options: dict[str, Any] = {
            "colorspace": "CMYK" if self.mode == "CMYK" else "RGB",
            "buffer": buffer,
        }
        if shrink > 1:
            options |= {"min_height": -(-height // shrink), "min_width": -(-width // shrink)}
        try:
            return simplejpeg.decode_jpeg(self.content, **options)
        except ValueError as error:
            problem = error
        # libjpeg reports only the first of its warnings. Header data that it warns of and then
        # handles right is taken away, to see whether there are other warnings.
        try:
            content = jpeg.mended(self.content)
            if not jpeg.JUNK_AT_END.search(str(problem)):
                return simplejpeg.decode_jpeg(content, **options)
        except ValueError as error:
            problem = error
        if not jpeg.JUNK_AT_END.search(str(problem)):
            message = f"found a truncated or damaged JPEG ({problem})"
            raise ValueError(f"{self.name}: {message}") from problem
        return simplejpeg.decode_jpeg(content, strict=False, **options)

    def _colors(self, pixels: np.ndarray) -> np.ndarray:
        """Convert decoded pixels to sRGB, [H, W, 3]."""
        conversion = to_srgb(self.profile, self.mode)
        if self.mode == "CMYK":  # Adobe's, where 255 is no ink, as in all files that exist
            image = Image.fromarray(255 - pixels, "CMYK")
            return np.asarray(conversion.apply(image) if conversion else image.convert("RGB"))
        if conversion is None:
            return pixels
        channels = pixels[..., 0] if self.mode == "L" else pixels
        return np.asarray(conversion.apply(Image.fromarray(np.ascontiguousarray(channels))))


Photo = Jpeg | np.ndarray
_kept = threading.local()


def open_photo(file: str | os.PathLike | bytes, name: str = "image") -> Photo:
    """Open a photo: upright, by its EXIF orientation, and in sRGB, by its colour profile.

    CMYK, grey and palettes are converted, 16 bits lose the lower 8, and transparent pixels become
    white.

    Args:
        file: path of an image, or its content.
        name: name of the content in errors.

    Returns:
        A `Jpeg` that is not decoded yet, or pixels, uint8 [H, W, 3].

    Raises:
        ValueError: as for `scene.png.open_image`, for floating-point pixels, and for scenes that
            mas_fast saved.
    """
    name = name if isinstance(file, bytes) else str(file)
    if not isinstance(file, bytes):
        if not os.path.isfile(file):
            raise ValueError(f"{name}: found no such file")
        file = Path(file).read_bytes()
    if file.startswith(b"\xff\xd8"):
        return _open_jpeg(file, name)
    image = open_image(file, name)
    if TEXT_KEY in image.info:
        problem = "found a scene that mas_fast saved"
        raise ValueError(f"{name}: {problem}, expected a picture")
    try:
        return _turned(np.asarray(_rgb(image)), TURNS.get(_orientation(image), UPRIGHT))
    except MemoryError:
        raise
    except Exception as error:  # colour modes are input too
        raise ValueError(f"{name}: {error}") from error


def is_plain_jpeg(content: bytes, height: int, width: int) -> bool:
    """Tell whether any reader takes a file for the same picture.

    Args:
        content: content of a file that `open_photo` reads.
        height: height in pixels.
        width: width in pixels.

    Returns:
        True for one JPEG of that size, grey or RGB, without a turn and without another profile than
        sRGB.
    """
    if not content.startswith(b"\xff\xd8\xff"):
        return False
    photo, header = _open_jpeg(content, "image"), jpeg.Header.read(content)
    return (
        (photo.height, photo.width) == (height, width)
        and photo.mode != "CMYK"
        and header.orientation == 1
        and is_srgb(photo.profile, photo.mode)
        and not header.others
    )


def cut(
    photo: Photo, top: int, left: int, height: int, width: int, to_height: int, to_width: int
) -> np.ndarray:
    """Cut out a part of a photo and resize it. The filter sees the pixels around the part.

    Args:
        photo: the photo.
        top: first row.
        left: first column.
        height: number of rows.
        width: number of columns.
        to_height: new height in pixels.
        to_width: new width in pixels.

    Returns:
        uint8 [to_height, to_width, 3].

    Raises:
        ValueError: unless the part lies within the photo, and for a damaged JPEG.
    """
    if isinstance(photo, Jpeg):
        return photo.cut(top, left, height, width, to_height, to_width)
    return native.engine().resize(photo, to_height, to_width, (top, left, height, width))


def _open_jpeg(content: bytes, name: str) -> Jpeg:
    try:
        try:
            height, width, colors, _ = simplejpeg.decode_jpeg_header(content)
        except ValueError:
            height, width, colors, _ = simplejpeg.decode_jpeg_header(jpeg.mended(content))
    except ValueError as error:
        raise ValueError(f"{name}: found a truncated or damaged JPEG ({error})") from error
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{name}: found {width} x {height} pixels, expected at most {MAX_PIXELS} in all"
        )
    header = jpeg.Header.read(content)
    turn = UPRIGHT if header.orientation is None else TURNS.get(header.orientation, UPRIGHT)
    size = (width, height) if turn[0] else (height, width)
    return Jpeg(content, *size, turn, MODES.get(colors, "RGB"), header.profile, name)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image that Pillow reads, 1 without a readable one."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # EXIF is input too
        return 1
    return value if isinstance(value, int) else 1


def _turned(pixels: np.ndarray, turn: tuple[bool, bool, bool]) -> np.ndarray:
    """Turn pixels upright."""
    swap, reverse_rows, reverse_columns = turn
    if swap:
        pixels = pixels.swapaxes(0, 1)
    pixels = pixels[:: -1 if reverse_rows else 1, :: -1 if reverse_columns else 1]
    return np.ascontiguousarray(pixels)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB, in sRGB."""
    if image.mode == "F":
        raise ValueError("found floating-point pixels, expected integers")
    profile = image.info.get("icc_profile") or b""
    if image.mode in DEEP:
        values = np.asarray(image).astype(np.int64) >> 8
        return _srgb(Image.fromarray(values.clip(0, 255).astype(np.uint8)), profile)
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        grey = image.mode in ("L", "LA", "La")
        colors = _srgb(
            image.convert("L") if grey else image.convert("RGBA").convert("RGB"), profile
        )
        colors.putalpha(alpha)
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, colors).convert("RGB")
    return _srgb(image, profile)


def _srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image without transparency to RGB, in sRGB."""
    if image.mode not in ("L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    conversion = to_srgb(profile, image.mode)
    return conversion.apply(image) if conversion else image.convert("RGB")
