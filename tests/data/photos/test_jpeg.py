"""data/photos/jpeg.py: what is read of a JPEG before and while it is decoded."""

import io
import struct
import threading

import numpy as np
import pytest
from PIL import Image

from encoded_photos import JPG, encoded, psnr, smooth, with_orientation, with_segment
from mas_fast.data.photos import photo as images
from mas_fast.data.photos.photo import Jpeg, cut, open_photo, read_image
from mas_fast.data.prepare import jpeg
from mas_fast.data.sources.base import Sample


def test_a_jpeg_is_not_decoded_until_it_is_needed():
    photo = open_photo(encoded(smooth(60, 80), "JPEG")[:-50])  # cut off
    assert isinstance(photo, Jpeg)
    assert (photo.height, photo.width) == (60, 80)
    for use in (photo.decode, lambda: photo.cut(0, 0, 60, 60, 20, 20)):
        with pytest.raises(ValueError, match="image: found a truncated or damaged JPEG"):
            use()
    assert isinstance(open_photo(encoded(smooth(6, 8))), np.ndarray)


def test_orientation_after_other_segments():
    content = with_orientation(smooth(8, 16), 6)
    note = b"\xff\xfe" + struct.pack(">H", 2 + 40000) + bytes(40000)
    assert open_photo(content[:2] + note + content[2:]).height == 16
    for cut_off in range(2, 60):  # a header that ends anywhere is no error of its own kind
        try:
            open_photo(content[:cut_off])
        except ValueError:
            pass


@pytest.mark.parametrize(
    "block",
    [b"", b"no tiff here", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" * 3]
    + [b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0ab\0\0\0\0\0\0"],  # a text for a number
)
def test_exif_that_cannot_be_read_is_upright(tmp_path, block):
    pixels = smooth(6, 8)
    jpg = with_segment(encoded(pixels, "JPEG"), 0xE1, b"Exif\0\0" + block)
    others = [encoded(pixels, "PNG", exif=block), encoded(pixels, "WEBP", exif=block)]
    for content in (jpg, *others):
        assert read_image(content).size == (8, 6)
    assert (np.asarray(read_image(jpg)) == np.asarray(read_image(encoded(pixels, "JPEG")))).all()
    sample = Sample("a", open_photo(jpg), file=jpg)
    assert Image.open(io.BytesIO(jpeg(sample))).size == (8, 6)


def test_orientation_behind_fill_bytes_and_junk():
    content = with_orientation(smooth(8, 16), 6)
    assert open_photo(content[:2] + b"\xff\xff" + content[2:]).height == 16
    assert open_photo(content[:2] + b"junk" + content[2:]).height == 16


PROGRESSIVE = encoded(smooth(60, 80), "JPEG", progressive=True)
BASELINE = encoded(smooth(60, 80), "JPEG")


def scan_header(content: bytes, parameters: bytes) -> bytes:
    """Other last three bytes of the first scan's header."""
    start = content.index(b"\xff\xda") + 2
    stop = start + int.from_bytes(content[start : start + 2], "big")
    return content[: stop - 3] + parameters + content[stop:]


HARMLESS = {
    "junk before the end": lambda c: c[:-2] + b"\x7f" * 16 + c[-2:],
    "zeros before the end": lambda c: c[:-2] + bytes(300) + c[-2:],
    "junk behind the end": lambda c: c + b"\r\n<html>",
    "another picture behind it": lambda c: c + JPG,
    "junk in the header": lambda c: c[:20] + b"junk" + c[20:],
    "junk in the header and before the end": lambda c: (
        c[:20] + b"junk" + c[20:-2] + b"x" * 9 + c[-2:]
    ),
    "another JFIF revision": lambda c: c[:11] + b"\x05\x09" + c[13:],
    "an unknown code for colours": lambda c: with_segment(c, 0xEE, b"Adobe\0\x64\0\0\0\0\x07"),
    "half a profile": lambda c: with_segment(c, 0xE2, b"ICC_PROFILE\0\1\2" + b"half of it"),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("content", [BASELINE, PROGRESSIVE], ids=["baseline", "progressive"])
def test_what_costs_no_pixel_costs_no_picture(name, content):
    photo, sound = open_photo(HARMLESS[name](content)), open_photo(content)
    assert (photo.decode() == sound.decode()).all()
    assert (photo.cut(3, 5, 48, 64, 12, 16) == sound.cut(3, 5, 48, 64, 12, 16)).all()
    cut_off = HARMLESS[name](content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match="found a truncated or damaged JPEG"):
        open_photo(cut_off).decode()


def test_parameters_of_a_scan():
    for parameters in (b"\0\0\0", b"\1\x3f\0", b"\0\x3e\x11"):
        spoilt = scan_header(BASELINE, parameters)
        assert spoilt != BASELINE
        assert (open_photo(spoilt).decode() == open_photo(BASELINE).decode()).all()
        with pytest.raises(ValueError, match="found a truncated or damaged JPEG"):
            open_photo(spoilt[:-300]).decode()


def test_lost_pixels_are_an_error():
    restart = io.BytesIO()
    Image.fromarray(smooth(60, 80)).save(restart, "JPEG", restart_marker_blocks=4)
    restart = restart.getvalue()
    at = restart.index(b"\xff\xd2")
    for content in (
        restart[:at] + b"\x7f" * 9 + restart[at:],  # a part of a row is decoded from other bytes
        restart[: at - 8] + restart[at:],
        BASELINE[:-2],
        BASELINE[:-30] + BASELINE[-2:],
        encoded(Image.fromarray(smooth(60, 80)).convert("CMYK"), "JPEG")[:-30] + b"\xff\xd9",
    ):
        with pytest.raises(ValueError, match="found a truncated or damaged JPEG"):
            open_photo(content).decode()


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
    assert len(wrong) == 100
    assert not any(wrong)


def test_a_picture_larger_than_the_buffer(monkeypatch):
    photo = open_photo(encoded(smooth(80, 90), "JPEG", quality=95))
    expected = photo.cut(0, 0, 80, 90, 40, 45)
    monkeypatch.setattr(images, "KEPT", 1000)
    monkeypatch.setattr(images, "_kept", threading.local())
    assert (photo.cut(0, 0, 80, 90, 40, 45) == expected).all()
