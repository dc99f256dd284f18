"""A scene from whatever file holds one: `mas-fast generate --scene FILE`.

scene = open_scene("out.scene.png")                       # Scene.save
scene = open_scene("000000008021.png")                    # COCO panoptic, its JSON beside it
scene = open_scene("ADE_val_1.png", labels="ade20k", size=128)
print(read_scene("ADE_val_1.png", labels="ade20k").describe())
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mas_fast.scene.labels import VOID
from mas_fast.scene.layers import Layers
from mas_fast.scene.png import open_image
from mas_fast.scene.readers import read_coco_panoptic
from mas_fast.scene.rules import find_edges
from mas_fast.scene.scene import TEXT_KEY, Scene, read_labels
from mas_fast.scene.semantic import SPACES, LabelSpace, fitting
from mas_fast.scene.spaces import space_named
from mas_fast.utils.documents import read_json

ALLOWED = (
    "expected a PNG: a scene that mas_fast saved, a COCO panoptic PNG (RGB) with its JSON, "
    "or a label map whose label space is named"
)
NAMING = f"--scene-labels NAME (in Python labels=NAME): {', '.join(SPACES)}, or a file"
MOST_NAMED = 12  # classes in a description
MUCH_VOID = 0.5  # of the pixels


@dataclass(frozen=True, eq=False)
class Found:
    """scene: as open_scene gives it. how: what it was read as. void: the classes of the file that
    became void, with their shares of its pixels, most first."""

    scene: Scene
    how: str
    void: tuple[tuple[str, float], ...] = ()

    def describe(self) -> str:
        """What was read, for people: a line with the classes of the scene, and one with what became
        void."""
        text = f"read as {self.how}: {_listed(self.scene.shares())}"
        if self.void:
            text += f"\nvoid there: {_listed(self.void)}"
        if self.void and dict(self.scene.shares()).get("void", 0) > MUCH_VOID:
            text += f"\nmost of it is void: are these the numbers of {self.how}?"
        return text


def open_scene(
    path: str | os.PathLike,
    json: str | os.PathLike | None = None,
    *,
    labels: str | os.PathLike | LabelSpace | None = None,
    size: int | None = None,
) -> Scene:
    """The scene of a PNG. Its content says which kind it is:

    what Scene.save wrote, or the labels of Scene.to_pngs, known by their text entry;
    RGB: COCO's panoptic format. json: the file with its segments_info, COCO's own for a whole set
        or that of this picture; by default the .json of the same name, else a panoptic_*.json that
        lists it, beside it or in one of the two folders above.

    Nothing in any other label map says what its numbers mean. labels: its label space, one of
    semantic.SPACES or a file (see spaces); a colour map is read where the space has colours.

    size: the middle square, resized to that, before the rules draw the edges. ValueError names the
    file, what it is and what is allowed: labels that are missing, or contradict the file, too.
    """
    return read_scene(path, json, labels=labels, size=size).scene


def read_scene(
    path: str | os.PathLike,
    json: str | os.PathLike | None = None,
    *,
    labels: str | os.PathLike | LabelSpace | None = None,
    size: int | None = None,
) -> Found:
    """The same, with what was read."""
    path = Path(path)
    space = None if labels is None else space_named(labels)
    image = open_image(path)
    if image.format != "PNG" or image.mode not in ("RGB", "RGBA", "L", "P"):
        raise ValueError(f"{path}: found {image.format} of mode {image.mode}, {ALLOWED}")
    own = image.text.get(TEXT_KEY)
    panoptic = own is None and image.mode == "RGB" and space is None
    if json is not None and not panoptic and not (space and space.name == "coco-panoptic"):
        kind = f"labels of mode {image.mode}" if own is None else "a scene that mas_fast saved"
        raise ValueError(f"{path}: found {kind} beside {json}, expected no JSON for it")
    if own is not None:
        return _own(path, own, space, size)
    if panoptic or (image.mode == "RGB" and space.name == "coco-panoptic"):
        layers = Layers(*_panoptic(path, json and Path(json)))
        return Found(_square(layers, size).clean(), "coco-panoptic")
    if space is None:
        raise ValueError(f"{path}: {_unnamed(image)}; say which they are: {NAMING}")
    layers = space.read(path)
    scene = _square(layers, size).clean()
    if (scene.labels == VOID).all() and (layers.panoptic == VOID).all():
        raise ValueError(f"{path}: found no class of {space.name} that is one of ours, only void")
    return Found(scene, space.name, _lost(space, path))


def square(scene: Scene | Layers, size: int) -> Scene | Layers:
    """The middle square, resized to size x size."""
    side = min(scene.height, scene.width)
    top, left = (scene.height - side) // 2, (scene.width - side) // 2
    return scene.crop(top, left, side, side).resize(size, size)


def _square(scene: Scene | Layers, size: int | None) -> Scene | Layers:
    return scene if size is None else square(scene, size)


def _own(path: Path, text: str, space: LabelSpace | None, size: int | None) -> Found:
    """What mas_fast wrote. Labels alone take their edges from the PNG beside them, KEY.edge.png of
    KEY.seg.png, or have new ones."""
    edges = path.with_name(path.name.removesuffix(".seg.png") + ".edge.png")
    if not text.startswith("labels "):
        scene = _square(Scene.load(path), size)
    elif path.name.endswith(".seg.png") and edges.is_file():
        scene = _square(Scene.from_pngs(path, edges), size)
    else:
        labels, layout = read_labels(path)
        labels = _square(Scene(labels, np.zeros(labels.shape, bool), layout), size).labels
        scene = Scene(labels, find_edges(labels), layout)
    if space is not None and space.name != scene.layout.name:
        found = f"found a file of mas_fast that says {scene.layout.name}"
        raise ValueError(f"{path}: {found}, expected no other label space: found {space.name}")
    return Found(scene, f"{scene.layout.name}, which the file says")


def _unnamed(image: Image.Image) -> str:
    """What a label map without a name is, and which spaces it could be of."""
    found = f"found labels of mode {image.mode} and nothing that says which classes its numbers are"
    if image.mode in ("RGB", "RGBA"):
        return f"found {image.mode} without the text entry of a scene that mas_fast saved"
    names = fitting(np.asarray(image))
    return found + (f" (those of {', '.join(names)} would be possible)" if names else "")


def _lost(space: LabelSpace, path: Path) -> tuple[tuple[str, float], ...]:
    """(class, share of the pixels) of the classes of a label map that became void, most first."""
    counts = np.bincount(space.indices(path).ravel(), minlength=len(space.classes))
    lost = [(counts[n], n) for n in np.flatnonzero((space.labels == VOID) & (counts > 0))]
    ordered = sorted(lost, key=lambda one: (-one[0], one[1]))
    return tuple((space.classes[n], float(count / counts.sum())) for count, n in ordered)


def _listed(shares: tuple[tuple[str, float], ...]) -> str:
    named = [f"{name} {share:.1%}" for name, share in shares[:MOST_NAMED]]
    more = len(shares) - MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _panoptic(path: Path, file: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """(panoptic, instances) of a COCO panoptic PNG."""
    tried = [file] if file else _candidates(path)
    for candidate in tried:
        values = _read(candidate)
        segments = _segments(values, path.name)
        if segments is not None:
            try:
                return read_coco_panoptic(path, segments, values.get("categories"))
            except ValueError as error:
                raise ValueError(f"{path}, {candidate}: {error}") from error
    found = "found RGB without the text entry of a scene that mas_fast saved"
    if file:
        wanted = f"and no segments_info for {path.name} in {file}"
    else:
        names = ", ".join(candidate.name for candidate in tried) or "none"
        wanted = (
            f"and no JSON with its segments_info beside it "
            f"({path.with_suffix('.json').name} or panoptic_*.json; looked into: {names})"
        )
    raise ValueError(f"{path}: {found}, {wanted}; {ALLOWED}; of a colour map say {NAMING}")


def _candidates(path: Path) -> list[Path]:
    own = path.with_suffix(".json")
    folders = list(dict.fromkeys(path.absolute().parents))[:3]
    sets = [file for folder in folders for file in sorted(folder.glob("panoptic_*.json"))]
    return [own, *sets] if own.is_file() else sets


def _read(file: Path) -> object:
    return read_json(file, object, strict=False)


def _segments(values: object, name: str) -> list | None:
    """The segments_info of the PNG called `name`, if the JSON has one: lists of categories, too,
    are called panoptic_*.json."""
    if not isinstance(values, dict):
        return None
    if "segments_info" in values:
        return values["segments_info"]
    rows = values.get("annotations")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("file_name") == name:
            return row.get("segments_info")
    return None
