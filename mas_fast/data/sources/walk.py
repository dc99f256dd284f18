"""The files below a folder: links are followed, and what cannot be read is told."""

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
    """files: names below the folder, with `/`; those of a folder, sorted, come before those of its
    subfolders, and what lies behind links to folders comes last. rejects: links to nothing or to
    what is read already, folders that may not be read, pipes and the like. shards: folders of
    mas_fast's own shards, which are not entered.

    Hidden files and folders, and those of names.left_out, are no part of it.
    """

    files: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    shards: list[str] = field(default_factory=list)


def walk(root: str | os.PathLike) -> Walk:
    """The files below a folder. OSError where it cannot be read itself."""
    root, found = Path(root), Walk()
    real = root.resolve(strict=True)
    above = {_identity(os.stat(folder)) for folder in real.parents}
    seen = {_identity(os.stat(real))}
    folders, links = [""], deque()  # names that end in /, below root
    while folders or links:
        name = folders.pop() if folders else links.popleft()
        if not name or _enter(root, name, above, seen, found):
            folders += _read(root, name, links, found)
    return found


def _enter(root: Path, name: str, above: set, seen: set, found: Walk) -> bool:
    """Whether to read a folder: not one that is read already, nor one of ours."""
    try:
        identity = _identity(os.stat(root / name))
    except OSError as error:
        found.rejects.append(_reject(name, str(error)))
        return False
    if identity in above:
        found.rejects.append(_reject(name, "found a link to a folder that it lies in"))
    elif identity in seen:
        found.rejects.append(_reject(name, "found a folder that is read already, by another name"))
    elif _is_ours(root / name):
        found.shards.append(name[:-1])
    else:
        seen.add(identity)
        return True
    return False


def _read(root: Path, folder: str, links: deque[str], found: Walk) -> list[str]:
    """Take in the files of a folder; its subfolders, the first one last."""
    try:
        with os.scandir(root / folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        if not folder:
            raise
        found.rejects.append(_reject(folder, str(error)))
        return []
    inside = []
    for entry in entries:
        if entry.name.startswith(".") or left_out(entry.name, os.path.isdir(entry.path)):
            continue
        name = folder + entry.name
        try:
            if entry.is_file():
                found.files.append(name)
            elif not entry.is_dir():
                _take_odd(entry, name, found)
            elif entry.is_symlink():
                links.append(f"{name}/")
            else:
                inside.append(f"{name}/")
        except OSError as error:  # a link to itself
            found.rejects.append(_reject(name, str(error)))
    return inside[::-1]


def _take_odd(entry: os.DirEntry, name: str, found: Walk) -> None:
    """A link to nothing in the place of a file that would be read is its sample's fault."""
    if not entry.is_symlink() or os.path.exists(entry.path):
        kind = stat.S_IFMT(entry.stat().st_mode)
        what = "a pipe" if kind == stat.S_IFIFO else "no plain file"
        found.rejects.append(_reject(name, f"found {what}, expected a file or folder"))
    elif split(entry.name)[1]:
        found.files.append(name)
    else:
        found.rejects.append(_reject(name, f"found a link to {os.readlink(entry.path)!r}: no such"))


def _is_ours(folder: Path) -> bool:
    if not (folder / MANIFEST).is_file():
        return False
    for kind in (SCENES, TOKENS):
        try:
            read_manifest(folder, kind, whole=False)
        except (ValueError, OSError):
            continue
        return True
    return False


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _reject(name: str, reason: str) -> Reject:
    return Reject(printable(name), printable(reason))
