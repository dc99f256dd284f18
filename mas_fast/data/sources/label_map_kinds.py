"""Whether an image is a photo or a label map, by its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mas_fast.scene.png import open_image
from mas_fast.scene.scene import TEXT_KEY
from mas_fast.scene.semantic import fitting

MOST_CLASSES = 64  # numbers or colours in a label map without a telling name; a photo has more
FEW_GREYS = 16  # greys in most of a label map that is a JPEG; its edges have all others
MAPS = ("png", "bmp", "gif", "tif", "tiff")  # numbers in a JPEG or WebP are not exact


def kind_of_map(file: Path, named: bool) -> str:
    """Tell what an image is: a photo or a label map.

    Args:
        file: the image.
        named: whether its folder or its name says that it is a label map.

    Returns:
        "photo", "label", "either" (few colours in RGB), "ours" (a scene that mas_fast wrote), "odd"
        (a label map of 1 or 16 bits or in a JPEG, which no label space has) or "broken".
    """
    if suffix_of(file) not in MAPS:
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
        few_values = np.count_nonzero(np.bincount(values.ravel())) <= MOST_CLASSES
        return "label" if few_values or (named and fitting(values)) else "photo"
    if image.mode.startswith("I"):
        return "odd" if len(np.unique(np.asarray(image))) <= MOST_CLASSES else "broken"
    return "either" if image.convert("RGB").getcolors(MOST_CLASSES) else "photo"


def _few_greys(file: Path) -> bool:
    """Tell whether a lossy picture is grey, and nearly all of it has only a few values."""
    try:
        colors = np.asarray(open_image(file).convert("RGB"))
    except (ValueError, OSError):
        return False
    counts = np.sort(np.bincount(colors[..., 0].ravel()))[::-1]
    few_greys = counts[:FEW_GREYS].sum() >= 0.9 * counts.sum()
    return bool(few_greys and np.ptp(colors.astype(np.int16), axis=-1).max() <= 2)


def suffix_of(file: Path) -> str:
    """Return the suffix of a file in lower case, without the dot."""
    return file.suffix[1:].lower()
