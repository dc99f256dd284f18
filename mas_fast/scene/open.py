"""A scene from whatever file holds one: `mas-fast generate --scene FILE`.

scene = open_scene("out.scene.png")                       # Scene.save
scene = open_scene("000000008021.png")                    # COCO panoptic, its JSON beside it
scene = open_scene("painted.png", size=128)               # labels, 8-bit grey or palette
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from mas_fast.scene.labels import MINI158
from mas_fast.scene.layers import Layers
from mas_fast.scene.png import open_image
from mas_fast.scene.readers import read_coco_panoptic, read_label_png
from mas_fast.scene.rules import find_edges
from mas_fast.scene.scene import TEXT_KEY, Scene

ALLOWED = (
    "expected a PNG: a scene that mas_fast saved, a COCO panoptic PNG (RGB) with its JSON, "
    f"or labels (8-bit grey or palette: 0..{MINI158.edge_channel - 1}, 255 void)"
)


def open_scene(
    path: str | os.PathLike, json: str | os.PathLike | None = None, *, size: int | None = None
) -> Scene:
    """The scene of a PNG; its content says which kind it is:

    what Scene.save wrote, known by its text entry;
    RGB: COCO's panoptic format. json: the file with its segments_info, COCO's own for a whole set
        or that of this picture; by default the .json of the same name, else a panoptic_*.json that
        lists it, beside it or in one of the two folders above;
    8-bit grey or palette: labels of mini158 as they are numbered there, painted by hand.

    size: the middle square, resized to that, before the rules draw the edges. ValueError names the
    file, what it is and what is allowed.
    """
    path = Path(path)
    image = open_image(path)
    if image.format != "PNG" or image.mode not in ("RGB", "L", "P"):
        raise ValueError(f"{path}: found {image.format} of mode {image.mode}, {ALLOWED}")
    ours = image.text.get(TEXT_KEY, "").startswith("scene ")
    if json is not None and (ours or image.mode != "RGB"):
        kind = "a scene that mas_fast saved" if ours else f"labels of mode {image.mode}"
        raise ValueError(f"{path}: found {kind} beside {json}, expected no JSON for it")
    if ours:
        scene = Scene.load(path)
        return scene if size is None else square(scene, size)
    if image.mode == "RGB":
        layers = Layers(*_panoptic(path, json and Path(json)))
        return (layers if size is None else square(layers, size)).clean()
    try:
        labels = read_label_png(path, MINI158.edge_channel)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    scene = Scene(labels, np.zeros(labels.shape, bool), MINI158)
    scene = scene if size is None else square(scene, size)
    return Scene(scene.labels, find_edges(scene.labels), MINI158)


def square(scene: Scene | Layers, size: int) -> Scene | Layers:
    """The middle square, resized to size x size."""
    side = min(scene.height, scene.width)
    top, left = (scene.height - side) // 2, (scene.width - side) // 2
    return scene.crop(top, left, side, side).resize(size, size)


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
    raise ValueError(f"{path}: {found}, {wanted}; {ALLOWED}")


def _candidates(path: Path) -> list[Path]:
    own = path.with_suffix(".json")
    folders = list(dict.fromkeys(path.absolute().parents))[:3]
    sets = [file for folder in folders for file in sorted(folder.glob("panoptic_*.json"))]
    return [own, *sets] if own.is_file() else sets


def _read(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file}: found no JSON that can be read ({error})") from error


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
