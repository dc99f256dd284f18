"""Light, sky and weather of the storybook."""

from itertools import combinations, product

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, Light, box, rgb  # noqa: E402
from mas_fast.data.storybook.colors import COLORS
from mas_fast.data.storybook.world1.sky import draw_sky, draw_weather, is_dark, light_of  # noqa: E402
from mas_fast.data.storybook.world1.words import HOURS, WEATHERS  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

SKY = COCO_NAMES.index("sky-other-merged")
TIMES = list(product(HOURS, WEATHERS))


def sky(hour: str, weather: str, seed: int) -> Canvas:
    canvas = Canvas(128, light_of(hour, weather))
    draw_sky(canvas, hour, weather, np.random.default_rng(seed))
    return canvas


@pytest.mark.parametrize(("hour", "weather"), TIMES)
def test_colours_stay_tellable(hour: str, weather: str) -> None:
    light = light_of(hour, weather)
    assert 0.55 <= max(light.tint) <= 1
    assert 0 <= light.haze <= 0.25
    assert is_dark(light) == (hour == "night")

    def apart(light: Light) -> list[float]:
        lit = [np.array(light(rgb(code))) for code in COLORS.values()]
        return [float(np.linalg.norm(a - b)) for a, b in combinations(lit, 2)]

    shares = np.array(apart(light)) / np.array(apart(Light()))
    assert shares.min() > 0.45


def test_a_clear_day_changes_no_colour() -> None:
    assert light_of("day", "clear") == Light()


@pytest.mark.parametrize(("hour", "weather"), TIMES)
def test_sky_is_everywhere_and_drawn_from_its_seed(hour: str, weather: str) -> None:
    first = sky(hour, weather, 1)
    assert (first.layers().panoptic == SKY).all()
    assert (sky(hour, weather, 1).pixels() == first.pixels()).all()
    differ = (sky(hour, weather, 2).pixels() != first.pixels()).any()
    assert differ == (weather != "fog")  # which hides sun and clouds


@pytest.mark.parametrize("weather", WEATHERS)
def test_it_gets_darker(weather: str) -> None:
    means = [np.mean([sky(hour, weather, seed).pixels() for seed in range(4)]) for hour in HOURS]
    assert means[0] > 1.1 * means[1] > 1.5 * means[2]


def test_each_weather_has_its_sky() -> None:
    above = {w: sky("day", w, 3).pixels()[:60].reshape(-1, 3).mean(0) for w in WEATHERS}
    blue = {w: c[2] - c[0] for w, c in above.items()}
    assert blue["clear"] > 1.4 * blue["cloudy"] > 2 * blue["rain"]
    assert above["rain"].mean() < above["snowfall"].mean() - 20


@pytest.mark.parametrize("seed", range(3))
def test_weather_is_in_the_picture_alone_and_hides_little(seed: int) -> None:
    for weather in WEATHERS:
        canvas = Canvas(128)
        with canvas.segment("grass-merged"):
            canvas.fill(box(0, 0, 1, 1), (0.4, 0.6, 0.3))
        before, labels = canvas.pixels().astype(int), canvas.layers().panoptic
        draw_weather(canvas, weather, np.random.default_rng(seed))
        change = np.abs(canvas.pixels() - before).max(-1)
        assert (canvas.layers().panoptic == labels).all()
        if weather in ("rain", "snowfall"):
            assert 0.01 < (change > 30).mean() < 0.15
        elif weather == "fog":
            assert 10 < change[64:].mean() < 60
        else:
            assert not change.any()
