"""A contact sheet: rows of pictures with captions. numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 192  # pixels of a picture
GAP, LINE = 6, 16


def sheet(
    rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str], side: int = SIDE
) -> Image.Image:
    """Draw rows of pictures, each row with its caption below it.

    Args:
        rows: pictures, uint8 [H, W, 3], as many in each row.
        captions: one for each row, cut where it is wider than the sheet.
        side: pixels of each side of a picture as drawn.

    Returns:
        The sheet, RGB.
    """
    count = len(rows[0])
    height = side + LINE + GAP
    canvas = Image.new("RGB", (count * (side + GAP) + GAP, len(rows) * height + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for n, (pictures, caption) in enumerate(zip(rows, captions, strict=True)):
        top = GAP + n * height
        for i, pixels in enumerate(pictures):
            shown = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
            canvas.paste(shown, (GAP + i * (side + GAP), top))
        pen.text((GAP, top + side + 1), _cut(caption, canvas.width - 2 * GAP, font), "black", font)
    return canvas


def _cut(text: str, width: int, font: Any) -> str:
    """As much of one line of text as fits into `width` pixels."""
    text = " ".join(text[:1000].split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
