"""How each kind of thing is drawn, how wide it is, and which colours it has by nature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mas_fast.data.storybook.canvas import Canvas, Color, rgb, shade
from mas_fast.data.storybook.colors import CLOTHES, COLORS, PAINTED
from mas_fast.data.storybook.world1 import animals, objects, people, vehicles
from mas_fast.data.storybook.world1.pieces import pick
from mas_fast.data.storybook.world1.words import KINDS

Draw = Callable[..., None]  # (canvas, color, generator), and night= where it has lamps


@dataclass(frozen=True)
class Figure:
    """How a kind of thing is drawn.

    Attributes:
        draw: draws it in its own frame.
        width: width of its footprint, in units of its height.
        natural: colours, names or its own, for a thing whose colour nobody named.
        lamps: whether `draw` takes `night`.
        seated: draws it on a bench, if that looks different.
    """

    draw: Draw
    width: float
    natural: tuple[str | Color, ...]
    lamps: bool = False
    seated: Draw | None = None


FIGURES = {
    "man": Figure(people.man, 0.68, CLOTHES),
    "woman": Figure(people.woman, 0.68, CLOTHES),
    "boy": Figure(people.boy, 0.66, CLOTHES),
    "girl": Figure(people.girl, 0.66, CLOTHES),
    "dog": Figure(animals.dog, 1.5, ("brown", (0.82, 0.6, 0.36))),
    "cat": Figure(animals.cat, 1.25, ("gray", "orange")),
    "horse": Figure(animals.horse, 1.4, ("brown",)),
    "sheep": Figure(animals.sheep, 1.4, ("white",)),
    "cow": Figure(animals.cow, 1.55, ("white", "brown")),
    "elephant": Figure(animals.elephant, 1.55, ((0.56, 0.58, 0.64),)),
    "bear": Figure(animals.bear, 1.4, ("brown",)),
    "zebra": Figure(animals.zebra, 1.35, ("white",)),
    "giraffe": Figure(animals.giraffe, 0.82, ((0.93, 0.74, 0.36),)),
    "bird": Figure(animals.bird, 1.6, ("blue", "red"), seated=animals.perched_bird),
    "car": Figure(vehicles.car, 2.3, PAINTED, lamps=True),
    "bus": Figure(vehicles.bus, 1.95, PAINTED, lamps=True),
    "truck": Figure(vehicles.truck, 2.1, PAINTED, lamps=True),
    "bicycle": Figure(vehicles.bicycle, 1.65, ("red", "blue"), lamps=True),
    "train": Figure(vehicles.train, 3.55, ("red", "green"), lamps=True),
    "boat": Figure(vehicles.boat, 1.25, PAINTED, lamps=True),
    "airplane": Figure(vehicles.airplane, 2.5, ("white",), lamps=True),
    "kite": Figure(objects.kite, 0.9, CLOTHES[:-1]),
    "umbrella": Figure(objects.umbrella, 1.25, CLOTHES),
    "bench": Figure(objects.bench, 2.05, ("brown",)),
    "ball": Figure(objects.ball, 1.0, CLOTHES),
    "house": Figure(objects.house, 1.25, ((0.93, 0.86, 0.7), "white", "brown"), lamps=True),
}


def draw_figure(
    canvas: Canvas, kind: str, color: str | None, x: float, y: float, height: float, facing: int,
    generator: np.random.Generator, *, night: bool = False, seated: bool = False,
) -> None:  # fmt: skip
    """Draw a thing as a segment of its own.

    Args:
        canvas: where to draw.
        kind: the kind of thing.
        color: a name among COLORS, or None for a natural one.
        x: position of its feet, 0..1.
        y: position of its feet, 0..1, downwards.
        height: its height, in parts of the picture.
        facing: 1 to the right, -1 to the left.
        generator: draws its details.
        night: whether its lamps and windows are lit.
        seated: whether it sits on a bench.
    """
    figure = FIGURES[kind]
    code = color or pick(generator, figure.natural)
    tone = rgb(COLORS[code]) if isinstance(code, str) else code
    lightness = float(generator.uniform(-0.05, 0.05))  # no two have quite the same
    draw = (seated and figure.seated) or figure.draw
    lamps = {"night": night} if figure.lamps else {}
    with canvas.segment(KINDS[kind].label), canvas.at(x, y, height, facing=facing):
        draw(canvas, shade(tone, lightness), generator, **lamps)
