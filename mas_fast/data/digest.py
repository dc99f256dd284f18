"""What a run was made from, remembered so that it goes on with the same and nothing else.

    then = digest("photos")                     # a dict for JSON, kept with the run
    if found := changes(then, "/mnt/photos"):   # later, perhaps by another path
        raise ValueError(found)

Names and sizes of the files decide at once, wherever the folder is now. Times of change are no part
of that: a copy, another mount or a clone changes them all. Where they differ, bytes are compared:
all of them up to LIMIT, of more data those in the middle of some thousand files, since nobody wants
to read a terabyte to see whether it was moved. `whole` compares every byte. A folder of shards has
checksums in its manifest, so there every byte is known without reading any.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mas_fast.data.shards import SCENES, TOKENS, read_manifest
from mas_fast.data.sources.coco import places

LIMIT = 1 << 26  # bytes that are read to know the contents
PIECE = 1 << 14  # at least so many of one file


class _File(NamedTuple):
    name: str  # below the path that was asked for, in NFC: file systems differ
    path: Path
    size: int
    time: tuple[int, int]  # of the content's and of the file's last change, in ns
    sha256: str | None  # where a manifest knows it


def digest(
    path: str | os.PathLike,
    without: Iterable[str | os.PathLike] = (),
    whole: bool = False,
) -> dict:
    """What `changes` compares with: {"files", "bytes": how many, "listing", "times", "contents":
    checksums, "whole": whether `contents` is of every byte}. Of the files at `path`, a file or a
    folder with all below. Links are followed; hidden files and those in the folders `without` are
    left out. OSError for a path that is not there."""
    files = _files(path, without)
    size = sum(file.size for file in files)
    return {
        "files": len(files),
        "bytes": size,
        "listing": _listing(files),
        "times": _times(files),
        "contents": _contents(files, whole),
        "whole": whole or size <= LIMIT or all(file.sha256 for file in files),
    }


def changes(
    then: dict,
    path: str | os.PathLike,
    without: Iterable[str | os.PathLike] = (),
    whole: bool = False,
) -> str | None:
    """In words what differs between the files at `path` and those of `then`, or None. `whole`: read
    all of them again, though nothing seems changed; ValueError where `then` is not of every
    byte."""
    files = _files(path, without)
    size = sum(file.size for file in files)
    if (len(files), size) != (then["files"], then["bytes"]):
        found = f"found {len(files)} files of {size} bytes in all"
        return f"{path}: {found}, expected {then['files']} of {then['bytes']}"
    if _listing(files) != then["listing"]:
        return f"{path}: found {len(files)} files of other names or sizes, expected the same"
    if whole and not then["whole"]:
        raise ValueError(
            f"{path}: found bytes of {LIMIT >> 20} MB alone remembered, expected those of all "
            "files to compare them with: a run that begins with `verify` remembers them"
        )
    known = all(file.sha256 for file in files)
    if not whole and not known and _times(files) == then["times"]:
        return None
    if _contents(files, then["whole"], reread=whole) != then["contents"]:
        return f"{path}: found other contents under the same names and sizes, expected the same"
    return None


# ---------------------------------------------------------------------------- files


def _files(path: str | os.PathLike, without: Iterable[str | os.PathLike]) -> list[_File]:
    path = Path(path)
    left_out = {os.path.realpath(folder) for folder in without}
    if path.is_dir():
        found = _manifest_files(path) or list(_walk(path, "", left_out, set()))
    else:
        found = [f for place in _beside(path) for f in _one_or_all(place, left_out)]
    return sorted(found, key=lambda file: (file.name, file.path))


def _manifest_files(folder: Path) -> list[_File]:
    """The shards of a folder that has a whole list of them, else none."""
    for kind in (SCENES, TOKENS):
        try:
            shards = read_manifest(folder, kind)["shards"]
        except ValueError:
            continue  # of the other kind, unfinished, or some other manifest
        return [
            _File(s["file"], folder / s["file"], s["bytes"], (0, 0), s["sha256"]) for s in shards
        ]
    return []


def _beside(file: Path) -> list[Path]:
    """A file; and where it is a COCO panoptic JSON, its label PNGs, photos and captions, see
    CocoSource."""
    if file.suffix.lower() != ".json":
        return [file]
    known = places(file)
    found = [next(filter(Path.is_dir, some), None) for some in (known.pngs, known.photos)]
    found.append(next(filter(Path.is_file, known.captions), None))
    return [file, *(place for place in found if place is not None)]


def _one_or_all(path: Path, left_out: set[str]) -> Iterator[_File]:
    if path.is_dir():
        yield from _walk(path, f"{path.name}/", left_out, set())
    else:
        yield _file(path.name, path, path.stat())


def _walk(folder: Path, above: str, left_out: set[str], seen: set) -> Iterator[_File]:
    """All files below a folder; a folder that links lead to again, once."""
    place = os.stat(folder)
    if (place.st_dev, place.st_ino) in seen or os.path.realpath(folder) in left_out:
        return
    seen.add((place.st_dev, place.st_ino))
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        try:
            found = os.stat(folder / name)
        except OSError:  # a link to nothing
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(folder / name, f"{above}{name}/", left_out, seen)
        elif stat.S_ISREG(found.st_mode):
            yield _file(f"{above}{name}", folder / name, found)


def _file(name: str, path: Path, found: os.stat_result) -> _File:
    times = found.st_mtime_ns, found.st_ctime_ns  # two files that swap names keep the first
    return _File(unicodedata.normalize("NFC", name), path, found.st_size, times, None)


# ---------------------------------------------------------------------------- checksums


def _checksum(lines: Iterable[tuple]) -> str:
    total = hashlib.sha256()
    for line in lines:
        text = "\t".join(map(str, line)) + "\n"
        total.update(text.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _listing(files: list[_File]) -> str:
    return _checksum((file.name, file.size) for file in files)


def _times(files: list[_File]) -> str:
    return _checksum((file.name, file.size, *file.time) for file in files)


def _contents(files: list[_File], whole: bool, reread: bool = False) -> str:
    """reread: do not believe a manifest."""
    if whole or sum(file.size for file in files) <= LIMIT:
        return _checksum((f.name, _known(f, reread) or _sha256(f, f.size)) for f in files)
    if all(file.sha256 for file in files):
        return _checksum((file.name, _known(file, reread)) for file in files)
    share = max(PIECE, LIMIT // len(files))
    some = sorted(files, key=lambda file: _checksum([(file.name,)]))  # from everywhere
    return _checksum((file.name, _sha256(file, share)) for file in some[: LIMIT // share])


def _known(file: _File, reread: bool) -> str | None:
    if reread and file.sha256:
        return _sha256(file, file.size)
    return file.sha256


def _sha256(file: _File, count: int) -> str:
    """Of `count` bytes in the middle of a file, or of all that it has."""
    total, left = hashlib.sha256(), min(count, file.size)
    with open(file.path, "rb") as stream:
        stream.seek((file.size - left) // 2)
        while left > 0 and (block := stream.read(min(left, 1 << 20))):
            total.update(block)
            left -= len(block)
    return total.hexdigest()
