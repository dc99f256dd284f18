"""assemble.py: a sample out of its files."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from encoded_photos import encoded
from mas_fast.data.sources.assemble import assemble
from mas_fast.scene import COCO_NAMES, Layers, Scene


@pytest.mark.parametrize(
    ("json", "captions"),
    [
        ('{"caption": "a cat"}', ["a cat"]),
        ('{"captions": ["a", " "], "caption": "b"}', ["a"]),
        ('{"captions": [], "caption": "b"}', ["b"]),
        ('{"captions": [""], "caption": " "}', ["beside"]),
        ('{"caption": null}', ["beside"]),
    ],
)
def test_empty_captions_of_a_json_hide_no_others(json, captions):
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    parts = [("png", file.getvalue()), ("txt", b"beside\n"), ("json", json.encode())]
    assert assemble("a", parts).captions == captions


PIXELS = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
PNG, JPG = encoded(PIXELS), encoded(PIXELS, "JPEG")
LABELS = np.full((6, 8), 3, np.uint8)
SCENE = Scene(LABELS, np.zeros((6, 8), bool))
SEG, EDGE = SCENE.to_pngs()


def test_everything_that_belongs_to_a_key(tmp_path) -> None:
    info = {"caption": " a cat ", "object_boxes": [[0, 0, 4, 3]], "n": 1}
    parts = {"png": PNG, "seg.png": SEG, "edge.png": EDGE, "json": json.dumps(info).encode()}
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    for picture in (PNG, file):
        found = assemble("x/a", (parts | {"png": picture}).items())
        assert found.key == "x/a"
        assert found.captions == ["a cat"]
        assert found.annotation == SCENE
        assert found.info == info
        assert found.file == picture
        assert found.boxes.objects.tolist() == [[0, 0, 4, 3]]
        assert np.array_equal(found.decoded().pixels, PIXELS)


def test_captions_that_are_given_replace_those_of_the_files() -> None:
    parts = [("png", PNG), ("txt", "\ufeffone\r\n\n two\u2028more\rthree".encode())]
    assert assemble("a", parts).captions == ["one", "two\u2028more", "three"]
    assert assemble("a", parts, ["other"]).captions == ["other"]
    assert assemble("a", parts[:1]).captions == []


def test_a_picture_with_another_suffix_or_none_counts_where_it_is_alone() -> None:
    for suffix in ("", "mystery"):
        assert assemble("a", [(suffix, PNG), ("log", b"text")]).file == PNG
        assert assemble("a", [(suffix, PNG), ("jpg", JPG)]).file == JPG
    with pytest.raises(ValueError) as error:
        assemble("a", [("", PNG), ("mystery", PNG)])
    assert str(error.value) == "found one without a suffix and mystery, expected one image"


def test_panoptic_segments_are_in_the_json() -> None:
    segment = {"id": 7, "category_id": 17, "iscrowd": 0}
    panoptic = encoded(np.full((6, 8, 3), (7, 0, 0), np.uint8))
    content = json.dumps({"segments_info": [segment]}).encode()
    found = assemble("a", [("png", PNG), ("seg.png", panoptic), ("json", content)])
    assert isinstance(found.annotation, Layers)
    assert set(np.unique(found.annotation.panoptic)) == {COCO_NAMES.index("cat")}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("png", PNG), ("png", PNG)], "found two files with the suffix png"),
        ([("png", PNG), ("jpg", PNG)], "found jpg and png, expected one image"),
        ([], "found no image, expected one of jpg, jpeg, "),
        ([("txt", b"a")], "found no image, expected one of jpg, jpeg, "),
        (
            [("log", b"a"), ("txt", b"a")],
            "found no image but log, txt, expected one of jpg, jpeg, ",
        ),
        (
            [("png", PNG), ("json", b'{"status": "failed_to_download"}')],
            "json: found status 'failed_to_download', expected 'success'",
        ),
        (
            [("json", b'{"status": "gone", "error_message": "HTTP 404"}')],
            "json: found status 'gone' (HTTP 404), expected 'success'",
        ),
        ([("png", PNG), ("json", b"[]")], "json: found list, expected dict"),
        ([("png", PNG), ("edge.png", EDGE)], "found edge.png without seg.png, expected both"),
        (
            [("png", PNG), ("seg.png", SEG)],
            "found seg.png, expected edge.png or segments_info in the json beside it",
        ),
        ([("png", PNG), ("txt", b"caf\xe9")], "txt: found bytes that are not UTF-8 ("),
        (
            [("heic", b"\0\0\0\x18ftypheic\0\0\0\0")],
            "found a HEIC picture, which is not read; convert it to JPEG or PNG",
        ),
    ],
)
def test_what_is_wrong_is_said(files, message) -> None:
    with pytest.raises(ValueError) as error:
        assemble("a", files)
    assert str(error.value).startswith(message)


def test_keys_stay_in_their_folder() -> None:
    with pytest.raises(
        ValueError, match=r"found the name '\.\./a', expected a relative path without"
    ):
        assemble("../a", [("png", PNG)])
