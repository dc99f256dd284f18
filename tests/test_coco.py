"""data/coco.py: COCO's folders, and what is wrong with rows of its files."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.coco import CocoSource
from mas_fast.data.samples import Reject, Sample
from mas_fast.data.sources import open_source
from mas_fast.scene import COCO_NAMES, VOID

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}]


def write(root: Path, images: list, annotations: list, captions: list | None = None) -> Path:
    """COCO's official folders with the photos 1..3, whose left half is category 17."""
    (root / "annotations" / "panoptic_val2017").mkdir(parents=True, exist_ok=True)
    (root / "val2017").mkdir(exist_ok=True)
    ids = np.zeros((4, 6, 3), np.uint8)
    ids[:, :3, 0] = 5
    for n in (1, 2, 3):
        Image.new("RGB", (6, 4)).save(root / "val2017" / f"{n}.jpg")
        Image.fromarray(ids).save(root / "annotations" / "panoptic_val2017" / f"{n}.png")
    file = root / "annotations" / "panoptic_val2017.json"
    values = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    file.write_text(json.dumps(values))
    if captions is not None:
        content = json.dumps({"annotations": captions}).encode()
        (root / "annotations" / "captions_val2017.json.gz").write_bytes(gzip.compress(content))
    return file


def image(n: int, **change) -> dict:
    return {"id": n, "file_name": f"{n}.jpg"} | change


def annotation(n: int, **change) -> dict:
    segments = [{"id": 5, "category_id": 17}]
    return {"image_id": n, "file_name": f"{n}.png", "segments_info": segments} | change


def test_official_folders(tmp_path):
    captions = [{"image_id": n, "caption": c} for n, c in ((1, "a"), (2, "b "), (1, "c"), (9, "d"))]
    file = write(tmp_path, [image(2), image(1)], [annotation(1), annotation(2)], captions)
    for path in (tmp_path, file):
        first, second = open_source(path)
        assert (first.key, first.captions) == ("1", ["a", "c"])
        assert (second.key, second.captions) == ("2", ["b"])
        assert set(first.scene.labels[:, :3].flat) == {COCO_NAMES.index("cat")}
        assert set(first.scene.labels[:, 3:].flat) == {VOID}
        assert first.layers is not None and first.info["image_id"] == 1
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"annotations": [{"image_id": 2, "caption": "other"}]}))
    assert [sample.captions for sample in open_source(tmp_path, other)] == [[], ["other"]]


def test_broken_rows(tmp_path):
    images = [image(1), image(2), image(3), image(4), image(5), {"id": 6}, 7, image(float("inf"))]
    images += [image(8, file_name="../8.jpg"), image(9)]
    annotations = [
        annotation(1),
        annotation(2, segments_info=[{"id": 4, "category_id": 17}]),
        annotation(3, segments_info=[{"id": 5, "category_id": 99}]),
        annotation(4),
        annotation(5, segments_info=None),
        annotation(6),
        annotation(1),
        {},
        None,
        annotation(9, file_name="/9.png"),
        annotation(9, segments_info=[{"id": 2**70, "category_id": 1}]),
    ]
    captions = [{"image_id": 1}, {"image_id": 1, "caption": None}, {"image_id": 1, "caption": "a"}]
    items = list(open_source(write(tmp_path, images, annotations, captions)))
    (good,) = (item for item in items if isinstance(item, Sample))
    assert (good.key, good.captions) == ("1", ["a"])
    found = [(item.key, item.reason) for item in items if isinstance(item, Reject)]
    expected = [
        ("2", "segment ids [5] that segments_info lacks"),
        ("3", "found category id 99"),
        ("4", "4.jpg: found no such file"),
        ("panoptic_val2017.json: image 5", "KeyError('file_name')"),
        ("panoptic_val2017.json: image 6", "TypeError"),
        ("panoptic_val2017.json: image 7", "OverflowError"),
        ("panoptic_val2017.json: image 8", "without .."),
        ("panoptic_val2017.json: annotation 4", "TypeError"),
        ("panoptic_val2017.json: annotation 5", "image id 6, which is not among the images"),
        ("panoptic_val2017.json: annotation 6", "second annotation of image 1"),
        ("panoptic_val2017.json: annotation 7", "KeyError('image_id')"),
        ("panoptic_val2017.json: annotation 8", "TypeError"),
        ("panoptic_val2017.json: annotation 9", "without .."),
        ("panoptic_val2017.json: annotation 10", "second annotation of image 9"),
        ("captions_val2017.json.gz: annotation 0", "KeyError('caption')"),
        ("captions_val2017.json.gz: annotation 1", "found NoneType, expected a string"),
    ]
    assert [key for key, _ in found] == [key for key, _ in expected]
    for (_, reason), (_, message) in zip(found, expected, strict=True):
        assert message in reason


def test_images_without_annotation_are_rejects(tmp_path):
    source = CocoSource([write(tmp_path, [image(1), image(2)], [annotation(1)])])
    assert source[1] == Reject("panoptic_val2017.json: 2.jpg", "found no annotation")


def test_files_that_are_broken_as_a_whole(tmp_path):
    file = write(tmp_path, [image(1)], [annotation(1)])
    good = json.loads(file.read_text())
    file.with_name("panoptic_coco_categories.json").write_text(json.dumps(CATEGORIES))
    assert len(open_source(tmp_path)) == 1  # the list of categories is no annotation
    for change, message in (
        ({"categories": [{"id": 3, "name": "sofa"}]}, "2017.json: category 3: found 'sofa'"),
        ({"images": None}, "'images': found NoneType, expected a list"),
    ):
        file.write_text(json.dumps(good | change))
        with pytest.raises(ValueError, match=message):
            open_source(file)
    for content, message in (
        ("{}", r"found no \['annotations', 'categories', 'images'\], expected COCO panoptic"),
        ("[]", "found list, expected dict"),
        ("{", "2017.json: found broken JSON"),
    ):
        file.write_text(content)
        with pytest.raises(ValueError, match=message):
            open_source(file)
    with pytest.raises(ValueError, match="broken JSON"):
        file.write_text("{")
        open_source(tmp_path)
    file.write_text(json.dumps(good))
    captions = tmp_path / "annotations" / "captions_val2017.json.gz"
    captions.write_bytes(gzip.compress(b"{}")[:-3])
    with pytest.raises(ValueError, match="captions_val2017.json.gz: "):
        open_source(file)
    captions.unlink()
    (tmp_path / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="found no folder with its photos, expected .*val2017"):
        open_source(file)
    (tmp_path / "annotations" / "panoptic_val2017").rename(tmp_path / "pngs")
    with pytest.raises(ValueError, match="found no folder with its PNGs"):
        open_source(file)


@needs_data
def test_real_coco():
    captions = DATA / "captions" / "coco_captions_val2017.json.gz"
    source = open_source(DATA / "coco", captions)
    samples = list(source)
    assert len(samples) == 103 and all(isinstance(sample, Sample) for sample in samples)
    assert len({sample.key for sample in samples}) == 103
    manifest = map(json.loads, (DATA / "coco" / "manifest.jsonl").read_text().splitlines())
    rows = {row["image_id"]: row for row in manifest}
    for sample in samples:
        row = rows[sample.info["image_id"]]
        assert (sample.image.width, sample.image.height) == (row["width"], row["height"])
        assert abs((sample.scene.labels == VOID).mean() - row["void_frac"]) < 0.02
        assert sorted(sample.captions) == sorted(caption.strip() for caption in row["captions"])
        assert sample.square(64).scene.labels.shape == (64, 64)


@needs_data
def test_official_examples():
    samples = list(open_source(DATA / "coco_official"))
    assert [sample.key for sample in samples] == ["000000142238", "000000439180"]
    assert (samples[0].scene.labels == 0).any()
