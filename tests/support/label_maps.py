"""Photos and label maps, written."""

from pathlib import Path

import numpy as np
from PIL import Image

from mas_fast.data.sources.base import Sample
from mas_fast.scene import (
    COCO_NAMES,
    VOID,
)


def photo(file: Path, seed: int = 0, size: tuple[int, int] = (24, 32)) -> None:
    """Noise, which no label map is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file)


def label_map(file: Path, content, size: tuple[int, int] = (24, 32)) -> None:
    """Numbers, or colours, in columns."""
    content = np.array(content)
    columns = np.arange(size[1]) * len(content) // size[1]
    array = np.broadcast_to(content[columns], (*size, *content.shape[1:]))
    file.parent.mkdir(parents=True, exist_ok=True)
    dtype = np.uint16 if content.max() > 255 else np.uint8
    Image.fromarray(np.ascontiguousarray(array.astype(dtype))).save(file)


def classes(sample: Sample) -> list[str]:
    """From left to right."""
    row = sample.layers.panoptic[0]
    starts = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
    return ["void" if row[n] == VOID else COCO_NAMES[row[n]] for n in starts]
