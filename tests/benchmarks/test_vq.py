"""The subject "vq" on a small problem: it runs, and refuses to time what is wrong."""

import dataclasses
import json
import sys

import pytest
import torch

from benchmarks import vq
from benchmarks.versus import Disagreement
from mas_fast import ops

TINY = vq.Plan(rows=70, codes=200, channels=12, units=1, blocks=2, threads=1, checked=70)


def test_it_runs_on_a_small_problem(capsys) -> None:
    record = vq.run(TINY)
    for match in record["matches"].values():
        assert {vq.OURS, vq.CDIST, vq.ADDMM} <= set(match["contestants"])
        assert set(match["contestants"]) | set(match["missing"]) >= {vq.VQP}
    json.dumps(record, allow_nan=False)
    vq.results.show(record)
    assert "times as fast as the best peer" in capsys.readouterr().out


@pytest.mark.parametrize("kind", vq.KINDS)
def test_all_contestants_find_the_same_codes(kind) -> None:
    x, codes = vq.make(dataclasses.replace(TINY, channels=64), kind)
    assert len(codes.unique(dim=0)) < len(codes)
    distances = torch.cdist(x, codes)
    for name in (vq.OURS, vq.FAST, vq.CDIST, vq.ADDMM, vq.VQP):
        try:
            found = vq.function(name, x, codes)(x)
        except vq.Unavailable:
            continue
        own = distances.gather(1, found[:, None])[:, 0]
        torch.testing.assert_close(own, distances.amin(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("step", [-1, 1])
def test_a_wrong_index_is_not_timed(monkeypatch, step) -> None:
    """A farther code, and the higher one of two equals."""
    nearest = ops.vq_nearest

    def wrong(x, codebook, **options):
        found = nearest(x, codebook, **options)
        if step == -1:
            return torch.where(found == found[0], (found + 1) % len(codebook), found)
        equal = (codebook[found][:, None] == codebook).all(2)
        return equal.int().cumsum(1).argmax(1)

    monkeypatch.setattr(ops, "vq_nearest", wrong)
    with pytest.raises(Disagreement, match="nearer" if step == -1 else "not the fp64 argmin"):
        vq.run(TINY)


def test_gpu_goals_name_who_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "flash_kmeans", None)
    x, codes = vq.make(TINY, "normal")
    names = (vq.OURS, vq.FAST, vq.VQP, vq.KMEANS)
    match = vq.measure([vq.contestant(name, TINY, x, codes) for name in names], 1)
    found = {goal.text: goal for goal in vq.gpu_goals(TINY, match, match)}
    assert len(found) == 6
    goal = found["GPU, bf16: mas_fast exact, times as fast as flash-kmeans assign"]
    assert goal.passed is None
    assert "pip install flash-kmeans" in goal.detail
