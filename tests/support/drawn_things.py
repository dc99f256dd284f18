"""Things of the storybook's second world, drawn alone, and what is seen of them."""

from collections.abc import Callable

import numpy as np

from mas_fast.data.storybook.canvas import Canvas, Color, Light, shade
from mas_fast.data.storybook.world2.look import Look

RED, BLUE = (0.81, 0.16, 0.15), (0.17, 0.39, 0.79)
DARK = Light((0.25, 0.28, 0.4))
SEEDS = range(16)  # each type of a kind is among them
SIZE, FEET, MIDDLE = 256, 192, 128
Draw = Callable[[Canvas, Color, Look], None]


def height_of(width: float) -> int:
    """Height in pixels that leaves room on all sides of a thing of that width."""
    return round(min(120, 220 / width))


def drawn(
    draw: Draw, height: int = 100, seed: int = 0, *, color: Color = RED, night: bool = False,
    pattern: str | None = None, sun: float = -0.6, facing: int = 1, light: Light | None = None,
) -> Canvas:  # fmt: skip
    """A thing of that height in pixels, its foot at (MIDDLE, FEET)."""
    canvas = Canvas(SIZE, light or (DARK if night else Light()))
    look = Look(np.random.default_rng(seed), sun, None, pattern, night)
    place = canvas.at(MIDDLE / SIZE, FEET / SIZE, height / SIZE, facing=facing)
    with canvas.segment("car"), place:
        draw(canvas, color, look)
    return canvas


def shape(canvas: Canvas) -> np.ndarray:
    """Which pixels have a label."""
    return canvas.layers().panoptic != 255


def extent(canvas: Canvas, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what has a label, in the thing's own frame."""
    rows, columns = np.nonzero(shape(canvas))
    left, right = (float(x - MIDDLE) / height for x in (columns.min(), columns.max() + 1))
    top, bottom = (float(y - FEET) / height for y in (rows.min(), rows.max() + 1))
    return left, top, right, bottom


def share_of(canvas: Canvas, color: Color) -> float:
    """Share of a thing's pixels that have the colour or one of its lights and shades."""
    seen = canvas.pixels()[shape(canvas)] / 255
    tones = np.array([shade(color, amount) for amount in np.linspace(-0.4, 0.35, 16)])
    distance = np.abs(seen[:, None] - tones[None]).sum(-1).min(1)
    return float((distance < 0.1).mean())
