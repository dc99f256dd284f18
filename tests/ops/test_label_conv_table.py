"""label_conv_table.py: the table, and which of its rows a pixel adds up."""

import pytest
import torch

from label_conv_cases import convolved, make
from mas_fast.ops.label_conv_table import EDGE_PATTERNS, bag, label_rows, label_table


def test_a_table_of_rows():
    labels, edges, weight, bias = make(1, (4, 6), 7, True, 3)
    table = label_table(weight, bias, edges=True)
    assert table.shape == (9 * 8 + 512, 3)
    rows = label_rows(labels, edges, 7)
    assert rows.shape == (24, 10)
    assert rows.dtype == torch.int32
    found = table[rows.long()].sum(1).view(1, 4, 6, 3).permute(0, 3, 1, 2).double()
    want = convolved(labels, edges, weight, bias)
    torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-5)


def test_rows_of_one_pixel_by_hand():
    """Label 1 of 2, an edge; all around it is void, whose row follows those of the labels."""
    labels, edges = torch.ones(1, 1, 1, dtype=torch.uint8), torch.ones(1, 1, 1, dtype=torch.bool)
    taps = [2, 5, 8, 11, 12 + 1, 17, 20, 23, 26]
    assert label_rows(labels, edges, 2).tolist() == [[*taps, 27 + 16]]  # the fifth bit of nine
    assert label_rows(labels, ~edges, 2).tolist() == [[*taps, 27]]
    assert label_rows(labels, None, 2).tolist() == [[*taps, 27]]


@pytest.mark.parametrize("value", [2, 7, 254, 255])
def test_whatever_has_no_channel_is_void(value):
    labels = torch.full((1, 2, 2), value, dtype=torch.uint8)
    expected = [[2, 5, 8, 11, 14, 17, 20, 23, 26, 27]] * 4
    assert label_rows(labels, None, 2).tolist() == expected


def test_the_table_has_every_pattern_of_edges():
    """Taps of 1, 2, 4, ... make of each pattern its own number."""
    weight = torch.zeros(1, 2, 3, 3)
    weight[0, 0] = torch.arange(10.0, 19).view(3, 3)
    weight[0, 1] = (2.0 ** torch.arange(9)).view(3, 3)
    table = label_table(weight, torch.tensor([0.5]), edges=True)[:, 0]
    assert table[:18].tolist() == [x for tap in range(10, 19) for x in (tap, 0)]
    assert torch.equal(table[18:], torch.arange(EDGE_PATTERNS) + 0.5)


def test_a_table_without_edges_ends_with_the_bias():
    table = label_table(torch.ones(2, 3, 3, 3), torch.tensor([4.0, 5.0]), edges=False)
    assert table.shape == (9 * 4 + 1, 2)
    assert table[-1].tolist() == [4, 5]


@pytest.mark.parametrize("edges", [False, True])
def test_a_bag_is_the_convolution_with_channels_last(edges):
    case = make(2, (5, 3), 6, edges, 4)
    found = bag(*case)
    assert found.shape == (2, 5, 3, 4)
    torch.testing.assert_close(
        found.permute(0, 3, 1, 2).double(), convolved(*case), rtol=1e-5, atol=1e-5
    )
