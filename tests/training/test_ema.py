"""training/ema.py, over a run of the trainer."""

import torch

from toy_runs import toy


def test_average_follows_the_formula(tmp_path) -> None:
    trainer = toy(tmp_path, steps=5, ema_decay=0.3)
    model, seen = trainer.parts[0].model, []
    trainer.hooks = [(1, lambda step: seen.append(model.head.weight.detach().clone()))]
    trainer.run()
    expected = seen[0]
    for n, weight in enumerate(seen[1:], 1):
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weight
    averaged = trainer.ema_model("model")
    torch.testing.assert_close(averaged.head.weight, expected)
    assert torch.equal(averaged.net[1].running_mean, model.net[1].running_mean)


def test_a_skipped_step_counts_as_one_that_moved_nothing(tmp_path) -> None:
    trainer = toy(tmp_path, steps=12, ema_decay=0.3, max_skips=6, bad={4: float("nan")})
    model, seen = trainer.parts[0].model.eval(), []
    trainer.hooks = [(1, lambda step: seen.append(model.head.weight.detach().clone()))]
    trainer.run()
    skipped = {int(line.split("\t")[0]) for line in trainer.skip_log.lines}
    same = [n for n in range(1, 12) if torch.equal(seen[n], seen[n - 1])]
    assert set(same) == skipped - {0}
    assert same
    expected = seen[0]
    for n, weight in enumerate(seen[1:], 1):
        expected = torch.lerp(expected, weight, 1 - min(0.3, (1 + n) / (10 + n)))
    torch.testing.assert_close(trainer.ema_model("model").head.weight, expected)
