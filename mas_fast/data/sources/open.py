"""The sources of samples: image folders, webdataset tars, COCO, folders of label maps.

    source = open_source("shards/")                 # or a .tar, a COCO folder, a folder of photos
    for item in source.shard(rank, world):          # Sample or Reject
        ...

A source that is broken as a whole (an empty folder, a panoptic JSON that is no JSON) is a
ValueError at once. A broken sample, row or tar is a Reject in its place, and the others are read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

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
    contents: Contents | None = None,
) -> Source:
    """Open a source of samples, the first of these that fits:

    * a folder of `write_storybook`
    * webdataset tars (see `TarSource`): a .tar, or a folder with some, at any depth; a folder of
      scene shards has to be complete, as its manifest says
    * COCO's panoptic maps (see `CocoSource`): a .json, or a folder with panoptic_*.json
    * ADE20K, COCO-Stuff or CIHP (see `label_folders.MARKS`)
    * a folder of pictures (see `FolderSource`)

    Args:
        path: file or folder of the source.
        captions: a table for folders of pictures (see `tables`), or COCO's captions JSON for its
            panoptic maps. By default the file in the usual place: captions.* or metadata.* in any
            folder, and captions_SPLIT.json beside panoptic_SPLIT.json.
        labels: label space of label maps that lie beside photos (`scene.SPACES`, or a file: see
            `scene.spaces`). The folder is then read as photos with label maps, whatever else is in
            it. Label maps without a label space are an error: they would count as photos.
        contents: content of the path, if it is known.

    Returns:
        The source.

    Raises:
        ValueError: if there is nothing to read, if a folder has several kinds of sources, for
            compressed tars, and for captions that do not belong to the source.
    """
    path = Path(path)
    if captions is not None and not Path(captions).is_file():
        raise ValueError(f"{captions}: found no such file, expected captions")
    if labels is not None:
        if not path.is_dir() or any(path.glob("*.tar")):
            raise ValueError(f"labels: found {labels} for {path}, expected a folder of label maps")
        return _some(open_label_folders(path, labels, captions), path)
    contents = contents or look(path)
    if contents.tars and captions is not None:
        raise ValueError(f"{captions}: found captions for tars, which have their own")
    if contents.tars:
        source: Source = TarSource(contents.tars)
    elif contents.panoptic:
        source = CocoSource(contents.panoptic, captions)
    elif contents.storybook:
        if captions is not None:
            raise ValueError(f"{captions}: found captions for a storybook, which has its own")
        source = StorySource.open(path)
    elif known := known_space(path):
        source = open_label_folders(path, known, captions)
    else:
        listing = contents.walk or walk(path)
        check_no_label_maps(path, listing.files)
        source = FolderSource(path, captions, listing=listing)
    return _some(source, path)


def _some(source: Source, path: Path) -> Source:
    if not len(source):
        raise ValueError(f"{path}: found no samples, expected some")
    return source


@dataclass
class Contents:
    """The content of a path.

    Attributes:
        tars: its tars, if it has some.
        panoptic: its panoptic JSON files, if it has some.
        storybook: whether it is a folder of `write_storybook`.
        walk: files of the folder, None if they were not needed.
    """

    tars: list[Path] = field(default_factory=list)
    panoptic: list[Path] = field(default_factory=list)
    storybook: bool = False
    walk: Walk | None = None


def look(path: Path) -> Contents:
    """Look at the content of a path, for `open_source`. Tars are found, but not read.

    Args:
        path: file or folder of the source.

    Returns:
        Its content.

    Raises:
        ValueError: as for `open_source`.
    """
    if path.is_file() and path.suffix.lower() == ".tar":
        return Contents(tars=[path])
    if path.is_file() and path.suffix.lower() == ".json":
        return Contents(panoptic=[path])
    if path.name.lower().endswith(COMPRESSED):
        raise ValueError(f"{path}: {_COMPRESSED}")
    if not path.is_dir():
        raise ValueError(f"{path}: found no such folder, .tar or .json")
    if (path / STORYBOOK).is_file():
        return Contents(storybook=True)
    if tars := _own_shards(path):
        return Contents(tars=tars)
    listing = walk(path)
    contents = Contents(walk=listing)
    names = listing.files
    contents.tars = [path / name for name in names if name.lower().endswith(".tar")]
    contents.panoptic = [file for file in panoptic_files(path) if is_panoptic(file)]
    pictures = [name for name in names if split(name)[1] in IMAGES]
    packed = [name for name in names if name.lower().endswith(COMPRESSED)]
    if packed and not (pictures or contents.panoptic):
        raise ValueError(f"{path / packed[0]}: {_COMPRESSED}")
    others: tuple[tuple[str, Sequence[str | Path]], ...] = (
        ("panoptic JSON", contents.panoptic),
        ("pictures", pictures),
    )
    for kind, other in others:
        if contents.tars and other:
            example = contents.tars[0].relative_to(path)
            beside = f"{len(other)} {kind} such as {Path(other[0]).name}"
            raise ValueError(
                f"{path}: found {len(contents.tars)} tars such as {example} and {beside}, expected "
                "one kind of source: give the folder of one, or move the other away"
            )
    return contents


def _own_shards(folder: Path) -> list[Path]:
    """Return the tars of a folder that `prepare` made; ValueError if it is not complete."""
    if not (folder / MANIFEST).is_file():
        return []
    try:
        manifest = cast(dict, read_json(folder / MANIFEST))  # read_json checks that it is one
    except ValueError:  # somebody else's
        return []
    if manifest.get("kind") != SCENES:
        return []
    tars = []
    for shard in read_manifest(folder, SCENES)["shards"]:
        tars.append(tar := folder / shard["file"])
        size = tar.stat().st_size if tar.is_file() else None
        if size != shard["bytes"]:
            raise ValueError(f"{tar}: found {size} bytes, expected {shard['bytes']}")
    return tars
