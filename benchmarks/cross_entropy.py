"""Subject "cross_entropy": the heads and the loss of a GPT, forward and backward, at the widths and
vocabularies of a preset: ops.stream_cross_entropy beside one head over all vocabularies together
and beside a head per stream, each with F.cross_entropy; the same split with PyTorch's own loss by
chunks where it has one, F.linear_cross_entropy (2.13 on); on a GPU also Liger's fused kernel, given
one head and given the same split.

All take turns in one process, on a CPU on one thread, as in first_layer. Memory: the most that a
call adds, less the gradients that it leaves; on a CPU each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import goals, memory, results
from benchmarks.goals import Goal
from benchmarks.gpu import Guard
from benchmarks.threads import on_threads
from benchmarks.versus import Contestant, Disagreement, Match, Unavailable, calls, measure
from benchmarks.worker import INSTALL, Worker
from mas_fast import ops
from mas_fast.models.gpt import preset
from mas_fast.ops.reference import cross_entropy as reference_cross_entropy

OURS, SPLIT, WHOLE = "mas_fast", "split heads, F.cross_entropy", "one head, F.cross_entropy"
FUSED = "split heads, F.linear_cross_entropy"
LIGER_SPLIT, LIGER_WHOLE = "Liger, split heads", "Liger, one head"
CHECKED = 4  # positions of each stream, in fp64
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}  # of the largest value


@dataclass(frozen=True)
class Plan:
    preset: str = "mini-270m"
    rows: int = 4
    blocks: int = 6
    threads: int = 1
    device: str = "cpu"
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    impl: str | None = None  # of ours; None: the fastest one of the device

    @property
    def on_gpu(self) -> bool:
        """Whether these are the cases of a GPU."""
        return self.device == "cuda" or self.impl == "triton"


GPU = Plan(rows=64, blocks=40, device="cuda", dtypes=("bfloat16",))
REHEARSAL = Plan(preset="tiny", rows=2, blocks=1, dtypes=("float32",), impl="triton")


class Heads:
    """Hidden states, one weight for each stream and one of all, and targets.

    They are random, the same in every process. The weight of `one` is allocated only for those that
    use it.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype, lengths: Sequence[int] | None = None):
        config = preset(plan.preset)
        streams = config.streams
        places = [streams.predicting(s.name) for s in streams]
        self.lengths = list(lengths or [p.stop - p.start for p in places])
        self.vocabs = [s.vocab for s in streams]
        self.weights = [s.loss_weight for s in streams]
        self.impl = plan.impl
        g = torch.Generator().manual_seed(0)

        def random(*shape: int) -> Tensor:
            return torch.randn(shape, generator=g).to(plan.device, dtype)

        self.hidden = random(plan.rows, sum(self.lengths), config.dim)
        self.heads = [random(v, config.dim).mul_(0.02) for v in self.vocabs]
        parts = [
            torch.randint(v, (plan.rows, n), generator=g)
            for v, n in zip(self.vocabs, self.lengths, strict=True)
        ]
        self.targets = torch.cat(parts, 1).to(plan.device)
        offsets = [sum(self.vocabs[:i]) for i in range(len(parts))]
        shifted = [part + offset for part, offset in zip(parts, offsets, strict=True)]
        self.shifted = torch.cat(shifted, 1).to(plan.device)

    def tensors(self, name: str) -> list[Tensor]:
        """Return what the contestant gets gradients of."""
        heads = [torch.cat(self.heads)] if name in (WHOLE, LIGER_WHOLE) else self.heads
        return [t.detach().requires_grad_() for t in (self.hidden, *heads)]

    def call(self, name: str) -> Callable[[], None]:
        """Return one forward and backward pass; it first drops the gradients of an earlier one."""
        tensors, function = self.tensors(name), self.function(name)

        def run() -> None:
            for tensor in tensors:
                tensor.grad = None
            function(*tensors).backward()
            if self.hidden.is_cuda:
                torch.cuda.synchronize()

        return run

    def function(self, name: str) -> Callable[..., Tensor]:
        """Return the function f(hidden, *heads) -> the loss."""
        if name == OURS:
            return lambda hidden, *heads: ops.stream_cross_entropy(
                hidden, heads, self.targets, self.lengths, weights=self.weights, impl=self.impl
            )[0]
        peers = {LIGER_SPLIT: liger, LIGER_WHOLE: liger, FUSED: fused}
        loss = peers[name]() if name in peers else plain
        if name in (WHOLE, LIGER_WHOLE):
            return lambda hidden, head: loss(hidden, head, self.shifted)

        def split(hidden: Tensor, *heads: Tensor) -> Tensor:
            parts = zip(
                hidden.split(self.lengths, 1), heads, self.targets.split(self.lengths, 1),
                self.weights, strict=True,
            )  # fmt: skip
            total = sum(weight * loss(x, head, target) for x, head, target, weight in parts)
            return total / sum(self.weights)

        return split


def plain(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, head).flatten(0, 1), targets.flatten())


def fused() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return PyTorch's loss by chunks of rows, whose settings it chooses itself."""
    try:
        options = torch.nn.LinearCrossEntropyOptions()
    except AttributeError as error:
        raise Unavailable(f"torch {torch.__version__} has none: 2.13 is the first") from error
    return lambda hidden, head, targets: F.linear_cross_entropy(
        hidden.flatten(0, 1), head, targets.flatten(), options=options
    )


def liger() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    try:
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss
    except ImportError as error:
        raise Unavailable(INSTALL) from error
    loss = LigerFusedLinearCrossEntropyLoss()
    return lambda hidden, head, targets: loss(head, hidden.flatten(0, 1), targets.flatten())


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all dtypes.

    Args:
        plan: what to do; None takes the default.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
    """
    plan = plan or (GPU if torch.cuda.is_available() else Plan())
    guard = Guard()
    with on_threads(plan.threads):
        cases = {name: _run(plan, getattr(torch, name), measure, guard) for name in plan.dtypes}
    return {
        **results.provenance(),
        "threads": plan.threads,
        "rows": plan.rows,
        "broken": guard.broken,
        "matches": {name: match.to_dict() for name, (match, _, _) in cases.items()},
        "extra_bytes": {name: extra for name, (_, extra, _) in cases.items()},
        "goals": [goal.to_dict() for _, _, each in cases.values() for goal in each],
        "tables": [times(plan, name, match, extra) for name, (match, extra, _) in cases.items()]
        + [goals.table([goal for _, _, each in cases.values() for goal in each])],
    }


def _run(
    plan: Plan, dtype: torch.dtype, measure: Callable[..., Match], guard: Guard
) -> tuple[Match, dict[str, int | None], list[Goal]]:
    peers = (SPLIT, WHOLE, FUSED) + ((LIGER_SPLIT, LIGER_WHOLE) if plan.on_gpu else ())
    heads = Heads(plan, dtype)
    guarded = [guard(contestant(plan, heads, name)) for name in peers]
    match = measure([contestant(plan, heads, OURS), *guarded], plan.blocks)
    extra = {name: extra_bytes(plan, dtype, name) for name in match.samples}
    find = goals_on_a_gpu if plan.on_gpu else goals_on_a_cpu
    return match, extra, find(plan, heads, str(dtype).removeprefix("torch."), match, extra)


def contestant(plan: Plan, heads: Heads, name: str) -> Contestant:
    """Make a contestant, whose first call, which loads code, is not timed."""
    state = []

    def verify() -> None:
        if name == OURS:
            check(plan, heads.hidden.dtype)
        state.append(heads.call(name))
        state[0]()

    return calls(name, lambda: state[0](), 3 if plan.device == "cuda" else 1, verify)


def check(plan: Plan, dtype: torch.dtype) -> None:
    """Check that loss and gradients are near those of the definition in fp64.

    Raises:
        Disagreement: if they are not.
    """
    small = Heads(replace(plan, rows=2), dtype, [CHECKED] * len(preset(plan.preset).streams))

    def every(tensors: list[Tensor], function: Callable[..., Tensor]) -> list[Tensor]:
        loss = function(*tensors)
        return [loss.detach(), *torch.autograd.grad(loss, tensors)]

    tensors = small.tensors(OURS)
    tested = every(tensors, small.function(OURS))
    exact = [t.detach().double().requires_grad_() for t in tensors]
    wanted = every(
        exact,
        lambda hidden, *w: reference_cross_entropy.stream_cross_entropy(
            hidden, w, small.targets, small.lengths, weights=small.weights
        )[0],
    )
    for ours, want in zip(tested, wanted, strict=True):
        error = float((ours.double() - want).abs().max() / want.abs().max())
        if not error <= TOLERANCE[dtype]:
            raise Disagreement(
                f"cross_entropy in {dtype}: found a relative error of {error:.1e}, "
                f"allowed {TOLERANCE[dtype]}"
            )


# ---------------------------------------------------------------------------- memory


class Memory:
    """Runs in a process of its own."""

    def __init__(self, name: str, dtype: str, preset_name: str, rows: int) -> None:
        plan, kind = Plan(preset=preset_name, rows=1), getattr(torch, dtype)
        Heads(plan, kind, [1] * len(preset(preset_name).streams)).call(name)()  # loads the code
        self.heads = Heads(replace(plan, rows=rows), kind)
        self.name, self.run = name, self.heads.call(name)

    def extra(self) -> int:
        """Return what one call adds at most, less the gradients that it leaves, in bytes."""
        return memory.added_bytes(self.run) - gradient_bytes(self.heads)


def gradient_bytes(heads: Heads) -> int:
    return heads.hidden.nbytes + sum(head.nbytes for head in heads.heads)


def extra_bytes(plan: Plan, dtype: torch.dtype, name: str) -> int | None:
    """Return `Memory.extra` of a process of its own; None where the system does not tell, and in a
    rehearsal."""
    if plan.device == "cuda":
        return _extra_bytes_cuda(Heads(plan, dtype), name)
    if plan.on_gpu or not memory.is_told():
        return None
    worker = Worker("benchmarks.cross_entropy:Memory", plan.threads)
    try:
        dtype_name = str(dtype).removeprefix("torch.")
        worker.create(name=name, dtype=dtype_name, preset_name=plan.preset, rows=plan.rows)
        return worker.call("extra")
    except Unavailable:
        return None
    finally:
        worker.close()


def _extra_bytes_cuda(heads: Heads, name: str) -> int:
    call = heads.call(name)
    call()  # cuBLAS takes its workspace, and the gradients, dropped again at the next call, stay
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() - gradient_bytes(heads)
    call()
    return torch.cuda.max_memory_allocated() - before - gradient_bytes(heads)


# ---------------------------------------------------------------------------- results


def goals_on_a_cpu(plan, heads, dtype: str, match: Match, extra: dict) -> list[Goal]:
    ratio = match.ratio(OURS, SPLIT)
    detail = f"{ratio.verdict}, {ratio.low:.2f}..{ratio.high:.2f}"
    return [
        _faster(dtype, match, WHOLE, 2.0),
        Goal(f"{dtype}: extra memory over {WHOLE}", _share(extra, WHOLE), 0.25),
        Goal(f"{dtype}: time over {SPLIT}", ratio.value, 1.0, detail=detail),
    ]


def goals_on_a_gpu(plan, heads, dtype: str, match: Match, extra: dict) -> list[Goal]:
    logits = heads.hidden.dtype.itemsize * plan.rows * preset(plan.preset).streams.length
    logits *= sum(heads.vocabs)
    text, share, detail = f"{dtype}: extra memory over the logits of one head", None, ""
    if extra[OURS] is not None:
        share, detail = extra[OURS] / logits, f"{extra[OURS] / 1e6:.0f} MB"
    return [
        _faster(dtype, match, LIGER_WHOLE, 3.0),
        _faster(dtype, match, LIGER_SPLIT, 1.2),
        _faster(dtype, match, FUSED, 1.2),
        Goal(text, share, 0.02, detail=detail),
    ]


def _faster(dtype: str, match: Match, peer: str, limit: float) -> Goal:
    text = f"{dtype}: times as fast as {peer}"
    if peer not in match.samples:
        return Goal(text, None, limit, at_most=False)
    ratio = match.ratio(OURS, peer)
    detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    return Goal(text, 1 / ratio.value, limit, at_most=False, detail=detail)


def _share(extra: dict[str, int | None], peer: str) -> float | None:
    return extra[OURS] / extra[peer] if extra[OURS] is not None and extra[peer] else None


def times(plan: Plan, dtype: str, match: Match, extra: dict[str, int | None]) -> dict:
    rows = []
    for name in match.samples:
        low, high = (1e3 * seconds for seconds in match.spread(name))
        row = [name, 1e3 * match.median(name), f"{low:.1f}..{high:.1f}"]
        ratio = match.ratio(OURS, name) if name != OURS else None
        row += [ratio.value, ratio.verdict] if ratio else [None, None]
        rows.append([*row, None if extra[name] is None else extra[name] / 1e6])
    rows += [[name, reason, *[None] * 4] for name, reason in match.missing.items()]
    tokens = plan.rows * (preset(plan.preset).streams.length - 1)
    device = plan.device if plan.device == "cuda" else f"{plan.threads} thread"
    columns = ["", "ms", "quartiles", "ours over it", "ours is", "extra MB"]
    title = f"cross_entropy: {plan.preset}, {dtype}, {tokens} positions, {device}"
    return {"title": title, "columns": columns, "rows": rows}
