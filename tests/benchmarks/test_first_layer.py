"""The subject "first_layer" on a tiny model: it runs, and refuses to time a layer that is wrong."""

import json
import sys

import pytest
import torch

from benchmarks import first_layer
from benchmarks.versus import Disagreement

TINY = first_layer.Plan(preset="tiny-seg", size=64, units=1, blocks=2, encoder_blocks=2)


def test_it_runs_on_a_tiny_model(capsys) -> None:
    record = first_layer.run(TINY)
    contestants = record["matches"]["layer"]["contestants"]
    assert set(contestants) == {first_layer.OURS, first_layer.FIRST, first_layer.LAST}
    assert len(record["matches"]["encoder"]["contestants"]) == 2
    json.dumps(record, allow_nan=False)
    first_layer.results.show(record)
    assert "times as fast as one-hot" in capsys.readouterr().out


def test_all_contestants_compute_the_same() -> None:
    config = first_layer.preset("tiny-seg")
    encoder = first_layer.VQVAE.create(config).encoder
    layers = first_layer.contestants(config, encoder.conv_in)
    x = first_layer.scene(32, config.channels)
    with torch.inference_mode():
        ours, *others = (call(*x) for call in layers.values())
        for other in others:
            torch.testing.assert_close(ours, other, rtol=0, atol=1e-5)
        one, two = (call(*x) for call in first_layer.encoders(encoder, layers).values())
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


def test_a_wrong_layer_is_not_timed(monkeypatch) -> None:
    monkeypatch.setattr(first_layer.VQVAE, "create", broken(first_layer.VQVAE.create))
    with pytest.raises(Disagreement, match="found an error of"):
        first_layer.run(TINY)


def broken(create):
    def make(config):
        model = create(config)
        layer = model.encoder.conv_in
        forward = layer.forward
        layer.forward = lambda *x: forward(*x) + 0.01
        return model

    return make


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_holds_the_result() -> None:
    plan = first_layer.Plan(preset="tiny-seg", size=256)
    peak = first_layer.peak_bytes(first_layer.OURS, plan)
    result = first_layer.result_bytes(plan)
    assert 0.9 * result < peak < 3 * result  # the kernel counts pages in batches of each core
