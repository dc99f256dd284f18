"""Folders of images with the captions and scenes beside them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mas_fast.data.sources.assemble import assemble
from mas_fast.data.sources.base import Reject, Sample, Source
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
    """Return the reject for COCO's captions that lie in a folder.

    Args:
        name: name of the file below the folder.

    Returns:
        A reject that says how to use them.
    """
    reason = f"found captions that are not read: --captions {name} takes them"
    return Reject(printable(name), printable(reason))


class FolderSource(Source):
    """The pictures in a folder and below it, each with the files of the same name beside it.

    `base` says which files make a sample. Links are followed. Hidden files and folders, those of
    `names.left_out`, and folders of mas_fast's own shards are left out.

    Without `captions`, each folder may have a table, captions.* or metadata.* as on Hugging Face,
    with names relative to the folder. If none of these names is the name of a file, files further
    down are tried: a name stands for the one file whose path ends with it. Captions of a table
    replace those of other files.

    Files that are neither pictures nor read beside one are counted in one reject for each suffix,
    rows about missing files in one for each table.

    Args:
        path: the folder.
        captions: a table (see `tables`).
        without: files that belong to no sample.
        listing: content of the folder, if it is known.

    Raises:
        ValueError: if the folder has no pictures, if it has two tables in one folder or below one
            another, or if no row of a table finds its file.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        captions: str | os.PathLike | None = None,
        without: frozenset[Path] = frozenset(),
        listing: Walk | None = None,
    ) -> None:
        self.path = Path(path)
        listing = listing or walk(self.path)
        self.rejects: list[Reject] = list(listing.rejects)
        tables = [name for name in listing.files if is_table(name)] if captions is None else []
        _check_tables(self.path, tables)
        given = _inside(self.path.resolve(), Path(captions).resolve()) if captions else None
        skipped = {*tables, given, *(_inside(self.path, file) for file in without)}
        self.files: dict[str, list[str]] = {}  # names on the disk by key
        others: dict[str, list[str]] = {}
        pictures = False
        for name in listing.files:
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
            raise ValueError(_nothing(self.path, listing, others))
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
        """Return the key and the suffix of a file; the key is None if it belongs to no sample."""
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
        for n, (location, row) in enumerate(read_table(table)):
            try:
                if isinstance(row, ValueError):
                    raise row
                name, captions = row
                check_name(name)
                if (key := finder.find(name, folders)) is None:
                    waiting.append((n, location, row))
                else:
                    self.captions.setdefault(key, []).extend(captions)
                    met += 1
            except ValueError as error:
                rejects.append((n, location, str(error)))
        deeper = not met
        for n, location, (name, captions) in waiting:
            try:
                if (key := finder.find_like(name, folders, deeper)) is None:
                    lost.append((n, location, name))
                else:
                    self.captions.setdefault(key, []).extend(captions)
                    met += 1
            except ValueError as error:
                rejects.append((n, location, str(error)))
        summary = ""
        if lost:
            summary = f"found {len(lost)} rows of files that are not there, such as {lost[0][2]!r}"
            rejects.append((*lost[0][:2], f"{summary}, expected a file in {self.path}"))
        if not met:
            problem = f"{summary}, and" if summary else "found"
            problem = f"{table}: {problem} none of a file in {self.path}"
            for _, location, reason in sorted(rejects)[:1] if not lost else ():
                problem += f"; {table.name}:{location}: {reason}"
            raise ValueError(printable(problem))
        for _, location, reason in sorted(rejects):
            self.rejects.append(Reject(f"{table.name}:{location}", printable(reason)))


class _Finder:
    """Finds the sample of the file that a row names, relative to one of some folders."""

    def __init__(self, root: Path, files: dict[str, list[str]]) -> None:
        self.root, self.files = root.resolve().parts[1:], files
        self._by_base: dict[str, list[tuple[str, str]]] | None = None

    def find(self, name: str, folders: tuple[str, ...]) -> str | None:
        """Return the key of the file with that name, which may begin above the root."""
        name = normal(name)
        for path in _joined(folders, name):
            if (key := self._exact(path)) is not None:
                return key
        parts = name.split("/")
        for n in range(1, len(parts)):
            if tuple(parts[:n]) == self.root[-n:]:
                return self._exact("/".join(parts[n:]))
        return None

    def find_like(self, name: str, folders: tuple[str, ...], deeper: bool) -> str | None:
        """Return the key of the file with that name in any case.

        `deeper` also takes a file below one of the folders whose path ends with the name.

        Raises:
            ValueError: for several files.
        """
        name = normal(name)
        for folder, path in zip(folders, _joined(folders, name), strict=True):
            if key := self._like(path, name, normal(folder), deeper):
                return key
        return None

    def _exact(self, name: str) -> str | None:
        key, suffix = split(name)
        key, suffix = (key, suffix) if suffix else split_unknown(name)
        written = (_suffix(file) for file in self.files.get(key, ()))
        return key if suffix.lower() in written else None

    def _like(self, path: str, name: str, folder: str, deeper: bool) -> str | None:
        if self._by_base is None:
            self._by_base = {}
            for key, files in self.files.items():
                for file in map(normal, files):
                    base = file.rpartition("/")[2].casefold()
                    self._by_base.setdefault(base, []).append((file.casefold(), key))
        entries = self._by_base.get(name.rpartition("/")[2].casefold(), [])
        keys = {key for file, key in entries if file == path.casefold()}
        if deeper and not keys:
            below = f"{folder}/".casefold() if folder else ""
            tail = f"/{name}".casefold()
            keys = {key for file, key in entries if file.startswith(below) and file.endswith(tail)}
        if len(keys) > 1:
            examples = ", ".join(sorted(keys)[:3])
            raise ValueError(f"found {len(keys)} files {name!r} ({examples}), expected one")
        return next(iter(keys), None)


def _joined(folders: tuple[str, ...], name: str) -> list[str]:
    return [f"{folder}/{name}" if folder else name for folder in map(normal, folders)]


def _suffix(name: str) -> str:
    return split(name)[1] or split_unknown(name)[1].lower()


def _inside(root: Path, file: Path) -> str | None:
    """Return the name of a file relative to `root`, None for a file elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else None


def _check_tables(root: Path, tables: list[str]) -> None:
    """Raise ValueError unless each file can have only one of the tables."""
    for n, table in enumerate(tables):
        folder = table.rpartition("/")[0]
        for other in tables[n + 1 :]:
            if not folder or f"{other.rpartition('/')[0]}/".startswith(f"{folder}/"):
                raise ValueError(
                    f"{root}: found {table}, {other}, expected one table of captions for a folder "
                    "and all below it; --captions says which"
                )


def _nothing(path: Path, listing: Walk, others: dict[str, list[str]]) -> str:
    """Say why there is nothing to read, and what there is instead."""
    entries = [f"{len(names)} *.{suffix}" for suffix, names in others.items()][:8]
    entries += [f"{name}: shards of mas_fast" for name in listing.shards][:8]
    beside = f" ({', '.join(entries)})" if entries else ""
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
