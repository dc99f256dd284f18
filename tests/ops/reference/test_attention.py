"""reference/attention.py: the masks pair by pair, and the definition."""

import itertools
import math

import pytest
import torch

from attention_cases import SMALL, inputs
from mas_fast import ops
from mas_fast.ops.reference.attention import MASKS, visible, visiting_order


def sees(mask, i, j, text, grids, kernel):
    """The words of the definition, for one pair."""

    def place(p):
        if p < text:
            return 0, 0, 0, 0
        p -= text
        for part, (height, width) in enumerate(grids):
            if p < height * width:
                return part + 1, p, p // width, p % width
            p -= height * width

    part, at, row, column = place(i)
    other, before, above, beside = place(j)
    if j > i:
        return False
    if mask == "causal" or part == 0 or other < part:
        return True
    if mask == "row":
        return at - before <= grids[part - 1][1]
    if mask == "column":
        return column == beside
    return row - above <= kernel // 2 and abs(column - beside) <= kernel // 2


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("length", [1, 4, 30, 56])
def test_masks_pair_by_pair(mask, length):
    shown = visible(mask, length, **SMALL)
    want = [[sees(mask, i, j, **SMALL) for j in range(length)] for i in range(length)]
    assert shown.tolist() == want


def test_column_order_is_a_permutation_that_keeps_columns_together():
    assert all(visiting_order(m, 56, 5, SMALL["grids"]) is None for m in MASKS if m != "column")
    order = visiting_order("column", 56, 5, SMALL["grids"])
    assert order[:5].tolist() == [0, 1, 2, 3, 4]
    assert order[5:11].tolist() == [5, 12, 19, 6, 13, 20]  # a grid of width 7
    assert order[26:33].tolist() == [26, 31, 36, 41, 46, 51, 27]
    cut = visiting_order("column", 50, 5, SMALL["grids"])
    assert sorted(cut.tolist()) == list(range(50))


@pytest.mark.parametrize("mask", MASKS)
def test_definition_is_softmax_over_what_is_visible(mask):
    q, k, v, _ = inputs(2, 1, 56, 3)
    found = ops.attention(q, k, v, mask=mask, impl="reference", **SMALL)
    for b, i in itertools.product(range(2), range(56)):
        seen = [j for j in range(56) if sees(mask, i, j, **SMALL)]
        weights = [math.exp(float(q[b, 0, i] @ k[b, 0, j]) / math.sqrt(3)) for j in seen]
        mean = sum(w * v[b, 0, j] for w, j in zip(weights, seen, strict=True)) / sum(weights)
        torch.testing.assert_close(found[b, 0, i], mean)


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_of_the_definition(mask):
    options = {"text": 2, "grids": [(2, 3)], "kernel": 3, "mask": mask}
    leaves = [x.requires_grad_() for x in inputs(1, 2, 8, 4)[:3]]
    assert torch.autograd.gradcheck(
        lambda *x: ops.attention(*x, impl="reference", **options), leaves
    )
