"""data/sources/coco.py: COCO's folders, and what is wrong with rows of its files."""

import gzip
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.rejects import kind_of
from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.coco import CocoSource
from mas_fast.data.sources.open import open_source
from mas_fast.scene import COCO_NAMES, VOID

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}]


def write(root: Path, images: list, annotations: list, captions: list | None = None) -> Path:
    """COCO's official folders with the listed ones of the photos 1..3, or 1 if none is listed.

    Their left half is category 17.
    """
    (root / "annotations" / "panoptic_val2017").mkdir(parents=True, exist_ok=True)
    (root / "val2017").mkdir(exist_ok=True)
    ids = np.zeros((4, 6, 3), np.uint8)
    ids[:, :3, 0] = 5
    names = [image.get("file_name") for image in images if isinstance(image, dict)]
    listed = [n for n in (1, 2, 3) if f"{n}.jpg" in names] or [1]
    for n in (1, 2, 3):
        photo = root / "val2017" / f"{n}.jpg"
        photo.unlink(missing_ok=True)  # of another set in the same folder
        if n in listed:
            Image.new("RGB", (6, 4)).save(photo)
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
        assert first.layers is not None
        assert first.info["image_id"] == 1
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
        ("panoptic_val2017.json: image 7", "found the id inf, expected an integer"),
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


def parts(root: Path, name: str, photo: str, category: int, change=None) -> None:
    """A set of one photo of one colour, whose id is 1, and of one label."""
    (root / "annotations" / f"panoptic_{name}").mkdir(parents=True, exist_ok=True)
    (root / name).mkdir(exist_ok=True)
    Image.new("RGB", (6, 4), photo).save(root / name / f"{photo}.jpg")
    ids = Image.new("RGB", (6, 4), (5, 0, 0))
    ids.save(root / "annotations" / f"panoptic_{name}" / f"{photo}.png")
    about = {"image_id": 1, "file_name": f"{photo}.png"}
    about["segments_info"] = [{"id": 5, "category_id": category}]
    values = {"images": [{"id": 1, "file_name": f"{photo}.jpg"}], "annotations": [about]}
    file = root / "annotations" / f"panoptic_{name}.json"
    file.write_text(json.dumps({**values, "categories": CATEGORIES}))


def test_ids_that_are_not_one_photo_s_have_no_mask(tmp_path):
    """Two sets that both number from 1 in one file; two photos of one name in one folder."""
    other = [{"id": 5, "category_id": 1}]
    for images, annotations, kept, told in (
        ([image(1), image(1, file_name="2.jpg"), image(3)],
         [annotation(1), annotation(1, file_name="2.png"), annotation(3)],
         ["3"], {"1.jpg": "the image id 1 of 1.jpg, 2.jpg", "2.jpg": "the image id 1 of 1.jpg"}),
        ([image(1), image(2, file_name="1.jpg"), image(3)],
         [annotation(1), annotation(2), annotation(3)],
         ["3"], {"1.jpg": "of this file, expected one id"}),
        ([image(1), image(3)], [annotation(1), annotation(1, segments_info=other), annotation(3)],
         ["3"], {"annotation 1": "second annotation of image 1", "1.jpg": "of it that differ"}),
        ([image(1), image(2), image(3)],
         [annotation(1), annotation(2, file_name="1.png"), annotation(3)],
         ["3"], {"1.jpg": "found 1.png, which is other images' too",
                 "2.jpg": "found 1.png, which is other images' too"}),
        ([image(1), image(1)], [annotation(1), annotation(1)],
         ["1"], {"annotation 1": "second annotation"}),
        ([image("1"), image(2.0, file_name="2.jpg"), image("x", file_name="3.jpg")],
         [annotation(1), annotation("2"), annotation("x", file_name="3.png")],
         ["1", "2", "3"], {}),
        ([image(1), image(True, file_name="2.jpg")], [annotation(1), annotation(1.5)],
         ["1"], {"image 1": "found the id True", "annotation 1": "found the id 1.5"}),
        ([image(1)], [annotation(1), annotation(2)], ["1"], {"annotation 1": "not among the im"}),
    ):  # fmt: skip
        items = list(open_source(write(tmp_path, images, annotations)))
        assert [item.key for item in items if isinstance(item, Sample)] == kept
        found = {i.key.partition(": ")[2]: i.reason for i in items if isinstance(i, Reject)}
        assert found.keys() == told.keys()
        assert all(message in found[key] for key, message in told.items())


def test_sets_that_number_alike_keep_their_captions_apart(tmp_path):
    parts(tmp_path, "a", "red", 1)
    parts(tmp_path, "b", "blue", 17)
    for name in "ab":
        rows = [{"image_id": 1, "caption": f"of {name}"}]
        file = tmp_path / "annotations" / f"captions_{name}.json"
        file.write_text(json.dumps({"annotations": rows}))
    found = {item.key: item for item in open_source(tmp_path)}
    assert found["red"].captions == ["of a"]
    assert found["blue"].captions == ["of b"]
    for key, label in (("red", 0), ("blue", COCO_NAMES.index("cat"))):
        assert set(found[key].layers.panoptic.flat) == {label}
    expected = "captions of image id 1, which several panoptic JSON have, panoptic_b.json too"
    with pytest.raises(ValueError, match=expected):
        open_source(tmp_path, file)


def test_captions_of_another_set_are_refused(tmp_path):
    file = write(tmp_path, [image(1), image(2)], [annotation(1), annotation(2)])
    given = tmp_path / "c.json"
    rows = [{"image_id": 1, "caption": "one"}, {"image_id": 2, "caption": "two"}]
    names = [{"id": 1, "file_name": "COCO_val2014_1.jpg"}, {"id": 2, "file_name": "12.jpg"}]
    given.write_text(json.dumps({"annotations": rows, "images": names}))
    items = list(open_source(file, given))
    captions = {item.key: item.captions for item in items if isinstance(item, Sample)}
    assert captions == {"1": ["one"], "2": []}
    (told,) = (item for item in items if isinstance(item, Reject))
    assert "found captions of 12.jpg for the id 2, expected those of 2.jpg" in told.reason
    given.write_text(json.dumps({"annotations": [{"image_id": 7, "caption": "x"}]}))
    with pytest.raises(ValueError, match="c.json: found captions of other images, expected some"):
        open_source(file, given)


def test_names_meet_in_one_form(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    images = [image(1, file_name=f"{composed}.jpg")]
    file = write(tmp_path, images, [annotation(1, file_name=f"{composed}.png")])
    (tmp_path / "val2017" / "1.jpg").rename(tmp_path / "val2017" / f"{decomposed}.jpg")
    pngs = file.with_suffix("")
    (pngs / "1.png").rename(pngs / f"{decomposed}.png")
    (sample,) = open_source(file)
    assert isinstance(sample, Sample)


def test_photos_that_are_not_listed_are_counted(tmp_path):
    file = write(tmp_path, [image(1), image(2)], [annotation(1), annotation(2)])
    for name in ("a.jpg", "b.png", ".hidden.jpg", "notes.txt"):
        Image.new("RGB", (6, 4)).save(tmp_path / "val2017" / name, "PNG")
    *samples, reject = open_source(file)
    assert [sample.key for sample in samples] == ["1", "2"]
    assert reject.key == "val2017"
    assert reject.reason == "found 2 photos that no panoptic JSON lists, such as 'a.jpg'"
    assert kind_of(reject.reason) == ("photos that are not listed", 2)
    other = file.with_name("panoptic_train2017.json")
    values = json.loads(file.read_text()) | {"images": [image(3, file_name="a.jpg")]}
    other.write_text(json.dumps(values | {"annotations": [annotation(3, file_name="1.png")]}))
    (tmp_path / "val2017").rename(tmp_path / "images")
    (file.parent / "panoptic_val2017").rename(file.parent / "panoptic")
    assert [r.reason for r in open_source(tmp_path) if r.key == "images"] == [
        "found 1 photos that no panoptic JSON lists, such as 'b.png'"
    ]


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


def test_real_coco(coco, coco_captions):
    samples = list(open_source(coco))
    assert len(samples) == 20
    assert all(isinstance(sample, Sample) for sample in samples)
    assert len({sample.key for sample in samples}) == 20
    tables = [json.loads(file.read_bytes()) for file in sorted(coco.rglob("panoptic_*.json"))]
    sizes = {i["id"]: (i["width"], i["height"]) for table in tables for i in table["images"]}
    known = {row["image_id"]: row for table in tables for row in table["annotations"]}
    said = {number: [] for number in sizes}
    for row in json.loads(gzip.decompress(coco_captions.read_bytes()))["annotations"]:
        said.setdefault(row["image_id"], []).append(row["caption"].strip())
    for sample in samples:
        number = sample.info["image_id"]
        assert (sample.image.width, sample.image.height) == sizes[number]
        covered = sum(segment["area"] for segment in known[number]["segments_info"])
        void = 1 - covered / (sample.image.width * sample.image.height)
        assert abs((sample.scene.labels == VOID).mean() - void) < 0.02
        assert sorted(sample.captions) == sorted(said[number])
        assert sample.square(64).scene.labels.shape == (64, 64)
    assert sum(bool(sample.captions) for sample in samples) == 15


@pytest.mark.slow
def test_more_of_real_coco(real_data):
    """Photos that are not ours to publish, as a list of them says."""
    folder = real_data("coco")
    rows = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    rows = {row["image_id"]: row for row in rows}
    samples = list(open_source(folder, real_data("captions/coco_captions_val2017.json.gz")))
    assert len(samples) == 103
    assert all(isinstance(sample, Sample) for sample in samples)
    assert len({sample.key for sample in samples}) == 103
    for sample in samples:
        row = rows[sample.info["image_id"]]
        assert (sample.image.width, sample.image.height) == (row["width"], row["height"])
        assert abs((sample.scene.labels == VOID).mean() - row["void_frac"]) < 0.02
        assert sorted(sample.captions) == sorted(caption.strip() for caption in row["captions"])


def test_official_examples(tmp_path):
    """COCO's own files, with blank photos of their sizes."""
    folder = Path(__file__).parents[2] / "fixtures" / "coco_official"
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "input_images").mkdir()
    for row in json.loads((folder / "panoptic_examples.json").read_bytes())["images"]:
        photo = Image.new("RGB", (row["width"], row["height"]))
        photo.save(tmp_path / "input_images" / row["file_name"])
    samples = list(open_source(tmp_path))
    assert [sample.key for sample in samples] == ["000000142238", "000000439180"]
    assert (samples[0].scene.labels == 0).any()


def test_an_id_of_two_categories(tmp_path):
    file = write(tmp_path, [image(1)], [annotation(1)])
    values = json.loads(file.read_text())
    values["categories"].append({"id": 17, "name": "dog"})
    file.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="category 17: found 'dog' and 'cat', expected one name"):
        open_source(tmp_path)
