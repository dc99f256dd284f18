"""The header of a JPEG beyond its size, and the warnings of libjpeg that cost no pixel.

A segment is 0xff, a marker, a length (two bytes, which count themselves) and data. Bytes between
segments are skipped, as libjpeg does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from PIL import ExifTags, Image

APP0, EXIF, APP2, ADOBE, SOS = 0xE0, 0xE1, 0xE2, 0xEE, 0xDA
END = 0xD9  # of the picture
FRAMES = (0xC0, 0xC1, 0xC2)  # frames that all readers decode
NO_SEGMENT = {0, 0xFF, 0x01, *range(0xD0, END + 1)}  # no marker, or one without a length
EXIF_HEAD, ICC_HEAD = b"Exif\0\0", b"ICC_PROFILE\0"

# "15 extraneous bytes before marker 0xd9": found after the last pixel was read
JUNK_AT_END = re.compile(rf"extraneous bytes before marker 0x{END:02x}$")


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk over the segments of a JPEG, up to the first scan.

    Args:
        content: the file.

    Yields:
        Marker, and start and stop of the data, of each segment; the first scan is the last one.
    """
    at, end = 2, len(content) - 3
    while at < end:
        marker = content[at + 1]
        if content[at] != 0xFF or marker in NO_SEGMENT:
            at = content.find(b"\xff", at + 1)
            if at < 0:
                return
            continue
        start, stop = at + 4, at + 2 + (content[at + 2] << 8 | content[at + 3])
        if stop < start or stop > end + 3:
            return
        yield marker, start, stop
        if marker == SOS:
            return
        at = stop


class Header(NamedTuple):
    """The segments before the frame.

    Attributes:
        orientation: EXIF orientation; 1 without EXIF, None if it cannot be read.
        profile: colour profile; empty if there is none, or not all of it.
        others: whether the file says that it holds more than one picture (MPO).
    """

    orientation: int | None = 1
    profile: bytes = b""
    others: bool = False

    @classmethod
    def read(cls, content: bytes) -> Header:
        """Read the header of a JPEG from its content."""
        exif, others, parts = None, False, []
        for marker, start, stop in segments(content):
            if marker < APP0:
                if marker in FRAMES:
                    break
            elif marker == EXIF and exif is None and content.startswith(EXIF_HEAD, start):
                exif = content[start:stop]
            elif marker == APP2 and content.startswith(ICC_HEAD, start):
                parts.append(content[start + len(ICC_HEAD) : stop])
            elif marker == APP2 and content.startswith(b"MPF\0", start):
                others = True
        profile = _joined(parts) if parts else b""
        return cls(1 if exif is None else _orientation(exif), profile, others)


def _orientation(data: bytes) -> int | None:
    exif = Image.Exif()
    try:
        exif.load(data)
        value = exif.get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # EXIF is input too
        return None
    return value if isinstance(value, int) else None


def _joined(parts: list[bytes]) -> bytes:
    """Join a profile from parts in any order: each is its number, their count, and data."""
    numbered = {part[0]: part[2:] for part in parts if len(part) > 2}
    complete = numbered and len(parts[0]) > 2 and sorted(numbered) == [*range(1, parts[0][1] + 1)]
    return b"".join(numbered[number] for number in sorted(numbered)) if complete else b""


def mended(content: bytes) -> bytes:
    """Take away header data that libjpeg warns of and then handles right.

    That is: bytes between segments, another JFIF revision, unknown codes for colours, a broken
    colour profile, and parameters of a scan that are not those of a baseline picture. Pixels are
    not touched.

    Args:
        content: the file.

    Returns:
        The file without them.
    """
    pieces, tail, baseline = [b"\xff\xd8"], len(content), False
    bad_profile = not Header.read(content).profile
    for marker, start, stop in segments(content):
        data = bytearray(content[start:stop])
        if marker == APP0 and data.startswith(b"JFIF\0") and len(data) > 6:
            data[5:7] = b"\1\1"
        elif marker == ADOBE and data.startswith(b"Adobe") and len(data) >= 12:
            data[11] = min(data[11], 2)
        elif marker == APP2 and data.startswith(ICC_HEAD) and bad_profile:
            continue
        elif marker in FRAMES[:2]:  # baseline, or sequential with Huffman's codes
            baseline = True
        elif marker == SOS and baseline and len(data) > 3:
            data[-3:] = b"\0\x3f\0"
        pieces.append(bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data)
        tail = stop
    return b"".join(pieces) + content[tail:]
