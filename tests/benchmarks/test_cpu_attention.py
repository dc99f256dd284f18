"""The subject "cpu_attention" on small shapes: it runs, and refuses to time what is wrong."""

import json

import pytest
import torch

from benchmarks import cpu_attention
from benchmarks.versus import Disagreement

SMALL = cpu_attention.Plan(shapes=(("small", (2, 2, 40, 16)),), units=1, blocks=2)


def test_it_runs_on_a_small_shape(capsys) -> None:
    threads = torch.get_num_threads()
    record = cpu_attention.run(SMALL)
    assert torch.get_num_threads() == threads
    assert set(record["matches"]) == {"small, forward", "small, forward + backward"}
    contestants = record["matches"]["small, forward"]["contestants"]
    assert set(contestants) == {cpu_attention.OURS, cpu_attention.FUSED, cpu_attention.PLAIN}
    json.dumps(record, allow_nan=False)
    cpu_attention.results.show(record)
    assert "times as fast as the best peer" in capsys.readouterr().out


def test_what_is_wrong_is_not_timed(monkeypatch) -> None:
    wrong = cpu_attention.FUNCTIONS | {cpu_attention.OURS: lambda *x: 1.2 * cpu_attention.fused(*x)}
    monkeypatch.setattr(cpu_attention, "FUNCTIONS", wrong)
    with pytest.raises(Disagreement, match="small: found an error of"):
        cpu_attention.run(SMALL)
