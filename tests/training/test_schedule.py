"""training/schedule.py, as a GPT's settings use it."""

from dataclasses import replace

import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import settings  # noqa: E402


def test_schedules(tmp_path, shards) -> None:
    s = settings(shards, tmp_path, steps=100, warmup=10, lr_drop_step=40, lr_end=0.25)
    found = [s.lr_factor(step) for step in (0, 4, 9, 39, 40, 99)]
    assert found == [0.1, 0.5, 1, 1, 0.25, 0.25]
    cosine = replace(s, lr_drop_step=None)
    assert cosine.lr_factor(55) == pytest.approx(0.625)
    assert cosine.lr_factor(99) < 0.26
