"""Readers of other people's annotations: COCO panoptic, panopticapi's two channels, label PNGs.

Each takes a path or the bytes of a PNG. A panoptic reader returns the arguments of `clean`:
panoptic uint8 [H, W] (0..132, 255 void) and instances int32 [H, W] (two pixels are equal if and
only if they belong to one segment; 0 void).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np

from mas_fast.scene.labels import COCO_IDS, COCO_NAMES, VOID
from mas_fast.scene.png import png_array
from mas_fast.utils.documents import short

File = str | os.PathLike | bytes
_LABELS = {number: label for label, number in enumerate(COCO_IDS)}


def coco_labels(categories: Iterable[Mapping] | None) -> dict[int, int]:
    """Map category ids to labels.

    Args:
        categories: {"id", "name"} of each category. Names count, so that a file may number them
            freely. None stands for COCO's own ids.

    Returns:
        The label 0..132 of each category id.

    Raises:
        ValueError: names a category that is not one of the 133.
    """
    if categories is None:
        return _LABELS
    labels: dict[int, int] = {}
    try:
        for category in categories:
            if category["name"] not in COCO_NAMES:
                raise ValueError(
                    f"category {category['id']}: found {category['name']!r}, "
                    "expected the name of one of COCO's 133 panoptic classes"
                )
            number, label = int(category["id"]), COCO_NAMES.index(category["name"])
            if labels.setdefault(number, label) != label:
                problem = f"found {category['name']!r} and {COCO_NAMES[labels[number]]!r}"
                raise ValueError(f"category {number}: {problem}, expected one name for each id")
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError(
            f"categories: found {short(categories)}, expected a list of {{id, name}} ({error!r})"
        ) from error
    return labels


def read_coco_panoptic(
    png: File,
    segments_info: Iterable[Mapping],
    categories: Iterable[Mapping] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read COCO's panoptic format.

    Args:
        png: an RGB PNG; segment id = R + 256 G + 65536 B, 0 void.
        segments_info: {"id", "category_id"} of each segment.
        categories: as for `coco_labels`.

    Returns:
        Panoptic labels, uint8 [H, W], and instances, int32 [H, W].

    Raises:
        ValueError: names an id of the PNG that segments_info lacks, an id that comes twice, or an
            unknown category.
    """
    known = coco_labels(categories)
    labels: dict[int, int] = {0: VOID}
    try:
        for segment in segments_info:
            number, category = int(segment["id"]), segment["category_id"]
            if not 0 <= number < 2**24:
                raise ValueError(f"segments_info: found the id {number}, expected 24 bits")
            if number in labels:
                raise ValueError(f"segments_info: found the id {number} twice, or 0 (void)")
            if category not in known:
                raise ValueError(
                    f"segment {number}: found category id {category!r}, "
                    f"expected one of the {len(known)} known"
                )
            labels[number] = known[category]
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError(
            f"segments_info: found {short(segments_info)}, expected a list of {{id, category_id}} "
            f"({error!r})"
        ) from error
    pixels, _ = png_array(png, ("RGB",), "panoptic PNG")
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    instances = red | green << 8 | blue << 16
    ids = np.array(sorted(labels))
    # Looked up once for each run of equal pixels: there are thirty times fewer of them.
    flat = instances.ravel()
    runs = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    index = np.searchsorted(ids, flat[runs]).clip(max=len(ids) - 1)
    missing = ids[index] != flat[runs]
    if missing.any():
        missing_ids = np.unique(flat[runs][missing])[:5].tolist()
        raise ValueError(f"panoptic PNG: found segment ids {missing_ids} that segments_info lacks")
    values = np.array([labels[i] for i in ids], np.uint8)[index]
    return np.repeat(values, np.diff(runs, append=flat.size)).reshape(instances.shape), instances


def read_two_channel(
    png: File, categories: Iterable[Mapping] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read panopticapi's format of two channels.

    Args:
        png: an RGB PNG; R = category id (0 void), G = number of the segment within its category,
            B = 0.
        categories: as for `coco_labels`.

    Returns:
        Panoptic labels, uint8 [H, W], and instances, int32 [H, W].

    Raises:
        ValueError: names an unknown id.
    """
    pixels, _ = png_array(png, ("RGB",), "two-channel PNG")
    category, number, blue = np.moveaxis(pixels, -1, 0)
    if blue.any():
        raise ValueError("two-channel PNG: found blue values above 0, expected two channels")
    table = np.full(256, -1)
    for i, label in coco_labels(categories).items():
        if 0 < i < 256:
            table[i] = label
    table[0] = VOID
    panoptic = table[category]
    if (panoptic < 0).any():
        unknown_ids = np.unique(category[panoptic < 0])[:5].tolist()
        raise ValueError(f"two-channel PNG: found category ids {unknown_ids} that are not known")
    instances = (category.astype(np.int32) << 8 | number) * (category > 0)
    return panoptic.astype(np.uint8), instances


def read_label_png(png: File, count: int) -> np.ndarray:
    """Read a PNG of labels, such as a human parsing or a scene's labels drawn by hand.

    Args:
        png: a grey or palette PNG; its values are 0..count - 1, or 255 (void).
        count: number of labels; 20 for a human parsing.

    Returns:
        uint8 [H, W].

    Raises:
        ValueError: names other values.
    """
    labels, _ = png_array(png, ("L", "P"), "label PNG")
    wrong = (labels >= count) & (labels != VOID)
    if wrong.any():
        values = np.unique(labels[wrong])[:5].tolist()
        raise ValueError(f"label PNG: found {values}, expected 0..{count - 1} or {VOID} (void)")
    return labels
