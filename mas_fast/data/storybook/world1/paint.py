"""A story as a picture with its annotation."""

from __future__ import annotations

import numpy as np

from mas_fast.data.storybook.canvas import Canvas
from mas_fast.data.storybook.world1.figures import draw_figure
from mas_fast.data.storybook.world1.places import draw_foreground, draw_place
from mas_fast.data.storybook.world1.sky import draw_sky, draw_weather, light_of
from mas_fast.data.storybook.world1.stage import place_all
from mas_fast.data.storybook.world1.story import Story
from mas_fast.scene.layers import Layers
from mas_fast.utils.validate import check_int


def paint(story: Story, size: int) -> tuple[np.ndarray, Layers]:
    """Paint a story.

    Args:
        story: the story.
        size: height and width in pixels.

    Returns:
        The picture, uint8 [size, size, 3], and its annotation.

    Raises:
        ValueError: unless `size` is from 32 to 4096.
    """
    check_int("size", size, 32, 4096)
    canvas = Canvas(size, light_of(story.hour, story.weather))
    generator = story.generator(2)
    draw_sky(canvas, story.hour, story.weather, generator)
    draw_place(canvas, story.place, story.season, generator)
    for n, p in enumerate(place_all(story)):
        figure_generator, night = story.generator(10 + n), story.hour == "night"
        pose = (p.x, p.y, p.height, p.facing)
        draw_figure(canvas, p.kind, p.color, *pose, figure_generator, night=night, seated=p.seated)
    draw_foreground(canvas, story.place, story.season, generator)
    draw_weather(canvas, story.weather, generator)
    return canvas.pixels(), canvas.layers()
