"""The subject "training" on a tiny model: it runs, and refuses to time a loop that learns something
else."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import training
from benchmarks.versus import Disagreement

TINY = replace(training.FP32, preset="tiny", batch=2, blocks=2, threads=1)


def test_it_runs_on_a_tiny_model(capsys) -> None:
    record = training.run([TINY, replace(TINY, dtype=torch.bfloat16)])
    names = {training.OURS, training.SPLIT, training.FULL}
    assert list(record["matches"]) == list(record["losses"]) == ["float32", "bfloat16"]
    for dtype, losses in record["losses"].items():
        assert set(record["matches"][dtype]["contestants"]) == names
        assert losses[training.FULL] > losses[training.SPLIT]  # more to choose from
    assert [goal["limit"] for goal in record["goals"]] == [1.0, 1.0]
    assert len({goal["text"] for goal in record["goals"]}) == 2
    json.dumps(record, allow_nan=False)
    training.results.show(record)
    assert "nanoGPT-style, one head" in capsys.readouterr().out


def test_ours_and_the_peer_learn_the_same() -> None:
    """Weights after three steps."""
    config = training.preset("tiny")
    batches = [training.tokens(config, 2, seed) for seed in range(2)]
    model = training.GPT.create(config)
    losses = [training.loss_of(n, config, model, TINY) for n in (training.OURS, training.SPLIT)]
    for loss in losses:
        loop = training.Loop(loss, batches, TINY)
        for _ in range(3):
            loop.step()
    ours, peer = (loss.module for loss in losses)
    again = training.PlainGPT(config, split=True).copy(ours)
    for (name, found), expected in zip(peer.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-5, msg=name)


def test_another_loss_is_not_timed(monkeypatch) -> None:
    forward = training.GPTLoss.forward

    def wrong(self, batch, step):
        loss, terms = forward(self, batch, step)
        return 1.01 * loss, terms

    monkeypatch.setattr(training.GPTLoss, "forward", wrong)
    with pytest.raises(Disagreement, match="training: found a loss of"):
        training.run([TINY])
