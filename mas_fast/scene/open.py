"""A scene from any file that holds one: `mas-fast generate --scene FILE`.

scene = open_scene("out.scene.png")                       # Scene.save
scene = open_scene("000000008021.png")                    # COCO panoptic, its JSON beside it
scene = open_scene("ADE_val_1.png", labels="ade20k", size=128)
print(read_scene("ADE_val_1.png", labels="ade20k").describe())
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from PIL import Image

from mas_fast.scene.labels import VOID
from mas_fast.scene.layers import Layers
from mas_fast.scene.png import open_image, png_text
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
Shown = TypeVar("Shown", Scene, Layers)


@dataclass(frozen=True, eq=False)
class Found:
    """A scene, and how it was read.

    Attributes:
        scene: the scene of `open_scene`.
        how: the label space, or the kind of file, that it was read as.
        void: classes of the file that became void, with their shares of its pixels, largest first.
    """

    scene: Scene
    how: str
    void: tuple[tuple[str, float], ...] = ()

    def describe(self) -> str:
        """Describe the scene for people.

        Returns:
            A line with the classes of the scene, and one with the classes that became void.
        """
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
    """Open the scene of a PNG.

    Files of `Scene.save`, and the labels of `Scene.to_pngs`, are recognized by their text entry.
    Another RGB file is taken for COCO's panoptic format, unless `labels` says otherwise. Nothing in
    any other label map says what its numbers mean, so `labels` has to.

    Args:
        path: the PNG.
        json: file with the segments_info of a panoptic PNG: COCO's own for a whole set, or one for
            this picture. By default the .json of the same name, else a panoptic_*.json that lists
            the PNG, beside it or in one of the two folders above.
        labels: label space of a label map, one of `semantic.SPACES` or a file (see `spaces`). A
            colour map is read if the space has colours.
        size: side in pixels of the middle square, which is cut out and resized before the rules
            draw the edges; None keeps the size.

    Returns:
        The scene.

    Raises:
        ValueError: names the file, what it is and what is allowed; also for `labels` that are
            missing or contradict the file.
    """
    return read_scene(path, json, labels=labels, size=size).scene


def read_scene(
    path: str | os.PathLike,
    json: str | os.PathLike | None = None,
    *,
    labels: str | os.PathLike | LabelSpace | None = None,
    size: int | None = None,
) -> Found:
    """Open the scene of a PNG, and say how it was read.

    Args:
        path: as for `open_scene`.
        json: as for `open_scene`.
        labels: as for `open_scene`.
        size: as for `open_scene`.

    Returns:
        The scene, and how it was read.

    Raises:
        ValueError: as for `open_scene`.
    """
    path = Path(path)
    space = None if labels is None else space_named(labels)
    image = open_image(path)
    if image.format != "PNG" or image.mode not in ("RGB", "RGBA", "L", "P"):
        raise ValueError(f"{path}: found {image.format} of mode {image.mode}, {ALLOWED}")
    entry = png_text(image).get(TEXT_KEY)
    panoptic = entry is None and image.mode == "RGB" and space is None
    if json is not None and not panoptic and not (space and space.name == "coco-panoptic"):
        kind = f"labels of mode {image.mode}" if entry is None else "a scene that mas_fast saved"
        raise ValueError(f"{path}: found {kind} beside {json}, expected no JSON for it")
    if entry is not None:
        return _own(path, entry, space, size)
    if panoptic or (space and image.mode == "RGB" and space.name == "coco-panoptic"):
        layers = Layers(*_panoptic(path, Path(json) if json else None))
        return Found(_square(layers, size).clean(), "coco-panoptic")
    if space is None:
        raise ValueError(f"{path}: {_unnamed(image)}; say which they are: {NAMING}")
    layers = space.read(path)
    scene = _square(layers, size).clean()
    if (scene.labels == VOID).all() and (layers.panoptic == VOID).all():
        raise ValueError(f"{path}: found no class of {space.name} that is one of ours, only void")
    return Found(scene, space.name, _lost(space, path))


def square(scene: Shown, size: int) -> Shown:
    """Cut out the middle square and resize it.

    Args:
        scene: a scene, or layers.
        size: new height and width in pixels.

    Returns:
        The square, of the same type.
    """
    side = min(scene.height, scene.width)
    top, left = (scene.height - side) // 2, (scene.width - side) // 2
    return scene.crop(top, left, side, side).resize(size, size)


def _square(scene: Shown, size: int | None) -> Shown:
    return scene if size is None else square(scene, size)


def _own(path: Path, text: str, space: LabelSpace | None, size: int | None) -> Found:
    """Read a file of mas_fast.

    Labels alone take their edges from the PNG beside them, KEY.edge.png of KEY.seg.png, or get new
    ones.
    """
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
        problem = f"found a file of mas_fast that says {scene.layout.name}"
        raise ValueError(f"{path}: {problem}, expected no other label space: found {space.name}")
    return Found(scene, f"{scene.layout.name}, which the file says")


def _unnamed(image: Image.Image) -> str:
    """Describe a label map without a label space, with the spaces that are possible."""
    problem = (
        f"found labels of mode {image.mode} and nothing that says which classes its numbers are"
    )
    if image.mode in ("RGB", "RGBA"):
        return f"found {image.mode} without the text entry of a scene that mas_fast saved"
    names = fitting(np.asarray(image))
    return problem + (f" (those of {', '.join(names)} would be possible)" if names else "")


def _lost(space: LabelSpace, path: Path) -> tuple[tuple[str, float], ...]:
    """Return the classes of a label map that became void, with their shares, largest first."""
    counts = np.bincount(space.indices(path).ravel(), minlength=len(space.classes))
    lost = [(counts[n], n) for n in np.flatnonzero((space.labels == VOID) & (counts > 0))]
    ordered = sorted(lost, key=lambda one: (-one[0], one[1]))
    return tuple((space.classes[n], float(count / counts.sum())) for count, n in ordered)


def _listed(shares: tuple[tuple[str, float], ...]) -> str:
    named = [f"{name} {share:.1%}" for name, share in shares[:MOST_NAMED]]
    more = len(shares) - MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _panoptic(path: Path, file: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the panoptic labels and the instances of a COCO panoptic PNG."""
    tried = [file] if file else _candidates(path)
    for candidate in tried:
        values = _read(candidate)
        segments = _segments(values, path.name)
        if segments is not None:
            try:
                return read_coco_panoptic(path, segments, cast(dict, values).get("categories"))
            except ValueError as error:
                raise ValueError(f"{path}, {candidate}: {error}") from error
    problem = "found RGB without the text entry of a scene that mas_fast saved"
    if file:
        wanted = f"and no segments_info for {path.name} in {file}"
    else:
        names = ", ".join(candidate.name for candidate in tried) or "none"
        wanted = (
            f"and no JSON with its segments_info beside it "
            f"({path.with_suffix('.json').name} or panoptic_*.json; looked into: {names})"
        )
    raise ValueError(f"{path}: {problem}, {wanted}; {ALLOWED}; of a colour map say {NAMING}")


def _candidates(path: Path) -> list[Path]:
    json_file = path.with_suffix(".json")
    folders = list(dict.fromkeys(path.absolute().parents))[:3]
    sets = [file for folder in folders for file in sorted(folder.glob("panoptic_*.json"))]
    return [json_file, *sets] if json_file.is_file() else sets


def _read(file: Path) -> object:
    return read_json(file, object, strict=False)


def _segments(values: object, name: str) -> list | None:
    """Return the segments_info of the PNG `name`, if the JSON has one.

    Lists of categories are called panoptic_*.json too.
    """
    if not isinstance(values, dict):
        return None
    if "segments_info" in values:
        return values["segments_info"]
    rows = values.get("annotations")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("file_name") == name:
            return row.get("segments_info")
    return None
