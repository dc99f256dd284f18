"""Subject "rows": the time of a pass of the 271M GPT over more and more rows, on two threads,
beside PyTorch's products (oneDNN) of the same shapes.

A decode step at a position of the scene, guidance on, so that n samples are 2n rows: what batches
and windows of guesses cost. Random weights. The floor is that of memory: weights are read once,
keys and values once for each row. PyTorch multiplies the same matrices, in bf16 as they are and in
int8 as weights and activations of 8 bits whose sums stay integers, which is less than our engine
does (activations of 16 bits, a scale for every 32 inputs); neither norms nor attention are in its
time. PyTorch multiplies nothing in int4; beside it stands our int8. All take turns, in processes of
their own."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import goals, results
from benchmarks.engine import MasFast
from benchmarks.goals import Goal
from benchmarks.versus import Block, Contestant, Match, measure
from benchmarks.worker import Worker
from mas_fast.bundle import read_config, save_gpt
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import preset

SAMPLES = (1, 2, 4, 8, 16)
KINDS = {"int8": "int8", "bf16": "bf16", "int4": "int8"}  # of weights, and of keys and values
LIMITS = {("int8", 4): 1.3, ("int8", 16): 3.2, ("bf16", 4): 1.4}


@dataclass(frozen=True)
class Plan:
    preset: str = "mini-270m"
    blocks: int = 6
    steps: int = 4  # of a block
    threads: int = 2
    samples: tuple[int, ...] = SAMPLES


class Steps(MasFast):
    """Decode steps of `samples` pictures at once."""

    def __init__(self, bundle: str, threads: int, dtype: str) -> None:
        prompt = read_config(bundle).streams[0].length
        super().__init__(bundle, prompt, prompt, threads, dtype, KINDS[dtype])

    def seconds(self, samples: int, steps: int) -> list[float]:
        """Return the seconds of each of some steps."""
        forced = np.full((1, self.length), -1, np.int32)
        forced[0, : self.prompt] = self.caption
        self.seed += 1
        run = self.engine.start(
            forced, self.null, seed=self.seed, samples=samples, window=1, **self.sampling
        )
        run.advance(2)
        stamps = [time.perf_counter()]
        run.advance(steps, lambda position, stop: stamps.append(time.perf_counter()))
        return np.diff(stamps).tolist()


class Linears:
    """The matrix products of a pass, by PyTorch."""

    def __init__(self, preset_name: str, threads: int, dtype: str) -> None:
        torch.set_num_threads(threads)
        config = preset(preset_name)
        shapes = [(3 * config.dim, config.dim), (config.dim, config.dim)]
        shapes += [(config.mlp, config.dim), (config.dim, config.mlp)]
        self.shapes = shapes * config.layers + [(config.streams["seg"].vocab, config.dim)]
        self.dtype = dtype
        self.weights = [self.random(o, i).t() for o, i in self.shapes]

    def random(self, *shape: int) -> torch.Tensor:
        if self.dtype == "bf16":
            return torch.randn(shape, dtype=torch.bfloat16)
        return torch.randint(-127, 128, shape, dtype=torch.int8)

    def describe(self) -> dict:
        return {"torch": torch.__version__, "weights": self.dtype}

    def seconds(self, samples: int, steps: int) -> list[float]:
        """Return the seconds of each of some passes."""
        inputs = {size: self.random(2 * samples, size) for _, size in set(self.shapes)}
        multiply = torch.mm if self.dtype == "bf16" else torch._int_mm
        stamps = []
        for _ in range(steps + 1):
            stamps.append(time.perf_counter())
            for weight in self.weights:
                multiply(inputs[weight.shape[0]], weight)
        stamps.append(time.perf_counter())
        return np.diff(stamps)[1:].tolist()


def label(name: str, dtype: str, samples: int) -> str:
    return f"{name} {dtype}, {2 * samples} rows"


def peer_of(dtype: str, samples: int) -> str:
    """Return what stands beside ours."""
    if dtype == "int4":
        return label("mas_fast", "int8", samples)
    return label("torch", dtype, samples)


def run(plan: Plan | None = None, measure=measure) -> dict:
    """Measure all dtypes and numbers of rows.

    Args:
        plan: what to do; None takes the default.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.
    """
    plan = plan or Plan()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        save_gpt(folder, GPT.create(preset(plan.preset), dtype=torch.bfloat16))
        workers = {}
        for dtype in KINDS:
            ours = {"bundle": folder, "threads": plan.threads, "dtype": dtype}
            torchs = {"preset_name": plan.preset, "threads": plan.threads, "dtype": dtype}
            workers["mas_fast", dtype] = _start(stack, plan, "benchmarks.rows:Steps", ours)
            if dtype != "int4":
                workers["torch", dtype] = _start(stack, plan, "benchmarks.rows:Linears", torchs)
        contestants = [
            Contestant(label(name, dtype, samples), _block(worker, samples, plan.steps))
            for (name, dtype), worker in workers.items()
            for samples in plan.samples
        ]
        match = measure(contestants, plan.blocks)
        builds = {" ".join(key): worker.call("describe") for key, worker in workers.items()}
    outcomes = list(find_goals(match, plan))
    return {
        **results.provenance(),
        "plan": vars(plan),
        "match": match.to_dict(),
        "builds": builds,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [table(match, plan, dtype) for dtype in KINDS] + [goals.table(outcomes)],
    }


def _start(stack: ExitStack, plan: Plan, target: str, options: dict) -> Worker:
    worker = Worker(target, plan.threads)
    stack.callback(worker.close)
    worker.create(**options)
    return worker


def _block(worker: Worker, samples: int, steps: int):
    return lambda: Block("", tuple(worker.call("seconds", samples, steps, watch_ms=1000)))


def find_goals(match: Match, plan: Plan):
    """Make the goals: rows beside two rows, and beside PyTorch's products of as many."""
    for (dtype, samples), limit in LIMITS.items():
        if samples in plan.samples:
            ratio = match.ratio(label("mas_fast", dtype, samples), label("mas_fast", dtype, 1))
            text = f"{dtype}: {2 * samples} rows over 2 rows"
            yield Goal(text, ratio.value, limit, detail=f"{ratio.low:.2f}..{ratio.high:.2f}")
    for dtype in KINDS:
        peer = peer_of(dtype, plan.samples[-1])
        beside = "our int8" if dtype == "int4" else "PyTorch's products alone"
        text = f"{dtype}: {2 * plan.samples[-1]} rows over {beside}"
        if peer not in match.samples:
            yield Goal(text, None, 1.0)
            continue
        ratio = match.ratio(label("mas_fast", dtype, plan.samples[-1]), peer)
        yield Goal(text, ratio.value, 1.0, detail=f"{ratio.low:.2f}..{ratio.high:.2f}")


def table(match: Match, plan: Plan, dtype: str) -> dict:
    """Make the table of one dtype."""
    rows = []
    for samples in plan.samples:
        ours, peer = label("mas_fast", dtype, samples), peer_of(dtype, samples)
        over = match.ratio(ours, label("mas_fast", dtype, 1)).value
        row = [2 * samples, 1e3 * match.median(ours), over]
        if peer in match.samples:
            ratio = match.ratio(ours, peer)
            row += [1e3 * match.median(peer), ratio.value, ratio.verdict]
        else:
            row += [None, None, match.missing[peer]]
        rows.append(row)
    columns = ["rows", "ms a pass", "over 2 rows", "peer ms", "ours over it", "ours is"]
    peer = "our int8" if dtype == "int4" else "torch"
    return {
        "title": f"rows: {plan.preset}, {dtype} beside {peer}",
        "columns": columns,
        "rows": rows,
    }
