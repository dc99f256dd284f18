"""A figure of the storybook's second world, drawn alone: what a test looks at."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mas_fast.data.storybook.canvas import Canvas, Color, shade
from mas_fast.data.storybook.world2.look import Look
from mas_fast.scene.labels import FACE_NAMES, LIP_NAMES
from mas_fast.scene.layers import Layers

SIZE, HEIGHT, FEET = 256, 0.5, 0.75  # of the picture, of the figure, of its feet
HIGH = SIZE * HEIGHT  # pixels


@dataclass(frozen=True)
class Drawn:
    """A figure's picture and its annotation."""

    pixels: np.ndarray
    layers: Layers

    @property
    def shape(self) -> np.ndarray:
        """bool [256, 256]: where the figure is."""
        return self.layers.instances > 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in the figure's own frame."""
        rows, columns = np.nonzero(self.shape)
        left, right = (columns.min() - SIZE / 2) / HIGH, (columns.max() + 1 - SIZE / 2) / HIGH
        top, bottom = (rows.min() - SIZE * FEET) / HIGH, (rows.max() + 1 - SIZE * FEET) / HIGH
        return left, top, right, bottom

    def part(self, name: str) -> np.ndarray:
        """bool [256, 256]: where a part of body or face is."""
        if name in LIP_NAMES:
            return self.layers.human == LIP_NAMES.index(name)
        return self.layers.face == 1 + FACE_NAMES.index(name)

    def share(self, color: Color, within: np.ndarray | None = None) -> float:
        """Share of the figure, or of what is `within`, that has a colour or its shaded tone."""
        seen = self.pixels[self.shape if within is None else within] / 255
        tones = [shade(color, amount) for amount in (0.1, 0.0, -0.1, -0.2, -0.3)]
        near = np.min([np.linalg.norm(seen - np.array(tone), axis=1) for tone in tones], axis=0)
        return float(np.mean(near < 0.12))


def drawn(
    draw: Callable[[Canvas, Color, Look], None], color: Color, seed: int = 0, *,
    pose: str | None = None, facing: int = 1, **look,
) -> Drawn:  # fmt: skip
    """Draw a figure 128 pixels high in the middle of a picture of 256."""
    canvas = Canvas(SIZE)
    with canvas.segment("person"), canvas.at(0.5, FEET, HEIGHT, facing=facing):
        draw(canvas, color, Look(np.random.default_rng(seed), pose=pose, **look))
    return Drawn(canvas.pixels().astype(int), canvas.layers())


def check_box(
    draw: Callable[[Canvas, Color, Look], None], colors: list[Color],
    widths: dict[str, float], heights: dict[str, float] | None = None,
) -> None:  # fmt: skip
    """Assert that each pose of a kind stays in its box and fills most of it, for many seeds."""
    for pose, width in widths.items():
        tallest = (heights or {}).get(pose, 1.0)
        reach = high = 0.0
        for seed in range(20):
            left, top, right, bottom = drawn(draw, colors[seed % len(colors)], seed, pose=pose).box
            assert max(-left, right) <= width / 2 + 0.02, (pose, seed)
            assert top >= -tallest - 0.065, (pose, seed)
            assert bottom <= 0.02, (pose, seed)
            assert bottom >= -0.02 or pose == "fly", (pose, seed)
            reach, high = max(reach, -left, right), max(high, -top)
        assert reach > 0.8 * width / 2, pose
        assert high > 0.92 * tallest, pose


def check_seeds(draw: Callable[[Canvas, Color, Look], None], color: Color, kinds: int) -> None:
    """Assert that a seed always gives the same picture, and that others give `kinds` different."""
    pictures = [drawn(draw, color, seed).pixels for seed in range(24)]
    assert all((p == drawn(draw, color, n).pixels).all() for n, p in enumerate(pictures[:4]))
    assert len({p.tobytes() for p in pictures}) >= kinds


def check_mirror(draw: Callable[[Canvas, Color, Look], None], color: Color) -> None:
    """Assert that a figure that faces left is the mirror image of the one that faces right."""
    right, left = (drawn(draw, color, 3, facing=f, sun=0.0) for f in (1, -1))
    assert (right.shape != left.shape[:, ::-1]).mean() < 0.004
    assert np.abs(right.pixels - left.pixels[:, ::-1]).mean() < 1.0
