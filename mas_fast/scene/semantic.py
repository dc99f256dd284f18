"""Other people's label maps as ours: the class of each pixel value, and which of our classes it is.

    layers = ADE20K.read("ADE_val_00000001.png")
    SPACES["cityscapes"].read("aachen_000000_000019_gtFine_labelIds.png")

A class goes to our class of the same name ("sky" to "sky-other-merged"), else to the one that
label_tables names, else to void. In 30 validation photos of ADE20K, 6.1% of the pixels become void;
2.6% because ADE20K itself has no class for them.

Semantic labels cannot separate two people who touch, so these maps have no instances. Connected
components would change no edge, since neighbours of one label belong to one component.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np

from mas_fast.scene import label_tables as tables
from mas_fast.scene.labels import (
    COCO_IDS,
    COCO_NAMES,
    LIP_NAMES,
    MAS159,
    MINI158,
    PERSON,
    VOID,
    Layout,
)
from mas_fast.scene.layers import Layers
from mas_fast.scene.png import open_image
from mas_fast.scene.readers import File

LABELS = {name: label for label, name in enumerate(MINI158.names[:-1])}  # without the edge
OTHER = "other"  # pixels without a class
LOSSLESS = ("PNG", "BMP", "GIF", "TIFF")


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """The meaning of somebody's label maps.

    A map is a PNG (or BMP, GIF, TIFF): 8-bit grey, a palette, or RGB (or opaque RGBA) in the
    colours of the space.

    Attributes:
        name: name of the space.
        about: its numbers, for people.
        values: class of each pixel value.
        targets: our class (of mini158) of classes with another name.
        colors: classes of each colour, 0xrrggbb, in its colour maps.
    """

    name: str
    about: str
    values: Mapping[int, str]
    targets: Mapping[str, str] = field(default_factory=dict)
    colors: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def target(self, name: str) -> str | None:
        """Return our class of a class of the space, None if there is none."""
        names = (name, f"{name}-merged", f"{name}-other-merged")
        return self.targets.get(
            name, next((candidate for candidate in names if candidate in COCO_NAMES), None)
        )

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The classes that become void."""
        names = dict.fromkeys(self.values.values())
        return tuple(name for name in names if self.target(name) is None)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All classes, also those that only colours have; several of one colour are one class."""
        colored = map(" or ".join, self.colors.values())
        return tuple(dict.fromkeys([*self.values.values(), *colored]))

    @cached_property
    def table(self) -> np.ndarray:
        """Index in `classes` of each pixel value, int16 [256]; -1 is not allowed."""
        table = np.full(256, -1, np.int16)
        for value, name in self.values.items():
            table[value] = self.classes.index(name)
        return table

    @cached_property
    def labels(self) -> np.ndarray:
        """Our label (mini158, 255 void) of each of `classes`, uint8."""
        labels = []
        for name in self.classes:  # several of one colour: void unless they are one of our classes
            targets = {self.target(part) for part in name.split(" or ")}
            labels.append(LABELS.get(targets.pop() or "", VOID) if len(targets) == 1 else VOID)
        return np.array(labels, np.uint8)

    def read(self, png: File, name: str = "label map") -> Layers:
        """Read a label map.

        Args:
            png: path of the map, or its content.
            name: name of the content in errors.

        Returns:
            Its layers.

        Raises:
            ValueError: names a value or a colour that the space lacks, and its position.
        """
        labels = self.labels[self.indices(png, name)]
        if not (self.labels[self.labels != VOID] >= len(COCO_NAMES)).any():
            return Layers(labels)
        human = np.where(_within(labels, MINI158.human_channels), labels - MINI158.human, 0)
        face = np.where(_within(labels, MINI158.face_channels), labels - MINI158.face, 0)
        parts = (labels >= len(COCO_NAMES)) & (labels != VOID)
        panoptic = np.where(parts, np.uint8(PERSON), labels)
        return Layers(panoptic, human=human.astype(np.uint8), face=face.astype(np.uint8))

    def indices(self, png: File, name: str = "label map") -> np.ndarray:
        """Read the classes of a label map.

        Args:
            png: path of the map, or its content.
            name: name of the content in errors.

        Returns:
            Index in `classes` of each pixel, int16 [H, W].

        Raises:
            ValueError: as for `read`.
        """
        image = open_image(png, name)
        name = name if isinstance(png, bytes) else str(png)
        shallow = image.format == "PNG" and image.mode == "L" and _png_depth(png) < 8
        if image.format not in LOSSLESS or image.mode not in ("L", "P", "RGB", "RGBA") or shallow:
            bits = " (16 bits: instances or depth?)" if image.mode.startswith("I") else ""
            if shallow:
                bits = f" of {_png_depth(png)} bits, which some read as numbers, some as shades"
            raise ValueError(
                f"{name}: found {image.format} of mode {image.mode}{bits}, expected a label map of "
                f"{self.name}: an 8-bit PNG in grey or a palette, or in the colours of the space"
            )
        if image.mode == "L":
            return self._of_values(np.asarray(image), name)
        if image.mode == "P":
            values = np.asarray(image)
            palette = cast(list[int], image.getpalette("RGB"))  # the mode is P
            colors = self._of_palette(values, palette, name)
            return self._of_values(values, name) if colors is None else colors[values]
        pixels = np.asarray(image).astype(np.int32)
        if image.mode == "RGBA" and (pixels[..., 3] != 255).any():
            raise ValueError(f"{name}: found transparent pixels, expected a label map")
        if not self.colors:
            raise ValueError(
                f"{name}: found a colour map ({image.mode}), expected numbers: {self.name} is read "
                "from 8-bit grey or palettes"
            )
        return self._of_colors(pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2], name)

    def _of_values(self, values: np.ndarray, name: str) -> np.ndarray:
        indices = self.table[values]
        if (indices < 0).any():
            others = fitting(values)
            hint = f"; spaces with all of its values: {', '.join(others)}" if others else ""
            self._refuse(values, indices < 0, name, f"{self.about}{hint}", str)
        return indices

    def _of_colors(self, colors: np.ndarray, name: str) -> np.ndarray:
        keys, indices = self._sorted_colors
        position = np.searchsorted(keys, colors).clip(max=len(keys) - 1)
        wrong = keys[position] != colors
        if wrong.any():
            self._refuse(colors, wrong, name, f"the {len(keys)} colours of {self.name}", _rgb)
        return indices[position]

    @cached_property
    def _sorted_colors(self) -> tuple[np.ndarray, np.ndarray]:
        keys = sorted(self.colors)
        names = (" or ".join(self.colors[key]) for key in keys)
        return np.array(keys), np.array([self.classes.index(name) for name in names], np.int16)

    def _of_palette(self, values: np.ndarray, palette: list[int], name: str) -> np.ndarray | None:
        """Return the class of each index by its colour, int16 [256], None if indices are values.

        Colours count if the palette is the space's own in another order. Raises ValueError for a
        palette that fits neither way.
        """
        entries = np.array(palette, np.int32).reshape(-1, 3)
        used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        used = used[used < len(entries)]
        if (entries[used] == used[:, None]).all():  # the greys of the numbers
            return None
        keys = (entries[used] << np.array([16, 8, 0])).sum(1).tolist()
        known = [self.colors.get(key) for key in keys]
        other = [
            names is not None and self.values.get(value) not in names
            for value, names in zip(used.tolist(), known, strict=True)
        ]
        if not any(other):
            return None
        if all(known):
            table = np.full(256, -1, np.int16)
            table[used] = [self.classes.index(" or ".join(names or ())) for names in known]
            return table
        n = other.index(True)
        raise ValueError(
            f"{name}: found the colour {_rgb(keys[n])} ({' or '.join(known[n] or ())}) at index "
            f"{used[n]} of the palette, which {self.name} calls "
            f"{self.values.get(int(used[n]), 'nothing')}: an editor has changed the palette"
        )

    def _refuse(
        self,
        values: np.ndarray,
        wrong: np.ndarray,
        name: str,
        expected: str,
        show: Callable[[int], str],
    ) -> None:
        examples = ", ".join(show(value) for value in np.unique(values[wrong])[:5].tolist())
        row, column = (int(indices[0]) for indices in np.nonzero(wrong))
        raise ValueError(
            f"{name}: {self.name}: found [{examples}] (first at row {row}, column {column}; "
            f"{wrong.mean():.1%} of the pixels), expected {expected}"
        )


def fitting(values: np.ndarray) -> list[str]:
    """Find the label spaces that have all values of a label map.

    Args:
        values: uint8 [H, W].

    Returns:
        Names of the spaces.
    """
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    return [space.name for space in SPACES.values() if (space.table[used] >= 0).all()]


def _png_depth(png: File) -> int:
    """Return the bits per channel of a PNG that was opened before."""
    if isinstance(png, bytes):
        return png[24]
    with open(png, "rb") as file:
        return file.read(25)[24]


def _within(labels: np.ndarray, channels: slice) -> np.ndarray:
    return (labels >= channels.start) & (labels < channels.stop)


def _rgb(color: int) -> str:
    return f"#{color:06x}"


def split_names(text: str) -> tuple[str, ...]:
    """Split a list of names at its commas."""
    return tuple(name.strip() for name in text.replace("\n", " ").split(","))


def _targets(text: str) -> dict[str, str]:
    lines = (line.split(":") for line in text.strip().splitlines())
    return {name: ours.strip() for ours, names in lines for name in split_names(names)}


def _colors(names: tuple[str, ...], text: str) -> dict[int, tuple[str, ...]]:
    colors: dict[int, tuple[str, ...]] = {}
    for name, color in zip(names, text.split(), strict=True):
        colors[int(color, 16)] = (*colors.get(int(color, 16), ()), name)
    return colors


def _numbered(names: tuple[str, ...], first: int, *other: int) -> dict[int, str]:
    return dict(enumerate(names, first)) | dict.fromkeys(other, OTHER)


def _ours(layout: Layout) -> LabelSpace:
    names = dict(zip(layout.label_channels.tolist(), MINI158.names, strict=False))
    colors = {}
    for label, name in names.items():
        red, green, blue = layout.colors[label].tolist()
        colors[red << 16 | green << 8 | blue] = (name,)
    about = f"0..{layout.edge_channel - 1} as they are numbered there, or 255 (void)"
    targets = {name: name for name in LABELS}
    return LabelSpace(layout.name, about, names | {VOID: OTHER}, targets, {0: (OTHER,)} | colors)


_ADE, _STUFF = split_names(tables.ADE20K_NAMES), split_names(tables.COCO_STUFF_NAMES)
_ADE_TARGETS, _STUFF_TARGETS = map(_targets, (tables.ADE20K_TARGETS, tables.COCO_STUFF_TARGETS))
_ADE_COLORS = _colors(_ADE, tables.ADE20K_COLORS) | {0: (OTHER,)}
_CITY, _CITY_TRAIN = map(split_names, (tables.CITYSCAPES_NAMES, tables.CITYSCAPES_TRAIN_NAMES))
_CITY_TARGETS = _targets(tables.CITYSCAPES_TARGETS)
_CITY_COLORS = _colors(_CITY, tables.CITYSCAPES_COLORS)
_VOC, _CONTEXT = split_names(tables.VOC_NAMES), split_names(tables.PASCAL_CONTEXT_NAMES)
_CAMVID, _CAMVID32 = split_names(tables.CAMVID_NAMES), split_names(tables.CAMVID32_NAMES)
_CAMVID_TARGETS = _targets(tables.CAMVID_TARGETS)
_CAMVID_COLORS = _colors(_CAMVID32, tables.CAMVID32_COLORS)
_THINGS = [(number, name) for number, name in zip(COCO_IDS, COCO_NAMES, strict=True)]
_LIP = {name: name for name in LIP_NAMES[1:]}
_CIHP = tuple("torso-skin" if name == "jumpsuits" else name for name in LIP_NAMES)

ADE20K = LabelSpace(
    "ade20k", "1..150, or 0 (other)", _numbered(_ADE, 1, 0), _ADE_TARGETS, _ADE_COLORS
)
COCO_STUFF = LabelSpace(
    "coco-stuff", "0..181 as in stuffthingmaps, or 255", _numbered(_STUFF, 0, 255), _STUFF_TARGETS
)
COCO_STUFF_IDS = LabelSpace(
    "coco-stuff-ids", "1..182, or 0, 183, 255", _numbered(_STUFF, 1, 0, 183, 255), _STUFF_TARGETS
)
CIHP = LabelSpace("cihp", "0..19", dict(enumerate(_CIHP)), _LIP | {"torso-skin": "person"})
SPACES = {
    space.name: space
    for space in (
        _ours(MINI158),
        _ours(MAS159),
        LabelSpace(
            "coco-panoptic",
            "COCO's category ids, 1..200, or 0, 255 (void); 0..132 is mini158",
            dict(_THINGS) | {0: OTHER, 255: OTHER},
        ),
        LabelSpace(
            "coco-things",
            "COCO's category ids, 1..91, or 0, 255 (no thing)",
            _numbered(_STUFF[:91], 1, 0, 255),
        ),
        LabelSpace(
            "coco-things-80",
            "1..80 in the order of COCO's ids, or 0, 255 (no thing)",
            _numbered(COCO_NAMES[:80], 1, 0, 255),
        ),
        COCO_STUFF,
        COCO_STUFF_IDS,
        ADE20K,
        LabelSpace(
            "ade20k-from-0",
            "0..149, or 255 (other)",
            _numbered(_ADE, 0, 255),
            _ADE_TARGETS,
            _ADE_COLORS,
        ),
        LabelSpace(
            "cityscapes",
            "labelIds, 0..33, or 255",
            _numbered(_CITY, 0, 255),
            _CITY_TARGETS,
            _CITY_COLORS,
        ),
        LabelSpace(
            "cityscapes-train",
            "trainIds, 0..18, or 255",
            _numbered(_CITY_TRAIN, 0, 255),
            _CITY_TARGETS,
            _CITY_COLORS,
        ),
        LabelSpace(
            "voc",
            "0..20, or 255 (border)",
            _numbered(_VOC, 0, 255),
            _targets(tables.VOC_TARGETS),
            _colors(_VOC, tables.VOC_COLORS) | {int(tables.VOC_BORDER, 16): (OTHER,)},
        ),
        LabelSpace(
            "pascal-context",
            "0..59 (0 background), or 255",
            _numbered(_CONTEXT, 0, 255),
            _targets(tables.PASCAL_CONTEXT_TARGETS),
        ),
        LabelSpace(
            "camvid",
            "0..10 as in SegNet, or 11, 255 (void)",
            _numbered(_CAMVID, 0, 255),
            _CAMVID_TARGETS,
            _CAMVID_COLORS,
        ),
        LabelSpace(
            "camvid-32",
            "0..31 in the order of their names, or 255",
            _numbered(_CAMVID32, 0, 255),
            _CAMVID_TARGETS,
            _CAMVID_COLORS,
        ),
        LabelSpace("lip", "0..19, or 255", _numbered(LIP_NAMES, 0, 255), _LIP),
        CIHP,
        LabelSpace(
            "celebamask",
            "0..18",
            _numbered(split_names(tables.CELEBAMASK_NAMES), 0),
            _targets(tables.CELEBAMASK_TARGETS),
        ),
    )
}
