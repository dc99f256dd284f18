"""Subject "training": whole training steps (forward, backward, clipping, AdamW) of the GPT, beside
the same loop around a GPT as nanoGPT writes one, with one head over all vocabularies and with one
for each stream.

On a GPU: mini-270m, bfloat16, every contestant compiled (ours block by block, the peers whole), and
the goals of tokens per second and of memory. On a CPU: storybook in fp32, and in bfloat16, as it is
trained. The peers start from our weights; the one with split heads has to find our loss before
anything is timed. Ours is timed under DALL-E's masks too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from benchmarks import goals, results
from benchmarks.goals import Goal
from benchmarks.plain_gpt import PlainGPT
from benchmarks.sparse import sparse
from benchmarks.threads import on_threads
from benchmarks.versus import Contestant, Disagreement, Match, calls, measure
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig, preset
from mas_fast.training.gpt_loss import GPTLoss
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.optim import optimizer
from mas_fast.training.parallel import parallelize

OURS, SPLIT, FULL = "mas_fast", "nanoGPT-style, split heads", "nanoGPT-style, one head"
SPARSE = "mas_fast, DALL-E's masks"
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 1e-2}  # relative, between losses


@dataclass(frozen=True)
class Plan:
    preset: str
    batch: int
    dtype: torch.dtype
    device: str
    units: int  # steps in a block
    blocks: int
    compiled: bool
    threads: int = 0  # 0: as many as there are


GPU = Plan("mini-270m", 64, torch.bfloat16, "cuda", 5, 10, True)
# One thread: with more, PyTorch's spin between operations, and a busy machine times their waiting.
FP32 = Plan("storybook", 4, torch.float32, "cpu", 1, 12, False, threads=1)
CPU = [FP32, replace(FP32, batch=8, dtype=torch.bfloat16)]
REHEARSAL = [replace(FP32, preset="tiny", batch=2, blocks=2)]


def run(plans: Sequence[Plan] | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all plans.

    Args:
        plans: what to do; None takes those of this machine.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if a loss is another.
    """
    plans = plans or ([GPU] if torch.cuda.is_available() else CPU)
    record = {**results.provenance(), "plans": [], "losses": {}, "matches": {}, "peak_bytes": {}}
    outcomes, tables = [], []
    for plan in plans:
        with on_threads(plan.threads or torch.get_num_threads()):
            first, match, peaks = _run(plan, measure)
        config, name = preset(plan.preset), str(plan.dtype).removeprefix("torch.")
        length = plan.batch * config.streams.length
        record["plans"].append({key: str(value) for key, value in vars(plan).items()})
        record["losses"][name], record["peak_bytes"][name] = first, peaks
        record["matches"][name] = match.to_dict()
        outcomes += goals_of(plan, match, peaks, length)
        tables.append(times(plan, config, match, peaks, length))
    tables.append(goals.table(outcomes))
    return {**record, "goals": [goal.to_dict() for goal in outcomes], "tables": tables}


def _run(plan: Plan, measure: Callable[..., Match]) -> tuple[dict, Match, dict]:
    """The first losses, the times, and peaks of memory, of each contestant."""
    config = preset(plan.preset)
    batches = [tokens(config, plan.batch, seed).to(plan.device) for seed in range(2)]
    model = GPT.create(config, device=plan.device)
    losses = {name: loss_of(name, config, model, plan) for name in (OURS, SPARSE, SPLIT, FULL)}
    first = {name: float(loss.value(batches[0]).detach()) for name, loss in losses.items()}
    loops = {name: Loop(loss, batches, plan) for name, loss in losses.items()}
    for loop in loops.values():
        loop.step()  # compiles, and makes the optimizer's state
        loop.settle()

    def verify() -> None:
        value, expected = first[OURS], first[SPLIT]
        if not abs(value - expected) <= TOLERANCE[plan.dtype] * expected:
            raise Disagreement(f"training: found a loss of {value:.6g}, expected {expected:.6g}")

    match = measure([contestant(n, loops[n], plan, verify) for n in loops], plan.blocks)
    return first, match, {name: loop.peak_bytes() for name, loop in loops.items()}


def contestant(name: str, loop: Loop, plan: Plan, verify: Callable[[], None]) -> Contestant:
    if plan.device == "cpu":
        return calls(name, loop.step, plan.units, verify if name == OURS else None)

    def steps() -> None:
        for _ in range(plan.units):
            loop.step()
        loop.settle()

    return calls(name, steps, 1, verify if name == OURS else None)


# ---------------------------------------------------------------------------- the loops


@dataclass(frozen=True)
class Loss:
    """A loss and what learns from it.

    Attributes:
        value: value(tokens [B, S]) returns the loss to go back from.
        module: whose parameters learn.
    """

    module: nn.Module
    value: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer


def loss_of(name: str, config: GPTConfig, model: GPT, plan: Plan) -> Loss:
    autocast = functools.partial(
        torch.autocast, plan.device, torch.bfloat16, enabled=plan.dtype == torch.bfloat16
    )
    settings = GPTSettings(folder=None, steps=1, model={})
    if name in (OURS, SPARSE):
        model = sparse(model) if name == SPARSE else model
        ours = GPTLoss(model, settings)
        called = parallelize(
            ours, model.blocks, device=torch.device(plan.device), compiled=plan.compiled
        )

        def value(tokens: Tensor) -> Tensor:
            with autocast():
                return called({"tokens": tokens, "shares": [1.0] * len(config.streams)}, 0)[0]

        return Loss(model, value, optimizer(model, settings))
    peer = PlainGPT(config, split=name == SPLIT).to(plan.device).copy(model)
    compiled = torch.compile(peer) if plan.compiled else peer

    def value_of_peer(tokens: Tensor) -> Tensor:
        with autocast():
            return compiled(tokens)

    return Loss(peer, value_of_peer, optimizer(peer, settings))


class Loop:
    """One optimisation step after the other, on the batches in turn."""

    def __init__(self, loss: Loss, batches: list[Tensor], plan: Plan) -> None:
        self.loss, self.batches, self.cuda, self.count = loss, batches, plan.device == "cuda", 0

    def step(self) -> None:
        loss = self.loss.value(self.batches[self.count % len(self.batches)])
        loss.backward()
        nn.utils.clip_grad_norm_(self.loss.module.parameters(), 1.0)
        self.loss.optimizer.step()
        self.loss.optimizer.zero_grad(set_to_none=True)
        self.count += 1

    def settle(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def peak_bytes(self) -> int | None:
        """Return what the weights, the optimizer and one step take, without what others hold.

        Returns:
            Bytes on a GPU; None on a CPU.
        """
        if not self.cuda:
            return None
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        self.step()
        torch.cuda.synchronize()
        during = torch.cuda.max_memory_allocated() - before
        held = [parameter for parameter in self.loss.module.parameters()]
        held += [v for state in self.loss.optimizer.state.values() for v in state.values()]
        return during + sum(tensor.nbytes for tensor in held)


def tokens(config: GPTConfig, rows: int, seed: int) -> Tensor:
    """Make random ids, with captions of all lengths."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for stream in config.streams:
        ids = torch.randint(stream.vocab, (rows, stream.length), generator=generator)
        if stream.pad is not None:
            lengths = torch.randint(1, stream.length + 1, (rows, 1), generator=generator)
            ids[torch.arange(stream.length) >= lengths] = stream.pad
        parts.append(ids)
    return torch.cat(parts, 1)


# ---------------------------------------------------------------------------- results


def goals_of(plan: Plan, match: Match, peaks: dict, length: int) -> list[Goal]:
    split, full = match.ratio(OURS, SPLIT), match.ratio(OURS, FULL)

    def spread(ratio) -> str:
        return f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"

    if plan.device == "cpu":
        detail = f"{split.verdict}, {split.low:.3f}..{split.high:.3f}"
        name = f"{plan.preset}, {plan.dtype}: step over {SPLIT}"
        return [Goal(name, split.value, 1.0, detail=detail)]
    rate = length * plan.units / match.median(OURS)
    outcomes = [Goal("thousand tokens/s (on an H200)", rate / 1e3, 385, at_most=False)]
    for peer, ratio, limit in ((FULL, full, 1.3), (SPLIT, split, 1.15)):
        text = f"times as fast as {peer}"
        outcomes.append(Goal(text, 1 / ratio.value, limit, at_most=False, detail=spread(ratio)))
    share = peaks[OURS] / peaks[FULL]
    detail = f"{peaks[OURS] / peaks[SPLIT]:.2f} of {SPLIT}"
    return [*outcomes, Goal(f"peak memory over {FULL}", share, 0.6, detail=detail)]


def times(plan: Plan, config: GPTConfig, match: Match, peaks: dict, length: int) -> dict:
    flops = plan.batch * GPT(config).flops_per_sequence()
    units = plan.units if plan.device == "cuda" else 1
    rows = []
    for name in match.samples:
        seconds = match.median(name) / units
        low, high = (1e3 * s / units for s in match.spread(name))
        row = [name, 1e3 * seconds, f"{low:.1f}..{high:.1f}", length / seconds / 1e3]
        row.append(flops / seconds / 1e12)
        ratio = match.ratio(OURS, name) if name != OURS else None
        row += [ratio.value, ratio.verdict] if ratio else [None, None]
        rows.append([*row, None if peaks[name] is None else peaks[name] / 1e9])
    columns = ["", "ms", "quartiles", "1000 tokens/s", "TFLOP/s of split heads"]
    columns += ["ours over it", "ours is", "peak GB"]
    title = f"training: {plan.preset}, batch {plan.batch}, {plan.dtype}, {plan.device}"
    return {"title": title, "columns": columns, "rows": rows}
