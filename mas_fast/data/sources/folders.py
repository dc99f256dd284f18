"""Folders of images, with what lies beside them: captions, scenes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mas_fast.data.sources.base import Reject, Sample, Source, assemble
from mas_fast.data.sources.names import (
    BESIDE,
    IMAGES,
    check_name,
    is_picture,
    normal,
    printable,
    read_head,
    split,
    split_unknown,
)
from mas_fast.data.sources.tables import is_table, read_table
from mas_fast.data.sources.walk import Walk, walk

UNASKED = re.compile(r"(?:.*/)?captions_[^/]*\.json(?:\.gz)?")  # COCO's, of any folder


def unasked(name: str) -> Reject:
    """Of COCO's captions that lie in a folder."""
    reason = f"found captions that are not read: --captions {name} takes them"
    return Reject(printable(name), printable(reason))


class FolderSource(Source):
    """The pictures of a folder and of all below it, each with the files of its own name beside it
    (see samples). Links are followed. Hidden files and folders, and those of names.left_out, are
    left out, and so are folders of mas_fast's own shards.

    captions: a table (see tables). Without it, each folder may have one: captions.* or metadata.*,
    as Hugging Face has it, with names that are relative to it. Where none of its names is one of a
    file, they are looked for further down, and found where but one ends so. Captions of tables take
    the place of those in other files. ValueError for a folder without pictures, for two tables in
    one folder or below one another, and for a table of which no row finds its file.

    What is in the folder and neither a picture nor read beside one is counted in a reject for each
    suffix, rows of files that are not there in one for each table. without: files that are none
    of a sample's. found: what is in the folder, if that is known.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        captions: str | os.PathLike | None = None,
        without: frozenset[Path] = frozenset(),
        found: Walk | None = None,
    ) -> None:
        self.path = Path(path)
        found = found or walk(self.path)
        self.rejects: list[Reject] = list(found.rejects)
        tables = [name for name in found.files if is_table(name)] if captions is None else []
        _check_tables(self.path, tables)
        given = captions and _inside(self.path.resolve(), Path(captions).resolve())
        skipped = {*tables, given, *(_inside(self.path, file) for file in without)}
        self.files: dict[str, list[str]] = {}  # names on the disk by key
        others: dict[str, list[str]] = {}
        pictures = False
        for name in found.files:
            if name in skipped:
                continue
            if UNASKED.fullmatch(name):
                self.rejects.append(unasked(name))
                continue
            key, suffix = self._split(name)
            if key is None:
                others.setdefault(suffix, []).append(name)
                continue
            pictures |= suffix not in BESIDE
            self.files.setdefault(normal(key), []).append(name)
        if not pictures:
            raise ValueError(_nothing(self.path, found, others))
        for suffix, names in others.items():
            reason = f"found {len(names)} files that are no pictures, such as {names[0]!r}"
            self.rejects.append(Reject(f"*.{suffix}" if suffix else "*", printable(reason)))
        self.keys = list(self.files)
        self.captions: dict[str, list[str]] = {}
        if tables or captions:
            finder = _Finder(self.path, self.files)
            for table in tables:
                self._read_table(self.path / table, finder, (table.rpartition("/")[0],))
            if captions:
                folder = (given or "").rpartition("/")[0]
                self._read_table(Path(captions), finder, ("", folder))

    def __len__(self) -> int:
        return len(self.keys) + len(self.rejects)

    def key(self, index: int) -> str:
        if index >= len(self.keys):
            return self.rejects[index - len(self.keys)].key
        return printable(self.keys[index])

    def read(self, index: int) -> Sample | Reject:
        if index >= len(self.keys):
            return self.rejects[index - len(self.keys)]
        key = self.keys[index]
        files = [(_suffix(name), self.path / name) for name in self.files[key]]
        return assemble(key, files, self.captions.get(key, ()))

    def _split(self, name: str) -> tuple[str | None, str]:
        """(key, suffix) of a file; no key for one that is none of a sample's."""
        key, suffix = split(name)
        if suffix:
            return key, suffix
        try:
            picture = is_picture(name, read_head(self.path / name))
        except OSError as error:
            self.rejects.append(Reject(printable(name), printable(str(error))))
            picture = False
        key, suffix = split_unknown(name)
        return (key if picture else None), suffix

    def _read_table(self, table: Path, finder: _Finder, folders: tuple[str, ...]) -> None:
        met, lost, waiting, rejects = 0, [], [], []
        for n, (where, row) in enumerate(read_table(table)):
            try:
                if isinstance(row, ValueError):
                    raise row
                name, captions = row
                check_name(name)
                if (key := finder.find(name, folders)) is None:
                    waiting.append((n, where, row))
                else:
                    self.captions.setdefault(key, []).extend(captions)
                    met += 1
            except ValueError as error:
                rejects.append((n, where, str(error)))
        deeper = not met
        for n, where, (name, captions) in waiting:
            try:
                if (key := finder.find_like(name, folders, deeper)) is None:
                    lost.append((n, where, name))
                else:
                    self.captions.setdefault(key, []).extend(captions)
                    met += 1
            except ValueError as error:
                rejects.append((n, where, str(error)))
        told = ""
        if lost:
            told = f"found {len(lost)} rows of files that are not there, such as {lost[0][2]!r}"
            rejects.append((*lost[0][:2], f"{told}, expected a file in {self.path}"))
        if not met:
            found = f"{told}, and" if told else "found"
            found = f"{table}: {found} none of a file in {self.path}"
            for _, where, reason in sorted(rejects)[:1] if not lost else ():
                found += f"; {table.name}:{where}: {reason}"
            raise ValueError(printable(found))
        for _, where, reason in sorted(rejects):
            self.rejects.append(Reject(f"{table.name}:{where}", printable(reason)))


class _Finder:
    """Finds the sample of the file that a row names. folders: what its name is relative to."""

    def __init__(self, root: Path, files: dict[str, list[str]]) -> None:
        self.root, self.files = root.resolve().parts[1:], files
        self._by_base: dict[str, list[tuple[str, str]]] | None = None

    def find(self, name: str, folders: tuple[str, ...]) -> str | None:
        """Its key, where the file is called so, or so with the last folders above the root in
        front of it."""
        name = normal(name)
        for whole in _joined(folders, name):
            if (key := self._exact(whole)) is not None:
                return key
        parts = name.split("/")
        for n in range(1, len(parts)):
            if tuple(parts[:n]) == self.root[-n:]:
                return self._exact("/".join(parts[n:]))
        return None

    def find_like(self, name: str, folders: tuple[str, ...], deeper: bool) -> str | None:
        """Its key, whatever the case; deeper: also of a file below one of the folders whose name
        ends so. ValueError where several may be meant."""
        name = normal(name)
        for folder, whole in zip(folders, _joined(folders, name), strict=True):
            if found := self._like(whole, name, normal(folder), deeper):
                return found
        return None

    def _exact(self, name: str) -> str | None:
        key, suffix = split(name)
        key, suffix = (key, suffix) if suffix else split_unknown(name)
        written = (_suffix(file) for file in self.files.get(key, ()))
        return key if suffix.lower() in written else None

    def _like(self, whole: str, name: str, folder: str, deeper: bool) -> str | None:
        if self._by_base is None:
            self._by_base = {}
            for key, files in self.files.items():
                for file in map(normal, files):
                    base = file.rpartition("/")[2].casefold()
                    self._by_base.setdefault(base, []).append((file.casefold(), key))
        files = self._by_base.get(name.rpartition("/")[2].casefold(), ())
        found = {key for file, key in files if file == whole.casefold()}
        if deeper and not found:
            below = f"{folder}/".casefold() if folder else ""
            tail = f"/{name}".casefold()
            found = {key for file, key in files if file.startswith(below) and file.endswith(tail)}
        if len(found) > 1:
            some = ", ".join(sorted(found)[:3])
            raise ValueError(f"found {len(found)} files {name!r} ({some}), expected one")
        return next(iter(found), None)


def _joined(folders: tuple[str, ...], name: str) -> list[str]:
    return [f"{folder}/{name}" if folder else name for folder in map(normal, folders)]


def _suffix(name: str) -> str:
    return split(name)[1] or split_unknown(name)[1].lower()


def _inside(root: Path, file: Path) -> str | None:
    """The name of a file relative to root; None for one elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else None


def _check_tables(root: Path, tables: list[str]) -> None:
    """ValueError unless each file can have but one of them."""
    for n, table in enumerate(tables):
        folder = table.rpartition("/")[0]
        for other in tables[n + 1 :]:
            if not folder or f"{other.rpartition('/')[0]}/".startswith(f"{folder}/"):
                raise ValueError(
                    f"{root}: found {table}, {other}, expected one table of captions for a folder "
                    "and all below it; --captions says which"
                )


def _nothing(path: Path, found: Walk, others: dict[str, list[str]]) -> str:
    """Why there is nothing to read, with what there is instead."""
    beside = [f"{len(names)} *.{suffix}" for suffix, names in others.items()][:8]
    beside += [f"{name}: shards of mas_fast" for name in found.shards][:8]
    beside = f" ({', '.join(beside)})" if beside else ""
    return printable(
        f"{path}: found no images, tars or panoptic JSON{beside}, expected some: files that end in "
        f"{', '.join(IMAGES)}, *.tar or panoptic_*.json"
        + (
            "; pictures inside of parquet or arrow files are not read: write them as webdataset "
            "tars"
            if {"parquet", "arrow"} & set(others)
            else ""
        )
    )
