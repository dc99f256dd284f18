"""The places of the storybook: whoever stands in them stands on the right class."""

import time
from itertools import product

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box  # noqa: E402
from mas_fast.data.storybook.world1.places import draw_foreground, draw_place  # noqa: E402
from mas_fast.data.storybook.world1.sky import draw_sky  # noqa: E402
from mas_fast.data.storybook.world1.words import AIR, LAND, PLACES, RAILS, ROAD, SEASONS, WATER  # noqa: E402
from mas_fast.scene.labels import COCO_NAMES  # noqa: E402

GROUND = {"beach": "sand", "desert": "sand", "snow": "snow", "street": "pavement-merged"}
WATERS = {"lake": "water-other", "beach": "sea", "sea": "sea"}
OWN = {  # what makes a place that place, and the least share of the picture that it fills
    "meadow": ("grass-merged", 0.3),
    "farm": ("fence-merged", 0.08),
    "park": ("pavement-merged", 0.04),
    "forest": ("tree-merged", 0.25),
    "mountains": ("mountain-merged", 0.05),
    "lake": ("water-other", 0.15),
    "river": ("river", 0.1),
    "beach": ("sea", 0.15),
    "sea": ("sea", 0.4),
    "desert": ("sand", 0.4),
    "snow": ("snow", 0.4),
    "road": ("road", 0.15),
    "street": ("building-other-merged", 0.25),
    "bridge": ("bridge", 0.1),
    "railway": ("railroad", 0.1),
}
SCENES = [
    (place, season)
    for place, season in product(PLACES, SEASONS)
    if PLACES[place].seasons or season == "summer"
]


def draw(place: str, season: str, seed: int, size: int = 128) -> Canvas:
    canvas, generator = Canvas(size), np.random.default_rng(seed)
    draw_sky(canvas, "day", "clear", generator)
    draw_place(canvas, place, season, generator)
    return canvas


def ground_of(part: str, place: str, season: str) -> str:
    if part == LAND:
        return GROUND.get(place, "snow" if season == "winter" else "grass-merged")
    if part == ROAD:
        return "bridge" if place == "bridge" else "road"
    return "railroad" if part == RAILS else WATERS.get(place, "river")


@pytest.mark.parametrize(("place", "season"), SCENES)
def test_feet_stand_on_their_class(place: str, season: str) -> None:
    for seed in range(10):
        labels = draw(place, season, seed).layers().panoptic
        for part, (back, front) in PLACES[place].parts.items():
            if part == AIR:
                continue
            rows = labels[round(back * 128) : round(front * 128) + 1, 26:102]
            if part == WATER:
                rows = rows[:, 4:-4]
            assert {COCO_NAMES[n] for n in np.unique(rows)} == {ground_of(part, place, season)}


@pytest.mark.parametrize(("place", "season"), SCENES)
def test_a_place_is_what_it_is(place: str, season: str) -> None:
    name, least = OWN[place]
    if place == "meadow" and season == "winter":
        name = "snow"
    for seed in range(5):
        labels = draw(place, season, seed).layers().panoptic
        assert (labels == COCO_NAMES.index(name)).mean() > least
        assert (labels[:12] == COCO_NAMES.index("sky-other-merged")).mean() > 0.3
        assert "sky-other-merged" not in {COCO_NAMES[n] for n in np.unique(labels[76:])}
        snow = (labels == COCO_NAMES.index("snow")).any()
        grass = (labels == COCO_NAMES.index("grass-merged")).any()
        flower = (labels == COCO_NAMES.index("flower")).any()
        cold = season == "winter" or place == "snow"
        assert snow == (cold and place not in ("beach", "sea", "desert", "street"))
        assert not (grass and cold)
        assert not (flower and season in ("autumn", "winter"))


@pytest.mark.parametrize("place", PLACES)
def test_drawn_from_its_seed(place: str) -> None:
    first, again = draw(place, "summer", 3), draw(place, "summer", 3)
    assert (first.pixels() == again.pixels()).all()
    assert (first.layers().panoptic == again.layers().panoptic).all()
    looks = {draw(place, "summer", seed).pixels()[64:].tobytes() for seed in range(8)}
    assert len(looks) > 6
    large = draw(place, "summer", 3, 256).layers().panoptic[::2, ::2]
    assert (large == first.layers().panoptic).mean() > 0.95


@pytest.mark.parametrize(("place", "season"), SCENES)
def test_the_foreground_is_at_the_lower_border(place: str, season: str) -> None:
    for seed in range(6):
        canvas = Canvas(128)
        with canvas.segment("grass-merged"):
            canvas.fill(box(0, 0, 1, 1), (0.5, 0.7, 0.4))
        before = canvas.pixels()
        draw_foreground(canvas, place, season, np.random.default_rng(seed))
        assert (canvas.pixels()[:118] == before[:118]).all()
        flowers = canvas.layers().panoptic == COCO_NAMES.index("flower")
        assert not flowers.any() or season in ("spring", "summer")
        assert not flowers[:, 48:80].any()


def test_speed() -> None:
    """A place takes 2 ms of one core at most; caches that others use may stretch that."""
    for place in PLACES:
        spans = []
        for seed in range(7):
            start = time.thread_time()
            draw(place, "summer", seed)
            spans.append(time.thread_time() - start)
        assert min(spans) < 0.015, place
