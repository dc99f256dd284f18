"""COCO: photos, panoptic PNGs with their JSON, captions."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from mas_fast.data.photos.photo import open_photo
from mas_fast.data.sources.base import Reject, Sample, Source, clean_captions, parse_json
from mas_fast.data.sources.names import IMAGES, check_name, normal, on_disk, printable, split
from mas_fast.data.sources.tables import coco_id
from mas_fast.scene import Layers, coco_labels, read_coco_panoptic

PREFIX = "panoptic_"
ABOUT = ("file_name", "segments_info")  # keys in which two annotations of an image may differ
OTHERS = "found captions of other images, expected some of those in the panoptic JSON"


@dataclass(frozen=True)
class _Entry:
    """One annotated photo."""

    image: Path
    png: Path
    image_id: int | str
    segments: np.ndarray  # int64 [n, 2]: id, category id
    categories: list[dict]
    captions: tuple[str, ...] = ()


class Places(NamedTuple):
    """Where the parts of a set may be; the first existing path counts.

    Attributes:
        pngs: folders of the panoptic PNGs.
        photos: folders of the photos.
        captions: files of captions.
    """

    pngs: list[Path]
    photos: list[Path]
    captions: list[Path]


def places(file: Path) -> Places:
    """Return where the parts of a set may be.

    Args:
        file: its panoptic_SPLIT.json.

    Returns:
        Folders and files, as `CocoSource` describes them.
    """
    name = file.stem.removeprefix(PREFIX)  # of the split
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    images = root / "images"
    return Places(
        pngs=[file.with_suffix(""), file.parent / "panoptic"],
        photos=[root / name, images / name, images, root / "input_images"],
        captions=[file.with_name(f"captions_{name}.json{end}") for end in ("", ".gz")],
    )


class CocoSource(Source):
    """The photos of panoptic JSON files that have an annotation, with layers and captions.

    For `panoptic_SPLIT.json` in the folder R or R/annotations: the PNGs are in the folder
    panoptic_SPLIT or panoptic beside it, the photos in R/SPLIT, R/images/SPLIT, R/images or
    R/input_images, the captions, if any, in captions_SPLIT.json(.gz) beside it, or as given.

    The ids of the images alone connect the parts. So an id that stands for two files, a file with
    two ids, two different annotations of an image, a PNG of two images, and captions of another
    file than the id's all become rejects: nothing says which is right. Photos that no JSON lists
    are counted in a reject for each folder.

    Args:
        annotations: panoptic JSON files.
        captions: captions JSON; by default the one beside each panoptic JSON.

    Raises:
        ValueError: if a file or a folder is missing, is broken as a whole, or has other categories,
            and if none of the given captions belongs to these images.
    """

    def __init__(
        self, annotations: Iterable[str | os.PathLike], captions: str | os.PathLike | None = None
    ) -> None:
        self.entries: list[_Entry] = []
        self.rejects: list[Reject] = []
        given = None if captions is None else self._read_captions(Path(captions))
        met: set[int | str] = set()
        listed: dict[Path, set[str]] = {}  # names in each folder of photos
        for file in map(Path, annotations):
            values = _load_panoptic(file)
            pngs = _first_folder(file, "PNGs", places(file).pngs)
            photos = _first_folder(file, "photos", places(file).photos)
            listed.setdefault(photos, set()).update(_listed(values["images"]))
            entries = list(self._entries(file, pngs, photos, values))
            beside = places(file).captions
            tables = [table for table in beside if table.is_file()][:1] if given is None else []
            table = self._read_captions(tables[0]) if tables else given
            entries = [self._with_captions(entry, table) for entry in entries]
            captioned = {entry.image_id for entry in entries if entry.captions}
            if table and (again := met & captioned):
                raise ValueError(
                    f"{table.file}: found captions of image id {_short(again)}, which several "
                    f"panoptic JSON have, {file.name} too: give one of these at a time"
                )
            met |= captioned if given else set()
            if table and tables and entries and table.texts and not captioned:
                raise ValueError(f"{table.file}: {OTHERS}")
            self.entries += entries
        if given and given.texts and self.entries and not met:
            raise ValueError(f"{given.file}: {OTHERS}")
        for folder, names in listed.items():
            if unlisted := _unlisted(folder, names):
                reason = f"found {len(unlisted)} photos that no panoptic JSON lists, such as "
                reason += repr(unlisted[0])
                self.rejects.append(Reject(printable(folder.name), printable(reason)))

    def __len__(self) -> int:
        return len(self.entries) + len(self.rejects)

    def key(self, index: int) -> str:
        if index >= len(self.entries):
            return self.rejects[index - len(self.entries)].key
        return printable(self.entries[index].image.stem)

    def read(self, index: int) -> Sample | Reject:
        if index >= len(self.entries):
            return self.rejects[index - len(self.entries)]
        entry = self.entries[index]
        image, png = (on_disk(path.parent, path.name) for path in (entry.image, entry.png))
        photo = open_photo(image)
        segments = [{"id": i, "category_id": c} for i, c in entry.segments.tolist()]
        layers = Layers(*read_coco_panoptic(png, segments, entry.categories))
        info = {"image_id": entry.image_id, "segments_info": segments}
        key = entry.image.stem
        return Sample(key, photo, list(entry.captions), layers, info, file=image)

    def _entries(self, file: Path, pngs: Path, photos: Path, values: dict) -> Iterator[_Entry]:
        names = self._names(file, values["images"])
        entries: dict[int | str, _Entry | None] = {}  # None: an annotation that is broken
        rows: dict[int | str, dict] = {}
        drawn: dict[str, int | str] = {}  # the image of each PNG
        differ: set[int | str] = set()
        shared: dict[int | str, str] = {}  # the PNG of images that share one
        for n, annotation in enumerate(values["annotations"]):
            try:
                number = _id(annotation["image_id"])
                if number not in names:
                    raise ValueError(f"found image id {number!r}, which is not among the images")
                if (name := names[number]) is None:
                    continue  # it is a reject already
                if number in entries:
                    if any(annotation.get(k) != rows[number].get(k) for k in ABOUT):
                        differ.add(number)
                    raise ValueError(f"found a second annotation of image {number}")
                entries[number], rows[number] = None, annotation
                pairs = [(s["id"], s["category_id"]) for s in annotation["segments_info"]]
                segments = np.array(pairs, np.int64).reshape(-1, 2)
                png = normal(_name(annotation["file_name"]))
                if (first := drawn.setdefault(png, number)) != number:
                    shared |= {number: png, first: png}
                image, drawing = photos / name, pngs / annotation["file_name"]
                entries[number] = _Entry(image, drawing, number, segments, values["categories"])
            except (TypeError, KeyError, ValueError, OverflowError, AttributeError) as error:
                self._reject(file, f"annotation {n}", error)
        for number in sorted((n for n in differ if entries[n]), key=str):
            self._reject(
                file, str(names[number]), ValueError("found annotations of it that differ")
            )
        for number, png in shared.items():
            if entries[number] and number not in differ:
                problem = f"found {png}, which is other images' too, expected one for each"
                self._reject(file, str(names[number]), ValueError(problem))
        for number in sorted(set(names) - set(entries), key=str):
            if (name := names[number]) is not None:
                self._reject(file, name, ValueError("found no annotation"))
        differ |= shared.keys()
        yield from (entry for n, entry in entries.items() if entry and n not in differ)

    def _names(self, file: Path, images: list) -> dict[int | str, str | None]:
        """Return the file of each id, None for an id of several files or a file of several ids."""
        names: dict[int | str, list[str]] = {}
        ids: dict[str, set] = {}
        for n, image in enumerate(images):
            try:
                number, name = _id(image["id"]), _name(image["file_name"])
            except (TypeError, KeyError, ValueError, OverflowError) as error:
                self._reject(file, f"image {n}", error)
                continue
            if name not in names.setdefault(number, []):
                names[number].append(name)
            ids.setdefault(normal(name), set()).add(number)
        file_names: dict[int | str, str | None] = {}
        for number, files in names.items():
            if len(files) == 1 and len(ids[normal(files[0])]) == 1:
                file_names[number] = files[0]
                continue
            file_names[number] = None
            for name in files:
                others = _short(files if len(files) > 1 else ids[normal(name)] - {number})
                problem = f"of {others}" if len(files) > 1 else f"and {others} of this file"
                problem = f"found the image id {number!r} {problem}, expected one id for each file"
                self._reject(file, name, ValueError(problem))
        return file_names

    def _read_captions(self, file: Path) -> _Captions:
        values = _load(file)
        rows = values.get("annotations")
        if not isinstance(rows, list):
            raise ValueError(f"{file}: found no 'annotations', expected COCO captions JSON")
        table = _Captions(file)
        for n, row in enumerate(rows):
            try:
                captions = clean_captions([row["caption"]])
                table.texts.setdefault(_id(row["image_id"]), []).extend(captions)
            except (TypeError, KeyError, ValueError, OverflowError) as error:
                self._reject(file, f"annotation {n}", error)
        images = values.get("images")
        for image in images if isinstance(images, list) else []:
            if isinstance(image, dict) and isinstance(image.get("file_name"), str):
                if (number := coco_id(image.get("id"))) is not None:
                    table.names.setdefault(number, set()).add(image["file_name"])
        return table

    def _with_captions(self, entry: _Entry, table: _Captions | None) -> _Entry:
        """Add the captions of its id to an entry, if they are those of its file."""
        if table is None:
            return entry
        texts = table.texts.get(entry.image_id, [])
        names = table.names.get(entry.image_id, set())
        other = [name for name in names if not _same(name, entry.image.name)]
        if texts and other:
            problem = f"found captions of {_short(other)} for the id {entry.image_id!r}"
            error = ValueError(f"{problem}, expected those of {entry.image.name}; left out")
            self._reject(table.file, f"image id {entry.image_id}", error)
            texts = []
        return replace(entry, captions=tuple(texts))

    def _reject(self, file: Path, row: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, ValueError) else f"found a broken row ({error!r})"
        self.rejects.append(Reject(printable(f"{file.name}: {row}"), printable(reason)))


@dataclass(frozen=True)
class _Captions:
    """A captions JSON: captions, and names of the files if it has some, by image id."""

    file: Path
    texts: dict[int | str, list[str]] = field(default_factory=dict)
    names: dict[int | str, set[str]] = field(default_factory=dict)


def _same(name: str, other: str) -> bool:
    """Tell whether two names mean one photo: COCO's of 2014 have the split in front."""
    first, second = (PurePosixPath(normal(text)).stem for text in (name, other))
    return first == second or first.endswith(f"_{second}") or second.endswith(f"_{first}")


def _id(value: object) -> int | str:
    """Return the id of an image; ValueError for a value that is no id."""
    if (number := coco_id(value)) is None:
        raise ValueError(f"found the id {value!r}, expected an integer or a string")
    return number


def _short(values: Iterable) -> str:
    texts = sorted(map(str, values))
    return ", ".join(texts[:3]) + (", ..." if len(texts) > 3 else "")


def panoptic_files(folder: Path) -> list[Path]:
    """Find the panoptic JSON files of a folder.

    Args:
        folder: the folder.

    Returns:
        panoptic_*.json in the folder and in its subfolder annotations, sorted.
    """
    return sorted([*folder.glob(f"{PREFIX}*.json"), *folder.glob(f"annotations/{PREFIX}*.json")])


def is_panoptic(file: Path) -> bool:
    """Tell whether a panoptic_*.json has segments.

    Lists of categories and files of the detection format have similar names.

    Args:
        file: the JSON file.

    Returns:
        Whether an annotation in it has "segments_info".
    """
    values = _load(file, object)
    rows = values.get("annotations") if isinstance(values, dict) else None
    return isinstance(rows, list) and any(
        isinstance(row, dict) and "segments_info" in row for row in rows
    )


def _load_panoptic(file: Path) -> dict:
    values = _load(file)
    missing = {"images", "annotations", "categories"} - set(values)
    if missing:
        raise ValueError(f"{file}: found no {sorted(missing)}, expected COCO panoptic JSON")
    for name in ("images", "annotations"):
        if not isinstance(values[name], list):
            kind = type(values[name]).__name__
            raise ValueError(f"{file}: {name!r}: found {kind}, expected a list")
    try:
        coco_labels(values["categories"])
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return values


def _load(file: Path, kind: type = dict) -> Any:  # a value of that kind, of somebody else's JSON
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: {error}") from error
    return parse_json(content, str(file), kind)


def _first_folder(file: Path, contents: str, folders: list[Path]) -> Path:
    for folder in folders:
        if folder.is_dir():
            return folder
    raise ValueError(
        f"{file}: found no folder with its {contents}, expected {', '.join(map(str, folders))}"
    )


def _listed(images: list) -> Iterator[str]:
    """Yield the names of the files in a list of images, however broken its other values are."""
    for image in images:
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            yield normal(image["file_name"])


def _unlisted(folder: Path, names: set[str]) -> list[str]:
    """Return the other pictures in a folder, sorted; those of its subfolders do not count."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if split(entry.name)[1] in IMAGES
        and not entry.name.startswith(".")
        and normal(entry.name) not in names
        and entry.is_file()
    )


def _name(name: str) -> str:
    if not isinstance(name, str):
        raise ValueError(f"file_name: found {name!r}, expected a string")
    check_name(name)
    return name
