"""How each kind of thing is drawn, and which colours it has by nature."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import numpy as np
import skia

from mas_fast.data.storybook.canvas import Canvas, Color, rgb, shade
from mas_fast.data.storybook.colors import CLOTHES, COLORS
from mas_fast.data.storybook.world2 import (
    airplanes,
    birds,
    boats,
    buses_and_trucks,
    cars,
    cats,
    cycles,
    dogs,
    farm_animals,
    food,
    furniture,
    horses,
    household,
    houses,
    leisure,
    people,
    street,
    table,
    trains,
    wild_animals,
)
from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.light import Sky, light_of
from mas_fast.data.storybook.world2.look import Look
from mas_fast.data.storybook.world2.stage import Placed
from mas_fast.data.storybook.world2.words import AIR, ON, WATER


class Draw(Protocol):
    """Draws a thing in its own frame: feet at (0, 0), its top at y = -1, facing right."""

    def __call__(self, canvas: Canvas, color: Color, look: Look) -> None:
        """Draw it in that colour."""
        ...


@dataclass(frozen=True)
class Figure:
    """How a kind of thing is drawn.

    Attributes:
        draw: draws it in its own frame.
        natural: colours, names or its own, for a thing whose colour nobody named.
    """

    draw: Draw
    natural: tuple[str | Color, ...]


def _of(module: ModuleType, *kinds: str) -> dict[str, Figure]:
    """Return the figures of a file, whose functions are called as the kinds are."""
    return {
        kind: Figure(getattr(module, kind.replace(" ", "_")), module.NATURAL[kind])
        for kind in kinds
    }


FIGURES = {
    "man": Figure(people.man, CLOTHES),
    "woman": Figure(people.woman, CLOTHES),
    "boy": Figure(people.boy, CLOTHES),
    "girl": Figure(people.girl, CLOTHES),
    **_of(dogs, "dog"),
    **_of(cats, "cat"),
    **_of(horses, "horse", "zebra"),
    **_of(farm_animals, "sheep", "cow"),
    **_of(wild_animals, "elephant", "bear", "giraffe"),
    **_of(birds, "bird", "duck"),
    **_of(cars, "car"),
    **_of(cycles, "motorcycle", "bicycle"),
    **_of(buses_and_trucks, "bus", "truck"),
    **_of(trains, "train"),
    **_of(boats, "boat"),
    **_of(airplanes, "airplane"),
    **_of(street, "traffic light", "fire hydrant", "stop sign", "bench"),
    **_of(leisure, "umbrella", "kite", "ball", "suitcase", "surfboard", "skateboard", "tent"),
    **_of(houses, "house"),
    **_of(furniture, "chair", "couch", "bed", "fridge", "lamp"),
    "table": Figure(furniture.dining_table, furniture.NATURAL["table"]),
    **_of(household, "potted plant", "tv", "laptop", "book", "clock", "teddy bear"),
    **_of(table, "vase", "bottle", "cup", "bowl"),
    **_of(food, "banana", "apple", "orange fruit", "pizza", "cake"),
}


def draw_figure(
    canvas: Canvas, placed: Placed, sky: Sky, generator: np.random.Generator, *,
    indoors: bool = False, cold: bool = False,
) -> None:  # fmt: skip
    """Draw a thing as a segment of its own, with its shadow on the ground.

    Args:
        canvas: where to draw; gets the light in which the thing is.
        placed: the thing and where it is.
        sky: hour, weather and sun.
        generator: draws its details.
        indoors: whether it is in a room.
        cold: whether people wear coats.
    """
    figure = FIGURES[placed.kind]
    natural = figure.natural[int(generator.integers(len(figure.natural)))]
    code = placed.color or natural
    tone = rgb(COLORS[code]) if isinstance(code, str) else code
    tone = shade(tone, float(generator.uniform(-0.05, 0.05)))  # no two have quite the same
    sun = sky.sun * placed.facing
    look = Look(generator, sun, placed.pose, placed.pattern, sky.dark, cold)
    canvas.light = light_of(sky, placed.ground, indoors)
    if placed.part not in (AIR, WATER, ON):
        _draw_shadow(canvas, placed, sky, indoors)
    frame = canvas.at(placed.x, placed.y, placed.height, facing=placed.facing)
    with canvas.segment(KINDS[placed.kind].label), frame:
        figure.draw(canvas, tone, look)


def _draw_shadow(canvas: Canvas, placed: Placed, sky: Sky, indoors: bool) -> None:
    """Draw the shadow on the ground, away from the sun; under a covered sky, all around."""
    long = 0.12 if indoors or not sky.sunny else {"day": 0.25, "night": 0.25}.get(sky.hour, 0.6)
    half, reach = placed.width * 0.46, -sky.sun * long * placed.height
    left, right = min(-half, -half + reach), max(half, half + reach)
    thick = min(0.13 * placed.width, 0.035) + 0.01
    path = skia.Path()
    path.addOval(skia.Rect(placed.x + left, placed.y - thick * 0.55, placed.x + right,
                           placed.y + thick * 0.45))  # fmt: skip
    canvas.mark(path, (0.03, 0.05, 0.14), lit=False, alpha=0.24 if sky.sunny or indoors else 0.16)
