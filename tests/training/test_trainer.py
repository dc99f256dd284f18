"""The trainer on a toy. Run as a script it is the process that the tests kill:

python tests/training/test_trainer.py FOLDER [--kill STEP | --kill-saving STEP] [--key value ...]
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mas_fast.training.batch_order import Order
from mas_fast.training.checkpoints import Checkpoints
from mas_fast.training.distcp import read_index
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


def test_a_run_is_not_written_into_its_data(tmp_path, monkeypatch) -> None:
    """Its sample sheets would be samples, and it could never be continued."""
    monkeypatch.setattr(Settings, "made_from", lambda self: {"data": tmp_path})
    for folder in (tmp_path, tmp_path / "run"):
        with pytest.raises(ValueError, match="found an output that (is|lies in) the input"):
            toy(folder)
    assert not list(tmp_path.iterdir())


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
            ema=False,
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
    values.pop("made_from")
    stored = read_index(path).state_dict_metadata
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
    toy(tmp_path, workers=workers, keep_checkpoints=1).run()
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
    trainer = toy(tmp_path, bad={4: float("nan")}, steps=21, max_skips=5)
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


def test_no_samples(tmp_path) -> None:
    trainer = toy(tmp_path)
    trainer.data.__class__ = type("None", (Rows,), {"__len__": lambda self: 0})
    with pytest.raises(ValueError, match="found no samples"):
        Trainer(trainer.parts, trainer.data, trainer.settings)


def test_other_settings_are_refused(whole) -> None:
    with pytest.raises(ValueError, match=r"other settings .*'batch': \(4, 2\)"):
        toy(whole, batch=2)
    assert Settings.FREE <= plain(build(Settings, TOY | {"folder": "x"}, "toy")).keys()


DAMAGES = {
    "half of the tensors": lambda f: os.truncate(f / "__0_0.distcp", 5000),
    "bytes of the tensors": lambda f: flip(f / "__0_0.distcp", *range(500, 2000, 7)),
    "no tensors": lambda f: (f / "__0_0.distcp").unlink(),
    "half of the index": lambda f: os.truncate(f / ".metadata", 900),
    "a bit of the index": lambda f: flip(f / ".metadata", 90),
    "no index": lambda f: (f / ".metadata").unlink(),
    "half of the values": lambda f: os.truncate(f / "values.json", 90),
    "deep values": lambda f: (f / "values.json").write_text("[" * 100_000),
    "other values": lambda f: (f / "values.json").write_text('{"step": 6, "recent": []}'),
    "values of another kind": lambda f: edit(f / "values.json", recent={"a": 1}),
    "no values": lambda f: (f / "values.json").unlink(),
    "nothing": lambda f: [file.unlink() for file in f.iterdir()],
    "a file": lambda f: (shutil.rmtree(f), f.write_text("x")),
    "a pipe": lambda f: ((f / "values.json").unlink(), os.mkfifo(f / "values.json")),
    "another step's": lambda f: (
        shutil.rmtree(f),
        shutil.copytree(f.with_name("step-00000003"), f),
    ),
}


def flip(file: Path, *places: int) -> None:
    content = bytearray(file.read_bytes())
    for at in places:
        content[at] ^= 4
    file.write_bytes(content)


def edit(file: Path, **values) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run of six steps, with the checkpoints 3 and 6."""
    folder = tmp_path_factory.mktemp("half")
    toy(folder, steps=6, lr_end=1.0, keep_checkpoints=9).run()
    return folder


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_newest_whole_checkpoint_is_used_and_the_damaged_named(
    half, tmp_path, capfd, damage
) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    damage(folder / "step-00000006")
    trainer = toy(tmp_path / "run", steps=6, lr_end=1.0, keep_checkpoints=2)
    said = capfd.readouterr().err
    assert trainer.step == 3
    assert "step-00000006: damaged (" in said and "now step-00000006.damaged" in said
    assert "step-00000003: continued from this one" in said
    trainer.run()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["step-00000003", "step-00000006", "step-00000006.damaged"]
    assert same(state(tmp_path / "run"), state(half))


def test_no_run_begins_anew_where_all_checkpoints_are_damaged(half, tmp_path) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for step in folder.iterdir():
        (step / ".metadata").unlink()
    before = sorted(folder.rglob("*"))
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"2 damaged .* no whole one \(step-00000006: .metadata: No such file"
        ):
            toy(tmp_path / "run", steps=6, lr_end=1.0)
    assert sorted(folder.rglob("*")) == before


def test_strays_are_left_alone(half, tmp_path) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    strays = ["step-00000006-backup", "step-00000007.bak", "step-x", "step-9", "step-000000008"]
    for name in strays:
        shutil.copytree(folder / "step-00000006", folder / name)
    toy(tmp_path / "run", steps=9, lr_end=1.0, keep_checkpoints=1).run()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*strays, "step-00000009"])


def test_what_a_kill_left_too_many_is_swept_at_the_next_start(half, tmp_path) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    shutil.copytree(folder / "step-00000006", folder / ".step-00000009.tmp")
    toy(tmp_path / "run", steps=6, lr_end=1.0, keep_checkpoints=1)
    assert [path.name for path in folder.iterdir()] == ["step-00000006"]


def test_equal_runs_write_equal_files(half, tmp_path) -> None:
    """Also one that was continued, whose optimizer was filled from a checkpoint."""
    shutil.copytree(half, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000006")
    toy(tmp_path / "run", steps=6, lr_end=1.0, keep_checkpoints=9).run()
    for name in ("__0_0.distcp", ".metadata"):
        one, two = (
            (run / "checkpoints" / "step-00000006" / name).read_bytes()
            for run in (half, tmp_path / "run")
        )
        assert one == two


def test_a_folder_in_use_is_refused(tmp_path) -> None:
    first = toy(tmp_path)
    with pytest.raises(ValueError, match=r"another run that writes to it; wait for it, or train"):
        toy(tmp_path)
    other = script(tmp_path)
    assert other.returncode == 1 and "found another run" in other.stderr
    first.run()
    assert toy(tmp_path).step == 12


def test_an_error_at_the_start_holds_no_lock(whole) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="other settings"):
            toy(whole, seed=5)


STOPS = {signal.SIGTERM: SystemExit, signal.SIGINT: KeyboardInterrupt}


def check_stop(stop, capfd, words) -> None:
    """It has said how to go on."""
    if isinstance(stop.value, SystemExit):
        assert stop.value.code == 143
        assert capfd.readouterr().err.splitlines()[-1] == f"terminated: {words}"
    else:  # the command line says it, and ends with 130
        assert str(stop.value) == words


@pytest.mark.parametrize("number", STOPS)
def test_a_run_that_is_told_to_stop_says_how_to_go_on(whole, tmp_path, capfd, number) -> None:
    def told(step: int) -> None:
        if step == 8:
            os.kill(os.getpid(), number)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(STOPS[number]) as stop:
        toy(tmp_path, hooks=[(1, told)]).run()
    assert signal.getsignal(signal.SIGTERM) is before
    last = tmp_path / "checkpoints" / "step-00000006"
    words = f"at step 8; the last checkpoint is {last}; the same command continues"
    check_stop(stop, capfd, words)
    toy(tmp_path).run()
    assert same(state(tmp_path), state(whole))


@pytest.mark.parametrize("number", STOPS)
def test_told_to_stop_in_a_save(whole, tmp_path, monkeypatch, capfd, number) -> None:
    trainer, write = toy(tmp_path), torch.save

    def told(*arguments, **more) -> None:
        if trainer.step == 3:
            os.kill(os.getpid(), number)
        write(*arguments, **more)

    with monkeypatch.context() as patch, pytest.raises(STOPS[number]) as stop:
        patch.setattr(torch, "save", told)
        trainer.run()
    words = "at step 3; there is no checkpoint yet; the same command continues"
    check_stop(stop, capfd, words)
    assert not list((tmp_path / "checkpoints").iterdir())
    toy(tmp_path).run()
    assert same(state(tmp_path), state(whole))


def test_a_full_disk_in_a_save_is_said(whole, tmp_path) -> None:
    trainer, limits = toy(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    words = r"step-00000003: not written: File too large \(\d+ bytes needed, \d+ free\)"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(OSError, match=words):
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not any((tmp_path / "checkpoints").iterdir())
    toy(tmp_path).run()
    assert same(state(tmp_path), state(whole))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--stesp", "3"], "^--stesp: found no such setting, expected one of .*'--steps'"),
        (["--steps", "many"], "steps: found 'many', expected int"),
        (["--steps", "0"], "steps: found 0, expected a value >= 1"),
        (["--steps"], "found no value after --steps"),
        (["steps=3"], "found the argument 'steps=3'"),
        (["--precision", "fp8"], r"found 'fp8', expected one of \['fp32', 'bf16'\]"),
        (["--ema-decay", "1.5"], r"ema-decay: found 1.5, expected a value in 0..1"),
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
