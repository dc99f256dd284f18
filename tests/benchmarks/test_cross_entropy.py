"""The subject "cross_entropy" on a tiny model: it runs, and refuses to time a wrong loss."""

import json
import math
from dataclasses import replace

import pytest
import torch

from benchmarks import cross_entropy as subject
from benchmarks import memory
from benchmarks.versus import Disagreement

TINY = subject.Plan(preset="tiny", rows=2, blocks=2, dtypes=("float32",))
PEERS = {subject.OURS, subject.SPLIT, subject.WHOLE}
if hasattr(torch.nn, "LinearCrossEntropyOptions"):
    PEERS.add(subject.FUSED)


def test_it_runs_on_a_tiny_model(capsys) -> None:
    record = subject.run(replace(TINY, dtypes=subject.Plan.dtypes))
    assert set(record["matches"]) == {"float32", "bfloat16"}
    assert all(set(match["contestants"]) == PEERS for match in record["matches"].values())
    json.dumps(record, allow_nan=False)
    subject.results.show(record)
    assert "float32: times as fast as one head" in capsys.readouterr().out


def test_ours_and_the_split_are_the_same() -> None:
    heads = subject.Heads(TINY, torch.float32)
    tensors = heads.tensors(subject.OURS)
    names = [subject.OURS, *PEERS - {subject.OURS, subject.WHOLE}]
    ours, *losses = (heads.function(name)(*tensors) for name in names)
    gradients = torch.autograd.grad(ours, tensors)
    for loss in losses:
        torch.testing.assert_close(ours, loss)
        for a, b in zip(gradients, torch.autograd.grad(loss, tensors), strict=True):
            torch.testing.assert_close(a, b)


def test_one_head_has_the_vocabularies_in_order() -> None:
    """Where hidden states are 0, every token has the same probability."""
    heads = subject.Heads(TINY, torch.float32)
    hidden, head = heads.tensors(subject.WHOLE)
    loss = heads.function(subject.WHOLE)(torch.zeros_like(hidden), head)
    assert loss.item() == pytest.approx(math.log(sum(heads.vocabs)))
    text, *_, img = heads.shifted.split(heads.lengths, 1)
    assert text.max() < heads.vocabs[0]
    assert img.min() >= sum(heads.vocabs[:-1])


def test_a_wrong_loss_is_not_timed(monkeypatch) -> None:
    right = subject.ops.stream_cross_entropy

    def wrong(hidden, *arguments, **options):
        return right(hidden * 1.1, *arguments, **options)

    monkeypatch.setattr(subject.ops, "stream_cross_entropy", wrong)
    with pytest.raises(Disagreement, match="float32: found a relative error of"):
        subject.run(TINY)


@pytest.mark.skipif(not memory.is_told(), reason="this system does not tell")
def test_the_memory_is_that_of_the_logits() -> None:
    plan = subject.Plan(preset="tiny", rows=2000)
    logits = 4 * 2000 * 39 * 160
    extra = subject.extra_bytes(plan, torch.float32, subject.WHOLE)
    assert 2 * logits < extra < 4 * logits
