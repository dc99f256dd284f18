"""The attention masks: their names, and the positions that one position sees. No torch.

reference/attention.py says what they mean and defines them as a matrix. Here the positions are
ranges: a decode step reads only those keys, and its cost is counted by them.
"""

from __future__ import annotations

from collections.abc import Sequence

MASKS = ("causal", "row", "column", "conv")
KERNEL = 11  # of "conv", as in DALL-E


def seen(
    mask: str,
    position: int,
    *,
    text: int = 0,
    grids: Sequence[tuple[int, int]] = (),
    kernel: int = KERNEL,
) -> list[range]:
    """The positions that `position` sees, itself included.

    Args:
        mask: one of MASKS.
        position: the index in the whole sequence.
        text, grids, kernel: as for `ops.attention`.

    Returns:
        Disjoint ranges.
    """
    if mask == "causal" or position < text:
        return [range(position + 1)]
    start, width = _grid_at(position, text, grids)
    row, column = divmod(position - start, width)
    if mask == "row":
        near = [range(max(start, position - width), position + 1)]
    elif mask == "column":
        near = [range(start + column, position + 1, width)]
    else:
        reach = kernel // 2
        left, right = max(0, column - reach), min(width, column + reach + 1)
        firsts = range(start + max(0, row - reach) * width, position + 1, width)
        near = [range(first + left, min(first + right, position + 1)) for first in firsts]
    return [range(start), *near]


def _grid_at(position: int, text: int, grids: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(first position, width) of the grid that contains `position`."""
    start = text
    for height, width in grids:
        if position < start + height * width:
            return start, width
        start += height * width
    raise AssertionError("unreachable: the grids reach to the end of the sequence")
