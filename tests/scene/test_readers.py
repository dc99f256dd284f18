"""scene/readers.py: COCO's two formats of panoptic annotations, and label maps."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotated import OFFICIAL, annotations
from mas_fast.scene import (
    COCO_IDS,
    clean,
    read_coco_panoptic,
    read_label_png,
    read_two_channel,
)


def png(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_coco_panoptic(tmp_path):
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 1:] = (1, 2, 3)
    pixels[1, 0] = (0, 0, 9)
    file = png(pixels, tmp_path / "a.png")
    first, second = 1 + 2 * 256 + 3 * 65536, 9 * 65536
    segments = [{"id": first, "category_id": 1}, {"id": second, "category_id": 200}]
    panoptic, instances = read_coco_panoptic(file, segments)
    assert panoptic.dtype == np.uint8
    assert panoptic.tolist() == [[255, 0, 0], [132, 255, 255]]
    assert instances.dtype == np.int32
    assert instances.tolist() == [[0, first, first], [second, 0, 0]]
    renumbered = [{"id": 1, "name": "rug-merged"}, {"id": 200, "name": "person"}]
    swapped, _ = read_coco_panoptic(file.read_bytes(), segments, renumbered)
    assert swapped.tolist() == [[255, 132, 132], [0, 255, 255]]
    for bad, message in (
        (segments[:1], rf"found segment ids \[{second}\] that segments_info lacks"),
        ([], rf"found segment ids \[{first}, {second}\]"),
        (segments * 2, f"found the id {first} twice"),
        ([{"id": 0, "category_id": 1}], "found the id 0 twice, or 0"),
        (
            [{"id": 5, "category_id": 12}],
            "segment 5: found category id 12, expected one of the 133",
        ),
        ([{"id": 2**70, "category_id": 1}], "expected 24 bits"),
        ([{"id": float("inf"), "category_id": 1}], "expected a list of {id, category_id}"),
        ([{"id": 5}], "expected a list of {id, category_id}"),
        (None, "segments_info: found None, expected a list"),
    ):
        with pytest.raises(ValueError, match=message):
            read_coco_panoptic(file, bad)
    with pytest.raises(ValueError, match="category 3: found 'sofa'"):
        read_coco_panoptic(file, segments, [{"id": 3, "name": "sofa"}])
    grey = png(pixels[..., 0], tmp_path / "grey.png")
    with pytest.raises(ValueError, match="found PNG of mode L, expected PNG of mode RGB"):
        read_coco_panoptic(grey, segments)
    with pytest.raises(ValueError, match=r"found category ids \[2\] that are not known"):
        read_two_channel(
            png(pixels[..., [1, 0, 0]] * np.array([1, 1, 0], np.uint8), tmp_path / "2ch.png"), []
        )


def test_official_formats_agree():
    values = json.loads((OFFICIAL / "panoptic_examples.json").read_text())
    for annotation in values["annotations"]:
        panoptic, instances = read_coco_panoptic(
            OFFICIAL / "panoptic_examples" / annotation["file_name"],
            annotation["segments_info"],
            values["categories"],
        )
        for segment in annotation["segments_info"]:
            inside = instances == segment["id"]
            assert inside.sum() == segment["area"]
            assert (panoptic[inside] == COCO_IDS.index(segment["category_id"])).all()
        other = read_two_channel(
            OFFICIAL / "panoptic_examples_2ch_format" / annotation["file_name"]
        )
        assert (other[0] == panoptic).all()
        assert clean(*other) == clean(panoptic, instances)


def test_label_png(tmp_path):
    labels = np.array([[0, 19, 255]], np.uint8)
    assert (read_label_png(png(labels, tmp_path / "a.png"), 20) == labels).all()
    with pytest.raises(ValueError, match=r"label PNG: found \[19\], expected 0..9 or 255"):
        read_label_png(tmp_path / "a.png", 10)
    scene = clean(*annotations(8))
    assert (read_label_png(scene.to_pngs()[0], 158) == scene.labels).all()  # palette indices
