"""training/ema.py, over a run of the trainer."""

import torch

from toy_runs import toy


def test_average_follows_the_formula(tmp_path) -> None:
    trainer = toy(tmp_path, steps=5, average=0.3)
    model, seen = trainer.parts[0].model, []
    trainer.hooks = [(1, lambda step: seen.append(model.head.weight.detach().clone()))]
    trainer.run()
    expected = seen[0]
    for n, weight in enumerate(seen[1:], 1):
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weight
    averaged = trainer.averaged("model")
    torch.testing.assert_close(averaged.head.weight, expected)
    assert torch.equal(averaged.net[1].running_mean, model.net[1].running_mean)
