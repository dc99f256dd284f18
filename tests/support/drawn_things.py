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


def assert_fits(draw: Draw, width: float) -> None:
    """Whatever its type, it stands on y = 0, is at most 1 high and `width` wide."""
    height = height_of(width)
    boxes = np.array([extent(drawn(draw, height, seed), height) for seed in SEEDS])
    (left, top), (right, bottom) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    assert left >= -width / 2 - 0.015
    assert right <= width / 2 + 0.015
    assert max(-left, right) > width / 2 - 0.1
    assert -1.02 <= top < -0.85
    assert bottom <= 0.035
    assert boxes[:, 3].min() > -0.02


def assert_has_color(draw: Draw, width: float, least: float) -> None:
    """At least that share of it has the colour that was asked for."""
    for color in (RED, BLUE):
        shares = [share_of(drawn(draw, height_of(width), n, color=color), color) for n in SEEDS]
        assert min(shares) >= least


def assert_repeats(draw: Draw) -> None:
    """The same seed draws the same; several looks differ."""
    first, second = (drawn(draw, 80, 5) for _ in range(2))
    assert (first.pixels() == second.pixels()).all()
    assert (first.layers().panoptic == second.layers().panoptic).all()


def types_of(draw: Draw, height: int = 60) -> int:
    """How many silhouettes it has."""
    return len({shape(drawn(draw, height, seed)).tobytes() for seed in range(48)})


def lit_pixels(draw: Draw, height: int, seed: int, night: bool) -> int:
    """Pixels that are bright although all around is dark."""
    pixels = drawn(draw, height, seed, night=night, light=DARK, color=BLUE).pixels()
    return int((pixels[..., 0] > 150).sum())


def assert_shines(draw: Draw, width: float, least: int = 4) -> None:
    """Whatever its type, it has lamps or windows that are dark by day and lit at night."""
    height = height_of(width)
    for seed in SEEDS:
        assert lit_pixels(draw, height, seed, False) == 0
        assert lit_pixels(draw, height, seed, True) >= least


def parts_at(canvas: Canvas, y: float, height: int) -> int:
    """How many parts, apart from each other, lie on the line y of a thing's frame."""
    row = shape(canvas)[FEET + round(y * height)]
    return int((np.diff(row.astype(int)) == 1).sum())
