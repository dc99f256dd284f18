"""data/images.py: photos of every kind, whole or cut and resized; broken ones."""

import io
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mas_fast.data import images
from mas_fast.data.images import Jpeg, cut, open_photo, read_image

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco" / "images"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no {PHOTOS}")


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


def bomb() -> bytes:
    """A PNG of 9000 x 9000 pixels in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def jpeg_bomb() -> bytes:
    """A JPEG whose header says 65000 x 65000."""
    at = JPG.index(b"\xff\xc0") + 5
    return JPG[:at] + struct.pack(">HH", 65000, 65000) + JPG[at + 4 :]


def with_orientation(pixels: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(pixels, "JPEG", exif=exif, quality=95)


def test_images_of_every_mode_become_upright_rgb():
    grey = np.full((4, 6), 100, np.uint8)
    color = Image.fromarray(grey).convert("RGB")
    for content in (
        encoded(grey),
        encoded(grey, "JPEG"),
        encoded(color, "JPEG", subsampling="4:2:0", progressive=True),
        encoded(color, "JPEG", keep_rgb=True),
        encoded(color.convert("CMYK"), "JPEG"),
        encoded(grey.astype(np.uint16) * 256 + 77),
        encoded(color.quantize(4)),
        encoded(color.convert("CMYK"), "TIFF"),
        encoded(color, "WEBP", lossless=True),
    ):
        image = read_image(content)
        assert image.mode == "RGB" and image.size == (6, 4)
        assert abs(np.asarray(image).astype(int) - 100).max() <= 2
        part = cut(open_photo(content), 0, 0, 4, 6, 2, 3)
        assert part.shape == (2, 3, 3) and abs(part.astype(int) - 100).max() <= 2
    for mode in ("LA", "RGBA"):
        clear = Image.new(mode, (2, 1), 0)
        assert (np.asarray(read_image(encoded(clear))) == 255).all()


def test_cmyk_is_read_as_pillow_reads_it():
    inks = np.kron(np.random.default_rng(0).integers(0, 256, (6, 5, 4)), np.ones((8, 8, 1)))
    content = encoded(Image.fromarray(inks.astype(np.uint8), "CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert image.mode == "CMYK" and (np.asarray(read_image(content)) == expected).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_pixel(kind):
    content = encoded(np.full((1, 1, 3), 200, np.uint8), kind)
    assert read_image(content).size == (1, 1)
    grown = cut(open_photo(content), 0, 0, 1, 1, 5, 3)
    assert grown.shape == (5, 3, 3) and abs(grown.astype(int) - 200).max() <= 1


def test_a_jpeg_is_not_decoded_until_it_is_needed():
    photo = open_photo(encoded(smooth(60, 80), "JPEG")[:-50])  # cut off
    assert isinstance(photo, Jpeg) and (photo.height, photo.width) == (60, 80)
    for use in (photo.decode, lambda: photo.cut(0, 0, 60, 60, 20, 20)):
        with pytest.raises(ValueError, match="image: found a truncated or damaged JPEG"):
            use()
    assert isinstance(open_photo(encoded(smooth(6, 8))), np.ndarray)


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 99])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (67, 45), (193, 150)])
def test_orientations(orientation, height, width):
    content = with_orientation(smooth(height, width), orientation)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    photo = open_photo(content)
    assert (photo.height, photo.width) == expected.shape[:2]
    assert abs(photo.decode().astype(int) - expected).max() <= 2
    top, left, rows, columns = 5, 9, photo.height - 8, photo.width - 12
    part = photo.cut(top, left, rows, columns, 20, 30)  # of the large ones, the half is decoded
    whole = cut(expected, top, left, rows, columns, 20, 30)
    assert psnr(part, whole) > 38
    other = cut(expected, top + 1, left + 1, rows, columns, 20, 30)
    assert psnr(part, whole) > psnr(part, other) + 6


def test_orientation_after_other_segments():
    content = with_orientation(smooth(8, 16), 6)
    note = b"\xff\xfe" + struct.pack(">H", 2 + 40000) + bytes(40000)
    assert open_photo(content[:2] + note + content[2:]).height == 16
    for cut_off in range(2, 60):  # a header that ends anywhere is no error of its own kind
        try:
            open_photo(content[:cut_off])
        except ValueError:
            pass
    broken = content.replace(b"Exif\0\0MM", b"Exif\0\0XX").replace(b"Exif\0\0II", b"Exif\0\0XX")
    assert broken != content
    with pytest.raises(ValueError, match="found broken EXIF"):
        open_photo(broken)


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_decoding_smaller(shrink, monkeypatch):
    """The least size that is large enough is decoded, and gives the same picture."""
    pixels = smooth(258 * shrink // 2, 300 * shrink // 2)
    photo = open_photo(encoded(pixels, "JPEG", quality=95))
    decoded = []
    decode = Jpeg._decode
    monkeypatch.setattr(
        Jpeg, "_decode", lambda self, *a: decoded.append(decode(self, *a)) or decoded[-1]
    )
    size = 128
    part = photo.cut(0, 0, photo.height, photo.height, size, size)
    assert decoded[0].shape[0] == -(-photo.height // shrink)
    assert psnr(part, cut(pixels, 0, 0, photo.height, photo.height, size, size)) > 35


@pytest.mark.parametrize("to", [(64, 200), (200, 64)])
def test_the_longer_way_of_a_result_counts(to):
    pixels = smooth(256, 256)
    photo = open_photo(encoded(pixels, "JPEG", quality=95))
    assert (photo.cut(0, 0, 256, 256, *to) == cut(photo.decode(), 0, 0, 256, 256, *to)).all()


def test_threads_have_buffers_of_their_own():
    photos = [np.full((300, 300, 3), value, np.uint8) for value in (0, 255)]
    jpegs = [open_photo(encoded(pixels, "JPEG")) for pixels in photos]
    wrong = []

    def work(number: int) -> None:
        for _ in range(50):
            part = jpegs[number].cut(0, 0, 300, 300, 64, 64)
            wrong.append(abs(part.astype(int) - 255 * number).max() > 3)

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 100 and not any(wrong)


def test_a_picture_larger_than_the_buffer(monkeypatch):
    photo = open_photo(encoded(smooth(80, 90), "JPEG", quality=95))
    expected = photo.cut(0, 0, 80, 90, 40, 45)
    monkeypatch.setattr(images, "KEPT", 1000)
    monkeypatch.setattr(images, "_kept", threading.local())
    assert (photo.cut(0, 0, 80, 90, 40, 45) == expected).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found data that is no image"),
        (b"GIF89a", "image: "),
        (JPG[: len(JPG) * 3 // 4], "(?i)truncated"),
        (JPG[:20], "(?i)truncated"),
        (b"\xff\xd8\xff", "(?i)truncated"),
        (encoded(smooth(40, 40))[:700], "(?i)truncated"),
        (bomb(), "found 9000 x 9000 pixels, expected at most"),
        (jpeg_bomb(), "found 65000 x 65000 pixels, expected at most"),
        (encoded(Image.new("F", (2, 2)), "TIFF"), "floating-point"),
    ],
)
def test_images_that_cannot_be_read(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_image(content)
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg: "):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="b.jpg: found no such file"):
        read_image(tmp_path / "b.jpg")


def test_random_damage_is_an_error_or_a_picture():
    content = with_orientation(smooth(40, 60), 6)
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(content[: rng.integers(1, len(content) + 1)])
        for position in rng.integers(0, len(spoilt), rng.integers(0, 8)):
            spoilt[position] = rng.integers(256)
        try:
            photo = open_photo(bytes(spoilt))
            assert cut(photo, 0, 0, 1, 1, 3, 3).shape == (3, 3, 3)
        except ValueError:
            pass


@needs_photos
def test_real_photos():
    for file in sorted(PHOTOS.glob("*.jpg"))[:10]:
        photo, image = open_photo(file), Image.open(file).convert("RGB")
        assert abs(photo.decode().astype(int) - np.asarray(image)).max() <= 2
        size = min(image.size)
        part = photo.cut(0, 0, size, size, 256, 256)
        best = image.resize((256, 256), Image.Resampling.LANCZOS, (0, 0, size, size))
        peer = image.resize((256, 256), Image.Resampling.BICUBIC, (0, 0, size, size))
        assert psnr(part, np.asarray(best)) > max(psnr(np.asarray(peer), np.asarray(best)), 40)
