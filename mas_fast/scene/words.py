"""A scene out of regions named in words.

scene = scene_from_regions(256, 256, [("sky", (0, 0, 256, 128)), ("elephant", [(9, 9), ...])])
scene = scene_from_words("sky: 0,0,256,128; elephant: 30,40,70,100", 256, 256)
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from PIL import Image, ImageDraw

from mas_fast.scene.labels import MINI158, VOID, Layout, layout_named
from mas_fast.scene.rules import find_edges
from mas_fast.scene.scene import Scene
from mas_fast.scene.semantic import ADE20K, COCO_STUFF
from mas_fast.utils.documents import short

ENDINGS = ("", "-merged", "-other-merged", "-other", "-stuff")  # in COCO's names: sky-other-merged
BOX = re.compile(r"\s*([^:;]+?)\s*:" + ",".join([r"\s*(-?\d{1,9})\s*"] * 4))
EXAMPLE = "lake: 0,60,128,128; elephant: 30,40,70,100"
Shape = Sequence[float] | Sequence[tuple[float, float]]


def label_named(name: str, layout: Layout | str = MINI158) -> int:
    """Find the label of a class.

    Args:
        name: its name in the layout, with or without an ending: "sky" for "sky-other-merged"; or a
            class of ADE20K or COCO-Stuff that becomes it: "lake" for "water-other".
        layout: layout of the labels, or its name.

    Returns:
        The label.

    Raises:
        ValueError: if there is no such class; the message suggests similar names.
    """
    layout = layout_named(layout)
    names = {layout.names[label]: int(label) for label in layout.label_channels}
    word = " ".join(name.lower().split()) if isinstance(name, str) else name
    for ending in ENDINGS if isinstance(name, str) else ():
        if word + ending in names:
            return names[word + ending]
    synonyms = {known.target(word) for known in (ADE20K, COCO_STUFF)} - {None}
    if len(synonyms) == 1:
        return names[cast(str, synonyms.pop())]
    brief = {known.removesuffix(end): known for known in names for end in ENDINGS[:0:-1]}
    alike = difflib.get_close_matches(str(name), [*names, *brief], n=5, cutoff=0.6)
    alike += [known for known in names if str(name) in known.split("-") + known.split()]
    close = list(dict.fromkeys(brief.get(known, known) for known in alike))[:5]
    expected = (
        f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else "expected one of " + (", ".join(names))
    )
    raise ValueError(f"scene: found no class {name!r}; {expected}")


def scene_from_regions(
    width: int,
    height: int,
    regions: Iterable[tuple[str, Shape]],
    layout: Layout | str = MINI158,
) -> Scene:
    """Draw a scene out of regions, later ones over earlier ones, void elsewhere.

    Each region is an instance: there is an edge around it.

    Args:
        width: width of the scene in pixels.
        height: height of the scene in pixels.
        regions: class and shape of each region. A class is a name that `label_named` knows. A shape
            is a box (left, top, right, bottom) or a polygon [(x, y), (x, y), (x, y), ...], in
            pixels from the upper left corner, and is cut off at the border of the scene. A box
            holds the pixels whose centres lie in it, a polygon those that Pillow fills.
        layout: layout of the scene, or its name.

    Returns:
        The scene.

    Raises:
        ValueError: names a region that is wrong.
    """
    layout = layout_named(layout)
    if width < 1 or height < 1:
        raise ValueError(f"scene: found {height} x {width}, expected at least 1 x 1")
    labels = np.full((height, width), VOID, np.uint8)
    instances = np.zeros((height, width), np.int32)
    for number, (name, shape) in enumerate(regions, 1):
        label = label_named(name, layout)
        mask = _mask(f"region {number} ({name})", shape, width, height)
        labels[mask], instances[mask] = label, number
    return Scene(labels, find_edges(labels, instances), layout)


def is_words(scene: object) -> bool:
    """Tell words from a path: a str with a colon that does not end in .png is words."""
    return isinstance(scene, str) and ":" in scene and not scene.lower().endswith(".png")


def scene_from_words(text: str, width: int, height: int, layout: Layout | str = MINI158) -> Scene:
    """Draw a scene out of a line of words and boxes: "lake: 0,60,128,128; elephant: 30,40,70,100".

    Args:
        text: classes, as `label_named` knows them, each with a box: left, top, right, bottom, in
            pixels from the upper left corner. Later ones are painted over earlier ones, and the
            rest is void.
        width: width of the scene in pixels.
        height: height of the scene in pixels.
        layout: layout of the scene, or its name.

    Returns:
        The scene.

    Raises:
        ValueError: names the part that is malformed, the class that is unknown, with those of
            similar names, or the box that is empty or outside of the scene.
    """
    regions = []
    for part in filter(str.strip, text.split(";")):
        found = BOX.fullmatch(part)
        if found is None:
            expected = f"expected a class and four whole numbers, as in {EXAMPLE!r}"
            raise ValueError(f"scene: found {short(part.strip())}, {expected}")
        left, top, right, bottom = box = tuple(map(int, found.groups()[1:]))
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ValueError(
                f"scene: {found[1]}: found the box {','.join(map(str, box))}, expected left < "
                f"right in 0..{width} and top < bottom in 0..{height}, the picture's size in pixels"
            )
        regions.append((found[1], box))
    if not regions:
        raise ValueError(f"scene: found {short(text)}, expected such as {EXAMPLE!r}")
    return scene_from_regions(width, height, regions, layout)


def _mask(name: str, shape: Shape, width: int, height: int) -> np.ndarray:
    """Return the pixels of a box or polygon, bool [H, W]; ValueError if it has none."""
    try:
        values = np.asarray(shape, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    box = values.shape == (4,) and values[0] < values[2] and values[1] < values[3]
    polygon = values.ndim == 2 and values.shape[1] == 2 and len(values) >= 3
    if not (box or polygon) or not all(map(math.isfinite, values.flat)):
        raise ValueError(
            f"{name}: found {shape!r}, expected a box (left, top, right, bottom) "
            "or a polygon of at least three points (x, y)"
        )
    if box:
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        left, top, right, bottom = values
        mask = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    else:
        image = Image.new("1", (width, height))
        ImageDraw.Draw(image).polygon([tuple(point) for point in values.tolist()], fill=1)
        mask = np.array(image)
    if not mask.any():
        raise ValueError(f"{name}: found no pixel of it in a scene of {height} x {width}")
    return mask
