"""Where samples come from: image folders, webdataset tars, COCO, ADE20K, COCO-Stuff, CIHP.

    source = open_source("shards/")                 # or a .tar, a COCO folder, a folder of photos
    for item in source.shard(rank, world):          # Sample or Reject
        ...

What is broken as a whole (an empty folder, a panoptic JSON that is no JSON) is a ValueError at
once; what is broken in one sample, row or tar is a Reject in its place, and the rest is read.
"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np

from mas_fast.data.coco import CocoSource, is_panoptic, panoptic_files
from mas_fast.data.folders import FolderSource, find_label_folders, open_label_folders
from mas_fast.data.samples import Reject, Sample, Source, assemble, check_name, printable
from mas_fast.data.storybook.source import FILE as STORYBOOK
from mas_fast.data.storybook.source import StorySource

MAX_SAMPLE = 2**28  # bytes of all files of a sample in a tar


def open_source(path: str | os.PathLike, captions: str | os.PathLike | None = None) -> Source:
    """The source at `path`: a .tar or a folder of them, a COCO panoptic .json or a folder with
    some (see CocoSource), a folder of `write_storybook`, one of ADE20K, COCO-Stuff or CIHP (see
    LABEL_FOLDERS), else a folder of images (see FolderSource), in this order.

    captions: a table for folders of images, a captions JSON for COCO; by default what lies in the
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
    elif (path / STORYBOOK).is_file():
        if captions is not None:
            raise ValueError(f"{captions}: found captions for a storybook, which has its own")
        source = StorySource.open(path)
    elif known := find_label_folders(path):
        source = open_label_folders(path, known, captions)
    else:
        source = FolderSource(path, captions)
    if not len(source):
        raise ValueError(f"{path}: found no samples, expected some")
    return source


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
