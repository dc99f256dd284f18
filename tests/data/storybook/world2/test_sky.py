"""Sky and weather."""

from itertools import product

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box  # noqa: E402
from mas_fast.data.storybook.world2.light import FILTERS, PALETTES, Sky  # noqa: E402
from mas_fast.data.storybook.world2.sky import draw_sky, draw_weather, sun_at  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

SKY = COCO_NAMES.index("sky-other-merged")


def drawn(sky: Sky, seed: int = 1, without: tuple[str, ...] = ()) -> Canvas:
    canvas = Canvas(128)
    draw_sky(canvas, sky, without, np.random.default_rng(seed))
    return canvas


@pytest.mark.parametrize(("hour", "weather"), list(product(PALETTES, FILTERS)))
def test_it_is_everywhere_and_drawn_from_its_seed(hour: str, weather: str) -> None:
    first = drawn(Sky(hour, weather))
    assert (first.layers().panoptic == SKY).all()
    assert (drawn(Sky(hour, weather)).pixels() == first.pixels()).all()
    differ = (drawn(Sky(hour, weather), 2).pixels() != first.pixels()).any()
    assert differ == (weather != "fog")  # which hides sun and clouds


@pytest.mark.parametrize("hour", PALETTES)
@pytest.mark.parametrize("sun", [-0.8, 0.5])
def test_the_brightest_place_is_the_sun(hour: str, sun: float) -> None:
    sky = Sky(hour, "clear", sun)
    for seed in range(6):
        with_sun = drawn(sky, seed, ("clouds",)).pixels().astype(int)
        no_sun = drawn(sky, seed, ("clouds", "sun")).pixels().astype(int)
        change = (with_sun - no_sun).sum(-1)
        rows, columns = np.nonzero(change > 0.8 * change.max())
        assert rows.max() < 0.5 * 128
        assert columns.mean() / 128 == pytest.approx(sun_at(sky), abs=0.05)
        if hour != "night":  # without: a plain gradient, the same from left to right
            assert (no_sun.max(1) - no_sun.min(1)).max() < 90
            assert (no_sun == no_sun[:, :1])[:30].all()


def test_clouds_leave_the_sun_free() -> None:
    for seed in range(20):
        sky = Sky("day", "clear", 0.6)
        bare, cloudy = (drawn(sky, seed, w).pixels() for w in (("clouds",), ()))
        x = round(sun_at(sky) * 128)
        assert (bare[10:24, x] == bare[10:24, x]).all()
        lit = cloudy[:30, x - 3 : x + 4].astype(int)
        assert (lit[..., 0] - lit[..., 2]).max() > 25  # yellow


def test_no_clouds() -> None:
    for seed in range(5):
        pixels = drawn(Sky("day", "clear"), seed, ("clouds", "sun")).pixels()
        assert (pixels == pixels[:, :1]).all()
        assert not (drawn(Sky("day"), seed, ("sun",)).pixels() == pixels).all()


@pytest.mark.parametrize("weather", FILTERS)
def test_it_gets_darker(weather: str) -> None:
    hours = ("day", "dusk", "night")
    means = [np.mean([drawn(Sky(h, weather), s).pixels() for s in range(4)]) for h in hours]
    assert means[0] > 1.1 * means[1] > 1.5 * means[2]


def test_each_weather_has_its_sky() -> None:
    above = {w: drawn(Sky("day", w), 3).pixels()[:60].reshape(-1, 3).mean(0) for w in FILTERS}
    blue = {w: c[2] - c[0] for w, c in above.items()}
    assert blue["clear"] > 1.4 * blue["cloudy"] > 2 * blue["rain"]
    assert above["rain"].mean() < above["snowfall"].mean() - 20


@pytest.mark.parametrize("seed", range(3))
def test_weather_is_in_the_picture_alone_and_hides_little(seed: int) -> None:
    for weather in FILTERS:
        canvas = Canvas(128)
        with canvas.segment("grass-merged"):
            canvas.fill(box(0, 0, 1, 1), (0.4, 0.6, 0.3))
        before, labels = canvas.pixels().astype(int), canvas.layers().panoptic
        draw_weather(canvas, Sky("day", weather), np.random.default_rng(seed))
        change = np.abs(canvas.pixels() - before).max(-1)
        assert (canvas.layers().panoptic == labels).all()
        if weather in ("rain", "snowfall"):
            assert 0.01 < (change > 30).mean() < 0.15
        elif weather == "fog":
            assert 10 < change[64:].mean() < 60
            assert change[60:70].mean() > 2 * change[110:].mean()  # thickest at the horizon
        else:
            assert not change.any()
