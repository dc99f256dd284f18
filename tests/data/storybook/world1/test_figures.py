"""What every figure of the storybook keeps to, each kind in its colours."""

import time

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.canvas import Canvas, box, rgb
from mas_fast.data.storybook.colors import COLORS
from mas_fast.data.storybook.world1.figures import FIGURES, draw_figure
from mas_fast.data.storybook.world1.words import AIR, KINDS, SEATS, WATER
from mas_fast.scene.labels import COCO_NAMES, LIP_NAMES

SIZE = 128
GROUND = (0.62, 0.78, 0.52)
GARMENTS = {"shirt": "upper-clothes", "dress": "dress"}


def height(kind: str) -> float:
    """As high as a picture shows one alone, but no wider than the picture."""
    return min(KINDS[kind].height, 0.96 / FIGURES[kind].width)


def drawn(kind: str, color: str | None, seed: int, facing: int = 1, **more) -> Canvas:
    """In the middle of a picture, its feet at the edge of a pixel's row."""
    canvas = Canvas(SIZE)
    with canvas.segment("grass-merged"):
        canvas.fill(box(0, 0, 1, 1), GROUND)
    generator = np.random.default_rng(seed)
    draw_figure(canvas, kind, color, 0.5, 0.75, height(kind), facing, generator, **more)
    return canvas


def area(canvas: Canvas, kind: str) -> np.ndarray:
    """bool [SIZE, SIZE]: the figure's pixels."""
    return canvas.layers().panoptic == COCO_NAMES.index(KINDS[kind].label)


def colors(kind: str) -> tuple[str | None, ...]:
    return KINDS[kind].colors or (None,)


def test_each_kind_has_a_figure() -> None:
    assert list(FIGURES) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_fills_its_box_and_stays_inside(kind: str) -> None:
    high, wide = height(kind), FIGURES[kind].width * height(kind)
    pixel, sizes, reach = 1 / SIZE, [], 0.0
    for seed in range(16):
        pixels = area(drawn(kind, colors(kind)[0], seed, 1 if seed % 2 else -1), kind)
        rows, columns = np.nonzero(pixels)
        lift = 0.16 * high if KINDS[kind].part == AIR else 0  # a bird's wings are up or down
        assert 0.75 - pixel - lift <= (rows.max() + 1) * pixel <= 0.75 + pixel + 0.02 * high
        assert 0.75 - 1.04 * high - pixel <= rows.min() * pixel <= 0.75 - 0.92 * high + pixel
        sides = (abs(columns.min() * pixel - 0.5), abs((columns.max() + 1) * pixel - 0.5))
        assert max(sides) <= wide / 2 + pixel
        reach = max(reach, *sides)
        sizes.append(pixels.sum() / (high * wide * SIZE**2))
    assert reach > 0.9 * wide / 2  # the stated width is not idle
    assert 0.22 < min(sizes)
    assert max(sizes) < 0.95


@pytest.mark.parametrize(
    ("kind", "color"), [(kind, color) for kind in KINDS for color in KINDS[kind].colors]
)
def test_its_main_colour_is_the_named_one(kind: str, color: str) -> None:
    names, table = list(COLORS), 255 * np.array([rgb(code) for code in COLORS.values()])
    for seed in range(8):
        canvas = drawn(kind, color, seed, 1 if seed % 2 else -1)
        pixels, garment = area(canvas, kind), KINDS[kind].garment
        if garment:
            pixels = canvas.layers().human == LIP_NAMES.index(GARMENTS[garment])
        median = np.median(canvas.pixels()[pixels], axis=0)
        assert names[np.abs(table - median).sum(1).argmin()] == color


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_a_figure(kind: str) -> None:
    first, again, other = (drawn(kind, colors(kind)[0], seed) for seed in (3, 3, 4))
    assert first.pixels().tobytes() == again.pixels().tobytes()
    assert all(
        (a == b).all()
        for a, b in zip(
            (first.layers().panoptic, first.layers().human, first.layers().face),
            (again.layers().panoptic, again.layers().human, again.layers().face),
            strict=True,
        )
    )
    assert (np.abs(first.pixels().astype(int) - other.pixels()) > 20).sum() > 20


@pytest.mark.parametrize("kind", KINDS)
def test_facing_left_is_the_mirror_image(kind: str) -> None:
    for seed in range(4):
        right, left = (drawn(kind, colors(kind)[0], seed, facing) for facing in (1, -1))
        edge = 0.05 * area(right, kind).sum()  # centres of pixels that lie on an outline
        a, b = right.layers().flip(), left.layers()
        assert (a.panoptic != b.panoptic).sum() <= edge
        assert (a.human != b.human).sum() <= edge
        apart = np.abs(right.pixels()[:, ::-1].astype(int) - left.pixels()).max(-1)
        assert (apart > 60).sum() <= edge


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_stands_on_ground_has_a_shadow(kind: str) -> None:
    canvas = drawn(kind, colors(kind)[0], 0)
    around = canvas.pixels()[94:99][~area(canvas, kind)[94:99]]
    dark = (around.astype(int).sum(-1) < 255 * sum(GROUND) - 40).sum()
    assert (dark > 8) == (KINDS[kind].part not in (AIR, WATER))


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_name_it_has_a_colour_of_its_own(kind: str) -> None:
    canvas = drawn(kind, None, 1)
    assert area(canvas, kind).sum() == pytest.approx(
        area(drawn(kind, colors(kind)[0], 1), kind).sum(), rel=0.5
    )
    for own in FIGURES[kind].natural:
        assert own in COLORS if isinstance(own, str) else max(own) <= 1
    two = {drawn(kind, None, seed).pixels().tobytes() for seed in range(4)}
    assert len(two) > 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if FIGURES[kind].lamps])
def test_lamps_are_lit_at_night(kind: str) -> None:
    day, night = (drawn(kind, colors(kind)[-1], 1, night=dark) for dark in (False, True))
    assert (area(day, kind) == area(night, kind)).all()
    yellow = [(c.pixels().astype(int) @ (1, 1, -2) > 150).sum() for c in (day, night)]
    assert yellow[1] > yellow[0] + 5 or kind == "bicycle"
    assert (day.pixels() != night.pixels()).any()


@pytest.mark.parametrize("kind", SEATS["bench"])
def test_who_sits_on_a_bench_rests_on_its_feet(kind: str) -> None:
    for seed in range(8):
        pixels = area(drawn(kind, colors(kind)[0], seed, seated=True), kind)
        rows, columns = np.nonzero(pixels)
        assert rows.max() in (95, 96)
        assert abs(columns[rows == rows.max()].mean() - 63.5) < 0.35 * height(kind) * SIZE


def test_speed() -> None:
    """The floor is 1 ms of one core; a busy machine gets five times as long."""
    for kind in KINDS:
        canvas, generator, best = Canvas(SIZE), np.random.default_rng(0), np.inf
        for _ in range(3):
            start = time.process_time()
            for _ in range(5):
                draw_figure(canvas, kind, colors(kind)[0], 0.5, 0.9, height(kind), 1, generator)
            best = min(best, (time.process_time() - start) / 5)
        assert best < 5e-3, f"{kind}: {1000 * best:.2f} ms"
