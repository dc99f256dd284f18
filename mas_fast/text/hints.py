"""What is given of a scene, told at the end of its caption. No torch.

    hints(labels, given)               # ["elephant c5 e8", "grass a6 h8"]
    hinted(bpe, "an elephant", found)  # "an elephant; given elephant c5 e8, grass a6 h8"

Tokens are drawn one after the other, so what is drawn knows nothing of what is given further on,
but it knows all of the caption. A hint names a class, and the cells of a chessboard over the scene
between which it lies: the first of its upper left corner, the second of its lower right one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mas_fast.scene.labels import COCO_NAMES, COCO_THINGS, Layout

if TYPE_CHECKING:
    from mas_fast.text.bpe import BPE

MARK = "given"
SIDE = 8  # cells
CELLS = [f"{column}{row + 1}" for row in range(SIDE) for column in "abcdefgh"]
MOST = 5  # hints of a caption
LEAST = 1 / 400  # of the scene: what shows less of itself is not told


def hints(labels: np.ndarray, given: np.ndarray, layout: Layout) -> list[str]:
    """Tell what is given.

    Args:
        labels: uint8 [H, W] of `layout`, H and W at least SIDE.
        given: where they are given, bool [H, W].
        layout: whose labels they are; parts of people count as people.

    Returns:
        At most MOST hints: things before stuff, larger ones first.
    """
    table = np.full(256, len(COCO_NAMES))
    table[: len(COCO_NAMES)] = np.arange(len(COCO_NAMES))
    table[layout.human_channels] = table[layout.face_channels] = 0  # person
    classes = np.where(given, table[labels], len(COCO_NAMES))
    counts = np.bincount(classes.ravel(), minlength=len(COCO_NAMES) + 1)[:-1]
    shown = np.flatnonzero(counts >= max(1, LEAST * labels.size))
    order = sorted(shown.tolist(), key=lambda c: (c >= COCO_THINGS, -counts[c], c))
    return [f"{_name(c)} {' '.join(_corners(classes == c))}" for c in order[:MOST]]


def hinted(bpe: BPE, caption: str, found: Sequence[str]) -> str:
    """The caption with its hints, the first of them where there is no room for all."""
    for count in range(len(found), 0, -1):
        text = f"{caption}; {MARK} {', '.join(found[:count])}"
        if not bpe.encode([text])[1].any():
            return text
    return caption


def knows_hints(words: Collection[str] | None) -> bool:
    """Whether a GPT learned from captions of these words with hints among them."""
    return words is not None and {MARK, *CELLS} <= set(words)


def random_part(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A part of a scene as somebody may give it: what is below a row, a box, all but a box, or the
    things.

    Args:
        labels: uint8 [H, W].
        generator: draws the part.

    Returns:
        bool [H, W].
    """
    height, width = labels.shape
    kind = generator.integers(4)
    if kind == 3:
        return (labels < COCO_THINGS) | (labels >= len(COCO_NAMES))
    part = np.zeros((height, width), bool)
    if kind == 0:
        part[generator.integers(height // 4, height - height // 8) :] = True
        return part
    h, w = (generator.integers(side // 4, 3 * side // 4 + 1) for side in (height, width))
    top, left = generator.integers(height - h + 1), generator.integers(width - w + 1)
    part[top : top + h, left : left + w] = True
    return part if kind == 1 else ~part


def _name(number: int) -> str:
    return COCO_NAMES[number].removesuffix("-merged").removesuffix("-other")


def _corners(mask: np.ndarray) -> list[str]:
    """The cells of the upper left and the lower right corner of the box around a mask."""
    ends = []
    for axis in (0, 1):
        at = np.flatnonzero(mask.any(1 - axis)) * SIDE // mask.shape[axis]
        ends.append((int(at[0]), int(at[-1])))
    return [CELLS[row * SIDE + column] for row, column in zip(*ends, strict=True)]
