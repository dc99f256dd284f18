"""A toy that is trained in no time. Run as a script it is the process that tests kill:

python tests/support/toy_runs.py FOLDER [--kill STEP | --kill-saving STEP] [--key value ...]
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

import curves
from mas_fast.training.checkpoints import Checkpoints
from mas_fast.training.distcp import read_index
from mas_fast.training.settings import build
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
    adam = torch.optim.Adam(critic.parameters(), fused=True)
    loss = Reconstruct(model, critic)
    settings = build(Settings, TOY | {"folder": str(folder)} | changes, "toy")
    parts = [
        Part("model", model, loss, torch.optim.AdamW(model.parameters(), 0.01, fused=True)),
        Part("critic", critic, Criticise(critic, loss), adam, ema=False, start=5),
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


def scalars(folder, name: str = "model/loss") -> dict[int, float]:
    return curves.scalars(folder, name)


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
