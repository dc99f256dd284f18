"""Whether a scene and a picture show what a caption of the storybook says.

    scores = [faithfulness(caption, scene, picture) for ...]    # {"recall": (right, of), ...}
    rates(scores)                                               # {"recall": 0.97, ...}

recall      named classes that are in the scene; "recall, seen" and "recall, unseen": of captions
            without and with a (thing, colour, place) that training never shows
precision   classes of things in the scene that are named
counts      named classes of which the scene shows as many as the caption says
left, right "left of" and "right of" that hold for the centres of mass
colours     named colours that the thing, or what it wears, has in the picture

Nothing but a caption, a scene and a picture is read. What is missing from the scene counts as
neither counted, placed nor coloured right. `LEAST`, `PART` and the joining of pieces are those with
which true scenes of 64 pixels score 0.99 and more: see tests/evaluation/test_faithfulness.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from mas_fast.data.storybook.canvas import rgb
from mas_fast.data.storybook.world1.captions import read_caption
from mas_fast.data.storybook.world1.sky import light_of
from mas_fast.data.storybook.world1.story import Group, is_held_out
from mas_fast.data.storybook.world1.words import COLORS, KINDS
from mas_fast.scene.labels import COCO_NAMES, COCO_THINGS, LIP_NAMES, PERSON
from mas_fast.scene.scene import Scene, nearest

METRICS = (
    *("recall", "recall, seen", "recall, unseen", "precision", "counts", "left, right"),
    "colours",
)
LEAST = 0.004  # of the scene: what is smaller is not there
PART = 0.25  # of the largest piece of a class: what is smaller is no further instance
GARMENTS = {"shirt": "upper-clothes", "dress": "dress"}  # their LIP parts
AROUND = np.ones((3, 3), bool)
NAN = float("nan")

Score = dict[str, tuple[int, int]]


def faithfulness(caption: str, scene: Scene, picture: np.ndarray) -> Score:
    """Score a scene and a picture against their caption.

    Args:
        caption: a caption of the storybook.
        scene: the scene, of any size.
        picture: uint8 [H, W, 3], of what the scene shows.

    Returns:
        (right, asked) for each of METRICS.

    Raises:
        ValueError: the picture has another shape or dtype, or the caption names nothing of the
            storybook.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        dtype_and_shape = f"found {picture.dtype} {list(picture.shape)}"
        raise ValueError(f"picture: {dtype_and_shape}, expected uint8 [H, W, 3]")
    claims = read_caption(caption)
    if not claims.groups:
        raise ValueError(f"caption: found {caption!r}, expected one of the storybook's things")
    classes = class_map(scene)
    shares = np.bincount(classes.ravel(), minlength=256) / classes.size
    present = set(np.flatnonzero(shares[: len(COCO_NAMES)] >= LEAST).tolist())
    wanted: Counter[int] = Counter()
    for group in claims.groups:
        wanted[_label(group)] += group.count
    recall = len(present & set(wanted)), len(wanted)
    claimed_place = claims.place
    unseen = claimed_place is not None and any(
        is_held_out(g.kind, g.color, claimed_place) for g in claims.groups
    )
    things = [label for label in present if label < COCO_THINGS]
    counts = [
        count(classes == label, scene.edges, parted=label != PERSON) == number
        for label, number in wanted.items()
    ]
    relations = []
    if claims.relation in ("left", "right"):
        first, second = (_label(group) for group in claims.groups)
        both = first in present and second in present
        order = "left" if both and _x(classes == first) < _x(classes == second) else "right"
        relations = [both and order == claims.relation]
    light = light_of(claims.hour, claims.weather)
    seen = {name: np.array(light(rgb(code))) for name, code in COLORS.items()}
    colors = [
        _label(group) in present and color_of(_worn(group, scene), picture, seen) == group.color
        for group in claims.groups
        if group.color
    ]
    return {
        "recall": recall,
        "recall, seen": (0, 0) if unseen else recall,
        "recall, unseen": recall if unseen else (0, 0),
        "precision": (len(set(things) & set(wanted)), len(things)),
        "counts": (sum(counts), len(counts)),
        "left, right": (sum(relations), len(relations)),
        "colours": (sum(colors), len(colors)),
    }


def rates(scores: Iterable[Score]) -> dict[str, float]:
    """The share of right ones over all scores, for each of METRICS; NaN where nothing was asked."""
    scores = list(scores)
    sums = {name: [sum(s[name][i] for s in scores) for i in (0, 1)] for name in METRICS}
    return {name: right / asked if asked else NAN for name, (right, asked) in sums.items()}


def class_map(scene: Scene) -> np.ndarray:
    """The panoptic class of each pixel, person where the scene has a part of one: uint8 [H, W]."""
    table = np.arange(256, dtype=np.uint8)
    for parts in (scene.layout.human_channels, scene.layout.face_channels):
        table[parts] = PERSON
    return table[scene.labels]


def count(mask: np.ndarray, edges: np.ndarray, parted: bool = True) -> int:
    """Count the instances of a class: the connected pieces of its mask.

    A gap of two pixels upwards joins: a sail belongs to its boat.

    Args:
        mask: bool [H, W].
        edges: bool [H, W].
        parted: whether an edge that runs through the class parts a piece; people are not parted,
            since their parts have edges.
    """
    upward = np.ones((3, 1), bool)
    closed = ndimage.binary_closing(np.pad(mask, 1), upward)[1:-1, 1:-1]
    if parted:
        # Edges within the class alone: those around a thin thing would leave nothing of it.
        # Grown by a pixel they reach its outline.
        within = edges & ndimage.binary_erosion(mask, AROUND)
        closed &= ~ndimage.binary_dilation(within, AROUND)
    pieces, _ = ndimage.label(closed, AROUND)
    areas = np.bincount(pieces.ravel())[1:]
    least = max(LEAST * mask.size, PART * areas.max(initial=0))
    return int((areas >= least).sum())


def color_of(mask: np.ndarray, picture: np.ndarray, colors: dict[str, np.ndarray]) -> str | None:
    """The colour that is nearest, in CIE Lab, to the median of the picture's pixels in the mask.

    Args:
        mask: bool, of any size; its rim is left out where enough remains.
        picture: uint8 [H, W, 3].
        colors: RGB in 0..1, by name.

    Returns:
        The name of a colour; None for an empty mask.
    """
    rows, columns = (nearest(*sizes) for sizes in zip(mask.shape, picture.shape, strict=False))
    mask = mask[rows[:, None], columns]
    inner = ndimage.binary_erosion(mask)
    if inner.sum() >= max(16, mask.sum() / 4):
        mask = inner
    if not mask.any():
        return None
    median = np.median(picture[mask], axis=0) / 255
    distances = np.square(lab(np.stack(list(colors.values()))) - lab(median)).sum(-1)
    return list(colors)[int(distances.argmin())]


def lab(color: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D65 (IEC 61966-2-1, CIE 15) of sRGB in 0..1, [..., 3]."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ.T / _XYZ.sum(1)  # white is (1, 1, 1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)  # of linear sRGB


def _label(group: Group) -> int:
    return COCO_NAMES.index(KINDS[group.kind].label)


def _worn(group: Group, scene: Scene) -> np.ndarray:
    """bool [H, W]: what has the group's colour."""
    garment = KINDS[group.kind].garment
    if garment is None:
        return scene.labels == _label(group)
    return scene.labels == scene.layout.human + LIP_NAMES.index(GARMENTS[garment])


def _x(mask: np.ndarray) -> float:
    """Of the centre of mass."""
    return float(np.flatnonzero(mask.any(0)) @ mask.sum(0)[mask.any(0)] / mask.sum())
