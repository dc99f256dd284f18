"""Where samples come from: image folders, webdataset tars, COCO.

    source = open_source("shards/")                 # or a .tar, a COCO folder, a folder of photos
    for item in source.shard(rank, world):          # Sample or Reject
        ...

What is broken as a whole (an empty folder, a panoptic JSON that is no JSON) is a ValueError at
once; what is broken in one sample, row or tar is a Reject in its place, and the rest is read.
"""

from __future__ import annotations

import csv
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from mas_fast.data.coco import CocoSource, is_panoptic, panoptic_files
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

TABLES = ("captions.jsonl", "captions.csv", "metadata.jsonl", "metadata.csv")
MAX_SAMPLE = 2**28  # bytes of all files of a sample in a tar


def open_source(path: str | os.PathLike, captions: str | os.PathLike | None = None) -> Source:
    """The source at `path`: a .tar or a folder of them, a COCO panoptic .json or a folder with
    some (see CocoSource), else a folder of images (see FolderSource), in this order.

    captions: a table for a folder of images, a captions JSON for COCO; by default what lies in the
    usual place. ValueError if there is nothing to read.
    """
    path = Path(path)
    if captions is not None and not Path(captions).is_file():
        raise ValueError(f"{captions}: found no such file, expected captions")
    if path.is_dir():
        tars = sorted(path.glob("*.tar"))
        annotations = [] if tars else [file for file in panoptic_files(path) if is_panoptic(file)]
    elif path.is_file() and path.suffix in (".tar", ".json"):
        tars, annotations = ([path], []) if path.suffix == ".tar" else ([], [path])
    else:
        raise ValueError(f"{path}: found no such folder, .tar or .json")
    if tars and captions is not None:
        raise ValueError(f"{captions}: found captions for tars, which have their own")
    if tars:
        source: Source = TarSource(tars)
    elif annotations:
        source = CocoSource(annotations, captions)
    else:
        source = FolderSource(path, captions)
    if not len(source):
        raise ValueError(f"{path}: found no samples, expected some")
    return source


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


class TarSource(Source):
    """Webdataset tars, as img2dataset writes them: the files of a sample follow one another, and
    the key is all of the name before the first dot of its last part.

    A tar is indexed by its headers alone (16 bytes a sample are kept) and never unpacked.
    ValueError only if there are none.
    """

    def __init__(self, paths: list[str | os.PathLike]) -> None:
        self.paths = [Path(path) for path in paths]
        if not self.paths:
            raise ValueError("tars: found none, expected at least one")
        self.rejects: list[Reject] = []
        spans = [self._index(path) for path in self.paths]
        self.first = np.cumsum([0, *map(len, spans)])  # number of the first sample of each tar
        self.spans = np.concatenate(spans)

    def __len__(self) -> int:
        return len(self.spans) + len(self.rejects)

    def key(self, index: int) -> str:
        path, start, _ = self._place(index)
        return f"{path.name} at byte {start}"

    def read(self, index: int) -> Sample | Reject:
        if index >= len(self.spans):
            return self.rejects[index - len(self.spans)]
        path, start, stop = self._place(index)
        if stop - start > MAX_SAMPLE:
            raise ValueError(f"found {stop - start} bytes, expected at most {MAX_SAMPLE}")
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read(stop - start)
        if len(content) < stop - start:
            raise ValueError(f"found {len(content)} bytes, expected {stop - start}")
        key, files = _members(content)
        try:
            return assemble(key, files)
        except ValueError as error:
            return Reject(printable(key), printable(str(error)))

    def _place(self, index: int) -> tuple[Path, int, int]:
        number = int(np.searchsorted(self.first, index, side="right")) - 1
        return self.paths[number], *map(int, self.spans[index])

    def _index(self, path: Path) -> np.ndarray:
        """int64 [samples, 2]: the bytes start..stop of each; what is wrong with the tar goes to the
        rejects."""
        spans: dict[str, list[int]] = {}
        key = again = None
        try:
            with tarfile.open(path, "r:") as tar:
                while (member := tar.next()) is not None:
                    last, key = key, None if member.isdir() else _split_first(member.name)[0]
                    if key is None:
                        continue
                    if key != last:
                        again = key in spans
                        if again:
                            reason = f"found the key again at byte {member.offset} of {path.name}"
                            self.rejects.append(Reject(printable(key), reason))
                        else:
                            spans[key] = [member.offset, 0]
                    if not again:
                        spans[key][1] = tar.offset  # where the member ends
                tar.fileobj.seek(tar.offset)
                if any(tar.fileobj.read(tarfile.BLOCKSIZE)):  # tarfile ends quietly at a bad header
                    raise ValueError(f"found no tar header at byte {tar.offset}")
        except Exception as error:  # on a broken header, tarfile raises about everything there is
            if key is not None and not again:
                spans.pop(key)  # more of its files may follow, or the last is cut off
            where = "at its beginning" if key is None else f"in or after {key!r}"
            self.rejects.append(Reject(path.name, printable(f"broken {where}: {error}")))
        return np.array(list(spans.values()), np.int64).reshape(-1, 2)


def _members(content: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The key of one sample's part of a tar, and the suffix and content of each file."""
    files, key = [], ""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                check_name(member.name)
                if not member.isreg() or member.issparse():
                    raise ValueError(f"found {member.name!r}, expected a plain file")
                key, suffix = _split_first(member.name)
                files.append((suffix.lower(), tar.extractfile(member).read()))
    except (tarfile.TarError, OverflowError, EOFError) as error:
        raise ValueError(f"found a broken tar header ({error})") from error
    return key, files


def _split_first(name: str) -> tuple[str, str]:
    """(key, suffix) in a tar: parted at the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix


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
