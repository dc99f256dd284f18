"""A scene as a picture: colours, edges, names where there is room, and a legend."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mas_fast.scene.labels import VOID, Layout

FONT_SIZE = 12
ROW = 16  # pixels per line of the legend
COLUMN = 190
PAPER, INK = (255, 255, 255), (20, 20, 20)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(labels: np.ndarray, edges: np.ndarray, layout: Layout, scale: int) -> Image.Image:
    """Draw a scene, enlarged, with darkened edges, names and a legend.

    Args:
        labels: uint8 [H, W].
        edges: bool [H, W].
        layout: layout of the labels, which has their colours.
        scale: factor of height and width.

    Returns:
        The picture. On its right is the legend, with each label's share of the pixels, largest
        first.
    """
    pixels = layout.colors[labels]
    pixels[edges] //= 2
    height, width = (scale * size for size in labels.shape)
    present, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rows = max(height // ROW, 1)
    columns = -(-len(present) // rows)
    canvas = Image.new("RGB", (width + columns * COLUMN, max(height, ROW)), PAPER)
    canvas.paste(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(FONT_SIZE)
    _names(pen, font, labels, layout, scale, present[order])
    for n, (label, count) in enumerate(zip(present[order], counts[order], strict=True)):
        x, y = width + 8 + n // rows * COLUMN, n % rows * ROW
        red, green, blue = layout.colors[label].tolist()
        color = (red, green, blue)
        pen.rectangle((x, y + 2, x + 18, y + ROW - 3), fill=color, outline=INK)
        share = f"{100 * count / labels.size:.1f}%"
        pen.text((x + 24, y + 1), f"{label_name(layout, label)}  {share}", INK, font)
    return canvas


def label_name(layout: Layout, label: int) -> str:
    """Return the name of a label in a layout, or "void"."""
    return "void" if label == VOID else layout.names[label]


def _names(
    pen: ImageDraw.ImageDraw,
    font: Font,
    labels: np.ndarray,
    layout: Layout,
    scale: int,
    order: np.ndarray,
) -> None:
    """Write each label's name at its innermost pixel, if it fits and covers no other name."""
    depth = _depth(labels)
    taken: list[tuple[float, ...]] = []
    for label in order[order != VOID]:
        inside = np.where(labels == label, depth, 0)
        y, x = np.unravel_index(inside.argmax(), labels.shape)
        if scale * inside[y, x] < FONT_SIZE:
            continue
        center = (scale * (x + 0.5), scale * (y + 0.5))
        name = layout.names[label]
        box = pen.textbbox(center, name, font, anchor="mm", stroke_width=2)
        inside_picture = (
            box[0] >= 0 and box[2] <= scale * labels.shape[1] and box[3] <= scale * labels.shape[0]
        )
        if inside_picture and not any(_overlap(box, other) for other in taken):
            pen.text(center, name, PAPER, font, anchor="mm", stroke_width=2, stroke_fill=INK)
            taken.append(box)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _depth(labels: np.ndarray) -> np.ndarray:
    """Return the steps to the nearest pixel of another label or beyond the border, int64 [H, W].

    Steps go along a row or a column; the least of the four directions counts.
    """
    return np.minimum.reduce([_along(labels), _along(labels.T).T])


def _along(labels: np.ndarray) -> np.ndarray:
    """Return the steps of `_depth` within rows."""
    height, width = labels.shape
    here = np.arange(width)
    change = np.ones((height, width + 1), bool)
    change[:, 1:-1] = labels[:, 1:] != labels[:, :-1]
    start = np.maximum.accumulate(np.where(change[:, :-1], here, 0), axis=1)
    stop = np.where(change[:, 1:], here + 1, width)[:, ::-1]
    stop = np.minimum.accumulate(stop, axis=1)[:, ::-1]
    return np.minimum(here - start + 1, stop - here)
