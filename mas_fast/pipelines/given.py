"""What is given with captions, as the tokens that it forces. No torch."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from mas_fast.models.codec import Codec
from mas_fast.scene import Scene, open_scene, square


def scene_codes(
    codec: Codec, scene: Any, labels: str | os.PathLike | None, count: int
) -> np.ndarray:
    """Encode the scenes that are given.

    Args:
        codec: of scenes.
        scene: a Scene or a file of one, or a list of one for each caption.
        labels: the label space of files that do not say theirs.
        count: captions.

    Returns:
        int64 [1 or count, length of seg].

    Raises:
        ValueError: names what was found and what is allowed.
    """
    several = isinstance(scene, list | tuple)
    scenes = list(scene) if several else [scene]
    if several and len(scenes) != count:
        raise ValueError(f"scene: found {len(scenes)}, expected one, or {count} as captions")
    size = codec.config.resolution
    for n, item in enumerate(scenes):
        if isinstance(item, Scene):
            scenes[n] = square(item, size)
        elif isinstance(item, str | os.PathLike):
            scenes[n] = open_scene(item, labels=labels, size=size)
        else:
            name = type(item).__name__
            raise ValueError(f"scene: found {name}, expected a Scene or the path of one")
    return codec.encode(scenes).reshape(len(scenes), -1)
