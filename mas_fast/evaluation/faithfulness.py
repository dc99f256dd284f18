"""Whether a scene and a picture show what a caption of the storybook says.

    scores = [faithfulness(caption, scene, picture, world) for ...]   # {"recall": (right, of), ...}
    rates(scores)                                                     # {"recall": 0.97, ...}

recall      named classes that are in the scene; "recall, seen" and "recall, unseen": of captions
            without and with a (thing, colour, place) that training never shows
precision   classes of things in the scene that are named
counts      named classes of which the scene shows as many as the caption says
left, right "left of" and "right of" that hold; "other relations": all others (relations.py)
colours     named colours that the thing, or what it wears, has in the picture: a tenth of it, and
            no other that its kind can have more than twice as much
without     what a caption denies and the scene has not
joint       captions of which all of these hold, precision aside

Nothing but a caption, a scene and a picture is read. What is missing from the scene counts as
neither counted, placed nor coloured right. `LEAST`, `PART` and the joining of pieces are those with
which true scenes of 64 pixels score 0.99 and more: see tests/evaluation/test_faithfulness.py.
Sizes, patterns and poses are claimed by captions too, and not judged: the scene has no measure of
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import ndimage

from mas_fast.data.storybook.canvas import rgb
from mas_fast.data.storybook.world import World
from mas_fast.evaluation.relations import holds, is_far
from mas_fast.scene.labels import COCO_NAMES, COCO_THINGS, LIP_NAMES, PERSON
from mas_fast.scene.scene import Scene, nearest

METRICS = (
    *("recall", "recall, seen", "recall, unseen", "precision", "counts", "left, right"),
    *("other relations", "colours", "without", "joint"),
)
JOINT = ("recall", "counts", "left, right", "other relations", "colours", "without")
LEAST = 0.004  # of the scene: what is smaller is not there
PART = 0.25  # of the largest piece of a class: what is smaller is no further instance
# The classes of what a caption may deny. Clouds and the sun are none.
DENIED = {
    "trees": ("tree-merged",),
    "flowers": ("flower",),
    "people": ("person",),
    "buildings": ("building-other-merged", "house"),
}
COLORED = 0.1  # of a thing: what is less is not its colour
AROUND = np.ones((3, 3), bool)
NAN = float("nan")

Score = dict[str, tuple[int, int]]


def faithfulness(caption: str, scene: Scene, picture: np.ndarray, world: World) -> Score:
    """Score a scene and a picture against their caption.

    Args:
        caption: a caption of the storybook.
        scene: the scene, of any size.
        picture: uint8 [H, W, 3], of what the scene shows.
        world: the world that the caption tells of.

    Returns:
        (right, asked) for each of METRICS.

    Raises:
        ValueError: the picture has another shape or dtype, or the caption names nothing of the
            storybook.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        dtype_and_shape = f"found {picture.dtype} {list(picture.shape)}"
        raise ValueError(f"picture: {dtype_and_shape}, expected uint8 [H, W, 3]")
    claims = world.read_caption(caption)
    if not claims.groups:
        raise ValueError(f"caption: found {caption!r}, expected one of the storybook's things")
    classes = class_map(scene)
    shares = np.bincount(classes.ravel(), minlength=256) / classes.size
    present = set(np.flatnonzero(shares[: len(COCO_NAMES)] >= LEAST).tolist())
    wanted: Counter[int] = Counter()
    for group in claims.groups:
        wanted[_label(group, world)] += group.count
    recall = len(present & set(wanted)), len(wanted)
    unseen = claims.place is not None and any(
        world.is_held_out(g.kind, g.color, claims.place) for g in claims.groups
    )
    things = [label for label in present if label < COCO_THINGS]
    counts = [
        count(classes == label, scene.edges, parted=label != PERSON) == number
        for label, number in wanted.items()
    ]
    right = _relation(claims, classes, present, world)
    sides = claims.relation in ("left", "right")
    light = world.light(claims)
    seen = {name: np.array(light(rgb(code))) for name, code in world.colors.items()}
    colors = [
        _label(group, world) in present
        and has_color(
            colors_of(_worn(group, claims, scene, world), picture, seen),
            group.color,
            world.kinds[group.kind].colors,
        )
        for group in claims.groups
        if group.color
    ]
    denied = [DENIED[name] for name in claims.without if name in DENIED]
    absent = [not present & {COCO_NAMES.index(name) for name in names} for names in denied]
    score = {
        "recall": recall,
        "recall, seen": (0, 0) if unseen else recall,
        "recall, unseen": recall if unseen else (0, 0),
        "precision": (len(set(things) & set(wanted)), len(things)),
        "counts": (sum(counts), len(counts)),
        "left, right": (sum(right), len(right)) if sides else (0, 0),
        "other relations": (0, 0) if sides else (sum(right), len(right)),
        "colours": (sum(colors), len(colors)),
        "without": (sum(absent), len(absent)),
    }
    score["joint"] = int(all(score[name][0] == score[name][1] for name in JOINT)), 1
    return score


def _relation(claims: Any, classes: np.ndarray, present: set[int], world: World) -> list[bool]:
    """Whether the relation of a caption holds, once for all; nothing where it names none."""
    if claims.relation is None:
        return []
    concerned = claims.groups[-1:] if claims.relation == "far" else claims.groups[:2]
    labels = [_label(group, world) for group in concerned]
    if not present.issuperset(labels):
        return [False]
    masks = [classes == label for label in labels]
    return [is_far(*masks) if claims.relation == "far" else holds(claims.relation, *masks)]


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


def colors_of(
    mask: np.ndarray, picture: np.ndarray, colors: dict[str, np.ndarray]
) -> dict[str, float]:
    """The share of each colour in the picture's pixels in the mask, by which is nearest in CIE Lab.

    Args:
        mask: bool, of any size; its rim is left out where enough remains.
        picture: uint8 [H, W, 3].
        colors: RGB in 0..1, by name.

    Returns:
        Ratios by name, 0 for an empty mask.
    """
    rows, columns = (nearest(*sizes) for sizes in zip(mask.shape, picture.shape, strict=False))
    mask = mask[rows[:, None], columns]
    inner = ndimage.binary_erosion(mask)
    if inner.sum() >= max(16, mask.sum() / 4):
        mask = inner
    pixels, known = lab(picture[mask] / 255), lab(np.stack(list(colors.values())))
    names = np.square(pixels[:, None] - known).sum(-1).argmin(1)
    counts = np.bincount(names, minlength=len(colors)) / max(len(names), 1)
    return dict(zip(colors, counts.tolist(), strict=True))


def has_color(shares: dict[str, float], color: str, possible: Iterable[str]) -> bool:
    """Tell whether a thing has a colour, though its tyres, windows or flowers have others.

    Args:
        shares: of each colour in its pixels.
        color: the colour that it should have.
        possible: the colours that its kind can have.

    Returns:
        Whether COLORED of it has the colour, and no possible colour more than twice as much.
    """
    most = max(shares[name] for name in possible)
    return shares[color] >= max(COLORED, most / 2)


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


def _label(group: Any, world: World) -> int:
    return COCO_NAMES.index(world.kinds[group.kind].label)


def _worn(group: Any, claims: Any, scene: Scene, world: World) -> np.ndarray:
    """bool [H, W]: what has the group's colour."""
    garment = world.garment(group.kind, claims)
    if garment is None:
        return scene.labels == _label(group, world)
    return scene.labels == scene.layout.human + LIP_NAMES.index(world.garments[garment])
