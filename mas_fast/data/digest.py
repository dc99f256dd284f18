"""A record of the input of a run, so that the run goes on with the same input and nothing else.

    record = digest("photos")                           # a dict for JSON, kept with the run
    if difference := changes(record, "/mnt/photos"):    # later, perhaps by another path
        raise ValueError(difference)

Names and sizes of the files decide at once, wherever the folder is now. Times of change do not: a
copy, another mount or a clone changes them all. If the times differ, bytes are compared. Up to
LIMIT bytes, all of them are; of more data, those in the middle of some thousand files, since nobody
wants to read a terabyte to see whether it was moved. `every_byte` compares every byte. A folder of
shards has checksums in its manifest, so every byte of it is known without reading any.
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

LIMIT = 1 << 26  # bytes read to compare contents
PIECE = 1 << 14  # bytes read of one file, at least


class _File(NamedTuple):
    name: str  # below the path of the input, in NFC: file systems differ
    path: Path
    size: int
    time: tuple[int, int]  # of the content's and of the file's last change, in ns
    sha256: str | None  # where a manifest knows it


def digest(
    path: str | os.PathLike,
    without: Iterable[str | os.PathLike] = (),
    every_byte: bool = False,
) -> dict:
    """Record files, for `changes` to compare with.

    Args:
        path: a file, or a folder with everything below it. Links are followed, and hidden files
            are left out.
        without: folders whose files are left out.
        every_byte: whether to read every byte.

    Returns:
        {"files", "bytes": how many, "listing", "times", "contents": checksums, "whole": whether
        "contents" covers every byte}.

    Raises:
        OSError: if the path is not there.
    """
    files = _files(path, without)
    size = sum(file.size for file in files)
    return {
        "files": len(files),
        "bytes": size,
        "listing": _listing(files),
        "times": _times(files),
        "contents": _contents(files, every_byte),
        "whole": every_byte or size <= LIMIT or all(file.sha256 for file in files),
    }


def changes(
    record: dict,
    path: str | os.PathLike,
    without: Iterable[str | os.PathLike] = (),
    every_byte: bool = False,
) -> str | None:
    """Say what differs between files and a record of them.

    Args:
        record: from `digest`.
        path: as for `digest`.
        without: as for `digest`.
        every_byte: whether to read all files again even if nothing seems changed.

    Returns:
        The difference in words, or None.

    Raises:
        ValueError: if `every_byte` and the record does not cover every byte.
    """
    files = _files(path, without)
    size = sum(file.size for file in files)
    if (len(files), size) != (record["files"], record["bytes"]):
        totals = f"found {len(files)} files of {size} bytes in all"
        return f"{path}: {totals}, expected {record['files']} of {record['bytes']}"
    if _listing(files) != record["listing"]:
        return f"{path}: found {len(files)} files of other names or sizes, expected the same"
    if every_byte and not record["whole"]:
        raise ValueError(
            f"{path}: found bytes of {LIMIT >> 20} MB alone remembered, expected those of all "
            "files to compare them with: a run that begins with `verify` remembers them"
        )
    known = all(file.sha256 for file in files)
    if not every_byte and not known and _times(files) == record["times"]:
        return None
    if _contents(files, record["whole"], reread=every_byte) != record["contents"]:
        return f"{path}: found other contents under the same names and sizes, expected the same"
    return None


# ---------------------------------------------------------------------------- files


def _files(path: str | os.PathLike, without: Iterable[str | os.PathLike]) -> list[_File]:
    path = Path(path)
    left_out = {os.path.realpath(folder) for folder in without}
    if path.is_dir():
        files = _manifest_files(path) or list(_walk(path, "", left_out, set()))
    else:
        files = [f for member in _beside(path) for f in _one_or_all(member, left_out)]
    return sorted(files, key=lambda file: (file.name, file.path))


def _manifest_files(folder: Path) -> list[_File]:
    """Return the shards of a folder with a finished manifest, else none."""
    for kind in (SCENES, TOKENS):
        try:
            shards = read_manifest(folder, kind)["shards"]
        except ValueError:
            continue  # the other kind, unfinished, or somebody else's
        return [
            _File(s["file"], folder / s["file"], s["bytes"], (0, 0), s["sha256"]) for s in shards
        ]
    return []


def _beside(file: Path) -> list[Path]:
    """Return a file, and beside a COCO panoptic JSON its PNGs, photos and captions."""
    if file.suffix.lower() != ".json":
        return [file]
    known = places(file)
    paths = [
        next(filter(Path.is_dir, candidates), None) for candidates in (known.pngs, known.photos)
    ]
    paths.append(next(filter(Path.is_file, known.captions), None))
    return [file, *(path for path in paths if path is not None)]


def _one_or_all(path: Path, left_out: set[str]) -> Iterator[_File]:
    if path.is_dir():
        yield from _walk(path, f"{path.name}/", left_out, set())
    else:
        yield _file(path.name, path, path.stat())


def _walk(folder: Path, above: str, left_out: set[str], seen: set) -> Iterator[_File]:
    """Yield all files below a folder; a folder that several links lead to counts once."""
    folder_status = os.stat(folder)
    if (folder_status.st_dev, folder_status.st_ino) in seen or os.path.realpath(folder) in left_out:
        return
    seen.add((folder_status.st_dev, folder_status.st_ino))
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        try:
            status = os.stat(folder / name)
        except OSError:  # a link to nothing
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(folder / name, f"{above}{name}/", left_out, seen)
        elif stat.S_ISREG(status.st_mode):
            yield _file(f"{above}{name}", folder / name, status)


def _file(name: str, path: Path, status: os.stat_result) -> _File:
    times = status.st_mtime_ns, status.st_ctime_ns  # two files that swap names keep the first
    return _File(unicodedata.normalize("NFC", name), path, status.st_size, times, None)


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


def _contents(files: list[_File], every_byte: bool, reread: bool = False) -> str:
    """Return a checksum of contents; `reread` does not trust a manifest."""
    if every_byte or sum(file.size for file in files) <= LIMIT:
        return _checksum((f.name, _known(f, reread) or _sha256(f, f.size)) for f in files)
    if all(file.sha256 for file in files):
        return _checksum((file.name, _known(file, reread)) for file in files)
    share = max(PIECE, LIMIT // len(files))
    ordered = sorted(files, key=lambda file: _checksum([(file.name,)]))  # from everywhere
    return _checksum((file.name, _sha256(file, share)) for file in ordered[: LIMIT // share])


def _known(file: _File, reread: bool) -> str | None:
    if reread and file.sha256:
        return _sha256(file, file.size)
    return file.sha256


def _sha256(file: _File, count: int) -> str:
    """Return the SHA-256 of `count` bytes in the middle of a file, or of all that it has."""
    total, remaining = hashlib.sha256(), min(count, file.size)
    with open(file.path, "rb") as stream:
        stream.seek((file.size - remaining) // 2)
        while remaining > 0 and (block := stream.read(min(remaining, 1 << 20))):
            total.update(block)
            remaining -= len(block)
    return total.hexdigest()
