"""Pieces that figures of several kinds share: choices, colours, eyes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from mas_fast.data.storybook.canvas import Canvas, Color, Point, ellipse, shade

T = TypeVar("T")
INK: Color = (0.13, 0.12, 0.15)  # eyes, tyres, hooves
CREAM: Color = (0.97, 0.95, 0.9)
LAMP: Color = (1.0, 0.87, 0.5)  # lit windows and headlamps
GLASS: Color = (0.72, 0.86, 0.94)


def pick(generator: np.random.Generator, options: Sequence[T]) -> T:
    """Return one of the options, each with the same chance."""
    return options[int(generator.integers(len(options)))]


def chance(generator: np.random.Generator, share: float) -> bool:
    """Return True in `share` of the cases."""
    return bool(generator.random() < share)


def accent(color: Color, amount: float = 0.22) -> Color:
    """Return a darker tone of a colour, or a lighter one if it is nearly black."""
    return shade(color, amount if sum(color) < 0.75 else -amount)


def eye(canvas: Canvas, at: Point, radius: float) -> None:
    """Draw an animal's eye, which is visible on a light and on a dark coat."""
    x, y = at
    canvas.mark(ellipse(x, y, radius), CREAM)
    canvas.mark(ellipse(x + radius * 0.2, y, radius * 0.72), INK)
