"""Photos with label maps beside them, in folders of any name.

    open_label_folders(Path("ADEChallengeData2016"), "ade20k")     # images/ and annotations/
    open_label_folders(Path("cityscapes"), "cityscapes")           # leftImg8bit/ and gtFine/
    open_label_folders(Path("VOC2012"), "voc")                     # JPEGImages/, SegmentationClass/

Files are grouped by folder and by the end of their names ("_gtFine_labelIds", "_L"). A few files
of each group tell whether it holds photos or label maps. Each group of label maps belongs to the
photos that share most names with it. No file says which classes the numbers mean: the caller does.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.folders import UNASKED, FolderSource, unasked
from mas_fast.data.sources.label_map_kinds import MAPS, kind_of_map, suffix_of
from mas_fast.data.sources.names import IMAGES, normal, printable, split
from mas_fast.data.sources.tables import is_table
from mas_fast.data.sources.walk import walk
from mas_fast.scene import SPACES, LabelSpace, space_named
from mas_fast.scene.png import open_image
from mas_fast.scene.semantic import fitting

LOOKED_INTO = 3  # files of a group
COMMON = 64  # folders with a file of one name; a name in more folders says nothing
PHOTO_END = "_leftImg8bit"
LABEL_END = re.compile(  # end of a name without its suffix
    r"(?:_gt(?:Fine|Coarse))?[._-](?:L|P|labelIds|labelTrainIds|labels?|masks?|seg|segmentation"
    r"|annotations?|gt)$|_gt(?:Fine|Coarse)_(?:color|instanceIds)$"
)
LABEL_WORDS = re.compile(
    r"(?i)label|annot|mask|seg|semantic|stuff|gt(?:fine|coarse)?\b|category_ids|\bann\b"
)
# Maps of other things: instances, borders, copies in colours.
OTHER_MAPS = re.compile(
    r"(?i)(?:^|[/_.-])(?:inst|instances?|instance_?ids|human_ids|edges?|labels_rev"
    r"|segmentationobject)(?=$|[/_.-])|_color$"
)
# Entries that the folder of one data set has, and no other.
MARKS = {
    "objectInfo150.txt": "ade20k",
    "stuffthingmaps": "coco-stuff",
    "Category_ids": "cihp",
    "labels_rev": "cihp",
}
NOT_OF = {"cityscapes": "labelTrainIds", "cityscapes-train": "labelIds"}  # names of the other space


@dataclass(eq=False)
class _Group:
    """Images of one folder whose names end alike."""

    folder: str  # relative to the root
    end: str
    files: dict[str, Path] = field(default_factory=dict)  # by the name without that end

    @cached_property
    def kind(self) -> str:
        """What the images are: photo, label, either, ours, odd or broken.

        "either" has few colours in RGB, "ours" are scenes that mas_fast wrote, and "odd" are label
        maps of 1 or 16 bits or in a JPEG, which no label space has.
        """
        names = list(self.files)
        examples = {names[n * (len(names) - 1) // (LOOKED_INTO - 1)] for n in range(LOOKED_INTO)}
        kinds = {kind_of_map(self.files[name], self.named) for name in sorted(examples)} - {
            "broken"
        }
        order = ("photo", "ours", "either", "label", "odd")
        return next((kind for kind in order if kind in kinds), "broken")

    @cached_property
    def named(self) -> bool:
        """Whether the names of folder and files say that it holds label maps."""
        return bool(self.end) or _is_named(self.folder)

    @cached_property
    def called_maps(self) -> bool:
        """Whether `named`, or whether each name begins with a telling word: label_1.png."""
        return self.named or all(map(LABEL_WORDS.match, self.files))

    @cached_property
    def other(self) -> bool:
        """Whether the names say that it holds maps of other things."""
        return bool(OTHER_MAPS.search(self.folder) or OTHER_MAPS.search(self.end))

    @cached_property
    def last(self) -> str:
        """The name of the folder itself."""
        return self.folder.rpartition("/")[2]

    def could_be_photos(self, maps: _Group) -> bool:
        """Tell whether these are photos, or drawings if `maps` alone are called label maps."""
        return self.kind == "photo" or (self.kind == "either" and maps.named and not self.named)

    @property
    def example(self) -> Path:
        """One of the images."""
        return next(iter(self.files.values()))


class LabelFolderSource(FolderSource):
    """The photos of a folder with the layers of their label maps.

    A photo without a label map is a reject, and so is a label map without a photo.

    Args:
        path: the folder of the photos.
        labels: label map of each key.
        space: label space of the maps.
        captions: a table, as for `FolderSource`.
        without: files of the folder that are no photos.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        labels: Mapping[str, Path],
        space: LabelSpace,
        captions: str | os.PathLike | None = None,
        without: frozenset[Path] = frozenset(),
    ) -> None:
        super().__init__(path, captions, without)
        self.space = space
        self.labels = {_same(key): file for key, file in labels.items()}
        for key in sorted(self.labels.keys() - set(map(_same, self.keys))):
            name = printable(str(self.labels[key]))
            self.rejects.append(Reject(name, "found a label map without a photo of its name"))

    def read(self, index: int) -> Sample | Reject:
        sample = super().read(index)
        if isinstance(sample, Reject):
            return sample
        file = self.labels.get(_same(sample.key))
        if file is None:
            raise ValueError(f"found no label map of {self.space.name} for it, expected one")
        return replace(sample, annotation=self.space.read(file))


def known_space(path: Path) -> str | None:
    """Recognize a data set by an entry of its folder.

    Args:
        path: the folder.

    Returns:
        Its label space, or None.
    """
    return next((name for mark, name in MARKS.items() if (path / mark).exists()), None)


def open_label_folders(
    path: Path, labels: str | os.PathLike | LabelSpace, captions: str | os.PathLike | None = None
) -> LabelFolderSource:
    """Open the photos in a folder and its subfolders with their label maps.

    Args:
        path: the folder.
        labels: label space of the maps, its name or its file.
        captions: a table, as for `FolderSource`.

    Returns:
        The source.

    Raises:
        ValueError: if there are no label maps, or several for the same photos.
    """
    space = space_named(labels)
    files = walk(path).files
    groups = _groups(path, files)
    pairs = list(_pairs(groups, _readable(space)))
    mapped = {id(photos) for photos, maps in pairs if maps.kind != "odd"}
    pairs = [(p, maps) for p, maps in pairs if maps.kind != "odd" or id(p) not in mapped]
    if not pairs:
        raise ValueError(
            f"{path}: found no label maps with the names of photos, expected 8-bit PNGs of "
            f"{space.name}, such as images/NAME.jpg and annotations/NAME.png"
        )
    roots = {_root(photos.folder, maps.folder) for photos, maps in pairs}
    without = _no_photos(groups, pairs)
    root = path / roots.pop() if len(roots) == 1 else path
    beside = [name for name in files if not (path / name).is_relative_to(root)]
    if any(_is_read(name) for name in beside if path / name not in without):
        root, beside = path, []
    map_files: dict[str, Path] = {}
    for photos, maps in pairs:
        for name, file in maps.files.items():
            # a map without a photo keeps its path, so that it is counted
            photo = photos.files.get(name) or path / photos.folder / name
            key = photo.relative_to(root).as_posix()
            key = key.removesuffix(photo.suffix) if name in photos.files else key
            if key in map_files:
                raise ValueError(
                    f"{path}: found two label maps of {key}, {map_files[key]} and {file}, "
                    "expected one: take the folder of the other ones away"
                )
            map_files[key] = file
    source = LabelFolderSource(root, map_files, space, captions, without)
    if captions is None:
        source.rejects += [unasked(name) for name in beside if UNASKED.fullmatch(name)]
    return source


def _is_read(name: str) -> bool:
    """Tell whether a folder of photos would be different without this file."""
    return is_table(name) or split(name)[1] in IMAGES


def check_no_label_maps(path: Path, files: list[str]) -> None:
    """Check that no label maps would count as photos.

    Scenes that mas_fast wrote, and COCO's panoptic PNGs, have a json or an edge.png and are fine.

    Args:
        path: folder of images.
        files: names of the files below it.

    Raises:
        ValueError: if there are label maps beside the photos.
    """
    folders = {name.rpartition("/")[0] for name in files}
    if not (any(name.lower().endswith(MAPS) for name in files) or any(map(_is_named, folders))):
        return
    groups = _groups(path, files)
    ambiguous = (
        (photos, maps)
        for photos, maps in _pairs(groups, lambda maps: maps.kind in ("label", "either", "odd"))
        if len(maps.files.keys() & photos.files.keys()) * 2 >= len(maps.files)
        and not (maps.end == ".seg" and _explained(maps.example))
    )
    pair = next(ambiguous, None)
    if pair is None:
        _check_no_maps_alone(path, groups)
        return
    photos, maps = pair
    root = _root(photos.folder, maps.folder)
    alone = "" if root == "." else f", or give {path / root} alone for its photos"
    raise ValueError(
        f"{path}: found label maps ({maps.example}) beside photos ({photos.example}), and nothing "
        f"that says which classes their numbers are. Say so: --labels NAME (in Python "
        f"labels=NAME), one of {', '.join(_possible(maps.example))}, or a file{alone}"
    )


def _check_no_maps_alone(path: Path, groups: list[_Group]) -> None:
    """Raise ValueError for label maps, by name and content, with other names than the photos."""
    called = [group for group in groups if group.called_maps]  # before any file is looked into
    photos = next((group for group in groups if group.kind == "photo"), None) if called else None
    if photos is None:
        return
    candidates = (group for group in called if group.kind in ("label", "either", "odd"))
    if maps := next((g for g in candidates if not _explained(g.example)), None):
        raise ValueError(
            f"{path}: found label maps ({maps.example}) with none of the names of the photos "
            f"({photos.example}), which would count as photos: give them these names, and say "
            "which classes their numbers are (--labels NAME), or take them out of the folder"
        )


def _is_named(folder: str) -> bool:
    return LABEL_WORDS.search(folder) is not None


def _groups(path: Path, files: list[str]) -> list[_Group]:
    groups: dict[tuple[str, str, str], _Group] = {}
    for name in files:
        folder, _, base = name.rpartition("/")
        stem, _, suffix = base.rpartition(".")
        folder, suffix = folder or ".", suffix.lower()
        if not stem or suffix not in (*IMAGES, *MAPS):
            continue
        match = LABEL_END.search(stem) if suffix in MAPS else None
        end = match[0] if match else ""
        stem = stem[: match.start()] if match else stem.removesuffix(PHOTO_END)
        group = groups.setdefault((folder, end, suffix), _Group(folder, end))
        group.files[_same(stem)] = path / name
    return list(groups.values())


def _pairs(groups: list[_Group], fits: Callable[[_Group], bool]) -> Iterator[tuple[_Group, _Group]]:
    """Yield the photos and the label maps that belong together.

    Each group of label maps that fits belongs to the photos that share most names with it. Among
    equal ones, photos without the name of label maps win (pictures with the classes painted over
    them have one), then those whose folder has the most similar name. Groups whose last folder has
    the same name come first, then all others, but without names that are everywhere.
    """
    near: dict[tuple[str, str], list[_Group]] = {}
    far: dict[str, list[_Group]] = {}
    for group in groups:
        for name in group.files:
            near.setdefault((group.last, name), []).append(group)
            far.setdefault(name, []).append(group)

    def beside(maps: _Group) -> dict[_Group, int]:
        return _shared(maps, lambda name: near[maps.last, name])

    def anywhere(maps: _Group) -> dict[_Group, int]:
        return _shared(maps, lambda name: far[name] if len(far[name]) <= COMMON else ())

    for maps in groups:
        if suffix_of(maps.example) not in MAPS and not (maps.named and maps.kind == "odd"):
            continue
        for search in (beside, anywhere):
            shared = search(maps)
            if not shared or maps.kind in ("photo", "ours") or not fits(maps):
                continue
            if maps.kind == "either" and not maps.named:
                continue
            photos = [group for group in shared if group.could_be_photos(maps)]
            if photos:
                yield max(photos, key=lambda g: (shared[g], not g.named, _alike(g, maps))), maps
                break


def _shared(maps: _Group, groups: Callable[[str], Iterable[_Group]]) -> dict[_Group, int]:
    """Count the names that label maps share with each of the groups of a name."""
    shared: dict[_Group, int] = {}
    for name in maps.files:
        for group in groups(name):
            if group is not maps:
                shared[group] = shared.get(group, 0) + 1
    return shared


def _alike(group: _Group, other: _Group) -> float:
    return difflib.SequenceMatcher(None, group.folder, other.folder).ratio()


def _readable(space: LabelSpace) -> Callable[[_Group], bool]:
    """Return a test whether label maps could be of that space, by their names."""
    return lambda maps: not (maps.other or maps.end.endswith(NOT_OF.get(space.name, " ")))


def _no_photos(groups: list[_Group], pairs: list[tuple[_Group, _Group]]) -> frozenset[Path]:
    """Return the files that are label maps, of any kind."""
    maps = {id(group) for _, group in pairs}
    files = [
        group.files.values()
        for group in groups
        if id(group) in maps or (group.other or group.named) and group.kind != "photo"
    ]
    return frozenset(file for paths in files for file in paths)


def _root(photos: str, maps: str) -> str:
    """Return the folder of photos without the last parts that label maps have too."""
    photo_parts, map_parts = photos.split("/"), maps.split("/")
    while photo_parts and map_parts and photo_parts[-1] == map_parts[-1]:
        photo_parts.pop(), map_parts.pop()
    return "/".join(photo_parts) or "."


def _possible(file: Path) -> list[str]:
    image = open_image(file)
    return image.mode in ("L", "P") and fitting(np.asarray(image)) or list(SPACES)


def _explained(png: Path) -> bool:
    """Tell whether a KEY.seg.png has a file beside it that makes it a scene."""
    key = png.name.removesuffix(".seg.png")
    return any(png.with_name(key + end).exists() for end in (".json", ".edge.png"))


def _same(name: str) -> str:
    """Return the form in which names are compared: file systems compose letters differently."""
    return normal(printable(name))
