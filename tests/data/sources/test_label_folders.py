"""data/sources/label_folders.py: photos with label maps beside them, in all layouts."""

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from label_maps import classes, label_map, photo
from mas_fast.data.prepare import prepare
from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.label_folders import LabelFolderSource, check_no_label_maps
from mas_fast.data.sources.open import open_source
from mas_fast.data.sources.walk import walk
from mas_fast.scene import (
    ADE20K,
    COCO_NAMES,
    SPACES,
    VOID,
    Layers,
    Scene,
    read_label_png,
)

SKY_PERSON = ["sky-other-merged", "person"]


def write(root: Path, images: str, labels: str, values: list[list[int]]) -> None:
    """The photos a.jpg and sub/b.jpg with these labels."""
    for folder in (images, labels):
        (root / folder / "sub").mkdir(parents=True, exist_ok=True)
    array = np.array(values, np.uint8)
    for name in ("a", "sub/b"):
        Image.new("RGB", array.shape[::-1]).save(root / images / f"{name}.jpg")
        Image.fromarray(array).save(root / labels / f"{name}.png")


@pytest.mark.parametrize(
    ("mark", "images", "labels", "values", "expected"),
    [
        ("objectInfo150.txt", "images", "annotations", [[3, 13, 0]], SKY_PERSON),
        ("objectInfo150.txt", "images", "segmentations", [[3, 13, 0]], SKY_PERSON),
        ("stuffthingmaps", "images", "stuffthingmaps", [[156, 0, 255]], SKY_PERSON),
        ("Category_ids", "Images", "Category_ids", [[13, 10, 0]], ["person", "person"]),
        ("labels_rev", "images", "labels", [[13, 10, 0]], ["person", "person"]),
    ],
)
def test_layouts_are_found(tmp_path, mark, images, labels, values, expected):
    write(tmp_path, images, labels, values)
    if not (tmp_path / mark).exists():
        (tmp_path / mark).mkdir() if "." not in mark else (tmp_path / mark).touch()
    source = open_source(tmp_path)
    assert isinstance(source, LabelFolderSource)
    samples = list(source)
    assert [sample.key for sample in samples] == ["a", "sub/b"]
    for sample in samples:
        labels = [COCO_NAMES.index(name) for name in expected] + [VOID]
        assert sample.layers.panoptic.tolist() == [labels]
        human = sample.layers.human
        assert human is None or human.tolist() == [[13, 0, 0]]  # torso skin is no part of LIP's


def test_captions_and_other_numberings(tmp_path):
    write(tmp_path, "i", "l", [[157, 1, 0]])
    (tmp_path / "i" / "a.txt").write_text("A clear sky.\n하늘")
    first, _ = open_source(tmp_path, labels="coco-stuff-ids")
    assert first.captions == ["A clear sky.", "하늘"]
    labels = [COCO_NAMES.index("sky-other-merged"), 0, VOID]
    assert first.layers.panoptic.tolist() == [labels]
    table = tmp_path / "captions.csv"
    table.write_text("file_name,caption\na.jpg,From a table.\n")
    first, _ = open_source(tmp_path, table, "coco-stuff-ids")
    assert first.captions == ["From a table."]


CITY, STUFF = "cityscapes", "coco-stuff"
ROAD_CAR = ["road", "car"]
CAMVID_COLORS = [(128, 64, 128), (64, 0, 128)]
# (label space, photos, label maps and what is in them, other files, classes)
LAYOUTS = {
    "SPADE's own": (
        STUFF,
        ["train_img/1.jpg", "train_img/2.jpg", "val_img/1.jpg"],
        {"train_label/1.png": [148, 2], "train_label/2.png": [148, 2], "val_label/1.png": [148, 2]},
        {"train_inst/1.png": [148, 2], "train_inst/2.png": [1, 2], "val_inst/1.png": [1, 2]},
    ),
    "ADE20K": (
        "ade20k",
        [
            "ADEChallengeData2016/images/training/a.jpg",
            "ADEChallengeData2016/images/validation/b.jpg",
        ],
        {
            "ADEChallengeData2016/annotations/training/a.png": [7, 21],
            "ADEChallengeData2016/annotations/validation/b.png": [7, 21],
        },
        {},
    ),
    "Cityscapes": (
        CITY,
        [f"leftImg8bit/train/{c}/{c}_000_019_leftImg8bit.png" for c in ("aachen", "ulm")],
        {f"gtFine/train/{c}/{c}_000_019_gtFine_labelIds.png": [7, 26] for c in ("aachen", "ulm")},
        {
            f"gtFine/train/{c}/{c}_000_019_gtFine_{kind}.png": content
            for c in ("aachen", "ulm")
            for kind, content in (
                ("labelTrainIds", [0, 13]),
                ("instanceIds", [7, 26001]),
                ("color", [(128, 64, 128, 255), (0, 0, 142, 255)]),
            )
        },
    ),
    "Cityscapes' trainIds": (
        "cityscapes-train",
        ["leftImg8bit/val/ulm/ulm_1_leftImg8bit.png"],
        {"gtFine/val/ulm/ulm_1_gtFine_labelTrainIds.png": [0, 13]},
        {"gtFine/val/ulm/ulm_1_gtFine_labelIds.png": [7, 26]},
    ),
    "CamVid's colours": (
        "camvid",
        ["701_StillsRaw_full/0001TP_006690.png", "701_StillsRaw_full/Seq05VD_f00000.png"],
        {
            "LabeledApproved_full/0001TP_006690_L.png": CAMVID_COLORS,
            "LabeledApproved_full/Seq05VD_f00000_L.png": CAMVID_COLORS,
        },
        {},
    ),
    "CamVid of SegNet": (
        "camvid",
        ["train/1.png", "val/2.png", "test/3.png"],
        {"trainannot/1.png": [3, 8], "valannot/2.png": [3, 8], "testannot/3.png": [3, 8]},
        {},
    ),
    "CamVid of fastai": (
        "camvid-32",
        ["images/1.png"],
        {"labels/1_P.png": [17, 5]},
        {},
    ),
    "VOC": (
        "voc",
        ["VOC2012/JPEGImages/2007_000032.jpg"],
        {"VOC2012/SegmentationClass/2007_000032.png": [0, 7]},
        {"VOC2012/SegmentationObject/2007_000032.png": [0, 1]},
    ),
    "COCO-Stuff": (
        STUFF,
        ["train2017/1.jpg", "val2017/2.jpg"],
        {"stuffthingmaps/train2017/1.png": [148, 2], "stuffthingmaps/val2017/2.png": [148, 2]},
        {},
    ),
    "side by side": (CITY, ["a.jpg", "b.jpg"], {"a.png": [7, 26], "b.png": [7, 26]}, {}),
    "with an end": (CITY, ["x/a.png"], {"x/a_labels.png": [7, 26]}, {}),
    "other names": (CITY, ["shots/a.webp"], {"truth/a.png": [7, 26]}, {}),
    "below the photos": (CITY, ["a.jpg"], {"masks/a.png": [7, 26]}, {}),
    "another format": (CITY, ["i/a.jpg"], {"l/a_mask.bmp": [7, 26]}, {}),
    "DAVIS, one folder a film": (
        CITY,
        [f"JPEGImages/480p/{n}/{k}.jpg" for n in ("bear", "bus") for k in range(2)],
        {f"Annotations/480p/{n}/{k}.png": [7, 26] for n in ("bear", "bus") for k in range(2)},
        {},
    ),
    "names composed in two ways": (CITY, ["i/caf\u00e9.jpg"], {"l/cafe\u0301.png": [7, 26]}, {}),
}


def lay_out(root: Path, name: str) -> tuple[str, list[str]]:
    """Write a layout; its label space, and its photos without suffixes."""
    space, photos, maps, others = LAYOUTS[name]
    for seed, file in enumerate(photos):
        photo(root / file, seed)
    for file, content in (maps | others).items():
        label_map(root / file, content)
    return space, [file.rpartition(".")[0] for file in photos]


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    space, photos = lay_out(tmp_path, name)
    samples = list(open_source(tmp_path, labels=space))
    assert [item for item in samples if isinstance(item, Reject)] == []
    assert len(samples) == len(photos)
    for sample in samples:
        assert any(photo.endswith(sample.key) for photo in photos)
        expected = ["void", "car"] if name == "VOC" else ROAD_CAR
        assert classes(sample) == expected
        assert sample.image.size == (32, 24)
    assert len({sample.key for sample in samples}) == len(photos)


@pytest.mark.parametrize("name", LAYOUTS)
def test_label_maps_never_count_as_photos(tmp_path, name):
    space, _ = lay_out(tmp_path, name)
    if name == "COCO-Stuff":  # known by its folder
        assert classes(next(iter(open_source(tmp_path)))) == ROAD_CAR
        return
    message = r"found label maps \(.*\) beside photos .*--labels NAME .*"
    with pytest.raises(ValueError, match=message + re.escape(space.removesuffix("-train"))):
        open_source(tmp_path)
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, f"{tmp_path}-out", progress=False)


def test_other_files_are_no_label_maps(tmp_path, scene):
    """Our own scenes, photos of the same name in several folders, grey ones, drawings alone."""
    photo(tmp_path / "a.jpg")
    labels, edges = scene.to_pngs()
    (tmp_path / "a.seg.png").write_bytes(labels)
    (tmp_path / "a.edge.png").write_bytes(edges)
    for folder in ("one", "two"):
        photo(tmp_path / folder / "b.png", len(folder))
    grey = np.random.default_rng(0).integers(0, 256, (24, 32)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "one" / "c.png")
    photo(tmp_path / "two" / "c.jpg")
    label_map(tmp_path / "icons" / "d.png", [1, 2])
    label_map(tmp_path / "logos" / "d.png", [(1, 2, 3), (200, 2, 3)])
    source = open_source(tmp_path)
    assert len(source) == 7
    assert isinstance(next(item for item in source if item.key == "a").annotation, Scene)


def test_names_that_are_everywhere_cost_no_time(tmp_path):
    """Films as PNGs: each folder has the names of all others, and none is looked into."""
    for film in range(400):
        (tmp_path / str(film)).mkdir()
        for frame in range(10):
            (tmp_path / str(film) / f"{frame}.png").touch()
    files = walk(tmp_path).files
    start = time.process_time()
    check_no_label_maps(tmp_path, files)
    assert time.process_time() - start < 1


def test_what_is_missing_is_told(tmp_path):
    for name in ("a", "b"):
        photo(tmp_path / "i" / f"{name}.jpg")
    for name in ("b", "c"):
        label_map(tmp_path / "l" / f"{name}.png", [7, 26])
    items = {item.key: item for item in open_source(tmp_path, labels="cityscapes")}
    assert isinstance(items.pop("b"), Sample)
    assert len(items) == 2
    assert "found no label map of cityscapes for it, expected one" in items.pop("a").reason
    (rest,) = items.values()
    assert rest.key.endswith("c.png")
    assert "a label map without a photo" in rest.reason
    for name in ("b", "c"):
        label_map(tmp_path / "l2" / f"{name}.png", [7, 26])
    with pytest.raises(ValueError, match="found two label maps of b, .*l/b.png and .*l2/b.png"):
        open_source(tmp_path, labels="cityscapes")
    with pytest.raises(
        ValueError, match="found no label maps with the names of photos, expected 8"
    ):
        open_source(tmp_path / "i", labels="cityscapes")
    with pytest.raises(ValueError, match="labels: found 'city', expected one of mini158"):
        open_source(tmp_path, labels="city")
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(
        ValueError, match="labels: found voc for .*, expected a folder of label maps"
    ):
        open_source(tmp_path / "a.tar", labels="voc")


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    photo(tmp_path / "elsewhere" / "a.jpg")
    label_map(tmp_path / "data" / "labels" / "a.png", [7, 26])
    (tmp_path / "data" / "labels" / "again").symlink_to(tmp_path / "data")
    photo(tmp_path / "data" / "images" / "a.jpg")
    (only,) = open_source(tmp_path / "data", labels="cityscapes")
    assert classes(only) == ROAD_CAR


def test_wrong_numbers_are_rejected_by_name(tmp_path):
    lay_out(tmp_path, "side by side")
    for item in open_source(tmp_path, labels="voc"):
        assert isinstance(item, Reject)
        assert re.search(r"png: voc: found \[26\] .first at row 0, column 16; 50.0%", item.reason)


def test_prepared_with_its_label_space(tmp_path):
    source, output = tmp_path / "source", tmp_path / "scenes"
    lay_out(source, "SPADE's own")
    manifest = prepare(source, output, labels="coco-stuff", progress=False)
    assert manifest["options"]["labels"] == "coco-stuff"
    assert manifest["shards"][0]["samples"] == 3
    first = next(iter(open_source(output)))
    assert np.unique(first.scene.labels).tolist() == [2, COCO_NAMES.index("road")]
    with pytest.raises(ValueError, match="labels"):
        prepare(source, output, labels="coco-things-80", progress=False)
    file = tmp_path / "mine.tsv"
    file.write_text("road\t148\ncar\t2\n")
    manifest = prepare(source, tmp_path / "other", labels=file, progress=False)
    assert manifest["options"]["labels"] == {"148": "road", "2": "car"}


@pytest.mark.parametrize("name", SPACES)
def test_every_space_can_be_chosen(tmp_path, name):
    space = SPACES[name]
    photo(tmp_path / "i" / "a.jpg")
    label_map(tmp_path / "l" / "a.png", sorted(space.values)[:2])
    (sample,) = open_source(tmp_path, labels=name)
    panoptic = space.read(tmp_path / "l" / "a.png").panoptic
    assert (sample.layers.panoptic == panoptic).all()


def test_broken_labels(tmp_path):
    write(tmp_path, "images", "annotations", [[3, 13, 0]])
    (tmp_path / "objectInfo150.txt").touch()
    labels = tmp_path / "annotations"
    for content, message in (
        (np.array([[3, 151, 0]], np.uint8), r"found \[151\] .*, expected 1..150, or 0"),
        (np.array([[3, 13]], np.uint8), "an image of 1 x 3 and a scene of 1 x 2"),
        (np.full((1, 3, 3), 7, np.uint8), r"found \[#070707\] .*, expected the 150 colours of ade"),
        (np.zeros((1, 3), np.uint16), "16 bits: instances or depth"),
        (b"", "a.png: found data that is no image"),
        (None, "found no label map of ade20k for it"),
    ):
        (labels / "a.png").unlink(missing_ok=True)
        if isinstance(content, bytes):
            (labels / "a.png").write_bytes(content)
        elif content is not None:
            Image.fromarray(content).save(labels / "a.png")
        bad, good = open_source(tmp_path)
        assert isinstance(good, Sample)
        assert isinstance(bad, Reject)
        assert bad.key == "a"
        assert re.search(message, bad.reason)
    for folder in ("annotations", "images"):
        away = (tmp_path / folder).rename(f"{tmp_path}-{folder}")
        with pytest.raises(
            ValueError, match="found no label maps with the names of photos, expected 8.*of ade20k"
        ):
            open_source(tmp_path)
        away.rename(tmp_path / folder)


def test_void_is_no_human_part(tmp_path):
    write(tmp_path, "Images", "Category_ids", [[13, 255]])
    first, _ = open_source(tmp_path)
    assert re.search(r"cihp: found \[255\] .*expected 0..19", first.reason)


def test_real_ade20k(real_data):
    folder = real_data("ade20k")
    assert len([item for item in open_source(folder / "images") if isinstance(item, Sample)]) == 30
    lines = (folder / "objectInfo150.txt").read_text().splitlines()[1:]
    names = tuple(line.split("\t")[-1].split(",")[0].strip() for line in lines)
    assert names == tuple(ADE20K.values[n] for n in range(1, 151))
    assert len(set(names)) == 150
    void, seen = [], set()
    samples = list(open_source(folder))
    assert len(samples) == 30
    assert all(isinstance(sample, Sample) for sample in samples)
    for sample in samples:
        panoptic = sample.layers.panoptic
        png = folder / "segmentations" / f"{sample.key}.png"
        assert (panoptic == ADE20K.read(png).panoptic).all()
        assert sample.square(64).scene.labels.shape == (64, 64)
        assert sample.scene.labels.shape == panoptic.shape
        seen |= set(np.unique(panoptic).tolist())
        void.append((panoptic == VOID).mean())
    assert len(seen) > 40
    assert abs(np.mean(void) - 0.061) < 0.001  # as scene/semantic.py says


def test_real_cihp(real_data):
    """It ships its own flipped ground truth, sides swapped."""
    folder = real_data("cihp")
    samples = list(open_source(folder))
    assert len(samples) == 5
    assert all(isinstance(sample, Sample) for sample in samples)
    for sample in samples:
        raw = read_label_png(folder / "labels" / f"{sample.key}.png", 20)
        assert (raw > 0).mean() > 0.05
        layers = sample.layers
        assert ((layers.panoptic == 0) == (raw > 0)).all()
        assert set(np.unique(layers.panoptic).tolist()) == {0, VOID}
        assert (layers.human == np.where(raw == 10, 0, raw)).all()
        mirrored = read_label_png(folder / "labels_rev" / f"{sample.key}.png", 20)
        people = Layers(np.zeros_like(raw), human=raw)
        assert (people.flip().human == mirrored).all()
        other = replace(people, human=mirrored).clean()
        assert (people.clean().flip().labels == other.labels).all()
        assert (sample.flip().layers.human == np.where(mirrored == 10, 0, mirrored)).all()
        assert (sample.scene.labels == 132 + 13).sum() == (raw == 13).sum() > 0
