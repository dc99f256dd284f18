"""data/sources/folders.py: photos beside which label maps lie that nobody asked for."""

import numpy as np
import pytest
from PIL import Image

from label_maps import classes, label_map, photo
from mas_fast.data.sources.base import Sample
from mas_fast.data.sources.open import open_source


@pytest.mark.parametrize("table", ["metadata.csv", "captions.jsonl"])
def test_captions_above_photos_and_maps_are_read(tmp_path, table):
    photo(tmp_path / "JPEGImages" / "a.jpg")
    label_map(tmp_path / "SegmentationClass" / "a.png", [0, 7])
    row = '{"file_name": "a.jpg", "text": "A car."}'
    text = row if table.endswith("jsonl") else "file_name,text\nJPEGImages/a.jpg,A car.\n"
    (tmp_path / table).write_text(text)
    (sample,) = open_source(tmp_path, labels="voc")
    assert (sample.key, sample.captions) == ("JPEGImages/a", ["A car."])
    assert classes(sample) == ["void", "car"]


def test_what_lies_beside_photos_and_maps_is_told(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    label_map(tmp_path / "labels" / "a.png", [0, 7])
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val.json").write_text("{}")
    sample, captions = open_source(tmp_path, labels="voc")
    assert sample.key == "a"
    assert "captions that are not read" in captions.reason
    photo(tmp_path / "more" / "b.jpg")
    items = {item.key: item for item in open_source(tmp_path, labels="voc")}
    assert isinstance(items["images/a"], Sample)
    assert "found no label map" in items["more/b"].reason


@pytest.mark.parametrize("dtype", [bool, np.uint16])
def test_masks_of_1_or_16_bits_are_no_photos(tmp_path, dtype):
    photo(tmp_path / "images" / "a.jpg")
    (tmp_path / "masks").mkdir()
    mask = np.zeros((24, 32), dtype)
    mask[:, 16:] = 1
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    with pytest.raises(ValueError, match="found label maps .*masks/a.png.* beside photos"):
        open_source(tmp_path)
    (reject,) = open_source(tmp_path, labels="voc")
    assert "a.png: found PNG of mode" in reject.reason
    label_map(tmp_path / "labels" / "a.png", [0, 7])  # the maps of both are the 8-bit ones
    (sample,) = open_source(tmp_path, labels="voc")
    assert classes(sample) == ["void", "car"]


@pytest.mark.parametrize("maps", ["labels/{}.png", "label_{}.png", "images/mask-{}.png"])
def test_label_maps_with_other_names_than_the_photos(tmp_path, maps):
    for n in range(3):
        photo(tmp_path / "images" / f"photo_{n}.jpg")
        label_map(tmp_path / maps.format(n), [0, 7])
    with pytest.raises(ValueError, match="found label maps .* with none of the names"):
        open_source(tmp_path)


def test_masks_in_jpegs_are_no_photos(tmp_path):
    mask = np.zeros((24, 32), np.uint8)
    mask[5:19, 8:24] = 255
    for n in range(3):
        photo(tmp_path / "images" / f"{n}.jpg", n)
        photo(tmp_path / "oxygen_mask" / f"{n}.jpg", n + 3)  # a class
    assert len(open_source(tmp_path)) == 6
    (tmp_path / "masks").mkdir()
    for n in range(3):
        Image.fromarray(mask).convert("RGB").save(tmp_path / "masks" / f"{n}.jpg")
    with pytest.raises(ValueError, match="found label maps .*masks/0.jpg.* beside photos"):
        open_source(tmp_path)


def test_colour_maps_with_other_names_than_the_photos(tmp_path):
    for n in range(3):
        photo(tmp_path / f"{n}_sat.jpg")
        label_map(tmp_path / f"{n}_mask.png", [(0, 255, 255), (255, 255, 0)])
    with pytest.raises(ValueError, match="found label maps .*0_mask.png.* with none of the names"):
        open_source(tmp_path)


def test_pictures_with_the_classes_painted_over_are_not_the_photos(tmp_path):
    for n in range(3):
        photo(tmp_path / "img" / f"{n}.jpg", n)
        label_map(tmp_path / "masks_machine" / f"{n}.png", [0, 7])
        photo(tmp_path / "masks_human" / f"{n}.png", n + 3)
    items = list(open_source(tmp_path, labels="voc"))
    assert {item.key for item in items if isinstance(item, Sample)} == {"img/0", "img/1", "img/2"}


def test_a_map_of_many_classes_is_known_by_its_folder(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    label_map(tmp_path / "annotations" / "a.png", list(range(151)), (24, 151 * 4))
    photo(tmp_path / "images" / "a.jpg", size=(24, 151 * 4))
    with pytest.raises(ValueError, match="found label maps .*annotations/a.png.* beside photos"):
        open_source(tmp_path)
    (sample,) = open_source(tmp_path, labels="ade20k")
    assert len(np.unique(sample.layers.panoptic)) > 64
