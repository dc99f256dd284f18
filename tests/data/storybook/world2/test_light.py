"""What hour and weather do to colours."""

from itertools import combinations, product

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Light, rgb  # noqa: E402
from mas_fast.data.storybook.world2.light import (  # noqa: E402
    FILTERS,
    PALETTES,
    Sky,
    haze_of,
    light_of,
    palette_of,
)
from mas_fast.data.storybook.world2.light import (
    product as times,
)

PAINTS = "cf2a27 ee8322 f3cf34 2e9b46 2c63c9 7d3fb0 f08bb4 80502c f4f2ec 8c9097 26262c".split()


def apart(light: Light) -> np.ndarray:
    lit = [np.array(light(rgb(code))) for code in PAINTS]
    return np.array([np.linalg.norm(a - b) for a, b in combinations(lit, 2)])


@pytest.mark.parametrize(("hour", "weather"), list(product(PALETTES, FILTERS)))
def test_colours_stay_tellable(hour: str, weather: str) -> None:
    shares = apart(light_of(Sky(hour, weather))) / apart(Light())
    assert shares.min() > 0.45
    far = apart(light_of(Sky(hour, weather), 0.56)) / apart(Light())
    assert 0.2 < far.min() < shares.min()


def test_a_clear_day_changes_no_colour_nearby() -> None:
    light = light_of(Sky())
    assert light.tint == (1, 1, 1)
    assert light.haze == 0


def test_haze_grows_with_distance() -> None:
    ys = np.linspace(0.4, 1, 40)
    hazes = np.array([haze_of(y) for y in ys])
    assert (np.diff(hazes) <= 0).all()
    assert hazes[0] == 0.4
    assert haze_of(0.74) == 0
    light = light_of(Sky("dusk"), 0.6)
    assert light.haze == haze_of(0.6)
    assert light.fog == palette_of(Sky("dusk")).haze
    assert light_of(Sky("day", "fog"), 0.6).haze > light.haze


def test_it_gets_darker() -> None:
    skies = [palette_of(Sky(hour)) for hour in ("day", "dusk", "night")]
    for name in ("top", "low", "haze", "tint"):
        day, dusk, night = (sum(getattr(sky, name)) for sky in skies)
        assert day > dusk > night, name
    assert [Sky(hour).dark for hour in PALETTES] == [hour == "night" for hour in PALETTES]
    assert [Sky(hour).dim for hour in PALETTES] == [h in ("dusk", "night") for h in PALETTES]


def test_bad_weather_is_gray() -> None:
    for hour in PALETTES:
        spans = {}
        for weather in FILTERS:
            top = palette_of(Sky(hour, weather)).top
            spans[weather] = max(top) - min(top)
        assert spans["clear"] > spans["cloudy"] > spans["rain"]
    assert not Sky("day", "rain").sunny
    assert Sky("day", "cloudy").sunny


def test_a_room_is_warm_at_night() -> None:
    red, _, blue = light_of(Sky("night"), indoors=True).tint
    assert red > 1.2 * blue
    assert light_of(Sky("day", "rain"), indoors=True).tint == (1, 1, 1)


def test_product() -> None:
    assert times((1.0, 0.5, 0.2), (0.5, 0.5, 0.0)) == (0.5, 0.25, 0.0)
