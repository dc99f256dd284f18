"""contact_sheet.py: rows of pictures with captions."""

import numpy as np

from mas_fast.utils.contact_sheet import GAP, LINE, SIDE, sheet


def test_a_sheet_has_a_row_for_each_caption() -> None:
    colors = [[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (9, 9, 9)]]
    rows = [tuple(np.full((8, 8, 3), color, np.uint8) for color in row) for row in colors]
    pixels = np.asarray(sheet(rows, ["a red house", "two dogs " * 40]))
    assert pixels.shape == (2 * (SIDE + LINE + GAP) + GAP, 2 * (SIDE + GAP) + GAP, 3)
    for n, row in enumerate(colors):
        top = GAP + n * (SIDE + LINE + GAP)
        for i, color in enumerate(row):
            left = GAP + i * (SIDE + GAP)
            assert (pixels[top : top + SIDE, left : left + SIDE] == color).all()
        text = pixels[top + SIDE : top + SIDE + LINE]
        assert (text == 0).any()
        assert (text == 255).any()
        assert (text[:, -GAP:] == 255).all()  # a caption that is too long ends before the border


def test_pictures_have_the_side_asked_for() -> None:
    row = [np.full((8, 8, 3), 7, np.uint8)]
    pixels = np.asarray(sheet([row], [""], side=16))
    assert pixels.shape == (16 + LINE + 2 * GAP, 16 + 2 * GAP, 3)
    assert (pixels[GAP : GAP + 16, GAP : GAP + 16] == 7).all()
