"""data/sources/names.py: keys, suffixes, formats by content, and names that are left out."""

import io
import unicodedata

import pytest
from PIL import Image

from mas_fast.data.sources.names import (
    HEAD,
    is_picture,
    kind_of,
    left_out,
    normal,
    on_disk,
    printable,
    split,
    split_first,
    split_unknown,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", ("a", "jpg")),
        ("sub/b.v1.JPEG", ("sub/b.v1", "jpeg")),
        ("a.seg.png", ("a", "seg.png")),
        ("a.Edge.PNG", ("a", "edge.png")),
        ("a.JPE", ("a", "jpe")),
        ("a.tif", ("a", "tif")),
        ("a.avif", ("a", "avif")),
        ("a.cls", ("a.cls", "")),
        ("a", ("a", "")),
        ("jpg", ("jpg", "")),
    ],
)
def test_split(name, expected):
    assert split(name) == expected


def test_other_ways_to_split():
    assert split_first("s.x/img.1.0.jpg") == ("s.x/img", "1.0.jpg")
    assert split_unknown("a.b/photo.jpg_large") == ("a.b/photo", "jpg_large")
    for name in ("photo", "photo.2019-01-01", "a.b/photo", "photo.1", "a/.x"):
        assert split_unknown(name) == (name, "")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("PNG", {}),
        ("GIF", {}),
        ("WebP", {}),
        ("TIFF", {}),
        ("BMP", {}),
        ("PPM", {}),
        ("QOI", {}),
        ("JPEG 2000", {"format": "JPEG2000"}),
        ("AVIF", {}),
    ],
)
def test_formats_are_known_by_their_first_bytes(kind, options):
    file = io.BytesIO()
    try:
        Image.new("RGB", (8, 8), "red").save(file, options.get("format", kind))
    except (KeyError, OSError) as error:
        pytest.skip(f"Pillow does not write it: {error}")
    assert kind_of(file.getvalue()[:HEAD]) == kind


def test_what_is_no_picture():
    for head in (b"", b"BM", b"BMW is a car and not a picture at all", b"P3", b"P1ease", b"<?xml"):
        assert kind_of(head) is None
    assert kind_of(b"\0\0\0\x18ftypheic\0\0\0\0") == "HEIC"
    assert kind_of(b"\xff\x0a\x00") == "JPEG XL"


def test_a_raw_photo_is_no_small_picture():
    tiff = b"II*\0" + bytes(28)
    assert is_picture("a.scan", tiff)
    assert is_picture("a", tiff)
    assert not is_picture("a.dng", tiff)
    assert not is_picture("sub/a.NEF", tiff)


def test_names_that_go_with_any_data_set():
    for name in ("Thumbs.db", ".DS_Store", "._a.jpg", "README", "readme.md", "LICENSE.txt"):
        assert left_out(name)
    for name in ("MD5SUMS", "checksums.txt", "a.tar.sha256", "__MACOSX", "@eaDir", "desktop.ini"):
        assert left_out(name)
    for name in ("a.jpg", "license.jpg", "readme.jpg", "notes.txt", "db", "checksum.png"):
        assert not left_out(name)
    assert left_out("__MACOSX", True)
    assert left_out("@eaDir", True)
    for name in ("license", "notice", "citation", "README"):  # classes of pictures
        assert left_out(name)
        assert not left_out(name, True)


def test_names_are_compared_in_one_form(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert normal(composed) == normal(decomposed)
    assert normal("./a//b/./c.jpg") == "a/b/c.jpg"
    assert normal("/a.jpg") == "/a.jpg"
    assert normal("../a") == "../a"
    assert normal("a../b") == "a../b"
    (tmp_path / decomposed).touch()
    assert on_disk(tmp_path, composed).is_file()
    assert on_disk(tmp_path, "none") == tmp_path / "none"


def test_names_that_would_steer_a_terminal_are_escaped():
    assert printable("a\x1b[2Jb\udcff\u202ec 안녕 🙂") == "a\\x1b[2Jb\\udcff\\u202ec 안녕 🙂"
    printable("\udcff\0").encode()
