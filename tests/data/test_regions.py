"""data/regions.py: the boxes of what a scene shows."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mas_fast.data.regions import face_boxes, object_boxes
from mas_fast.data.sources.open import open_source
from mas_fast.scene import Layers, clean

ROAD, CAR, VOID = 100, 2, 255


def boxes(found: np.ndarray) -> list[list[float]]:
    assert found.dtype == np.float64
    assert found.shape[1:] == (4,)
    return sorted(found.tolist())


def street() -> Layers:
    """Two cars side by side that touch, a third, void, and a splinter of a dog."""
    panoptic = np.full((60, 80), ROAD, np.uint8)
    instances = np.zeros((60, 80), np.int32)
    cars = np.s_[10:30, 5:25], np.s_[12:40, 25:50], np.s_[45:60, 60:80]
    for number, part in enumerate(cars, 7):
        panoptic[part], instances[part] = CAR, number
    panoptic[0:5, 0:5] = VOID
    panoptic[50:54, 3:6], instances[50:54, 3:6] = 16, 99
    return Layers(panoptic, instances)


CARS = [[5, 10, 25, 30], [25, 12, 50, 40], [60, 45, 80, 60]]


def test_instances_are_objects() -> None:
    assert boxes(object_boxes(street())) == CARS
    everywhere = Layers(np.full((9, 20), CAR, np.uint8), np.full((9, 20), -5, np.int32))
    assert boxes(object_boxes(everywhere)) == [[0, 0, 20, 9]]
    assert boxes(object_boxes(Layers(street().panoptic))) == [[5, 10, 50, 40], CARS[2]]


def test_edges_part_the_objects_of_a_scene() -> None:
    found = boxes(object_boxes(street().clean()))
    assert len(found) == 3
    assert np.abs(np.array(found) - CARS).max() <= 1


def test_parts_belong_to_a_person() -> None:
    panoptic = np.full((50, 50), ROAD, np.uint8)
    panoptic[10:40, 20:30] = 0
    human, face = np.zeros((2, 50, 50), np.uint8)
    human[10:18, 20:30], face[12:14, 22:24] = 13, 2
    for layout in ("mini158", "mas159"):
        scene = clean(panoptic, human=human, face=face, layout=layout)
        assert boxes(object_boxes(scene)) == [[20, 10, 30, 40]]


def test_no_things_and_no_faces() -> None:
    for label in (ROAD, VOID):
        layers = Layers(np.full((20, 20), label, np.uint8), np.ones((20, 20), np.int32))
        for scene in (layers, layers.clean(), Layers(layers.panoptic)):
            assert object_boxes(scene).shape == (0, 4)
        assert face_boxes(layers.clean()).shape == (0, 4)


def test_parts_near_each_other_are_one_face() -> None:
    face = np.zeros((60, 100), np.uint8)
    for left in (20, 60):
        face[20:23, left : left + 6] = 2
        face[20:23, left + 10 : left + 16] = 2
        face[20:30, left + 7 : left + 9] = 3
        face[32:35, left + 4 : left + 12] = 4
    scene = clean(np.zeros((60, 100), np.uint8), face=face)
    assert boxes(face_boxes(scene)) == [[16.8, 17, 39.2, 38], [56.8, 17, 79.2, 38]]
    corner = scene.crop(20, 20, 40, 40)
    assert boxes(face_boxes(corner)) == [[0, 0, 19.2, 18]]


PARTS = ((1, range(17, 22)), (1, range(22, 27)), (2, range(36, 42)), (2, range(42, 48)))
PARTS += ((3, (27, 31, 33, 35)), (4, range(48, 60)), (5, range(60, 68)))


def test_every_real_face_is_found_once(real_data) -> None:
    folder, count = real_data("faces/dlib68"), 0
    for file in sorted(folder.glob("*.xml")):
        for image in ElementTree.parse(file).getroot().iter("image"):
            with Image.open(folder / Path(image.get("file")).name) as photo:
                drawn = Image.new("L", photo.size)
            expected = []
            for face in image.iter("box"):
                points = {
                    int(p.get("name")): (int(p.get("x")), int(p.get("y")))
                    for p in face.iter("part")
                }
                for part, numbers in PARTS:
                    corners = [points[n] for n in numbers]
                    ImageDraw.Draw(drawn).polygon(corners, fill=part, outline=part)
                sides = ("left", "top", "width", "height")
                left, top, width, height = (float(face.get(side)) for side in sides)
                expected.append([left, top, left + width, top + height])
            labels = np.array(drawn)
            found = face_boxes(clean(np.zeros(labels.shape, np.uint8), face=labels))
            assert len(found) == len(expected)
            overlaps = [max(overlap(a, b) for b in found) for a in expected]
            assert not expected or min(overlaps) > 0.3 and np.median(overlaps) > 0.6
            count += len(found)
    assert count == 43


def overlap(a, b) -> float:
    """Intersection over union."""
    width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def test_real_scenes_have_the_objects_of_the_annotation(coco) -> None:
    import json

    table = coco / "annotations" / "panoptic_val2017.json"
    values = json.loads(table.read_text())
    things = {c["id"] for c in values["categories"] if c["isthing"]}
    rows = {row["image_id"]: row["segments_info"] for row in values["annotations"]}
    hits = total = 0
    for sample in open_source(table):
        found, seen = (object_boxes(shown) for shown in (sample.layers, sample.scene))
        for segment in rows[sample.info["image_id"]]:
            x, y, width, height = segment["bbox"]
            if segment["category_id"] in things and min(width, height) >= 4:
                total += 1
                whole = (x, y, x + width, y + height)
                assert any((box == whole).all() for box in found)
                hits += any(overlap(whole, box) > 0.8 for box in seen)
    assert total > 100
    assert hits / total > 0.75  # an object behind another is two regions
