"""The worlds of the storybook: each tells stories, words them, and paints them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mas_fast.data.storybook.world1 import captions as captions1
from mas_fast.data.storybook.world1 import story as story1
from mas_fast.scene.layers import Layers

SPLITS = story1.SPLITS
NEWEST = 1


@dataclass(frozen=True)
class World:
    """A world of the storybook.

    Attributes:
        story: makes up a story from split, index and seed.
        captions: writes the captions of a story.
        paint: paints a story at a size.
    """

    story: Callable[[str, int, int], Any]
    captions: Callable[[Any], list[str]]
    paint: Callable[[Any, int], tuple[np.ndarray, Layers]]


def _paint1(story: Any, size: int) -> tuple[np.ndarray, Layers]:
    from mas_fast.data.storybook.world1.paint import paint

    return paint(story, size)


WORLDS = {1: World(story1.story, captions1.captions, _paint1)}
