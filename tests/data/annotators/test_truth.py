"""data/annotators/truth.py: layers handed on, people from parts, readers of landmarks."""

import json

import numpy as np
import pytest

from mas_fast.data.annotators.face import face_parts
from mas_fast.data.annotators.truth import (
    Truth,
    read_dlib,
    read_wholebody,
    with_landmarks,
)
from mas_fast.scene import Layers


def test_layers_are_handed_on():
    image, layers = np.zeros((2, 3, 3), np.uint8), Layers(np.zeros((2, 3), np.uint8))
    assert Truth()([image, image], [layers, layers]) == [layers, layers]
    with pytest.raises(ValueError, match=r"image 1: found no annotations .*\(1 of 2 have none\)"):
        Truth()([image, image], [layers, None])
    with pytest.raises(ValueError, match="found layers of 2 x 3, expected 4 x 3"):
        Truth()([np.zeros((4, 3, 3), np.uint8)], [layers])


def test_faces_are_added():
    layers = Layers(np.zeros((40, 50), np.uint8), human=np.ones((40, 50), np.uint8))
    landmarks = np.random.RandomState(0).uniform(5, 35, (2, 68, 2))
    found = with_landmarks(layers, landmarks)
    assert np.array_equal(found.face, face_parts(landmarks, 40, 50))
    assert found.face.any()
    assert found.human is layers.human


def xml(parts: str, name: str = "a.jpg", head: str = "") -> bytes:
    return (
        f"{head}<dataset><images><image file='{name}'><box>{parts}</box></image></images>"
        "</dataset>".encode()
    )


PARTS = "".join(f"<part name='{n:02}' x='{n}' y='{2 * n}'/>" for n in range(68))


def test_dlib_faces(tmp_path):
    file = tmp_path / "faces.xml"
    file.write_bytes(xml(PARTS))
    (faces,) = read_dlib(file).values()
    assert faces.shape == (1, 68, 2)
    assert faces[0, 67].tolist() == [67, 134]
    file.write_bytes(b"<dataset><image file='a.jpg'/></dataset>")
    assert read_dlib(file)["a.jpg"].shape == (0, 68, 2)
    image = xml(PARTS).partition(b"<images>")[2].partition(b"</images>")[0]
    file.write_bytes(xml(PARTS).replace(image, 2 * image))
    assert read_dlib(file)["a.jpg"].shape == (2, 68, 2)
    for content, message in (
        (b"<dataset>", "found no XML of dlib's imglab: "),
        (xml(PARTS.replace("name='67'", "name='68'")), "a face with 68 points, expected 0..67"),
        (xml(PARTS[: PARTS.index("<part name='67'")]), "a face with 67 points"),
        (xml(PARTS.replace("x='3'", "x='?'")), "could not convert string to float"),
        (xml(PARTS, name="../a.jpg"), "expected a relative path"),
        (xml(PARTS + "<part name='3' x='9' y='9'/>"), "a.jpg: found a part twice"),
        (xml(PARTS, head="<!DOCTYPE d [<!ENTITY a 'b'>]>"), "found a DOCTYPE"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_dlib(file)


def test_wholebody_faces(tmp_path):
    file = tmp_path / "faces.json"
    points = [float(n) for n in range(3 * 68)]

    def write(name="a.jpg", valid=True, points=points, image_id=1):
        person = {"image_id": image_id, "face_valid": valid, "face_kpts": points}
        images = [{"id": 1, "file_name": name}]
        file.write_text(json.dumps({"images": images, "annotations": [person]}))

    write()
    assert read_wholebody(file)["a.jpg"][0, 1].tolist() == [3, 4]
    write(valid=False)
    assert read_wholebody(file)["a.jpg"].shape == (0, 68, 2)
    for change, message in (
        ({"points": points[:-3]}, "a face with 67 points"),
        ({"points": points[:-1]}, "found no JSON of COCO-WholeBody: "),
        ({"image_id": 2}, "found no JSON of COCO-WholeBody: KeyError"),
        ({"name": "/a.jpg"}, "expected a relative path"),
    ):
        write(**change)
        with pytest.raises(ValueError, match=message):
            read_wholebody(file)
    for images in ([(1, "a.jpg"), (1, "b.jpg")], [(1, "a.jpg"), (2, "a.jpg")]):
        rows = [{"id": number, "file_name": name} for number, name in images]
        file.write_text(json.dumps({"images": rows, "annotations": []}))
        with pytest.raises(ValueError, match="found an id of two images, or an image of two ids"):
            read_wholebody(file)
    file.write_text("[]")
    with pytest.raises(ValueError, match="found list, expected dict"):
        read_wholebody(file)
