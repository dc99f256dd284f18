"""The files below a folder: links are followed, and entries that cannot be read are reported."""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from mas_fast.data.shards import MANIFEST, SCENES, TOKENS, read_manifest
from mas_fast.data.sources.base import Reject
from mas_fast.data.sources.names import left_out, printable, split


@dataclass
class Walk:
    """The content of a folder, without hidden files and folders and those of `names.left_out`.

    Attributes:
        files: names below the folder, with `/`. The files of a folder, sorted, come before those of
            its subfolders; files behind links to folders come last.
        rejects: links to nothing or to folders that are read already, folders that may not be read,
            pipes and the like.
        shards: folders of mas_fast's own shards, which are not entered.
    """

    files: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    shards: list[str] = field(default_factory=list)


def walk(root: str | os.PathLike) -> Walk:
    """List the files below a folder.

    Args:
        root: the folder.

    Returns:
        Its content.

    Raises:
        OSError: if the folder itself cannot be read.
    """
    root, listing = Path(root), Walk()
    real = root.resolve(strict=True)
    above = {_identity(os.stat(folder)) for folder in real.parents}
    seen = {_identity(os.stat(real))}
    folders: list[str] = [""]  # names below root that end in /
    links: deque[str] = deque()
    while folders or links:
        name = folders.pop() if folders else links.popleft()
        if not name or _enter(root, name, above, seen, listing):
            folders += _read(root, name, links, listing)
    return listing


def _enter(root: Path, name: str, above: set, seen: set, listing: Walk) -> bool:
    """Tell whether to read a folder: not one that is read already, nor one of ours."""
    try:
        identity = _identity(os.stat(root / name))
    except OSError as error:
        listing.rejects.append(_reject(name, str(error)))
        return False
    if identity in above:
        listing.rejects.append(_reject(name, "found a link to a folder that it lies in"))
    elif identity in seen:
        listing.rejects.append(
            _reject(name, "found a folder that is read already, by another name")
        )
    elif _is_ours(root / name):
        listing.shards.append(name[:-1])
    else:
        seen.add(identity)
        return True
    return False


def _read(root: Path, folder: str, links: deque[str], listing: Walk) -> list[str]:
    """Take in the files of a folder and return its subfolders, the first one last."""
    try:
        with os.scandir(root / folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        if not folder:
            raise
        listing.rejects.append(_reject(folder, str(error)))
        return []
    inside = []
    for entry in entries:
        if entry.name.startswith(".") or left_out(entry.name, os.path.isdir(entry.path)):
            continue
        name = folder + entry.name
        try:
            if entry.is_file():
                listing.files.append(name)
            elif not entry.is_dir():
                _take_odd(entry, name, listing)
            elif entry.is_symlink():
                links.append(f"{name}/")
            else:
                inside.append(f"{name}/")
        except OSError as error:  # a link to itself
            listing.rejects.append(_reject(name, str(error)))
    return inside[::-1]


def _take_odd(entry: os.DirEntry, name: str, listing: Walk) -> None:
    """Take in an entry that is no file or folder.

    A link to nothing in place of a file that would be read counts as a file: its sample is broken.
    """
    if not entry.is_symlink() or os.path.exists(entry.path):
        kind = stat.S_IFMT(entry.stat().st_mode)
        problem = "a pipe" if kind == stat.S_IFIFO else "no plain file"
        listing.rejects.append(_reject(name, f"found {problem}, expected a file or folder"))
    elif split(entry.name)[1]:
        listing.files.append(name)
    else:
        listing.rejects.append(
            _reject(name, f"found a link to {os.readlink(entry.path)!r}: no such")
        )


def _is_ours(folder: Path) -> bool:
    if not (folder / MANIFEST).is_file():
        return False
    for kind in (SCENES, TOKENS):
        try:
            read_manifest(folder, kind, finished=False)
        except (ValueError, OSError):
            continue
        return True
    return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reject(name: str, reason: str) -> Reject:
    return Reject(printable(name), printable(reason))
