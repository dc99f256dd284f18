"""The worlds of the storybook: each tells stories, words them, and paints them.

world = WORLDS[2]
told = world.story("train", 0)
world.captions(told), world.paint(told, 256)

Skia is imported when something is painted or `light` is asked for, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mas_fast.data.storybook.colors import COLORS
from mas_fast.data.storybook.world1 import captions as captions1
from mas_fast.data.storybook.world1 import story as story1
from mas_fast.data.storybook.world1 import words as words1
from mas_fast.data.storybook.world2 import captions as captions2
from mas_fast.data.storybook.world2 import claims as claims2
from mas_fast.data.storybook.world2 import kinds as kinds2
from mas_fast.data.storybook.world2 import story as story2
from mas_fast.data.storybook.world2 import telling as telling2
from mas_fast.data.storybook.world2 import words as words2
from mas_fast.scene.layers import Layers

if TYPE_CHECKING:
    from mas_fast.data.storybook.canvas import Light

SPLITS = story1.SPLITS
NEWEST = 2


class Kind(Protocol):
    """What any world knows of a kind of thing."""

    @property
    def label(self) -> str:
        """Its class among COCO's."""
        ...

    @property
    def colors(self) -> tuple[str, ...]:
        """The colours that a caption may name; without any, it has its own."""
        ...

    @property
    def garment(self) -> str | None:
        """The piece of clothing that has its colour, if any."""
        ...


@dataclass(frozen=True)
class World:
    """A world of the storybook.

    Attributes:
        story: makes up a story from split, index and seed.
        captions: writes the captions of a story.
        read_caption: reads the claims of a caption: groups (kind, color, count), relation, place,
            hour, weather.
        is_held_out: tells whether training never sees a kind of thing in a colour and a place.
        kinds: the kinds of things by name.
        colors: the colours, six hexadecimal digits by name.
        garments: the LIP parts of pieces of clothing.
        garment: tells which piece of clothing has the colour of a kind of thing, if the rest of
            the caption is as claimed.
        paint: paints a story at a size.
        light: tells what hour and weather that a caption claims do to colours.
    """

    story: Callable[[str, int, int], Any]
    captions: Callable[[Any], list[str]]
    read_caption: Callable[[str], Any]
    is_held_out: Callable[[str, str | None, str], bool]
    kinds: Mapping[str, Kind]
    colors: Mapping[str, str]
    garments: Mapping[str, str]
    garment: Callable[[str, Any], str | None]
    paint: Callable[[Any, int], tuple[np.ndarray, Layers]]
    light: Callable[[Any], Light]


def _paint1(story: Any, size: int) -> tuple[np.ndarray, Layers]:
    from mas_fast.data.storybook.world1.paint import paint

    return paint(story, size)


def _paint2(story: Any, size: int) -> tuple[np.ndarray, Layers]:
    from mas_fast.data.storybook.world2.paint import paint

    return paint(story, size)


def _light1(claims: captions1.Claims) -> Light:
    from mas_fast.data.storybook.world1.sky import light_of

    return light_of(claims.hour, claims.weather)


def _light2(claims: claims2.Claims) -> Light:
    from mas_fast.data.storybook.world2.light import Sky, light_of

    place = words2.PLACES.get(claims.place or "")
    sky = Sky(claims.hour or "day", claims.weather or "clear")
    return light_of(sky, indoors=place is not None and place.indoors)


def _garment1(kind: str, claims: captions1.Claims) -> str | None:
    return words1.KINDS[kind].garment


def _garment2(kind: str, claims: claims2.Claims) -> str | None:
    season, place = claims.season or "summer", claims.place or ""
    return kinds2.garment_of(kinds2.KINDS[kind], season, place)


WORLDS = {
    1: World(
        story=story1.story,
        captions=captions1.captions,
        read_caption=captions1.read_caption,
        is_held_out=story1.is_held_out,
        kinds=words1.KINDS,
        colors=COLORS,
        garments={"shirt": "upper-clothes", "dress": "dress"},
        garment=_garment1,
        paint=_paint1,
        light=_light1,
    ),
    2: World(
        story=telling2.story,
        captions=captions2.captions,
        read_caption=claims2.read_caption,
        is_held_out=story2.is_held_out,
        kinds=kinds2.KINDS,
        colors=COLORS,
        garments=words2.GARMENTS,
        garment=_garment2,
        paint=_paint2,
        light=_light2,
    ),
}
