"""The trainer on a toy. Run as a script it is the process that the tests kill:

python tests/test_trainer.py FOLDER [--kill STEP | --kill-saving STEP] [--key value ...]
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mas_fast.training.checkpoints import Checkpoints, _Reader
from mas_fast.training.order import Order
from mas_fast.training.settings import build, plain, read
from mas_fast.training.trainer import Part, Settings, Trainer

TOY = {"steps": 12, "batch": 4, "checkpoint_every": 3, "log_every": 1, "warmup": 4, "lr_end": 0.1}


class Rows:
    """21 rows: four full batches and a quarter of one make an epoch."""

    def __init__(self, bad: dict[int, float] | None = None) -> None:
        self.bad = bad or {}

    def __len__(self) -> int:
        return 21

    def __getitem__(self, place):
        epoch, index = place
        generator = torch.Generator().manual_seed(1000 * epoch + index)  # the "augmentation"
        x = torch.randn(5, generator=generator) * self.bad.get(index, 1.0)
        return f"row-{index}", x

    def collate(self, samples):
        keys, rows = zip(*samples, strict=True)
        return {"keys": list(keys), "rejects": [], "x": torch.stack(rows)}


class Toy(nn.Module):
    """Everything that a checkpoint must carry: weights, a dropout, and buffers that learn."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Tanh())
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.net(x))


class Reconstruct(nn.Module):
    def __init__(self, model, critic) -> None:
        super().__init__()
        self.model = model
        self.others = [critic]  # in a list: no submodule

    def forward(self, batch, step):
        out = self.model(batch["x"])
        self.seen = out.detach()
        error = (out - batch["x"]).square().mean()
        return error - 0.01 * self.others[0](out).mean(), {"error": error.detach()}


class Criticise(nn.Module):
    def __init__(self, critic, first) -> None:
        super().__init__()
        self.critic, self.first = critic, [first]

    def forward(self, batch, step):
        real, false = self.critic(batch["x"]), self.critic(self.first[0].seen)
        return torch.relu(1 - real).mean() + torch.relu(1 + false).mean(), {}


def toy(folder, bad=None, hooks=(), **changes) -> Trainer:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, critic = Toy(), nn.Linear(5, 1)
    loss = Reconstruct(model, critic)
    settings = build(Settings, TOY | {"folder": str(folder)} | changes, "toy")
    parts = [
        Part("model", model, loss, torch.optim.AdamW(model.parameters(), 0.01)),
        Part(
            *("critic", critic, Criticise(critic, loss), torch.optim.Adam(critic.parameters())),
            average=False,
            start=5,
        ),
    ]
    return Trainer(parts, Rows(bad), settings, hooks)


def state(folder) -> dict:
    """All of the newest checkpoint, but for the settings."""
    checkpoints = Checkpoints(Path(folder) / "checkpoints", 1)
    path = checkpoints.latest()
    values = checkpoints.values(path)
    values.pop("settings")
    stored = _Reader(path).read_metadata().state_dict_metadata
    assert list(stored) == checkpoints.names(path)
    tensors = {n: torch.empty(m.size, dtype=m.properties.dtype) for n, m in stored.items()}
    checkpoints.read(path, tensors)
    return values | tensors


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def scalars(folder, name="model/loss") -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(folder) / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def script(*arguments, world=0, **changes) -> subprocess.CompletedProcess:
    overrides = [word for key, value in changes.items() for word in (f"--{key}", str(value))]
    launch = [sys.executable]
    if world:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
    return subprocess.run(
        [*launch, __file__, *map(str, arguments), *overrides],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    toy(folder).run()
    return folder


@pytest.mark.parametrize("how", [("--kill", 1), ("--kill", 7), ("--kill", 9), ("--kill-saving", 6)])
def test_a_killed_run_continues_bit_for_bit(whole, tmp_path, how) -> None:
    killed = script(tmp_path, *how)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "checkpoints" / "step-00000012").exists()
    continued = script(tmp_path)
    assert continued.returncode == 0, continued.stderr
    assert same(state(tmp_path), state(whole))
    assert scalars(tmp_path) == scalars(whole)
    assert scalars(tmp_path, "critic/loss") == scalars(whole, "critic/loss")
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_losses_and_checkpoints_of_a_whole_run(whole) -> None:
    losses = scalars(whole)
    assert list(losses) == list(range(1, 13))
    assert list(scalars(whole, "critic/loss")) == list(range(6, 13))  # starts at step 5, from 0
    rates = scalars(whole, "model/lr")
    assert [rates[i] for i in (1, 2, 4)] == pytest.approx([0.0025, 0.005, 0.01])
    assert 0.001 < rates[12] < 0.0015
    files = sorted(file.name for file in (whole / "checkpoints").iterdir())
    assert files == ["step-00000009", "step-00000012"]


def test_a_finished_run_stays(whole) -> None:
    before = {file: file.stat().st_mtime_ns for file in (whole / "checkpoints").iterdir()}
    toy(whole).run()
    assert before == {file: file.stat().st_mtime_ns for file in (whole / "checkpoints").iterdir()}


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(whole, tmp_path, workers) -> None:
    toy(tmp_path, workers=workers, keep=1).run()
    assert same(state(tmp_path), state(whole))


def test_passes_sum_to_the_batch(tmp_path) -> None:
    """Without batch norm and dropout, two passes of half a batch are one pass of it."""
    weights = []
    for accumulate in (1, 2):
        trainer = toy(tmp_path / str(accumulate), accumulate=accumulate, clip=0.01)
        trainer.parts = trainer.parts[:1]
        trainer.parts[0].model.eval()
        trainer.run()
        weights.append(nn.utils.parameters_to_vector(trainer.parts[0].model.parameters()))
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


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


def test_hooks_change_nothing(whole, tmp_path) -> None:
    toy(tmp_path, hooks=[(5, lambda step: {"drawn": torch.rand(())})]).run()
    assert list(scalars(tmp_path, "drawn")) == [5, 10, 12]
    assert same(state(tmp_path), state(whole))


def test_bf16_learns(tmp_path) -> None:
    toy(tmp_path, precision="bf16", steps=3).run()
    assert state(tmp_path)["model/model/head.weight"].dtype == torch.float32


# ------------------------------------------------------------------ order of the data


def flat(order: Order, steps: range) -> list[tuple[int, int]]:
    order.steps = steps
    assert len(order) == len(list(order)) == len(steps) * order.passes
    return [place for batch in order for place in batch]


def test_order_is_a_function_of_seed_and_step() -> None:
    whole = flat(Order(21, 3, 4, 1), range(12))
    assert len(whole) == 48
    for epoch in (0, 1):
        assert sorted(whole[21 * epoch : 21 * epoch + 21]) == [(epoch, i) for i in range(21)]
    assert [i for _, i in whole[:21]] != [i for _, i in whole[21:42]]
    assert flat(Order(21, 3, 4, 2), range(7, 12)) == whole[28:]
    assert flat(Order(21, 4, 4, 1), range(12)) != whole
    ranks = [flat(Order(21, 3, 4, 2, rank, 2), range(12)) for rank in (0, 1)]
    for step in range(12):
        shared = [place for rank in ranks for place in rank[2 * step : 2 * step + 2]]
        assert shared == whole[4 * step : 4 * step + 4]
    assert len(set(flat(Order(3, 0, 8, 1), range(3)))) == 24  # an epoch shorter than a batch
    with pytest.raises(ValueError, match="found 4, expected a multiple of accumulate = 2 times 3"):
        Order(21, 3, 4, 2, 0, 3)


# ------------------------------------------------------------------ torchrun


def test_two_processes_continue_bit_for_bit(tmp_path) -> None:
    for name, arguments in (("whole", []), ("killed", ["--kill", 7]), ("killed", [])):
        done = script(tmp_path / name, *arguments, world=2)
        assert bool(done.returncode) == bool(arguments), done.stderr
    assert same(state(tmp_path / "whole"), state(tmp_path / "killed"))
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "killed")


def test_two_processes_agree_with_one(tmp_path) -> None:
    done = script(tmp_path / "two", "--still", world=2)
    assert done.returncode == 0, done.stderr
    done = script(tmp_path / "one", "--still")
    assert done.returncode == 0, done.stderr
    one, two = (state(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        if name.startswith("model/model/"):
            torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ bad input


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
    trainer.recent.extend([1.0] * 100)
    with pytest.raises(ValueError, match=r"over 10 times the largest of the last 100 at step"):
        trainer.run()


def test_bad_steps_are_left_out_and_counted(tmp_path) -> None:
    """Row 4 of 21 comes once an epoch; the weights are those of a run without its steps."""
    trainer = toy(tmp_path, bad={4: float("nan")}, steps=21, skips=5)
    trainer.parts = trainer.parts[:1]
    trainer.parts[0].model.eval()  # batch norm would remember what it saw
    trainer.run()
    assert trainer.skipped == 4 and scalars(tmp_path, "skipped")[21] == 4
    lines = (tmp_path / "skipped.tsv").read_text().splitlines()
    assert len(lines) == 4 and all("'row-4'" in line for line in lines)
    steps = {int(line.split("\t")[0]) for line in lines}
    assert len(steps) == 4
    weights = nn.utils.parameters_to_vector(trainer.parts[0].model.parameters())
    assert weights.isfinite().all()

    other = toy(tmp_path / "other", steps=21)
    other.parts = other.parts[:1]
    other.parts[0].model.eval()
    turn = other._turn
    other._turn = lambda part, batches: {} if other.step in steps else turn(part, batches)
    other.run()
    assert torch.equal(weights, nn.utils.parameters_to_vector(other.parts[0].model.parameters()))


def test_a_bad_step_ends_the_turns(tmp_path) -> None:
    """The critic takes none after it, and the step counts once."""
    trainer = toy(tmp_path, bad={4: float("nan")}, steps=30, skips=9)
    trainer.parts[0].model.eval()
    trainer.run()
    steps = {int(line.split("\t")[0]) + 1 for line in trainer.left_out.lines}
    assert trainer.skipped == len(steps) >= 4
    assert set(scalars(tmp_path, "critic/loss")) == set(range(6, 31)) - steps


def test_one_bad_step_too_many(tmp_path) -> None:
    changes = {"steps": 60, "checkpoint_every": 5, "skips": 2}
    for limit, before in ((2, 2), (4, 4)):  # goes on from the checkpoint, which knows the count
        trainer = toy(tmp_path, bad={4: float("nan")}, **changes | {"skips": limit})
        trainer.parts[0].model.eval()
        with pytest.raises(ValueError, match=rf"'row-4'.*; {before} bad steps before were left"):
            trainer.run()
    lines = (tmp_path / "skipped.tsv").read_text().splitlines()
    assert len(lines) == 5  # none of them twice


def test_nan_stops_all_processes(tmp_path) -> None:
    done = script(tmp_path, "--nan", world=2)
    assert done.returncode == 1
    assert done.stderr.count("ValueError: model: found a loss of nan") >= 2, done.stderr


def test_no_samples(tmp_path) -> None:
    trainer = toy(tmp_path)
    trainer.data.__class__ = type("None", (Rows,), {"__len__": lambda self: 0})
    with pytest.raises(ValueError, match="found no samples"):
        Trainer(trainer.parts, trainer.data, trainer.settings)


def test_other_settings_are_refused(whole) -> None:
    with pytest.raises(ValueError, match=r"other settings .*'batch': \(4, 2\)"):
        toy(whole, batch=2)
    assert Settings.FREE <= plain(build(Settings, TOY | {"folder": "x"}, "toy")).keys()


def test_damaged_checkpoint(tmp_path) -> None:
    toy(tmp_path, steps=1).run()
    folder = tmp_path / "checkpoints" / "step-00000001"
    for name in ("__0_0.distcp", ".metadata", "values.json"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match="step-00000001: found a damaged checkpoint"):
            toy(tmp_path, steps=1)
        (folder / name).write_bytes(whole)
    toy(tmp_path, steps=1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--stesp", "3"], r"unknown keys \['stesp'\], expected .*'steps'"),
        (["--steps", "many"], "steps: found 'many', expected int"),
        (["--steps", "0"], "steps: found 0, expected a value >= 1"),
        (["--steps"], "found no value after --steps"),
        (["steps=3"], "found the argument 'steps=3'"),
        (["--precision", "fp8"], r"found 'fp8', expected one of \['fp32', 'bf16'\]"),
        (["--average", "1.5"], r"average: found 1.5, expected a value in 0..1"),
        (["--steps.more", "3"], "steps is 12, not a mapping"),
    ],
)
def test_bad_settings(tmp_path, overrides, message) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(json.dumps(TOY | {"folder": "x"}))
    with pytest.raises(ValueError, match=message):
        read(Settings, file, overrides)


def test_settings(tmp_path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text("folder: runs/toy\nsteps: 5\n")
    found = read(Settings, file, ["--batch=16", "--clip", "1e-2", "--log-every", "7"])
    assert (found.steps, found.batch, found.clip, found.log_every) == (5, 16, 0.01, 7)
    assert plain(found)["folder"] == "runs/toy"
    with pytest.raises(ValueError, match=r"the keys \['folder'\] are missing"):
        read(Settings, None, ["--steps", "3"])
    with pytest.raises(ValueError, match="absent.yaml: not a readable YAML file"):
        read(Settings, tmp_path / "absent.yaml")
    file.write_text("- a list\n")
    with pytest.raises(ValueError, match="found list, expected `key: value` lines"):
        read(Settings, file)


def main(folder, *rest) -> None:
    flags = dict.fromkeys([word for word in rest if word in ("--nan", "--still")])
    rest = [word for word in rest if word not in flags]
    options = dict(zip(rest[::2], map(int, rest[1::2]), strict=True))

    def die(step: int) -> None:
        if step == options.get("--kill"):
            os.kill(os.getpid(), signal.SIGKILL)

    real = os.rename

    def dying_rename(old, new) -> None:
        if new.name == f"step-{options.get('--kill-saving', 0):08d}":
            os.truncate(old / "__0_0.distcp", 1000)
            os.kill(os.getpid(), signal.SIGKILL)
        real(old, new)

    os.rename = dying_rename
    bad = dict.fromkeys(range(21), float("nan")) if "--nan" in flags else None
    trainer = toy(folder, bad, hooks=[(1, die)])
    if "--still" in flags:
        trainer.parts[0].model.eval()
    trainer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
    if torch.distributed.is_initialized():  # its threads would be torn down with the interpreter
        torch.distributed.destroy_process_group()
