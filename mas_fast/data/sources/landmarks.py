"""Faces that people have annotated, as face parts for the pictures of a source.

    faces = Landmarks.read("faces.xml")              # or a folder of .pts, WFLW's list, a .json
    source = LandmarkSource(open_source("photos"), faces)

Each face is 68 points in the order of annotators/face.py, in pixels of the upright picture; a whole
number is the middle of a pixel. The content of a file tells its format.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mas_fast.data.annotators.face import POINTS, face_parts
from mas_fast.data.annotators.truth import read_dlib, read_wholebody, with_landmarks
from mas_fast.data.sources.base import Reject, Sample, Source
from mas_fast.data.sources.names import check_name, normal, printable
from mas_fast.data.sources.walk import walk
from mas_fast.scene import PERSON, VOID, Layers, Scene

FORMATS = (
    "expected the XML of dlib's imglab, COCO-WholeBody's JSON, WFLW's list, or a folder of .pts"
)
WFLW_POINTS, WFLW_FIELDS = 98, 98 * 2 + 4 + 6 + 1  # points, box, attributes, name
# Which of WFLW's 98 points are the 68.
WFLW_ORDER = (
    *range(0, 33, 2),
    *range(33, 38),
    *range(42, 47),
    *range(51, 60),
    *(60, 61, 63, 64, 65, 67),
    *(68, 69, 71, 72, 73, 75),
    *range(76, 96),
)
MOST_BYTES = 2**30  # of a file


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Annotated faces of pictures.

    Attributes:
        path: their file or folder.
        faces: float64 [n, 68, 2], in pixels, by the name of the picture without its suffix.
    """

    path: Path
    faces: Mapping[str, np.ndarray]

    @classmethod
    def read(cls, path: str | os.PathLike) -> Landmarks:
        """Read a file or a folder of landmarks.

        Args:
            path: the XML of dlib's imglab, COCO-WholeBody's JSON, WFLW's list, or a folder of .pts.

        Returns:
            The faces.

        Raises:
            ValueError: if it is none of these, or if a face lacks points.
        """
        path = Path(path)
        if path.is_dir():
            return cls(path, read_pts(path))
        if not path.is_file():
            raise ValueError(f"{path}: found no such file or folder of landmarks, {FORMATS}")
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path}: found more than {MOST_BYTES} bytes, {FORMATS}")
        with open(path, "rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        read = {b"<": read_dlib, b"{": read_wholebody}.get(start[:1], read_wflw)
        faces: dict[str, np.ndarray] = {}
        for name, points in read(path).items():
            key = name.rpartition(".")[0] or name
            if key in faces:
                raise ValueError(f"{path}: found two pictures {key!r}, expected other names")
            faces[key] = points
        return cls(path, faces)

    def of(self, key: str) -> np.ndarray | None:
        """Find the faces of a picture.

        Args:
            key: key of the picture. Faces of the same name belong to it, or else faces of the only
                name that ends with the key or that the key ends with.

        Returns:
            float64 [n, 68, 2], in pixels; None for a picture that nobody annotated.
        """
        names = self.names(key)
        return self.faces[names[0]] if len(names) == 1 else None

    def names(self, key: str) -> list[str]:
        """Find the names of faces that a picture may have.

        Args:
            key: key of the picture.

        Returns:
            The one equal name, or else all names that end alike.
        """
        key = normal(key)
        alike = []
        for name in self._by_base.get(key.rpartition("/")[2], ()):
            if (same := normal(name)) == key:
                return [name]
            if f"/{key}".endswith(f"/{same}") or f"/{same}".endswith(f"/{key}"):
                alike.append(name)
        return alike

    def describe(self) -> str:
        """Return, for the manifest, a digest of all faces."""
        digest = hashlib.sha256()
        for name in sorted(self.faces):
            digest.update(name.encode("utf-8", "backslashreplace") + b"\0")
            digest.update(self.faces[name].tobytes())
        return digest.hexdigest()

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for name in self.faces:
            names.setdefault(normal(name).rpartition("/")[2], []).append(name)
        return names


@dataclass(frozen=True, eq=False)
class LandmarkSource(Source):
    """A source whose samples have the parts of their annotated faces.

    Without another annotation, a pixel of a part is a pixel of a person.

    Attributes:
        source: the source without faces.
        landmarks: the faces.
        rejects: further rejects, after those of the source.
    """

    source: Source
    landmarks: Landmarks
    rejects: tuple[Reject, ...] = ()

    @classmethod
    def matched(cls, source: Source, landmarks: Landmarks) -> LandmarkSource:
        """Match faces with pictures, and count annotated pictures that are not there in a reject.

        Args:
            source: the pictures.
            landmarks: the faces.

        Returns:
            The source with faces.

        Raises:
            ValueError: if no picture has faces, if faces may belong to two pictures, or if a
                picture may have faces of two names.
        """
        pictures: dict[str, str] = {}  # by the name of their faces
        keys = [source.key(index) for index in range(len(source))]
        for key in keys:
            names = landmarks.names(key)
            pairs = [(name, key) for name in names]
            pairs += [(name, pictures[name]) for name in names if name in pictures]
            if len(pairs) > 1:
                examples = " or ".join(f"{name!r} for {picture!r}" for name, picture in pairs[:3])
                raise ValueError(
                    f"{landmarks.path}: found names that fit in two ways ({examples}), expected "
                    "the names of the pictures with their folders"
                )
            pictures.update(pairs)
        lost = [name for name, f in landmarks.faces.items() if len(f) and name not in pictures]
        if not pictures:
            raise ValueError(
                f"{landmarks.path}: found faces of none of the {len(keys)} pictures: it names "
                f"{next(iter(lost), None)!r}, the pictures are called {keys[0]!r} and so on"
            )
        if not lost:
            return cls(source, landmarks)
        problem = f"found faces of {len(lost)} pictures that are not there, such as {lost[0]!r}"
        return cls(source, landmarks, (Reject(printable(landmarks.path.name), printable(problem)),))

    def __len__(self) -> int:
        return len(self.source) + len(self.rejects)

    def key(self, index: int) -> str:
        if index >= len(self.source):
            return self.rejects[index - len(self.source)].key
        return self.source.key(index)

    def read(self, index: int) -> Sample | Reject:
        if index >= len(self.source):
            return self.rejects[index - len(self.source)]
        sample = self.source.read(index)
        if isinstance(sample, Reject):
            return sample
        faces = self.landmarks.of(sample.key)
        if faces is None or not len(faces):
            return sample
        if isinstance(sample.annotation, Scene):
            raise ValueError("found a scene that was cleaned before, expected none with landmarks")
        inside = ((faces >= -0.5) & (faces < (sample.width - 0.5, sample.height - 0.5))).all(-1)
        if (inside.mean(1) < 0.5).any():
            x, y = faces[int(inside.mean(1).argmin())].mean(0)
            raise ValueError(
                f"landmarks: found a face at ({x:.0f}, {y:.0f}), expected most of its points "
                f"within {sample.width} x {sample.height} pixels: are they of another size?"
            )
        known = sample.annotation
        if known is None:
            parts = face_parts(faces, sample.height, sample.width)
            known = Layers(np.where(parts > 0, np.uint8(PERSON), np.uint8(VOID)))
        return replace(sample, annotation=with_landmarks(known, faces))


def read_pts(folder: Path) -> dict[str, np.ndarray]:
    """Read a folder of .pts as in 300-W: "n_points: 68" and the points in braces, counted from 1.

    Args:
        folder: the folder; subfolders are read too.

    Returns:
        float64 [1, 68, 2], in pixels from 0, by the name of the .pts without its suffix.

    Raises:
        ValueError: names a file that has another form.
    """
    faces = {}
    names = sorted(name for name in walk(folder).files if name.lower().endswith(".pts"))
    for file in (folder / name for name in names):
        words = _text(file).replace("{", " { ").replace("}", " } ").split()
        try:
            count = words[words.index("n_points:") + 1]
            points = words[words.index("{") + 1 : words.index("}")]
            if int(count) != POINTS:
                raise ValueError(f"found {count} points, expected {POINTS}")
            values = _numbers(points, 2 * POINTS)
        except (ValueError, IndexError) as error:
            raise ValueError(f"{file}: found no .pts of 300-W: {error}") from error
        faces[file.relative_to(folder).with_suffix("").as_posix()] = values[None] - 1
    if not faces:
        raise ValueError(f"{folder}: found no .pts, {FORMATS}")
    return faces


def read_wflw(path: Path) -> dict[str, np.ndarray]:
    """Read a list of WFLW: per line a face with 98 points, a box, six attributes and the name.

    Args:
        path: the list.

    Returns:
        float64 [n, 68, 2], in pixels, by the name of the picture.

    Raises:
        ValueError: names a line that has another form.
    """
    faces: dict[str, list[np.ndarray]] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.split(maxsplit=WFLW_FIELDS - 1)
        if not words:
            continue
        try:
            if len(words) != WFLW_FIELDS:
                raise ValueError(f"found {len(words)} fields, expected {WFLW_FIELDS} as in WFLW")
            points = _numbers(words[: 2 * WFLW_POINTS], 2 * WFLW_POINTS)
            check_name(words[-1].strip())
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}; {FORMATS}") from error
        faces.setdefault(words[-1].strip(), []).append(points[list(WFLW_ORDER)])
    if not faces:
        raise ValueError(f"{path}: found no faces, {FORMATS}")
    return {name: np.stack(rows) for name, rows in faces.items()}


def _numbers(words: list[str], count: int) -> np.ndarray:
    """Parse numbers; float64 [count / 2, 2]."""
    values = [float(word) for word in words]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ValueError(f"found {len(values)} numbers, expected {count} finite ones")
    return np.array(values).reshape(-1, 2)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: found bytes that are not UTF-8 ({error}), {FORMATS}") from error
