"""The places of the storybook: the ground that figures stand on, and the landscape behind them.

draw_sky(canvas, sky, without, generator)          # unless place is in INDOORS
draw_place(canvas, place, season, sky, without, generator)
...                                                # the figures
draw_foreground(canvas, place, season, sky, without, generator)
draw_weather(canvas, sky, generator)               # unless place is in INDOORS
"""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from mas_fast.data.storybook.canvas import Canvas, rgb, shade
from mas_fast.data.storybook.world2.brush import Brush
from mas_fast.data.storybook.world2.country import draw_farm, draw_meadow, draw_railway, draw_road
from mas_fast.data.storybook.world2.greens import draw_flowers, tufts
from mas_fast.data.storybook.world2.land import grass_color
from mas_fast.data.storybook.world2.light import Sky
from mas_fast.data.storybook.world2.rooms import (
    draw_bedroom,
    draw_kitchen,
    draw_living_room,
    draw_tabletop,
)
from mas_fast.data.storybook.world2.shores import draw_beach, draw_lake, draw_open_sea, draw_river
from mas_fast.data.storybook.world2.town import (
    draw_bridge_place,
    draw_garden,
    draw_park,
    draw_street,
)
from mas_fast.data.storybook.world2.wild import (
    draw_desert,
    draw_forest,
    draw_mountain,
    draw_snow,
)
from mas_fast.utils.validate import check_choice

DRAW: dict[str, Callable[[Brush], None]] = {
    "meadow": draw_meadow,
    "farm": draw_farm,
    "garden": draw_garden,
    "park": draw_park,
    "forest": draw_forest,
    "mountains": draw_mountain,
    "lake": draw_lake,
    "river": draw_river,
    "beach": draw_beach,
    "sea": draw_open_sea,
    "desert": draw_desert,
    "snow": draw_snow,
    "road": draw_road,
    "street": draw_street,
    "bridge": draw_bridge_place,
    "railway": draw_railway,
    "living room": draw_living_room,
    "kitchen": draw_kitchen,
    "bedroom": draw_bedroom,
    "tabletop": draw_tabletop,
}
INDOORS = ("living room", "kitchen", "bedroom", "tabletop")
ONE_SEASON = {"beach": "summer", "sea": "summer", "desert": "summer", "snow": "winter"}
GRASSY = ("meadow", "farm", "garden", "park", "forest", "mountains", "lake", "river", "railway")


def draw_place(
    canvas: Canvas, place: str, season: str, sky: Sky, without: tuple[str, ...],
    generator: Generator,
) -> None:  # fmt: skip
    """Draw everything behind the figures except the sky; of a room, all of it.

    Args:
        canvas: where to draw.
        place: one of `DRAW`.
        season: "spring", "summer", "autumn" or "winter".
        sky: hour, weather and sun.
        without: what must not appear: "trees", "clouds", "flowers", "people", "buildings", "sun".
        generator: all chance.

    Raises:
        ValueError: for an unknown place.
    """
    check_choice("place", place, DRAW)
    DRAW[place](_brush(canvas, place, season, sky, without, generator))


def draw_foreground(
    canvas: Canvas, place: str, season: str, sky: Sky, without: tuple[str, ...],
    generator: Generator,
) -> None:  # fmt: skip
    """Draw the plants at the lower border, in front of the figures.

    Args:
        canvas: where to draw.
        place: one of `DRAW`.
        season: as in `draw_place`.
        sky: as in `draw_place`.
        without: as in `draw_place`.
        generator: all chance.
    """
    if place not in GRASSY:
        return
    brush = _brush(canvas, place, season, sky, without, generator)
    spots = [(x + brush.between(-0.04, 0.04), 1.01) for x in (0.04, 0.14, 0.3, 0.7, 0.86, 0.96)]
    color = rgb("aebccc") if brush.winter else shade(grass_color(brush), -0.34)
    brush.mark(tufts(spots, 0.05), color)
    if brush.chance(0.6):
        draw_flowers(brush, brush.pick((0.11, 0.88)) + brush.between(-0.04, 0.04), 1.01, 0.07)


def _brush(
    canvas: Canvas, place: str, season: str, sky: Sky, without: tuple[str, ...],
    generator: Generator,
) -> Brush:  # fmt: skip
    season = ONE_SEASON.get(place, season)
    return Brush(canvas, season, sky, without, generator, place in INDOORS)
