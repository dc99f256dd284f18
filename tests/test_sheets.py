"""training/sheets.py and training/speed.py: what one sees of a run."""

import numpy as np
import torch

from mas_fast.training.sheets import GAP, LINE, SIDE, sheet
from mas_fast.training.speed import peak_flops


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
        assert (text == 0).any() and (text == 255).any()


def test_the_peak_is_that_of_a_matrix_product(monkeypatch) -> None:
    """Of a clock that says that each took 2 ms, but the third 1 ms."""
    times = iter([0, 2, 2, 4, 4, 5, 5, 7, 7, 9])
    monkeypatch.setattr("time.perf_counter", lambda: next(times) / 1000)
    assert peak_flops(torch.device("cpu"), torch.float32) == 2 * 1024**3 / 1e-3
