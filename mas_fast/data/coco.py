"""COCO: photos, panoptic PNGs with their JSON, captions."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mas_fast.data.images import open_photo
from mas_fast.data.samples import Reject, Sample, Source, check_name, clean_captions, parse_json
from mas_fast.scene import Layers, coco_labels, read_coco_panoptic

PREFIX = "panoptic_"


@dataclass(frozen=True)
class _Entry:
    image: Path
    png: Path
    image_id: int
    segments: np.ndarray  # int64 [n, 2]: id, category id
    categories: list[dict]


class CocoSource(Source):
    """The photos of panoptic JSON files that have an annotation, with layers and captions.

    For `panoptic_SPLIT.json` in the folder R or R/annotations: the PNGs are in the folder
    panoptic_SPLIT or panoptic beside it, the photos in R/SPLIT, R/images/SPLIT, R/images or
    R/input_images, the captions, if any, in captions_SPLIT.json(.gz) beside it, or as given.
    ValueError for a file or a folder that is missing, broken as a whole, or has other categories.
    """

    def __init__(
        self, annotations: Iterable[str | os.PathLike], captions: str | os.PathLike | None = None
    ) -> None:
        self.entries: list[_Entry] = []
        self.captions: dict[int, list[str]] = {}
        self.rejects: list[Reject] = []
        given = captions and Path(captions)
        for file in map(Path, annotations):
            self.entries += self._entries(file)
            split = file.stem.removeprefix(PREFIX)
            beside = [file.with_name(f"captions_{split}.json{end}") for end in ("", ".gz")]
            for table in [] if given else [table for table in beside if table.is_file()][:1]:
                self._read_captions(table)
        if given:
            self._read_captions(given)

    def __len__(self) -> int:
        return len(self.entries) + len(self.rejects)

    def key(self, index: int) -> str:
        return self.entries[index].image.stem

    def read(self, index: int) -> Sample | Reject:
        if index >= len(self.entries):
            return self.rejects[index - len(self.entries)]
        entry = self.entries[index]
        photo = open_photo(entry.image)
        segments = [{"id": i, "category_id": c} for i, c in entry.segments.tolist()]
        layers = Layers(*read_coco_panoptic(entry.png, segments, entry.categories))
        captions = self.captions.get(entry.image_id, [])
        info = {"image_id": entry.image_id, "segments_info": segments}
        return Sample(self.key(index), photo, list(captions), layers, info, file=entry.image)

    def _entries(self, file: Path) -> Iterator[_Entry]:
        values = _load(file)
        missing = {"images", "annotations", "categories"} - set(values)
        if missing:
            raise ValueError(f"{file}: found no {sorted(missing)}, expected COCO panoptic JSON")
        for name in ("images", "annotations"):
            if not isinstance(values[name], list):
                found = type(values[name]).__name__
                raise ValueError(f"{file}: {name!r}: found {found}, expected a list")
        try:
            coco_labels(values["categories"])
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        split = file.stem.removeprefix(PREFIX)
        root = file.parent.parent if file.parent.name == "annotations" else file.parent
        pngs = _first_folder(file, "PNGs", [file.with_suffix(""), file.parent / "panoptic"])
        images = root / "images"
        places = [root / split, images / split, images, root / "input_images"]
        photos = _first_folder(file, "photos", places)
        names, left = {}, set()
        for n, image in enumerate(values["images"]):
            try:
                names[int(image["id"])] = _name(image["file_name"])
                left.add(int(image["id"]))
            except (TypeError, KeyError, ValueError, OverflowError) as error:
                self._reject(file, f"image {n}", error)
        for n, annotation in enumerate(values["annotations"]):
            try:
                number = int(annotation["image_id"])
                if number not in names:
                    raise ValueError(f"found image id {number}, which is not among the images")
                if number not in left:
                    raise ValueError(f"found a second annotation of image {number}")
                left.remove(number)
                pairs = [(s["id"], s["category_id"]) for s in annotation["segments_info"]]
                segments = np.array(pairs, np.int64).reshape(-1, 2)
                png = pngs / _name(annotation["file_name"])
                yield _Entry(photos / names[number], png, number, segments, values["categories"])
            except (TypeError, KeyError, ValueError, OverflowError) as error:
                self._reject(file, f"annotation {n}", error)
        for number in sorted(left):
            self._reject(file, names[number], ValueError("found no annotation"))

    def _read_captions(self, file: Path) -> None:
        rows = _load(file).get("annotations")
        if not isinstance(rows, list):
            raise ValueError(f"{file}: found no 'annotations', expected COCO captions JSON")
        for n, row in enumerate(rows):
            try:
                captions = clean_captions([row["caption"]])
                self.captions.setdefault(int(row["image_id"]), []).extend(captions)
            except (TypeError, KeyError, ValueError, OverflowError) as error:
                self._reject(file, f"annotation {n}", error)

    def _reject(self, file: Path, what: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, ValueError) else f"found a broken row ({error!r})"
        self.rejects.append(Reject(f"{file.name}: {what}", reason))


def panoptic_files(folder: Path) -> list[Path]:
    """panoptic_*.json in the folder and in its subfolder annotations."""
    return sorted([*folder.glob(f"{PREFIX}*.json"), *folder.glob(f"annotations/{PREFIX}*.json")])


def is_panoptic(file: Path) -> bool:
    """Whether it has segments: lists of categories and the detection format are called alike."""
    values = _load(file, object)
    rows = values.get("annotations") if isinstance(values, dict) else None
    return isinstance(rows, list) and any(
        isinstance(row, dict) and "segments_info" in row for row in rows
    )


def _load(file: Path, kind: type = dict):
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: {error}") from error
    return parse_json(content, str(file), kind)


def _first_folder(file: Path, what: str, places: list[Path]) -> Path:
    for place in places:
        if place.is_dir():
            return place
    raise ValueError(
        f"{file}: found no folder with its {what}, expected {', '.join(map(str, places))}"
    )


def _name(name: str) -> str:
    if not isinstance(name, str):
        raise ValueError(f"file_name: found {name!r}, expected a string")
    check_name(name)
    return name
