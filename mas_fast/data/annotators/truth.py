"""Annotations that people made: no network, nothing to download.

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
from mas_fast.data.sources.base import parse_json
from mas_fast.data.sources.names import check_name
from mas_fast.scene import Layers


class Truth(Annotator):
    """Returns the layers that the source came with.

    Raises:
        ValueError: for a picture without layers.
    """

    adds = ()

    @classmethod
    def load(cls) -> Truth:
        """Make the annotator."""
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
        return [known for known in layers if known is not None]


def with_landmarks(layers: Layers, landmarks: np.ndarray) -> Layers:
    """Add face parts to layers.

    Args:
        layers: the layers.
        landmarks: faces [n, 68, 2], in pixels.

    Returns:
        The layers with face parts.

    Raises:
        ValueError: as for `face_parts`.
    """
    return replace(layers, face=face_parts(landmarks, layers.height, layers.width))


def read_dlib(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read an XML file of dlib's imglab: images with boxes with parts 00..67.

    Args:
        path: the file. If an image comes again, its faces are added.

    Returns:
        float64 [n, 68, 2], in pixels, by the name of the picture.

    Raises:
        ValueError: if it is no such file, or if a face does not have each part once.
    """
    content = Path(path).read_bytes()
    if b"<!DOCTYPE" in content:  # entities, which imglab has not, can blow a parser up
        raise ValueError(f"{path}: found a DOCTYPE, expected the XML of dlib's imglab")
    faces: dict[str, list] = {}
    try:
        for image in ElementTree.fromstring(content).iter("image"):
            name = image.attrib["file"]
            check_name(name)
            boxes = faces.setdefault(name, [])
            for box in image.iter("box"):
                parts = list(map(_part, box.iter("part")))
                if len(dict(parts)) < len(parts):
                    raise ValueError(f"{name}: found a part twice, expected 0..{POINTS - 1}")
                boxes.append(dict(parts))
        return {name: _stack(boxes, name) for name, boxes in faces.items()}
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # of an encoding, too
        raise ValueError(f"{path}: found no XML of dlib's imglab: {error!r}") from error


def read_wholebody(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read COCO-WholeBody's JSON: the faces of the people whose face_valid is true.

    Args:
        path: the file.

    Returns:
        float64 [n, 68, 2], in pixels, by the name of the picture; [0, 68, 2] without faces.

    Raises:
        ValueError: if it is no such file, or if an id belongs to several pictures.
    """
    values = parse_json(Path(path).read_bytes(), str(path), dict)
    try:
        pairs = {(image["id"], image["file_name"]) for image in values["images"]}
        names = dict(pairs)
        if len(names) < len(pairs) or len(set(names.values())) < len(pairs):
            raise ValueError("found an id of two images, or an image of two ids, expected one each")
        points: dict[int, list] = {number: [] for number in names}
        for person in values["annotations"]:
            if person["face_valid"]:
                triples = np.reshape(np.asarray(person["face_kpts"], np.float64), (-1, 3))
                points[person["image_id"]].append(dict(enumerate(triples[:, :2].tolist())))
        for name in names.values():
            check_name(name)
        return {name: _stack(points[number], name) for number, name in names.items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: found no JSON of COCO-WholeBody: {error!r}") from error


def _part(part: ElementTree.Element) -> tuple[int, tuple[float, float]]:
    return int(part.attrib["name"]), (float(part.attrib["x"]), float(part.attrib["y"]))


def _stack(faces: list[dict[int, tuple]], name: str) -> np.ndarray:
    for face in faces:
        if set(face) != set(range(POINTS)):
            raise ValueError(f"{name}: found a face with {len(face)} points, expected 0..67")
    ordered = [[face[n] for n in range(POINTS)] for face in faces]
    return np.array(ordered, np.float64).reshape(-1, POINTS, 2)
