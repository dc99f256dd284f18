"""data/photos/profiles.py: colour profiles are honoured where they fit the pixels."""

import numpy as np
import pytest
from PIL import Image

from encoded_photos import SWAPPED, encoded, profile_of, with_segment
from mas_fast.data.photos.photo import cut, open_photo, read_image
from mas_fast.data.photos.profiles import is_srgb, to_srgb


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_profiles_are_honoured(kind):
    pixels = np.full((64, 64, 3), (200, 30, 30), np.uint8)
    content = encoded(
        pixels, kind, icc_profile=SWAPPED, **({"lossless": True} if kind == "WEBP" else {})
    )
    assert abs(np.asarray(read_image(content))[0, 0].astype(int) - (30, 30, 200)).max() <= 6
    part = cut(open_photo(content), 0, 0, 64, 64, 8, 8)  # of a JPEG, decoded at an eighth
    assert abs(part.astype(int) - (30, 30, 200)).max() <= 6


def test_profiles_of_palettes_and_of_what_is_transparent():
    red = Image.new("RGB", (4, 4), (200, 30, 30))
    clear = red.convert("RGBA")
    clear.putpixel((0, 0), (200, 30, 30, 0))
    deep = encoded(red.quantize(4), icc_profile=SWAPPED)
    for content in (deep, encoded(clear, icc_profile=SWAPPED)):
        found = read_image(content)
        assert np.abs(np.subtract(found.getpixel((3, 3)), (30, 30, 200))).max() <= 6
    assert found.getpixel((0, 0)) == (255, 255, 255)


def test_a_profile_in_parts_of_any_order():
    half = len(SWAPPED) // 2
    parts = [b"ICC_PROFILE\0\2\2" + SWAPPED[half:], b"ICC_PROFILE\0\1\2" + SWAPPED[:half]]
    content = encoded(np.full((16, 16, 3), (200, 30, 30), np.uint8), "JPEG")
    for part in parts:
        content = with_segment(content, 0xE2, part)
    assert open_photo(content).profile == SWAPPED
    content = with_segment(
        content, 0xE1, b"Exif\0\0" + b"\xff\xe2\0\x10ICC_PROFILE"
    )  # a thumbnail's
    assert open_photo(content).profile == SWAPPED


def test_srgb_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    for kind in ("PNG", "JPEG"):
        plain, told = encoded(pixels, kind), encoded(pixels, kind, icc_profile=profile_of())
        assert (np.asarray(read_image(told)) == np.asarray(read_image(plain))).all()
    assert to_srgb(profile_of(), "RGB") is None
    assert is_srgb(profile_of(), "RGB")


def test_a_profile_of_other_pixels_or_a_broken_one_is_ignored():
    grey = encoded(np.full((8, 8), 90, np.uint8), "JPEG", icc_profile=SWAPPED)
    assert read_image(grey).getpixel((0, 0)) == (90, 90, 90)
    broken = encoded(np.full((8, 8, 3), 90, np.uint8), "JPEG", icc_profile=b"no profile at all")
    with pytest.warns(UserWarning, match=r"17 bytes that cannot be read .*: pictures with it are"):
        assert read_image(broken).getpixel((0, 0)) == (90, 90, 90)
    assert not is_srgb(b"no profile at all", "RGB")
