"""One small trainer: parts that take turns, data by position, checkpoints that continue exactly.

    part = Part("model", model, loss, AdamW(...))   # loss(batch, step) -> (scalar, {name: scalar})
    Trainer([part], dataset, settings, hooks=[(500, draw)]).run()

Surprising here: nothing random carries over from step to step. The samples of a step are a pure
function of (seed, step), and torch's generators are seeded anew from (seed, step, rank) before each
step. So a checkpoint needs no generator state and no data position besides the step itself, and a
run that was killed at any moment continues with the same losses, bit for bit on a CPU. The samples
of a step do not depend on the number of processes either.

Under torchrun each loss runs in DistributedDataParallel, which also copies rank 0's buffers.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from mas_fast.training.order import Order
from mas_fast.training.records import Checkpoints, Rejects
from mas_fast.training.settings import plain

RECENT = 100  # losses that a new one is compared with


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every training run has. Counts of samples are over all processes and passes.

    batch: samples per update, split over the processes and `accumulate` passes. clip: largest norm
    of the gradients. warmup: steps in which the learning rate rises from 0; it ends at lr_end times
    its base, along half a cosine. average: decay of the averaged weights. spike: a loss above this
    many times the largest of the last 100 stops the run. keep: checkpoints that are kept.
    ValueError for a value outside its range.
    """

    # What may differ between a run and its continuation: it does not change what a step learns.
    FREE: ClassVar[frozenset[str]] = frozenset(
        ("folder", "log_every", "checkpoint_every", "keep", "workers", "spike", "accumulate")
    )

    folder: Path
    steps: int
    seed: int = 0
    batch: int = 8
    accumulate: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    clip: float = 1.0
    warmup: int = 0
    lr_end: float = 1.0
    average: float = 0.999
    spike: float = 10.0
    log_every: int = 10
    checkpoint_every: int = 500
    keep: int = 2
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "log_every", "checkpoint_every", "keep"):
            check(name, getattr(self, name), 1)
        for name in ("seed", "warmup", "workers", "lr_end"):
            check(name, getattr(self, name), 0)
        check("average", self.average, 0, 1)
        check("clip", self.clip, 1e-9)
        check("spike", self.spike, 1)

    def free(self) -> set[str]:
        """FREE; and, as a constant learning rate lets a finished run be prolonged, then `steps`."""
        return self.FREE | ({"steps"} if self.lr_end == 1 else set())

    def rate(self, step: int) -> float:
        """What the learning rates are multiplied by at `step`, counted from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr_end + (1 - self.lr_end) * 0.5 * (1 + math.cos(math.pi * progress))


def check(name: str, value: float, low: float, high: float = math.inf) -> None:
    """ValueError, naming value and range, unless low <= value <= high."""
    if not low <= value <= high:
        allowed = f">= {low}" if high == math.inf else f"in {low}..{high}"
        raise ValueError(f"{name}: found {value}, expected a value {allowed}")


@dataclass
class Part:
    """What takes one turn per step. `model` is saved (and averaged); `loss`, which holds it as a
    submodule, maps (batch, step) to a scalar and named scalars to log; `optimizer` has the
    parameters that the turn updates; `start` is the first step with a turn."""

    name: str
    model: nn.Module
    loss: nn.Module
    optimizer: Optimizer
    average: bool = True
    start: int = 0

    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


class Trainer:
    """Trains `parts`, which take turns at each step, on `data`.

    data: maps (epoch, index) to a sample, has a length, and `collate`s samples into a dict with
    "keys" (their names, for messages), "rejects" ((key, reason) of what could not be read) and
    tensors. What is random in a sample must come from (epoch, index), never from a global
    generator. hooks: (every, function) called on the first
    process after each `every` steps, and after the last one, with the number of steps done; it may
    return named scalars to log.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        data: Dataset,
        settings: Settings,
        hooks: Sequence[tuple[int, Callable[[int], dict[str, float] | None]]] = (),
    ) -> None:
        if not len(data):
            raise ValueError("data: found no samples, expected at least one")
        self.parts, self.data, self.settings, self.hooks = list(parts), data, settings, hooks
        self.rank, self.world, self.device = place()
        self.step = 0
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.averages, self.losses = {}, {}
        for part in self.parts:
            part.loss.to(self.device)
            for group in part.optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
            if part.average:
                averaged = AveragedModel(part.model, multi_avg_fn=_averaging(settings.average))
                self.averages[part.name] = averaged.requires_grad_(False).eval()
            self.losses[part.name] = part.loss
            if self.world > 1:
                self.losses[part.name] = DistributedDataParallel(
                    part.loss, gradient_as_bucket_view=True
                )
        self.order = Order(
            len(data), settings.seed, settings.batch, settings.accumulate, self.rank, self.world
        )
        self.checkpoints = Checkpoints(settings.folder / "checkpoints", settings.keep)
        self.rejects = Rejects(settings.folder / "rejects.tsv")
        self._resume()

    def averaged(self, name: str) -> nn.Module:
        """The model with averaged weights of the part `name`, in evaluation mode."""
        return self.averages[name].module

    def run(self) -> None:
        """Train until `settings.steps` are done. ValueError for a loss or a gradient that is not
        finite and for a spike: the step and the samples are named, and the weights of the last
        checkpoint are unharmed."""
        s = self.settings
        self.order.steps = range(self.step, s.steps)
        loader = DataLoader(
            self.data,
            batch_sampler=self.order,
            collate_fn=self.data.collate,
            num_workers=s.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from the global generator
        )
        first = self.rank == 0
        bar = tqdm(
            total=s.steps, initial=self.step, unit="step", disable=not first, dynamic_ncols=True
        )
        with contextlib.closing(bar), self._board() as board:
            batches = iter(loader)
            while self.step < s.steps:
                logs = self._update([self._load(batches) for _ in range(s.accumulate)])
                self.step += 1
                bar.update()
                if first:
                    self._report(logs if self._due(s.log_every) else {}, bar, board)
                if self._due(s.checkpoint_every):
                    self._save()

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def _report(self, logs: dict[str, float], bar: tqdm, board) -> None:
        """Show and write down the step's scalars and those of the hooks that are due."""
        if logs:
            bar.set_postfix({k: f"{v:.4g}" for k, v in logs.items() if k.endswith("/loss")})
        for every, hook in self.hooks:
            if self._due(every):
                logs = logs | (hook(self.step) or {})
        for name, value in logs.items():
            board.add_scalar(name, value, self.step)
        if self._due(self.settings.checkpoint_every):
            board.flush()

    # ------------------------------------------------------------------ one step

    def _load(self, batches: Iterator[dict]) -> dict:
        try:
            batch = next(batches)
        except ValueError as error:  # what a worker raises has its traceback in it
            raise ValueError(str(error).rpartition("ValueError: ")[2].strip()) from error
        for key, reason in batch.pop("rejects"):
            self.rejects.add(key, reason)
        return {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }

    def _update(self, batches: list[dict]) -> dict[str, float]:
        seeds = np.random.SeedSequence((self.settings.seed, self.step, self.rank))
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        logs = {}
        for part in self.parts:
            if self.step >= part.start:
                logs |= self._turn(part, batches)
        return logs

    def _turn(self, part: Part, batches: list[dict]) -> dict[str, float]:
        """Gradients of one part over all passes, the checks, the update of its weights."""
        for other in self.parts:  # a turn neither computes nor leaves gradients of another part
            for parameter in other.parameters():
                parameter.requires_grad_(other is part)
        loss_of, logs = self.losses[part.name], []
        for i, batch in enumerate(batches):
            waits = self.world > 1 and i + 1 < len(batches)
            with loss_of.no_sync() if waits else contextlib.nullcontext():
                with torch.autocast(
                    self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"
                ):
                    try:
                        loss, values = loss_of(batch, self.step)
                    except ValueError as error:  # such as a layer that met NaN
                        where = f"at step {self.step}, samples {batch['keys']}"
                        raise ValueError(f"{part.name}: {where}: {error}") from error
                (loss / len(batches)).backward()
            logs.append({"loss": loss.detach(), **values})
        means = self._mean(logs)
        norm = nn.utils.clip_grad_norm_(part.parameters(), self.settings.clip)
        self._inspect(part, means["loss"], float(norm), batches)
        for group in part.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.settings.rate(self.step)
        part.optimizer.step()
        part.optimizer.zero_grad(set_to_none=True)
        if part.average:
            self.averages[part.name].update_parameters(part.model)
        means |= {"gradient_norm": float(norm), "lr": part.optimizer.param_groups[0]["lr"]}
        return {f"{part.name}/{name}": value for name, value in means.items()}

    def _mean(self, logs: list[dict[str, Tensor]]) -> dict[str, float]:
        """The mean of each named scalar over passes and processes."""
        names = list(logs[0])
        table = torch.stack([torch.stack([log[n].detach().float() for n in names]) for log in logs])
        mean = table.mean(0)
        if self.world > 1:
            dist.all_reduce(mean)
            mean /= self.world
        return dict(zip(names, mean.tolist(), strict=True))

    def _inspect(self, part: Part, loss: float, norm: float, batches: list[dict]) -> None:
        """ValueError, the same on all processes, for a loss that is not finite or leaps."""
        limit = self.settings.spike * max(map(abs, self.recent), default=0.0)
        first = part is self.parts[0]
        if not math.isfinite(loss + norm):
            found = f"a loss of {loss} and gradients of norm {norm}"
        elif first and len(self.recent) == RECENT and abs(loss) > limit:
            found = f"a loss of {loss:.6g}, over {self.settings.spike:g} times the largest of the "
            found += f"last {RECENT}"
        else:
            if first:
                self.recent.append(loss)
            return
        keys = [key for batch in batches for key in batch["keys"]]
        if self.world > 1:
            gathered: list = [None] * self.world
            dist.all_gather_object(gathered, keys)
            keys = [key for part in gathered for key in part]
        raise ValueError(
            f"{part.name}: found {found} at step {self.step}, samples {keys}; "
            f"the last checkpoint is {self.checkpoints.latest() or 'none'}"
        )

    # ------------------------------------------------------------------ what is on the disk

    def _board(self):
        """TensorBoard's writer on the first process; what a killed run wrote beyond its checkpoint
        is hidden."""
        if self.rank:
            return contextlib.nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.settings.folder / "tensorboard"), purge_step=self.step + 1)

    def _save(self) -> None:
        if self.rank == 0:
            self.checkpoints.save(
                self.step,
                {
                    "settings": plain(self.settings),
                    "world": self.world,
                    "recent": list(self.recent),
                    "models": {p.name: p.model.state_dict() for p in self.parts},
                    "optimizers": {p.name: p.optimizer.state_dict() for p in self.parts},
                    "averages": {n: a.state_dict() for n, a in self.averages.items()},
                },
            )
        if self.world > 1:
            dist.barrier()

    def _resume(self) -> None:
        """Continue from the newest checkpoint, where there is one."""
        found = self.checkpoints.load(self.device)
        if found is None:
            return
        self.step, state = found
        then, now = state["settings"], plain(self.settings)
        changed = {
            name: (then.get(name), now.get(name))
            for name in sorted({*then, *now} - self.settings.free())
            if then.get(name) != now.get(name)
        }
        if changed:
            raise ValueError(
                f"{self.settings.folder}: holds a run with other settings {{key: (then, now)}}: "
                f"{changed}; use another folder, or the settings of that run"
            )
        for part in self.parts:
            part.model.load_state_dict(state["models"][part.name])
            part.optimizer.load_state_dict(state["optimizers"][part.name])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])
        self.recent.extend(state["recent"])


# ------------------------------------------------------------------ processes


def place() -> tuple[int, int, torch.device]:
    """(rank, processes, device) of this process: a GPU where there is one. Under torchrun the first
    call joins the group (NCCL between GPUs, else Gloo)."""
    cuda = torch.cuda.is_available()
    if "WORLD_SIZE" not in os.environ:
        return 0, 1, torch.device("cuda" if cuda else "cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if not dist.is_initialized():
        if cuda:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if cuda else "gloo")
    return dist.get_rank(), dist.get_world_size(), device


def _averaging(decay: float) -> Callable:
    """Exponential averaging whose first steps forget faster: at step n the decay is at most
    (1 + n) / (10 + n)."""

    def update(averages: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        n = int(count)
        torch._foreach_lerp_(averages, current, 1 - min(decay, (1 + n) / (10 + n)))

    return update
