"""label_conv_table.py: the table, and which of its rows a pixel adds up."""

import torch

from label_conv_cases import convolved, make
from mas_fast.ops.label_conv_table import label_rows, label_table


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
