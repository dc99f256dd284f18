"""Where samples come from: image folders, webdataset tars, COCO, folders of label maps.

    source = open_source("shards/")                 # or a .tar, a COCO folder, a folder of photos
    for item in source.shard(rank, world):          # Sample or Reject
        ...

What is broken as a whole (an empty folder, a panoptic JSON that is no JSON) is a ValueError at
once; what is broken in one sample, row or tar is a Reject in its place, and the rest is read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from mas_fast.data.shards import MANIFEST, SCENES, read_manifest
from mas_fast.data.sources.base import Source
from mas_fast.data.sources.coco import CocoSource, is_panoptic, panoptic_files
from mas_fast.data.sources.folders import FolderSource
from mas_fast.data.sources.label_folders import (
    check_no_label_maps,
    known_space,
    open_label_folders,
)
from mas_fast.data.sources.names import IMAGES, split
from mas_fast.data.sources.tars import COMPRESSED, TarSource
from mas_fast.data.sources.walk import Walk, walk
from mas_fast.data.storybook.source import FILE as STORYBOOK
from mas_fast.data.storybook.source import StorySource
from mas_fast.utils.documents import read_json

_COMPRESSED = "found a compressed tar, whose parts cannot be read; expected a plain one: unpack it"


def open_source(
    path: str | os.PathLike,
    captions: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> Source:
    """The source at `path`, the first of these that it is:

    * a folder of `write_storybook`
    * webdataset tars (see TarSource): a .tar, or a folder with some, at any depth; a folder of
      scene shards has to be whole, as its manifest says
    * COCO's panoptic maps (see CocoSource): a .json, or a folder with panoptic_*.json
    * ADE20K, COCO-Stuff or CIHP (see label_folders.MARKS)
    * a folder of pictures (see FolderSource)

    captions: a table for folders of pictures (see tables), COCO's captions JSON for its panoptic
    maps; by default what lies in the usual place: captions.* or metadata.* in any folder, and
    captions_SPLIT.json beside panoptic_SPLIT.json.

    labels: the label space of label maps that lie beside photos (scene.SPACES, or a file: see
    scene.spaces); the folder is then read as photos with those, whatever else is in it. Label maps
    without it are an error: they would count as photos.

    ValueError if there is nothing to read, where several kinds lie in one folder, for compressed
    tars, and for captions that are not of this source.
    """
    path = Path(path)
    if captions is not None and not Path(captions).is_file():
        raise ValueError(f"{captions}: found no such file, expected captions")
    if labels is not None:
        if not path.is_dir() or any(path.glob("*.tar")):
            raise ValueError(f"labels: found {labels} for {path}, expected a folder of label maps")
        return _some(open_label_folders(path, labels, captions), path)
    found = _look(path)
    if found.tars and captions is not None:
        raise ValueError(f"{captions}: found captions for tars, which have their own")
    if found.tars:
        source: Source = TarSource(found.tars)
    elif found.panoptic:
        source = CocoSource(found.panoptic, captions)
    elif found.storybook:
        if captions is not None:
            raise ValueError(f"{captions}: found captions for a storybook, which has its own")
        source = StorySource.open(path)
    elif known := known_space(path):
        source = open_label_folders(path, known, captions)
    else:
        check_no_label_maps(path, found.walk.files)
        source = FolderSource(path, captions, found=found.walk)
    return _some(source, path)


def _some(source: Source, path: Path) -> Source:
    if not len(source):
        raise ValueError(f"{path}: found no samples, expected some")
    return source


def find_tars(path: str | os.PathLike) -> list[Path]:
    """The tars that `open_source` would read; none: another kind of source. ValueError as there."""
    return _look(Path(path)).tars


@dataclass
class _Found:
    """What is at a path: tars, panoptic JSON, a storybook, or else the files of the folder."""

    tars: list[Path] = field(default_factory=list)
    panoptic: list[Path] = field(default_factory=list)
    storybook: bool = False
    walk: Walk | None = None


def _look(path: Path) -> _Found:
    if path.is_file() and path.suffix.lower() == ".tar":
        return _Found(tars=[path])
    if path.is_file() and path.suffix.lower() == ".json":
        return _Found(panoptic=[path])
    if path.name.lower().endswith(COMPRESSED):
        raise ValueError(f"{path}: {_COMPRESSED}")
    if not path.is_dir():
        raise ValueError(f"{path}: found no such folder, .tar or .json")
    if (path / STORYBOOK).is_file():
        return _Found(storybook=True)
    if tars := _own_shards(path):
        return _Found(tars=tars)
    found = _Found(walk=walk(path))
    names = found.walk.files
    found.tars = [path / name for name in names if name.lower().endswith(".tar")]
    found.panoptic = [file for file in panoptic_files(path) if is_panoptic(file)]
    pictures = [name for name in names if split(name)[1] in IMAGES]
    packed = [name for name in names if name.lower().endswith(COMPRESSED)]
    if packed and not (pictures or found.panoptic):
        raise ValueError(f"{path / packed[0]}: {_COMPRESSED}")
    for kind, other in (("panoptic JSON", found.panoptic), ("pictures", pictures)):
        if found.tars and other:
            tars = f"{len(found.tars)} tars such as {found.tars[0].relative_to(path)}"
            beside = f"{len(other)} {kind} such as {Path(other[0]).name}"
            raise ValueError(
                f"{path}: found {tars} and {beside}, expected one kind of source: give the folder "
                "of one, or move the other away"
            )
    return found


def _own_shards(folder: Path) -> list[Path]:
    """The tars of a folder that `prepare` made, as its manifest says. ValueError where it is not
    whole."""
    try:
        kind = read_json(folder / MANIFEST).get("kind") if (folder / MANIFEST).is_file() else None
    except ValueError:  # somebody else's
        kind = None
    if kind != SCENES:
        return []
    tars = []
    for shard in read_manifest(folder, SCENES)["shards"]:
        tars.append(tar := folder / shard["file"])
        found = tar.stat().st_size if tar.is_file() else None
        if found != shard["bytes"]:
            raise ValueError(f"{tar}: found {found} bytes, expected {shard['bytes']}")
    return tars
