"""training/speed.py: the peak that a run's speed is compared with."""

import torch

from mas_fast.training.speed import peak_flops


def test_the_peak_is_that_of_a_matrix_product(monkeypatch) -> None:
    """Of a clock that says that each took 2 ms, but the third 1 ms."""
    times = iter([0, 2, 2, 4, 4, 5, 5, 7, 7, 9])
    monkeypatch.setattr("time.perf_counter", lambda: next(times) / 1000)
    assert peak_flops(torch.device("cpu"), torch.float32) == 2 * 1024**3 / 1e-3
