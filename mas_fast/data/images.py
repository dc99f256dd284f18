"""Photos of any kind to upright RGB, whole, or cut and resized in one go.

JPEGs are decoded by libjpeg-turbo (simplejpeg), and at a half, a quarter or an eighth of their size
where no more is needed; everything else, CMYK too, by Pillow. The resize is csrc/core/resize.h's.
Pixels are uint8 [H, W, 3], RGB.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps

from mas_fast import native
from mas_fast.scene.png import MAX_PIXELS, open_image

DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # grey of 16 bits
PLAIN = ("YCbCr", "Gray", "RGB")  # colours of a JPEG that simplejpeg turns into RGB
MOST_SHRINK, LEAST_SIDE = 8, 16  # of a JPEG that is decoded smaller
KEPT = 2**24  # bytes of the largest decoded picture whose memory a thread uses again
EXIF, APPLICATION, COMMENT = 0xE1, range(0xE0, 0xF0), 0xFE  # markers of a JPEG

# How the stored picture becomes upright, by EXIF orientation: rows and columns exchanged first,
# then the rows, then the columns reversed.
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


@dataclass(frozen=True, eq=False)
class Jpeg:
    """A JPEG of which only the header was read. height, width: upright. what: how errors call it.

    A JPEG that libjpeg warns of (cut off, or with damaged data) is an error when it is decoded.
    """

    content: bytes
    height: int
    width: int
    turn: tuple[bool, bool, bool] = TURNS[1]
    what: str = "image"

    def decode(self) -> np.ndarray:
        """All pixels. ValueError if it is damaged."""
        return self._turned(self._decode(1))

    def cut(
        self, top: int, left: int, height: int, width: int, to_height: int, to_width: int
    ) -> np.ndarray:
        """See `cut`. Decoded no larger than needed; ValueError if it is damaged."""
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
        box, size = (top, left, height, width), (to_height, to_width)
        if swap:
            box, size = (left, top, width, height), (to_width, to_height)
        # Fresh memory for each picture costs a tenth of the time, and more beside other processes.
        if not hasattr(_kept, "buffer"):
            _kept.buffer = np.empty(KEPT, np.uint8)
        small = 3 * self.height * self.width <= KEPT * shrink * shrink // 2
        pixels = self._decode(shrink, _kept.buffer if small else None)
        box = tuple(value / shrink for value in box)
        return self._turned(native.engine().resize(pixels, *size, box))

    def _decode(self, shrink: int, buffer: np.ndarray | None = None) -> np.ndarray:
        """As it is stored; a part of the buffer, if there is one."""
        swap = self.turn[0]
        height, width = (self.width, self.height) if swap else (self.height, self.width)
        least = {"min_height": -(-height // shrink), "min_width": -(-width // shrink)}
        try:
            least = least if shrink > 1 else {}
            return simplejpeg.decode_jpeg(self.content, "RGB", buffer=buffer, **least)
        except ValueError as error:
            raise ValueError(f"{self.what}: found a truncated or damaged JPEG ({error})") from error

    def _turned(self, pixels: np.ndarray) -> np.ndarray:
        swap, reverse_rows, reverse_columns = self.turn
        if swap:
            pixels = pixels.swapaxes(0, 1)
        pixels = pixels[:: -1 if reverse_rows else 1, :: -1 if reverse_columns else 1]
        return np.ascontiguousarray(pixels)


Photo = Jpeg | np.ndarray
_kept = threading.local()


def open_photo(file: str | os.PathLike | bytes, what: str = "image") -> Photo:
    """The photo in a path or an encoded image, upright as its EXIF orientation says: a Jpeg that is
    not decoded yet, or the pixels.

    CMYK, grey and palettes are converted, 16 bits lose the lower 8, and what is transparent becomes
    white. ValueError as for scene.png.open_image, and for floating-point pixels.
    """
    what = what if isinstance(file, bytes) else str(file)
    if not isinstance(file, bytes):
        if not os.path.isfile(file):
            raise ValueError(f"{what}: found no such file")
        file = Path(file).read_bytes()
    if file.startswith(b"\xff\xd8\xff") and (jpeg := _open_jpeg(file, what)):
        return jpeg
    image = open_image(file, what)
    try:
        return np.asarray(_rgb(ImageOps.exif_transpose(image)))
    except MemoryError:
        raise
    except Exception as error:  # EXIF and colour modes are input too
        raise ValueError(f"{what}: {error}") from error


def read_image(file: str | os.PathLike | bytes, what: str = "image") -> Image.Image:
    """The same as a picture. ValueError also for a damaged JPEG."""
    photo = open_photo(file, what)
    return Image.fromarray(photo.decode() if isinstance(photo, Jpeg) else photo)


def cut(
    photo: Photo, top: int, left: int, height: int, width: int, to_height: int, to_width: int
) -> np.ndarray:
    """A part of a photo, resized to to_height x to_width; the filter sees what lies around the
    part. ValueError unless it lies within the photo, and for a damaged JPEG."""
    if isinstance(photo, Jpeg):
        return photo.cut(top, left, height, width, to_height, to_width)
    return native.engine().resize(photo, to_height, to_width, (top, left, height, width))


def _open_jpeg(content: bytes, what: str) -> Jpeg | None:
    """None: CMYK, which is Pillow's."""
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError as error:
        raise ValueError(f"{what}: found a truncated or damaged JPEG ({error})") from error
    if colors not in PLAIN:
        return None
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{what}: found {width} x {height} pixels, expected at most {MAX_PIXELS} in all"
        )
    turn = TURNS[_orientation(content, what)]
    return Jpeg(content, *((width, height) if turn[0] else (height, width)), turn, what)


def _orientation(content: bytes, what: str) -> int:
    """EXIF's, 1..8, of a JPEG: in the segments before the picture's own. A segment is 0xff, marker,
    length (two bytes, with themselves), data."""
    at = 2
    while content[at : at + 1] == b"\xff" and at + 4 <= len(content):
        marker, size = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == EXIF and content.startswith(b"Exif\0\0", at + 4):
            return _exif_orientation(content[at + 4 : at + 2 + size], what)
        if marker not in APPLICATION and marker != COMMENT:
            break
        at += 2 + size
    return 1


def _exif_orientation(data: bytes, what: str) -> int:
    exif = Image.Exif()
    try:
        exif.load(data)
        found = exif.get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception as error:  # EXIF is input too
        raise ValueError(f"{what}: found broken EXIF ({error})") from error
    return found if found in TURNS else 1


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
