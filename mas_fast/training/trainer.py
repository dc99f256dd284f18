"""One small trainer: parts that take turns, data by position, checkpoints that continue exactly.

    part = Part("model", model, loss, AdamW(...))   # loss(batch, step) -> (scalar, {name: scalar})
    Trainer([part], dataset, settings, hooks=[(500, draw)]).run()

Surprising here: nothing random carries over from step to step. The samples of a step are a pure
function of (seed, step), and torch's generators are seeded anew from (seed, step, rank) before each
step. So a checkpoint needs no generator state and no data position besides the step itself, and a
run that was killed at any moment continues with the same losses, bit for bit on a CPU. The samples
of a step do not depend on the number of processes either.

A step whose loss or gradients are not finite, or whose loss is a spike, changes nothing: it is
skipped and logged, and one too many ends the run. Which steps those are is found out on the device,
whose optimizers then leave the weights alone; the host looks when something is logged, saved or
handed to a hook, and waits for nothing in the steps between.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader, Dataset

from mas_fast.training.batch_order import Order
from mas_fast.training.checkpoints import Checkpoints
from mas_fast.training.ema import EMA
from mas_fast.training.interrupts import interruptible
from mas_fast.training.origin import check_values, origin
from mas_fast.training.parallel import accumulating, first, gather, parallelize, place
from mas_fast.training.part import Part
from mas_fast.training.settings import Settings, plain
from mas_fast.training.skip_log import Records
from mas_fast.training.verdicts import Turn, Verdicts
from mas_fast.utils.devices import in_bf16, whole_fp32
from mas_fast.utils.locks import lock
from mas_fast.utils.outputs import check_apart
from mas_fast.utils.progress import progress_bar


class Samples(Protocol):
    """Data to train on: samples by (epoch, index), and how they become a batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: tuple[int, int], /) -> Any: ...

    def collate(self, items: Any, /) -> dict[str, Any]: ...


class Trainer:
    """Trains `parts`, which take turns at each step, on `data`.

    The settings' folder is locked until `run` ends, so that no other trainer writes to it.

    Args:
        parts: take their turns in this order; their optimizers are fused ones, which skip a step
            by themselves.
        data: maps (epoch, index) to a sample, has a length, and `collate`s samples into a dict with
            "keys" (their names, for messages), "rejects" ((key, reason) of what could not be read)
            and tensors. What is random in a sample must come from (epoch, index), never from a
            global generator.
        settings: settings of the run.
        hooks: (every, function) called on all processes after each `every` steps, and after the
            last one, with the number of steps done; named scalars that it returns on the first
            process are logged.
        wrap: wrap(loss, device) is called in place of a loss, see parallel.parallelize.
        speed: from samples per second to named scalars, for the progress bar and the log.

    Raises:
        ValueError: another trainer holds the folder; a checkpoint cannot be continued with these
            settings, or with data that changed meanwhile; or all checkpoints are damaged.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        data: Samples,
        settings: Settings,
        hooks: Sequence[tuple[int, Callable[[int], dict[str, float] | None]]] = (),
        *,
        wrap: Callable[..., nn.Module] = parallelize,
        speed: Callable[[float], dict[str, float]] = lambda rate: {"samples/s": rate},
    ) -> None:
        if not len(data):
            raise ValueError("data: found no samples, expected at least one")
        if source := settings.made_from().get("data"):  # its sheets would become samples
            check_apart(settings.folder, source, around=True)
        self.parts, self.data, self.settings, self.hooks = list(parts), data, settings, hooks
        self.speed = speed
        self.rank, self.world, self.device = place()
        self.step = self.skipped = 0
        self.verdicts = Verdicts(self.device, settings.spike_factor)
        self.timed, self.seconds = 0, 0.0  # steps since the last log, and how long they took
        self.ema: dict[str, EMA] = {}
        self.losses: dict[str, nn.Module] = {}
        for part in self.parts:
            if not part.optimizer.defaults.get("fused"):
                kind = type(part.optimizer).__name__
                raise ValueError(f"optimizer: found {kind} of {part.name!r}, expected fused=True")
            for group in part.optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
            ema = EMA(part.model, settings.ema_decay) if part.ema else None
            names = {parameter: name for name, parameter in part.model.named_parameters()}
            self.losses[part.name] = wrap(part.loss, device=self.device)
            part.replace_parameters(names)
            if ema:
                ema.attach(part.model)
                self.ema[part.name] = ema
        self.order = Order(
            len(data), settings.seed, settings.batch, settings.accumulate, self.rank, self.world
        )
        self.checkpoints = Checkpoints(settings.folder / "checkpoints", settings.keep_checkpoints)
        self.rejects = Records(settings.folder / "rejects.tsv")
        self.skip_log = Records(settings.folder / "skipped.tsv")
        self._lock: BinaryIO | None = None  # of the first process
        self.made_from: dict[str, dict] = {}  # digests
        first(self._hold)
        try:
            self._resume()
        except BaseException:
            self._release()
            raise

    def ema_model(self, name: str) -> nn.Module:
        """The EMA model of the part `name`, in evaluation mode.

        All processes call it; the result is for the first one.
        """
        return self.ema[name].module()

    def run(self) -> None:
        """Train until `settings.steps` are done.

        Whatever ends the run, Ctrl-C and SIGTERM too, the last checkpoint is unharmed; these two
        say how to go on.

        Raises:
            ValueError: one step more is bad than may be skipped; it and its samples are named.
            OSError: the disk is full, say.
        """
        try:
            with interruptible(self._how_to_go_on, self.rank == 0), whole_fp32():
                self._run()
        finally:
            self._release()

    def _run(self) -> None:
        s = self.settings
        self.order.steps = range(self.step, s.steps)
        loader = DataLoader(
            cast(Dataset, self.data),
            batch_sampler=self.order,
            collate_fn=self.data.collate,
            num_workers=s.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from the global generator
        )
        first = self.rank == 0
        looks = {s.log_every, s.checkpoint_every, *(every for every, _ in self.hooks)}
        bar = progress_bar(total=s.steps, initial=self.step, unit="step", show=first)
        with contextlib.closing(bar), self._board() as board:
            batches = iter(loader)
            while self.step < s.steps:
                start = time.perf_counter()
                self._update([self._load(batches) for _ in range(s.accumulate)])
                self.step += 1
                logs = self._look() if any(map(self._due, looks)) else {}
                self.seconds += time.perf_counter() - start
                self.timed += 1
                bar.update()
                self._report(logs if self._due(s.log_every) else {}, bar, board)
                if self._due(s.checkpoint_every):
                    self._save()

    def _how_to_go_on(self) -> str:
        last = self.checkpoints.latest()
        kept = f"the last checkpoint is {last}" if last else "there is no checkpoint yet"
        return f"at step {self.step}; {kept}; the same command continues"

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def _report(self, logs: dict[str, float], bar: Any, board: Any) -> None:
        """Show and log the scalars of the step and of the hooks that are due."""
        if logs:
            logs |= self.speed(self.settings.batch * self.timed / self.seconds)
            shown = {k: v for k, v in logs.items() if k.endswith(("/loss", "/s", "mfu"))}
            bar.set_postfix({name: f"{value:.4g}" for name, value in shown.items()})
            self.timed, self.seconds = 0, 0.0
        for every, hook in self.hooks:
            if self._due(every):
                logs = logs | (hook(self.step) or {})
        if board is None:
            return
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
        return batch

    def _update(self, batches: list[dict]) -> None:
        seeds = np.random.SeedSequence((self.settings.seed, self.step, self.rank))
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        parts = [part for part in self.parts if self.step >= part.start]
        for part in parts:
            if part.prepare:
                part.prepare(batches, self.step)
        batches = [_put(batch, self.device) for batch in batches]
        for part in parts:
            self._turn(part, batches)

    def _turn(self, part: Part, batches: list[dict]) -> None:
        """Accumulate the gradients of one part over all passes and, unless the step is bad, update
        its weights."""
        for other in self.parts:  # a turn neither computes nor leaves gradients of another part
            for parameter in other.parameters():
                parameter.requires_grad_(other is part)
        loss_of = self.losses[part.name]
        logs: list[dict[str, Tensor]] = []
        for i, batch in enumerate(batches):
            with accumulating(loss_of, last=i + 1 == len(batches)):
                bf16 = in_bf16(self.settings.precision, self.device)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                    try:
                        loss, values = loss_of(batch, self.step)
                    except ValueError as error:  # such as a layer that met NaN
                        samples = f"at step {self.step}, samples {batch['keys']}"
                        raise ValueError(f"{part.name}: {samples}: {error}") from error
                (loss / len(batches)).backward()
            logs.append({"loss": loss.detach(), **values})
        means = self._mean(logs)
        total = nn.utils.clip_grad_norm_(part.parameters(), self.settings.clip)
        norm = total.full_tensor() if isinstance(total, DTensor) else total
        optimizer: Any = part.optimizer
        optimizer.found_inf = self.verdicts.judge(means["loss"], norm, part is self.parts[0])
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.settings.lr_factor(self.step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if part.ema:
            self.ema[part.name].update()
        keys = [key for batch in batches for key in batch["keys"]]
        lr, scalars = optimizer.param_groups[0]["lr"], means | {"gradient_norm": norm}
        self.verdicts.keep(Turn(self.step, part.name, keys, lr, scalars))

    def _mean(self, logs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The mean of each named scalar over passes and processes."""
        names = list(logs[0])
        table = torch.stack([torch.stack([log[n].detach().float() for n in names]) for log in logs])
        mean = table.mean(0)
        if self.world > 1:
            dist.all_reduce(mean)
            mean /= self.world
        return dict(zip(names, mean.unbind(), strict=True))

    def _look(self) -> dict[str, float]:
        """Wait for all steps so far, and log those that were bad.

        Returns:
            The scalars of the last step.
        """
        logs: dict[str, float] = {}
        ended = -1  # the last step that a bad turn ended
        for turn, bad, values in self.verdicts.told():
            if turn.step == ended:
                continue
            if bad:
                self._skip(turn, self.verdicts.problem(values))
                ended = turn.step
            if turn.step == self.step - 1:
                values |= {"lr": turn.lr}
                logs |= {f"{turn.part}/{name}": value for name, value in values.items()}
        return logs | {"skipped": float(self.skipped)}

    def _skip(self, turn: Turn, problem: str) -> None:
        """Log a step that was skipped; ValueError where it is one too many."""
        self.skipped += 1
        keys = [key for keys in gather(turn.keys) for key in keys]
        message = f"{turn.part}: found {problem} at step {turn.step}, samples {keys}"
        if self.rank == 0:
            self.skip_log.add(str(turn.step), message)
        if self.skipped > self.settings.max_skips:
            before = f"{self.skipped - 1} bad steps before were left out; " * (self.skipped > 1)
            last = self.checkpoints.latest() or "none"
            raise ValueError(f"{message}; {before}the last checkpoint is {last}")

    # ------------------------------------------------------------------ what is on the disk

    def _board(self) -> Any:
        """TensorBoard's writer on the first process; what a killed run wrote beyond its checkpoint
        is hidden."""
        if self.rank:
            return contextlib.nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.settings.folder / "tensorboard"), purge_step=self.step + 1)

    def _tensors(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint, without the states of the optimizers."""
        tensors: dict[str, Tensor] = {}
        for part in self.parts:
            states = {"model": part.model.state_dict()}
            if part.ema:
                states["ema"] = self.ema[part.name].state()
            for kind, state in states.items():
                tensors |= {f"{part.name}/{kind}/{name}": value for name, value in state.items()}
        return tensors

    def _save(self) -> None:
        tensors = self._tensors()
        for part in self.parts:
            for name, parameter in part.named_parameters():
                for key, value in part.optimizer.state[parameter].items():
                    tensors[f"{part.name}/optimizer/{name}/{key}"] = value
        values = {
            "settings": plain(self.settings),
            "world": self.world,
            "recent": self.verdicts.losses(),
            "skipped": self.skipped,
            "made_from": self.made_from,
            "ema_updates": {name: ema.count for name, ema in self.ema.items()},
        }
        self.checkpoints.save(self.step, values, tensors)

    def _resume(self) -> None:
        """Continue from the newest checkpoint that is whole, where there is one."""
        path, values = self.checkpoints.newest(check_values) or (None, None)
        if values is not None:
            self._check(values["settings"])
        self.made_from = first(lambda: origin(self.settings, values))
        if path is None or values is None:
            return
        tensors, stored = self._tensors(), sorted(self.checkpoints.names(path))
        for part in self.parts:
            for name, parameter in part.named_parameters():
                start = f"{part.name}/optimizer/{name}/"
                for key in (full.removeprefix(start) for full in stored if full.startswith(start)):
                    value = torch.zeros_like(parameter.detach())
                    if key == "step":  # Adam's; the rest is shaped like the parameter
                        value = torch.zeros((), device=parameter.device)
                    part.optimizer.state[parameter][key] = tensors[start + key] = value
        if others := [name for name in stored if name not in tensors]:
            raise ValueError(f"{path}: found {others[:4]}, which this model does not have")
        self.checkpoints.read(path, tensors)
        self.step, self.skipped = values["step"], values["skipped"]
        self.verdicts.remember(values["recent"])
        for name, ema in self.ema.items():
            ema.count = values["ema_updates"][name]
        first(self.checkpoints.sweep)

    def _hold(self) -> None:
        words = "wait for it, or train in another folder (--folder)"
        self._lock = lock(self.settings.folder, words)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _check(self, then: dict) -> None:
        """ValueError where a run with the settings `then` cannot be continued with these."""
        now, paths = plain(self.settings), self.settings.made_from()
        changed = {
            name: (then.get(name), now.get(name))
            for name in sorted({*then, *now} - self.settings.free())
            if then.get(name) != now.get(name)
            # A path may be another; what lies there is compared.
            and (name not in paths or then.get(name) is None or now.get(name) is None)
        }
        if changed:
            raise ValueError(
                f"{self.settings.folder}: found a run with other settings, {{key: (then, now)}}: "
                f"{changed}, expected the same settings, or another folder"
            )


def _put(batch: dict, device: torch.device) -> dict:
    """The batch with its tensors on the device."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
