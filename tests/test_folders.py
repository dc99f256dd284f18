"""data/folders.py: images with folders of label PNGs beside them: ADE20K, COCO-Stuff, CIHP."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.folders import LabelFolderSource
from mas_fast.data.samples import Reject, Sample
from mas_fast.data.sources import open_source
from mas_fast.scene import ADE20K, COCO_NAMES, COCO_STUFF_IDS, VOID, Layers

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SKY_PERSON = ["sky-other-merged", "person"]
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")


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
    read = lambda png: Layers(COCO_STUFF_IDS.read(png))  # noqa: E731
    first, _ = LabelFolderSource(tmp_path / "i", tmp_path / "l", read)
    assert first.captions == ["A clear sky.", "하늘"]
    labels = [COCO_NAMES.index("sky-other-merged"), 0, VOID]
    assert first.layers.panoptic.tolist() == [labels]


def test_broken_labels(tmp_path):
    write(tmp_path, "images", "annotations", [[3, 13, 0]])
    (tmp_path / "objectInfo150.txt").touch()
    labels = tmp_path / "annotations"
    for content, message in (
        (np.array([[3, 151, 0]], np.uint8), r"found \[151\], expected 1..150 or 0"),
        (np.array([[3, 13]], np.uint8), "an image of 1 x 3 and a scene of 1 x 2"),
        (np.zeros((1, 3, 3), np.uint8), "found PNG of mode RGB"),
        (b"", "a.png: found data that is no image"),
        (None, "a.png: found no such file"),
    ):
        (labels / "a.png").unlink(missing_ok=True)
        if isinstance(content, bytes):
            (labels / "a.png").write_bytes(content)
        elif content is not None:
            Image.fromarray(content).save(labels / "a.png")
        bad, good = open_source(tmp_path)
        assert isinstance(good, Sample) and isinstance(bad, Reject) and bad.key == "a"
        assert re.search(message, bad.reason)
    for folder in ("annotations", "images"):
        (tmp_path / folder).rename(tmp_path / f"no-{folder}")
        with pytest.raises(ValueError, match=f"no such folder of ADE20K, expected .*{folder}"):
            open_source(tmp_path)


def test_void_is_no_human_part(tmp_path):
    write(tmp_path, "Images", "Category_ids", [[13, 255]])
    first, _ = open_source(tmp_path)
    assert "found 255, expected 0..19" in first.reason


@needs_data
def test_real_ade20k():
    samples = list(open_source(DATA / "ade20k"))
    assert len(samples) == 30 and all(isinstance(sample, Sample) for sample in samples)
    for sample in samples:
        png = DATA / "ade20k" / "segmentations" / f"{sample.key}.png"
        assert (sample.layers.panoptic == ADE20K.read(png)).all()
        assert sample.square(64).scene.labels.shape == (64, 64)


@needs_data
def test_real_cihp():
    source = open_source(DATA / "cihp")
    samples = list(source)
    assert len(samples) == 5 and all(isinstance(sample, Sample) for sample in samples)
    for sample in samples:
        raw = np.asarray(Image.open(DATA / "cihp" / "labels" / f"{sample.key}.png"))
        layers = sample.layers
        assert ((layers.panoptic == 0) == (raw > 0)).all()
        assert set(np.unique(layers.panoptic).tolist()) == {0, VOID}
        assert (layers.human == np.where(raw == 10, 0, raw)).all()
        mirrored = np.asarray(Image.open(DATA / "cihp" / "labels_rev" / f"{sample.key}.png"))
        assert (sample.flip().layers.human == np.where(mirrored == 10, 0, mirrored)).all()
        assert (sample.scene.labels == 132 + 13).sum() == (raw == 13).sum() > 0
