"""data/photos/photo.py: photos of every kind, whole or cut and resized; broken ones."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from encoded_photos import (
    JPG,
    SWAPPED,
    bomb,
    encoded,
    profile_of,
    psnr,
    read_image,
    smooth,
    with_orientation,
)
from mas_fast.data.photos.photo import cut, open_photo
from mas_fast.data.prepare import jpeg
from mas_fast.data.sources.base import Sample


def jpeg_bomb() -> bytes:
    """A JPEG whose header says 65000 x 65000."""
    at = JPG.index(b"\xff\xc0") + 5
    return JPG[:at] + struct.pack(">HH", 65000, 65000) + JPG[at + 4 :]


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
        assert image.mode == "RGB"
        assert image.size == (6, 4)
        assert abs(np.asarray(image).astype(int) - 100).max() <= 2
        part = cut(open_photo(content), 0, 0, 4, 6, 2, 3)
        assert part.shape == (2, 3, 3)
        assert abs(part.astype(int) - 100).max() <= 2
    for mode in ("LA", "RGBA"):
        clear = Image.new(mode, (2, 1), 0)
        assert (np.asarray(read_image(encoded(clear))) == 255).all()


def test_cmyk_is_read_as_pillow_reads_it():
    inks = np.kron(np.random.default_rng(0).integers(0, 256, (6, 5, 4)), np.ones((8, 8, 1)))
    content = encoded(Image.fromarray(inks.astype(np.uint8), "CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert image.mode == "CMYK"
    assert (np.asarray(read_image(content)) == expected).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_pixel(kind):
    content = encoded(np.full((1, 1, 3), 200, np.uint8), kind)
    assert read_image(content).size == (1, 1)
    grown = cut(open_photo(content), 0, 0, 1, 1, 5, 3)
    assert grown.shape == (5, 3, 3)
    assert abs(grown.astype(int) - 200).max() <= 1


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


def test_our_scenes_are_no_pictures(tmp_path, scene):
    scene.save(tmp_path / "a.scene.png")
    for file in (tmp_path / "a.scene.png", scene.to_pngs()[0]):
        with pytest.raises(ValueError, match="found a scene that mas_fast saved, expected a pictu"):
            read_image(file)


def test_stored_pictures_mean_the_same_to_any_reader():
    """A file is copied only where nobody needs its profile; what is written anew has none."""
    pixels = np.full((16, 16, 3), (200, 30, 30), np.uint8)
    color = Image.fromarray(pixels)
    for options, copied in (
        ({}, True),
        ({"icc_profile": profile_of()}, True),
        ({"icc_profile": SWAPPED}, False),
        ({"icc_profile": b"broken", "comment": "once"}, False),
    ):
        content = encoded(pixels, "JPEG", **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = jpeg(Sample("a", open_photo(content), file=content))
        assert (stored == content) == copied
        with Image.open(io.BytesIO(stored)) as image:
            assert copied or "icc_profile" not in image.info
            want = np.asarray(read_image(content)).astype(int)
            assert abs(np.asarray(image.convert("RGB")) - want).max() <= 3
    for content in (encoded(color.convert("CMYK"), "JPEG"), with_orientation(pixels, 3)):
        assert jpeg(Sample("a", open_photo(content), file=content)) != content
    several = io.BytesIO()
    color.save(several, "MPO", save_all=True, append_images=[color])
    photo = open_photo(several.getvalue())
    assert photo.height == 16
    stored = jpeg(Sample("a", photo, file=several.getvalue()))
    assert Image.open(io.BytesIO(stored)).format == "JPEG"


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


def test_real_photos(coco):
    files = sorted((coco / "val2017").glob("*.jpg"))[:10]
    assert len(files) == 10
    for file in files:
        photo, image = open_photo(file), Image.open(file).convert("RGB")
        assert abs(photo.decode().astype(int) - np.asarray(image)).max() <= 2
        size = min(image.size)
        part = photo.cut(0, 0, size, size, 256, 256)
        best = image.resize((256, 256), Image.Resampling.LANCZOS, (0, 0, size, size))
        peer = image.resize((256, 256), Image.Resampling.BICUBIC, (0, 0, size, size))
        assert psnr(part, np.asarray(best)) > max(psnr(np.asarray(peer), np.asarray(best)), 40)
