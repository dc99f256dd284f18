"""Photos with label maps that lie beside them, whatever the folders are called.

    open_label_folders(Path("ADEChallengeData2016"), "ade20k")     # images/ and annotations/
    open_label_folders(Path("cityscapes"), "cityscapes")           # leftImg8bit/ and gtFine/
    open_label_folders(Path("VOC2012"), "voc")                     # JPEGImages/, SegmentationClass/

Files are grouped by folder and by the end of their names ("_gtFine_labelIds", "_L"). A few of each
group say whether it holds photos or label maps; each group of label maps belongs to the photos that
share most names with it. Which classes the numbers are, no file says: the caller does.
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
from mas_fast.data.sources.names import IMAGES, normal, printable, split
from mas_fast.data.sources.tables import is_table
from mas_fast.data.sources.walk import walk
from mas_fast.scene import SPACES, LabelSpace, space_named
from mas_fast.scene.png import open_image
from mas_fast.scene.scene import TEXT_KEY
from mas_fast.scene.semantic import fitting

MOST_CLASSES = 64  # numbers or colours of one label map, unless it is called one; a photo has more
FEW_GREYS = 16  # of a label map in a JPEG, whose edges have all others
LOOKED_INTO = 3  # files of a group
COMMON = 64  # folders with a file of one name: in more, the name says nothing
MAPS = ("png", "bmp", "gif", "tif", "tiff")  # a JPEG's or WebP's numbers are not exact
PHOTO_END = "_leftImg8bit"
LABEL_END = re.compile(  # of a name without its suffix
    r"(?:_gt(?:Fine|Coarse))?[._-](?:L|P|labelIds|labelTrainIds|labels?|masks?|seg|segmentation"
    r"|annotations?|gt)$|_gt(?:Fine|Coarse)_(?:color|instanceIds)$"
)
LABEL_WORDS = re.compile(
    r"(?i)label|annot|mask|seg|semantic|stuff|gt(?:fine|coarse)?\b|category_ids|\bann\b"
)
# Maps of something else: instances, borders, copies in colours.
OTHER_MAPS = re.compile(
    r"(?i)(?:^|[/_.-])(?:inst|instances?|instance_?ids|human_ids|edges?|labels_rev"
    r"|segmentationobject)(?=$|[/_.-])|_color$"
)
# What is in the folder of a data set, and in no other's.
MARKS = {
    "objectInfo150.txt": "ade20k",
    "stuffthingmaps": "coco-stuff",
    "Category_ids": "cihp",
    "labels_rev": "cihp",
}
NOT_OF = {"cityscapes": "labelTrainIds", "cityscapes-train": "labelIds"}  # names of the other's


@dataclass(eq=False)
class _Group:
    """Images of one folder whose names end alike. files: by the name without that end."""

    folder: str  # relative to the root
    end: str
    files: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def kind(self) -> str:
        """photo, label, either (few colours, RGB), ours (scenes that mas_fast wrote), odd (label
        maps of 1 or 16 bits or in a JPEG, which no space has) or broken."""
        names = list(self.files)
        some = {names[n * (len(names) - 1) // (LOOKED_INTO - 1)] for n in range(LOOKED_INTO)}
        kinds = {_kind(self.files[name], self.named) for name in sorted(some)} - {"broken"}
        order = ("photo", "ours", "either", "label", "odd")
        return next((kind for kind in order if kind in kinds), "broken")

    @cached_property
    def named(self) -> bool:
        """Whether its names say that it holds label maps."""
        return bool(self.end) or _is_named(self.folder)

    @cached_property
    def called_maps(self) -> bool:
        """The same, also by what stands in front of each name: label_1.png."""
        return self.named or all(map(LABEL_WORDS.match, self.files))

    @cached_property
    def other(self) -> bool:
        """Whether its names say that it holds maps of something else."""
        return bool(OTHER_MAPS.search(self.folder) or OTHER_MAPS.search(self.end))

    @cached_property
    def last(self) -> str:
        """The name of the folder itself."""
        return self.folder.rpartition("/")[2]

    def could_be_photos(self, maps: _Group) -> bool:
        """Photos, or drawings where only the others are called label maps."""
        return self.kind == "photo" or (self.kind == "either" and maps.named and not self.named)

    @property
    def example(self) -> Path:
        return next(iter(self.files.values()))


class LabelFolderSource(FolderSource):
    """The photos of a folder with the layers of their label maps. labels: the map of each key; a
    photo without one is a reject, and so is a map without a photo. without: files of the folder
    that are no photos."""

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
    """The label space of a data set that is known by what is in its folder, else None."""
    return next((name for mark, name in MARKS.items() if (path / mark).exists()), None)


def open_label_folders(
    path: Path, labels: str | os.PathLike | LabelSpace, captions: str | os.PathLike | None = None
) -> LabelFolderSource:
    """The photos in a folder and its subfolders with their label maps, of that label space.
    ValueError where there are none, or several for the same photos."""
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
    found: dict[str, Path] = {}
    for photos, maps in pairs:
        for name, file in maps.files.items():
            # a map without a photo keeps its place, so that it is counted
            photo = photos.files.get(name) or path / photos.folder / name
            key = photo.relative_to(root).as_posix()
            key = key.removesuffix(photo.suffix) if name in photos.files else key
            if key in found:
                raise ValueError(
                    f"{path}: found two label maps of {key}, {found[key]} and {file}, "
                    "expected one: take the folder of the other ones away"
                )
            found[key] = file
    source = LabelFolderSource(root, found, space, captions, without)
    if captions is None:
        source.rejects += [unasked(name) for name in beside if UNASKED.fullmatch(name)]
    return source


def _is_read(name: str) -> bool:
    """Whether a folder of photos would not be the same without this file."""
    return is_table(name) or split(name)[1] in IMAGES


def check_no_label_maps(path: Path, files: list[str]) -> None:
    """ValueError where a folder of images, with these files below it, has label maps beside its
    photos, which would count as photos. Scenes that mas_fast wrote, and COCO's panoptic PNGs, have
    a json or an edge.png."""
    folders = {name.rpartition("/")[0] for name in files}
    if not (any(name.lower().endswith(MAPS) for name in files) or any(map(_is_named, folders))):
        return
    groups = _groups(path, files)
    found = (
        (photos, maps)
        for photos, maps in _pairs(groups, lambda maps: maps.kind in ("label", "either", "odd"))
        if len(maps.files.keys() & photos.files.keys()) * 2 >= len(maps.files)
        and not (maps.end == ".seg" and _explained(maps.example))
    )
    photos, maps = next(found, (None, None))
    if maps is None:
        _check_no_maps_alone(path, groups)
        return
    root = _root(photos.folder, maps.folder)
    alone = "" if root == "." else f", or give {path / root} alone for its photos"
    raise ValueError(
        f"{path}: found label maps ({maps.example}) beside photos ({photos.example}), and nothing "
        f"that says which classes their numbers are. Say so: --labels NAME (in Python "
        f"labels=NAME), one of {', '.join(_possible(maps.example))}, or a file{alone}"
    )


def _check_no_maps_alone(path: Path, groups: list[_Group]) -> None:
    """ValueError where what is called label maps, and looks so, has other names than the photos."""
    called = [group for group in groups if group.called_maps]  # before any file is looked into
    photos = next((group for group in groups if group.kind == "photo"), None) if called else None
    kinds = ("label", "either", "odd")
    found = (group for group in called if group.kind in kinds) if photos else ()
    if maps := next((g for g in found if not _explained(g.example)), None):
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
    """(photos, label maps): each group of label maps that fits, with the photos that share most
    names with it; of equal ones those that are not called label maps (as pictures with the classes
    painted over them are), and of these those in the folder that is called most alike. First looked
    for where the last folder has the same name, then anywhere, but not by names that are
    everywhere."""
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
        if _suffix(maps.example) not in MAPS and not (maps.named and maps.kind == "odd"):
            continue
        for look in (beside, anywhere):
            shared = look(maps)
            if not shared or maps.kind in ("photo", "ours") or not fits(maps):
                continue
            if maps.kind == "either" and not maps.named:
                continue
            photos = [group for group in shared if group.could_be_photos(maps)]
            if photos:
                yield max(photos, key=lambda g: (shared[g], not g.named, _alike(g, maps))), maps
                break


def _shared(maps: _Group, groups: Callable[[str], Iterable[_Group]]) -> dict[_Group, int]:
    """How many names of the label maps each of the groups of a name has."""
    shared: dict[_Group, int] = {}
    for name in maps.files:
        for group in groups(name):
            if group is not maps:
                shared[group] = shared.get(group, 0) + 1
    return shared


def _alike(one: _Group, other: _Group) -> float:
    return difflib.SequenceMatcher(None, one.folder, other.folder).ratio()


def _readable(space: LabelSpace) -> Callable[[_Group], bool]:
    """Whether label maps could be of that space, by their names."""
    return lambda maps: not (maps.other or maps.end.endswith(NOT_OF.get(space.name, " ")))


def _no_photos(groups: list[_Group], pairs: list[tuple[_Group, _Group]]) -> frozenset[Path]:
    """The files that are label maps, of any kind."""
    maps = {id(found) for _, found in pairs}
    files = [
        group.files.values()
        for group in groups
        if id(group) in maps or (group.other or group.named) and group.kind != "photo"
    ]
    return frozenset(file for some in files for file in some)


def _root(photos: str, maps: str) -> str:
    """The folder of photos without the last parts that it has in common with that of label maps."""
    one, other = photos.split("/"), maps.split("/")
    while one and other and one[-1] == other[-1]:
        one.pop(), other.pop()
    return "/".join(one) or "."


def _kind(file: Path, named: bool) -> str:
    if _suffix(file) not in MAPS:
        return "odd" if named and _few_greys(file) else "photo"
    try:
        image = open_image(file)
    except (ValueError, OSError):
        return "broken"
    if TEXT_KEY in image.info or file.name.lower().endswith(".edge.png"):
        return "ours"
    if image.mode == "1":
        return "odd"
    if image.mode in ("L", "P"):
        values = np.asarray(image)
        few = np.count_nonzero(np.bincount(values.ravel())) <= MOST_CLASSES
        return "label" if few or (named and fitting(values)) else "photo"
    if image.mode.startswith("I"):
        return "odd" if len(np.unique(np.asarray(image))) <= MOST_CLASSES else "broken"
    return "either" if image.convert("RGB").getcolors(MOST_CLASSES) else "photo"


def _few_greys(file: Path) -> bool:
    """Whether a lossy picture is grey, and nearly all of it has a few of the values."""
    try:
        colors = np.asarray(open_image(file).convert("RGB"))
    except (ValueError, OSError):
        return False
    counts = np.sort(np.bincount(colors[..., 0].ravel()))[::-1]
    few = counts[:FEW_GREYS].sum() >= 0.9 * counts.sum()
    return bool(few and np.ptp(colors.astype(np.int16), axis=-1).max() <= 2)


def _suffix(file: Path) -> str:
    return file.suffix[1:].lower()


def _possible(file: Path) -> list[str]:
    image = open_image(file)
    return image.mode in ("L", "P") and fitting(np.asarray(image)) or list(SPACES)


def _explained(png: Path) -> bool:
    """Whether a KEY.seg.png has what makes it a scene beside it."""
    key = png.name.removesuffix(".seg.png")
    return any(png.with_name(key + end).exists() for end in (".json", ".edge.png"))


def _same(name: str) -> str:
    """Names that look alike are one: file systems differ in how they compose letters."""
    return normal(printable(name))
