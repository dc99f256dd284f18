"""training/batch_order.py: which samples a step sees."""

import pytest

from mas_fast.training.batch_order import Order


def flat(order: Order, steps: range) -> list[tuple[int, int]]:
    order.steps = steps
    assert len(order) == len(list(order)) == len(steps) * order.passes
    return [place for batch in order for place in batch]


def test_order_is_a_function_of_seed_and_step() -> None:
    whole = flat(Order(21, 3, 4, 1), range(12))
    assert len(whole) == 48
    for epoch in (0, 1):
        assert sorted(whole[21 * epoch : 21 * epoch + 21]) == [(epoch, i) for i in range(21)]
    assert [i for _, i in whole[:21]] != [i for _, i in whole[21:42]]
    assert flat(Order(21, 3, 4, 2), range(7, 12)) == whole[28:]
    assert flat(Order(21, 4, 4, 1), range(12)) != whole
    ranks = [flat(Order(21, 3, 4, 2, rank, 2), range(12)) for rank in (0, 1)]
    for step in range(12):
        shared = [place for rank in ranks for place in rank[2 * step : 2 * step + 2]]
        assert shared == whole[4 * step : 4 * step + 4]
    assert len(set(flat(Order(3, 0, 8, 1), range(3)))) == 24  # an epoch shorter than a batch
    with pytest.raises(ValueError, match="found 4, expected a multiple of accumulate = 2 times 3"):
        Order(21, 3, 4, 2, 0, 3)
