"""Annotations at random."""

from pathlib import Path

import numpy as np

from mas_fast.scene import (
    VOID,
)

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "coco_official"


def annotations(seed: int, person: bool = True, shape=(13, 17)):
    """Random P, I, S, F; P has people only where `person`."""
    rng = np.random.default_rng(seed)
    panoptic = rng.choice(np.array([0, 1, 80, 132, VOID], np.uint8), shape)
    panoptic[0, 0] = 0
    if not person:
        panoptic[panoptic == 0] = 5
    instances = rng.integers(0, 3, shape, dtype=np.int32)
    human = rng.integers(0, 20, shape, dtype=np.uint8)
    face = np.maximum(rng.integers(-20, 6, shape), 0).astype(np.uint8)
    return panoptic, instances, human, face
