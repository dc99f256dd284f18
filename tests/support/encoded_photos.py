"""Photos as files, smooth or made to break a reader."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from mas_fast.data.photos.photo import Jpeg, open_photo


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3] without sharp corners, which JPEG keeps well; not symmetrical."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + y / 31), np.cos(y / 7 - x / 40), np.sin((x + 2 * y) / 23 + x / width)]
    return (127 + 100 * np.stack(waves, -1)).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = ((one.astype(float) - other) ** 2).mean()
    return 10 * np.log10(255**2 / max(error, 1e-9))


JPG = encoded(smooth(6, 8), "JPEG")


def with_orientation(pixels: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(pixels, "JPEG", exif=exif, quality=95)


def with_segment(content: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG with another segment in front."""
    return content[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + content[2:]


def profile_of(change: str = "") -> bytes:
    """sRGB's profile, or one whose red and blue are exchanged ("swap") or greys are darker
    ("gamma")."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    place = {}
    for number in range(struct.unpack(">I", content[128:132])[0]):
        entry = content[132 + 12 * number : 144 + 12 * number]
        name, at, size = struct.unpack(">4sII", entry)
        place[name] = slice(at, at + size)
    if change == "swap":
        red, blue = content[place[b"rXYZ"]], content[place[b"bXYZ"]]
        content[place[b"rXYZ"]], content[place[b"bXYZ"]] = blue, red
    elif change == "gamma":  # the first parameter of the curve that all three share
        curve = place[b"rTRC"]
        content[curve.start + 12 : curve.start + 16] = struct.pack(">i", int(3.0 * 65536))
    return bytes(content)


SWAPPED = profile_of("swap")


def bomb() -> bytes:
    """A PNG of 9000 x 9000 pixels in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def read_image(file) -> Image.Image:
    """As open_photo reads it, decoded."""
    photo = open_photo(file)
    return Image.fromarray(photo.decode() if isinstance(photo, Jpeg) else photo)
