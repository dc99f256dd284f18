"""What people have annotated: no network, nothing to download.

Truth()(images, layers)                        # the layers that the source came with
with_landmarks(layers, faces["name.jpg"])      # faces = read_dlib("faces.xml")
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mas_fast.data.annotators.base import Annotator, check_pictures
from mas_fast.data.annotators.face import POINTS, face_parts
from mas_fast.data.sources.base import check_name, parse_json
from mas_fast.scene import Layers


class Truth(Annotator):
    """Hands on the layers that the source came with. ValueError for a picture without."""

    adds = ()

    @classmethod
    def load(cls) -> Truth:
        return cls()

    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        check_pictures(images, layers, needs_layers=False)
        without = [n for n, known in enumerate(layers) if known is None]
        if without:
            raise ValueError(
                f"image {without[0]}: found no annotations in its source ({len(without)} of "
                f"{len(layers)} have none), expected some for the annotator truth"
            )
        return list(layers)


def with_landmarks(layers: Layers, landmarks: np.ndarray) -> Layers:
    """The layers with the face parts of the faces [n, 68, 2]. ValueError as for face_parts."""
    return replace(layers, face=face_parts(landmarks, layers.height, layers.width))


def read_dlib(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """float64 [n, 68, 2] by the name of the picture, of an XML file as dlib's imglab writes it:
    images with boxes with parts 00..67. An image that comes again adds its faces. ValueError for a
    file that is not, or a face that has not each part once."""
    content = Path(path).read_bytes()
    if b"<!DOCTYPE" in content:  # entities, which imglab has not, can blow a parser up
        raise ValueError(f"{path}: found a DOCTYPE, expected the XML of dlib's imglab")
    faces: dict[str, list] = {}
    try:
        for image in ElementTree.fromstring(content).iter("image"):
            name = image.attrib["file"]
            check_name(name)
            found = faces.setdefault(name, [])
            for box in image.iter("box"):
                parts = list(map(_part, box.iter("part")))
                if len(dict(parts)) < len(parts):
                    raise ValueError(f"{name}: found a part twice, expected 0..{POINTS - 1}")
                found.append(dict(parts))
        return {name: _stack(found, name) for name, found in faces.items()}
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # of an encoding, too
        raise ValueError(f"{path}: not read as the XML of dlib's imglab: {error!r}") from error


def read_wholebody(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """float64 [n, 68, 2] by the name of the picture, of COCO-WholeBody's JSON: the faces of those
    people whose face_valid is true. A picture without any has [0, 68, 2]. ValueError for a file
    that is not, and where an id is not one picture's."""
    values = parse_json(Path(path).read_bytes(), str(path), dict)
    try:
        pairs = {(image["id"], image["file_name"]) for image in values["images"]}
        names = dict(pairs)
        if len(names) < len(pairs) or len(set(names.values())) < len(pairs):
            raise ValueError("found an id of two images, or an image of two ids")
        points: dict[int, list] = {number: [] for number in names}
        for person in values["annotations"]:
            if person["face_valid"]:
                triples = np.reshape(np.asarray(person["face_kpts"], np.float64), (-1, 3))
                points[person["image_id"]].append(dict(enumerate(triples[:, :2].tolist())))
        for name in names.values():
            check_name(name)
        return {name: _stack(points[number], name) for number, name in names.items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: not read as COCO-WholeBody's JSON: {error!r}") from error


def _part(part: ElementTree.Element) -> tuple[int, tuple[float, float]]:
    return int(part.attrib["name"]), (float(part.attrib["x"]), float(part.attrib["y"]))


def _stack(faces: list[dict[int, tuple]], name: str) -> np.ndarray:
    for face in faces:
        if set(face) != set(range(POINTS)):
            raise ValueError(f"{name}: found a face with {len(face)} points, expected 0..67")
    ordered = [[face[n] for n in range(POINTS)] for face in faces]
    return np.array(ordered, np.float64).reshape(-1, POINTS, 2)
