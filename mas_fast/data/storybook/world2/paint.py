"""A story as a picture with its annotation."""

from __future__ import annotations

import numpy as np

from mas_fast.data.storybook.canvas import Canvas
from mas_fast.data.storybook.world2.figures import draw_figure
from mas_fast.data.storybook.world2.light import Sky
from mas_fast.data.storybook.world2.places import draw_foreground, draw_place
from mas_fast.data.storybook.world2.sky import draw_sky, draw_weather
from mas_fast.data.storybook.world2.stage import place_all
from mas_fast.data.storybook.world2.story import Story
from mas_fast.data.storybook.world2.words import PLACES, is_cold
from mas_fast.scene.layers import Layers
from mas_fast.utils.validate import check_int

SUN = 0.35, 0.95  # how far the sun is from the middle, of half of the picture


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
    canvas, generator = Canvas(size), story.generator(2)
    side = 1 if generator.random() < 0.5 else -1
    sky = Sky(story.hour, story.weather, side * float(generator.uniform(*SUN)))
    indoors = PLACES[story.place].indoors
    scenery = (canvas, story.place, story.season, sky, story.without, generator)
    if not indoors:
        draw_sky(canvas, sky, story.without, generator)
    draw_place(*scenery)
    cold = is_cold(story.season, story.place)
    for n, placed in enumerate(place_all(story)):
        draw_figure(canvas, placed, sky, story.generator(10 + n), indoors=indoors, cold=cold)
    draw_foreground(*scenery)
    if not indoors:
        draw_weather(canvas, sky, generator)
    return canvas.pixels(), canvas.layers()
