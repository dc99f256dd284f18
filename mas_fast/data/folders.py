"""Folders of images, with what lies beside them: captions, scenes, label PNGs."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from mas_fast.data.samples import (
    IMAGES,
    SUFFIXES,
    Reject,
    Sample,
    Source,
    assemble,
    check_name,
    clean_captions,
    parse_json,
    printable,
)
from mas_fast.scene import ADE20K, COCO_STUFF, PERSON, VOID, Layers, read_label_png
from mas_fast.scene.labels import LIP_NAMES

TABLES = ("captions.jsonl", "captions.csv", "metadata.jsonl", "metadata.csv")
TORSO_SKIN = 10  # CIHP's label where LIP has jumpsuits; the others are the same


class FolderSource(Source):
    """The images of a folder and its subfolders, each with the files of its own name beside it
    (see samples). Hidden files and folders are left out.

    captions: a table in the folder itself, one of TABLES, or given: JSON lines or CSV with a
    header, "file_name" (relative to the folder) and "caption", "captions" or "text"; any number of
    rows for one file. They take the place of the captions in other files. ValueError for a folder
    without images, or with two tables.
    """

    def __init__(self, path: str | os.PathLike, captions: str | os.PathLike | None = None) -> None:
        self.path = Path(path)
        tables = [self.path / name for name in TABLES if (self.path / name).is_file()]
        tables = tables if captions is None else [Path(captions)]
        if len(tables) > 1:
            found = ", ".join(table.name for table in tables)
            raise ValueError(f"{self.path}: found {found}, expected one table of captions")
        self.files: dict[str, list[str]] = {}  # suffixes, as they are written, by key
        for folder, names in _walk(self.path):
            for name in names:
                stem, suffix = _split(name)
                if suffix and folder / name not in tables:
                    key = (folder / stem).relative_to(self.path).as_posix()
                    self.files.setdefault(key, []).append(name[len(stem) + 1 :])
        if not any(suffix.lower() in IMAGES for group in self.files.values() for suffix in group):
            raise ValueError(
                f"{self.path}: found no images, tars or panoptic JSON, expected some: "
                f"files that end in {', '.join(IMAGES)}, *.tar or panoptic_*.json"
            )
        self.keys = list(self.files)
        self.captions: dict[str, list[str]] = {}
        self.rejects: list[Reject] = []
        for table in tables:
            self._read_table(table)

    def __len__(self) -> int:
        return len(self.keys) + len(self.rejects)

    def key(self, index: int) -> str:
        return printable(self.keys[index])

    def read(self, index: int) -> Sample | Reject:
        if index >= len(self.keys):
            return self.rejects[index - len(self.keys)]
        key = self.keys[index]
        files = [(suffix.lower(), self.path / f"{key}.{suffix}") for suffix in self.files[key]]
        return assemble(key, files, self.captions.get(key, ()))

    def _read_table(self, table: Path) -> None:
        rows = _csv_rows(table) if table.suffix == ".csv" else _json_rows(table)
        for line, row in rows:
            try:
                if isinstance(row, ValueError):
                    raise row
                name, captions = _row(row)
                key, suffix = _split(PurePosixPath(name).as_posix())
                if suffix not in [written.lower() for written in self.files.get(key, ())]:
                    raise ValueError(f"found {name!r}, expected a file in {self.path}")
                self.captions.setdefault(key, []).extend(captions)
            except ValueError as error:
                self.rejects.append(Reject(f"{table.name}:{line}", printable(str(error))))


@dataclass(frozen=True)
class LabelFolders:
    """Where a data set has its images and label PNGs. marks: what is in its folder, and in no
    other's. images, labels: names of the two folders. read: the layers of a PNG."""

    name: str
    marks: tuple[str, ...]
    images: tuple[str, ...]
    labels: tuple[str, ...]
    read: Callable[[Path], Layers]


def _read_cihp(png: Path) -> Layers:
    """Human parts, and a person where there is one. CIHP's torso skin is person and no part of
    LIP's."""
    human = read_label_png(png, len(LIP_NAMES))
    if (human == VOID).any():
        raise ValueError(f"{png}: found {VOID}, expected 0..{len(LIP_NAMES) - 1}")
    panoptic = np.where(human > 0, np.uint8(PERSON), np.uint8(VOID))
    return Layers(panoptic, human=np.where(human == TORSO_SKIN, np.uint8(0), human))


LABEL_FOLDERS = (
    LabelFolders(
        "ADE20K",
        ("objectInfo150.txt",),
        ("images",),
        ("annotations", "segmentations"),
        lambda png: Layers(ADE20K.read(png)),
    ),
    LabelFolders(
        "COCO-Stuff",
        ("stuffthingmaps",),
        ("images",),
        ("stuffthingmaps",),
        lambda png: Layers(COCO_STUFF.read(png)),
    ),
    LabelFolders(
        "CIHP",
        ("Category_ids", "labels_rev"),
        ("Images", "images"),
        ("Category_ids", "labels"),
        _read_cihp,
    ),
)


class LabelFolderSource(FolderSource):
    """A folder of images, and a folder of label PNGs with the same names: ADE20K, COCO-Stuff, CIHP
    (see LABEL_FOLDERS), whose layers are the samples' annotation."""

    def __init__(
        self,
        images: str | os.PathLike,
        labels: str | os.PathLike,
        read: Callable[[Path], Layers],
        captions: str | os.PathLike | None = None,
    ) -> None:
        super().__init__(images, captions)
        self.labels, self.read_labels = Path(labels), read

    def read(self, index: int) -> Sample | Reject:
        sample = super().read(index)
        if isinstance(sample, Reject):
            return sample
        return replace(sample, annotation=self.read_labels(self.labels / f"{sample.key}.png"))


def find_label_folders(path: Path) -> LabelFolders | None:
    """The data set that the folder holds, if it is one of LABEL_FOLDERS."""
    for known in LABEL_FOLDERS:
        if any((path / mark).exists() for mark in known.marks):
            return known
    return None


def open_label_folders(
    path: Path, known: LabelFolders, captions: str | os.PathLike | None = None
) -> LabelFolderSource:
    """Its samples. ValueError where a folder is missing."""
    found = []
    for names in (known.images, known.labels):
        folders = [path / name for name in names if (path / name).is_dir()]
        if not folders:
            expected = " or ".join(str(path / name) for name in names)
            raise ValueError(f"{path}: found no such folder of {known.name}, expected {expected}")
        found.append(folders[0])
    return LabelFolderSource(*found, known.read, captions)


def _split(name: str) -> tuple[str, str]:
    """(key, suffix) in a folder, where names may have dots: the suffix, in lower case, is one of
    SUFFIXES, or empty."""
    for suffix in SUFFIXES:
        if name.lower().endswith(f".{suffix}") and len(name) > len(suffix) + 1:
            return name[: -len(suffix) - 1], suffix
    return name, ""


def _walk(path: Path) -> Iterator[tuple[Path, list[str]]]:
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in names if not name.startswith("."))


def _json_rows(table: Path) -> Iterator[tuple[int, object]]:
    with open(table, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield number, parse_json(line, "row", dict)
                except ValueError as error:
                    yield number, error


def _csv_rows(table: Path) -> Iterator[tuple[int, object]]:
    # surrogateescape: bytes that are no UTF-8 spoil their own row only
    with open(table, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file)
        if "file_name" not in (rows.fieldnames or ()):
            raise ValueError(f"{table}: found columns {rows.fieldnames}, expected 'file_name'")
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield rows.line_num, ValueError(f"found a broken row ({error})")
                continue
            if None in row:
                yield rows.line_num, ValueError(f"found {len(row[None])} fields too many")
            else:
                yield rows.line_num, row


def _row(row: dict) -> tuple[str, list[str]]:
    """(file name, captions) of a row."""
    name = row.get("file_name")
    if not isinstance(name, str):
        raise ValueError(f"file_name: found {name!r}, expected a string")
    check_name(name)
    if row.get("captions") is not None:
        return name, clean_captions(row["captions"])
    for column in ("caption", "text"):
        if row.get(column) is not None:
            return name, clean_captions([row[column]])
    raise ValueError("found no caption, expected one of caption, captions, text")
