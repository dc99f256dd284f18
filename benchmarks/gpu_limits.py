"""Subject "gpu_limits": what this GPU can do at most, which the other figures are set beside: the
rate at which memory is read (and copied), that of a large product in bf16, and what a launch costs
in a chain of 84 kernels, as many as a decode step has.

The chains are CUDA graphs. Each kernel needs what the one before it wrote. In one kind they do
nothing else, in the other each also reads its own share of the bytes that a decode step reads. Both
kinds come as they are and with programmatic dependent launch, where a kernel starts, and reads what
does not depend on the one before, while that one ends. The share of the read rate that the chain
with it reaches is what is left for a decode step of so many kernels."""

from __future__ import annotations

from mas_fast.kernels import launch  # noqa: F401  # isort: skip  (pins Triton's settings first)

from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from benchmarks import goals, gpu, results
from benchmarks.goals import Goal
from benchmarks.versus import Block, Contestant, Disagreement, Match, measure

READ, COPY, PRODUCT = "read", "copy", "product in bf16"
EMPTY, EMPTY_DEPENDENT = "chain, empty", "chain, empty, dependent launch"
FULL, FULL_DEPENDENT = "chain that reads", "chain that reads, dependent launch"


@dataclass(frozen=True)
class Plan:
    read_bytes: int = 437 << 20  # what a token of mini-270m's picture reads
    copy_bytes: int = 2 << 30
    size: int = 8192  # of the product
    kernels: int = 84
    programs: int = 264
    block: int = 4096  # values of 4 bytes that a program reads
    units: int = 10
    blocks: int = 12
    device: str = "cuda"

    @property
    def readers(self) -> int:
        """The programs of each kernel of a chain that reads."""
        return max(self.read_bytes // 4 // self.kernels // self.block, 1)

    @property
    def chain_bytes(self) -> int:
        """What such a chain reads: `read_bytes`, to a program of each kernel."""
        return 4 * self.kernels * self.readers * self.block


REHEARSAL = Plan(
    read_bytes=1 << 16, copy_bytes=1 << 16, size=64, kernels=3, programs=4, block=256, units=1,
    blocks=2, device="cpu",
)  # fmt: skip


@triton.jit
def sum_kernel(x, sums, BLOCK: tl.constexpr):
    """sums[program] = the sum of a block of x."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(sums + tl.program_id(0), tl.sum(tl.load(x + at), 0))


@triton.jit
def link_kernel(
    counts, weights, sums, BLOCK: tl.constexpr, READ: tl.constexpr, DEPENDENT: tl.constexpr
):
    """counts[program] += 1, and, if it READs, sums[program] = the sum of a block of weights."""
    program = tl.program_id(0)
    if DEPENDENT:
        gdc_launch_dependents()
    if READ:  # depends on no other kernel: under way while the one before ends
        values = tl.load(weights + program * BLOCK + tl.arange(0, BLOCK))
    if DEPENDENT:
        gdc_wait()
    tl.store(counts + program, tl.load(counts + program) + 1)
    if READ:
        tl.store(sums + program, tl.sum(values, 0))


class Read:
    """Reads a tensor of random values, each once, and keeps the sums of its blocks.

    Args:
        size: bytes, a multiple of what a program reads.
        device: of the tensor.
        block: values of 4 bytes that a program reads.
    """

    def __init__(self, size: int, device: str, block: int = 4096) -> None:
        self.x = torch.randn(size // 4, device=device)
        self.block = block
        self.sums = torch.full((len(self.x) // block,), float("nan"), device=device)

    def __call__(self) -> None:
        sum_kernel[(len(self.sums),)](self.x, self.sums, BLOCK=self.block)

    def check(self) -> None:
        """Raises Disagreement if something was not read."""
        self.sums.fill_(float("nan"))
        self()
        close("read", self.sums, self.x, self.block)


class Chain:
    """`kernels` kernels, each of which needs what the one before it wrote."""

    def __init__(self, plan: Plan, reads: bool, dependent: bool) -> None:
        self.plan, self.reads = plan, reads
        programs = plan.readers if reads else plan.programs
        self.counts = torch.zeros(programs, dtype=torch.int32, device=plan.device)
        shape = (plan.kernels, programs * plan.block if reads else 1)
        self.weights = torch.randn(shape, device=plan.device)
        self.sums = torch.full((plan.kernels, programs), float("nan"), device=plan.device)
        # Triton's interpreter has no dependent launch.
        self.dependent = dependent and plan.device == "cuda"
        self.run = gpu.captured(plan.device, self._launch)

    def _launch(self) -> None:
        options = {"launch_pdl": True} if self.dependent else {}
        for weights, sums in zip(self.weights, self.sums, strict=True):
            link_kernel[(len(self.counts),)](
                self.counts, weights, sums, BLOCK=self.plan.block, READ=self.reads,
                DEPENDENT=self.dependent, **options,
            )  # fmt: skip

    def check(self) -> None:
        """Raises Disagreement unless every kernel ran after the one before it."""
        self.counts.zero_()
        self.run()
        found = self.counts.unique().tolist()
        if found != [self.plan.kernels]:
            raise Disagreement(f"chain: found counts {found}, expected {self.plan.kernels}")
        if self.reads:
            close("chain", self.sums.flatten(), self.weights.flatten(), self.plan.block)


def close(name: str, sums: Tensor, x: Tensor, block: int) -> None:
    """Check the sums of blocks of x."""
    error = float((sums.double() - x.view(-1, block).sum(1, dtype=torch.float64)).abs().max())
    allowed = 1e-6 * block  # values are about 1, sums in fp32
    if not error <= allowed:
        raise Disagreement(f"{name}: found an error of {error:.1e} in a sum, allowed {allowed:.1e}")


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all limits.

    Args:
        plan: what to do; None takes that of a GPU.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Unavailable: if there is no GPU that can run it; gives the reason.
    """
    if plan is None:
        gpu.require((9, 0))
        plan = Plan()
    torch.manual_seed(0)
    guard = gpu.Guard()
    match = measure([guard(each) for each in contestants(plan)], plan.blocks)
    outcomes = goals_of(plan, match)
    return {
        **results.provenance(),
        "gpu": gpu.name(plan.device),
        "plan": vars(plan),
        "match": match.to_dict(),
        "broken": guard.broken,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [table(plan, match), goals.table(outcomes)],
    }


def contestants(plan: Plan) -> list[Contestant]:
    """Make all of them; their inputs are larger than a GPU's cache."""
    read = Read(plan.read_bytes, plan.device, plan.block)
    source = torch.randn(plan.copy_bytes // 4, device=plan.device)
    target = torch.empty_like(source)
    a, b = (torch.randn(plan.size, plan.size, device=plan.device).bfloat16() for _ in range(2))

    def timed(name: str, call: Callable[[], object], check=None) -> Contestant:
        def block() -> Block:
            return Block("", gpu.seconds(plan.device, [call] * plan.units))

        return Contestant(name, block, check or call)

    def chain(name: str, reads: bool, dependent: bool) -> Contestant:
        made: list[Chain] = []

        def check() -> None:
            made.append(Chain(plan, reads, dependent))
            made[0].check()

        return timed(name, lambda: made[0].run(), check)

    return [
        timed(READ, read, read.check),
        timed(COPY, lambda: target.copy_(source)),
        timed(PRODUCT, lambda: a @ b),
        chain(EMPTY, reads=False, dependent=False),
        chain(EMPTY_DEPENDENT, reads=False, dependent=True),
        chain(FULL, reads=True, dependent=False),
        chain(FULL_DEPENDENT, reads=True, dependent=True),
    ]


def goals_of(plan: Plan, match: Match) -> list[Goal]:
    """Make the goal: a chain with dependent launch must leave a decode step its 65%."""
    text = f"{plan.kernels} kernels with dependent launch: share of the read rate"
    if READ not in match.samples or FULL_DEPENDENT not in match.samples:
        return [Goal(text, None, 0.65, at_most=False)]
    ratio, bytes_ratio = match.ratio(READ, FULL_DEPENDENT), plan.chain_bytes / plan.read_bytes
    detail = f"{ratio.low * bytes_ratio:.2f}..{ratio.high * bytes_ratio:.2f}"
    return [Goal(text, ratio.value * bytes_ratio, 0.65, at_most=False, detail=detail)]


def table(plan: Plan, match: Match) -> dict:
    moved = {READ: plan.read_bytes, COPY: 2 * plan.copy_bytes}
    moved |= dict.fromkeys((FULL, FULL_DEPENDENT), plan.chain_bytes)
    rows = []
    for name in match.samples:
        best, median = match.fastest(name), match.median(name)
        low, high = (1e6 * seconds for seconds in match.spread(name))
        row = [name, 1e6 * median, f"{low:.1f}..{high:.1f}"]
        row.append(moved[name] / best / 1e12 if name in moved else None)
        row.append(2 * plan.size**3 / best / 1e12 if name == PRODUCT else None)
        row.append(1e6 * median / plan.kernels if name.startswith("chain") else None)
        rows.append(row)
    rows += [[name, None, reason, *[None] * 3] for name, reason in match.missing.items()]
    columns = ["", "us", "quartiles", "TB/s at best", "TFLOP/s at best", "us a kernel"]
    return {"title": f"limits of {gpu.name(plan.device)}", "columns": columns, "rows": rows}
