"""training/skip_log.py: steps that are left out are listed, and too many end the run."""

import pytest
import torch
from torch import nn

from toy_runs import same, scalars, script, state, toy


def test_nan_names_step_and_samples(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"model: found a loss of nan .* step 0, samples \['row-"):
        toy(tmp_path, bad=dict.fromkeys(range(21), float("nan"))).run()
    trainer = toy(tmp_path, bad={4: float("inf")})
    with pytest.raises(ValueError, match=r"step \d, samples \[.*'row-4'.*the last checkpoint is"):
        trainer.run()
    weights = nn.utils.parameters_to_vector(trainer.parts[0].model.parameters())
    assert weights.isfinite().all()


def test_spike_stops(tmp_path) -> None:
    trainer = toy(tmp_path, steps=200, bad={4: 1e3}, checkpoint_every=1000)
    trainer.verdicts.remember([1.0] * 100)
    with pytest.raises(ValueError, match=r"over 10 times the largest of the last 100 at step"):
        trainer.run()


def test_bad_steps_are_left_out_and_counted(tmp_path) -> None:
    """Row 4 of 21 comes once an epoch; the weights are those of a run without its steps."""
    trainer = toy(tmp_path, bad={4: float("nan")}, steps=21, max_skips=5)
    trainer.parts = trainer.parts[:1]
    trainer.parts[0].model.eval()  # batch norm would remember what it saw
    trainer.run()
    assert trainer.skipped == 4
    assert scalars(tmp_path, "skipped")[21] == 4
    lines = (tmp_path / "skipped.tsv").read_text().splitlines()
    assert len(lines) == 4
    assert all("'row-4'" in line for line in lines)
    steps = {int(line.split("\t")[0]) for line in lines}
    assert len(steps) == 4
    weights = nn.utils.parameters_to_vector(trainer.parts[0].model.parameters())
    assert weights.isfinite().all()

    other = toy(tmp_path / "other", steps=21)
    other.parts = other.parts[:1]
    other.parts[0].model.eval()
    turn = other._turn
    other._turn = lambda part, batches: other.step in steps or turn(part, batches)
    other.run()
    assert torch.equal(weights, nn.utils.parameters_to_vector(other.parts[0].model.parameters()))


def test_bad_steps_are_found_when_the_host_looks(tmp_path) -> None:
    """With the same outcome, and before anything is saved."""
    runs = {}
    for every in (1, 7):
        folder = tmp_path / str(every)
        trainer = toy(folder, bad={4: float("nan")}, steps=21, max_skips=5, log_every=every)
        trainer.parts[0].model.eval()
        trainer.run()
        runs[every] = state(folder), (folder / "skipped.tsv").read_text()
    assert same(runs[1], runs[7])
    steps = [int(line.split("\t")[0]) for line in runs[7][1].splitlines()]
    assert len(steps) == 4
    counts = {look: sum(step < look for step in steps) for look in (7, 14, 21)}
    assert scalars(tmp_path / "7", "skipped") == counts
    late = toy(
        tmp_path / "late", bad={4: float("nan")}, steps=21, log_every=21, checkpoint_every=20
    )
    late.parts[0].model.eval()
    with pytest.raises(ValueError, match=r"'row-4'.*; the last checkpoint is none"):
        late.run()


def test_a_bad_step_ends_the_turns(tmp_path) -> None:
    """The critic takes none after it, and the step counts once."""
    trainer = toy(tmp_path, bad={4: float("nan")}, steps=30, max_skips=9)
    trainer.parts[0].model.eval()
    trainer.run()
    steps = {int(line.split("\t")[0]) + 1 for line in trainer.skip_log.lines}
    assert trainer.skipped == len(steps) >= 4
    assert set(scalars(tmp_path, "critic/loss")) == set(range(6, 31)) - steps


def test_one_bad_step_too_many(tmp_path) -> None:
    changes = {"steps": 60, "checkpoint_every": 5, "max_skips": 2}
    for limit, before in ((2, 2), (4, 4)):  # goes on from the checkpoint, which knows the count
        trainer = toy(tmp_path, bad={4: float("nan")}, **changes | {"max_skips": limit})
        trainer.parts[0].model.eval()
        with pytest.raises(ValueError, match=rf"'row-4'.*; {before} bad steps before were left"):
            trainer.run()
    lines = (tmp_path / "skipped.tsv").read_text().splitlines()
    assert len(lines) == 5  # none of them twice


def test_nan_stops_all_processes(tmp_path) -> None:
    done = script(tmp_path, "--nan", world=2)
    assert done.returncode == 1
    assert done.stderr.count("ValueError: model: found a loss of nan") >= 2, done.stderr
