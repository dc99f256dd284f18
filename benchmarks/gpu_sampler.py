"""Subject "gpu_sampler": microseconds to draw a token out of 16,384 on an NVIDIA GPU, guidance
included, for one row and for 64.

A CUDA graph holds a chain of draws, as a decode step has one, and its time is shared between them.
Beside ours stand a sort with its cumulative sum, and topk where it is all that is asked, as PyTorch
has them: in a graph too, with the exponential race, and as they are usually written, with
multinomial, which waits for the GPU; and FlashInfer where it is installed. The token of every draw
of ours is the definition's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks import goals, gpu, results
from benchmarks.goals import Goal
from benchmarks.versus import Block, Contestant, Disagreement, Match, Unavailable, measure
from mas_fast import ops
from mas_fast.ops import dispatch, reference

GUIDANCE, SEED = 3.0, 7
CASES = {
    "top_k 256": {"top_k": 256, "top_p": None},
    "top_p 0.9": {"top_k": None, "top_p": 0.9},
    "all tokens": {"top_k": None, "top_p": None},
}
SAMPLE, STEP = "mas_fast sample", "mas_fast sample_step"
SORT, TOPK = "torch sort, in a graph", "torch topk, in a graph"
USUAL, FLASHINFER = "torch sort + multinomial", "FlashInfer"
FIRST = 65  # the position of the first draw


@dataclass(frozen=True)
class Plan:
    vocab: int = 16384
    rows: tuple[int, ...] = (1, 64)
    draws: int = 16  # of a graph
    units: int = 8  # replays of a block
    blocks: int = 24
    checked: int = 4  # draws that are compared with the definition
    device: str = "cuda"


REHEARSAL = Plan(vocab=300, rows=(1, 3), draws=2, units=1, blocks=2, device="cpu")


@dataclass
class Draws:
    """A chain of draws, from the same logits at one position after the other.

    Attributes:
        cond: fp32 [B, V].
        uncond: the same.
        positions: int64 [B] of each draw.
        tokens: of the last call, [B] of each draw.
    """

    plan: Plan
    case: dict
    rows: int
    tokens: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        g = torch.Generator().manual_seed(0)
        shape = 2, self.rows, self.plan.vocab
        self.cond, self.uncond = (torch.randn(shape, generator=g) * 2).to(self.plan.device)
        ones = torch.ones(self.rows, dtype=torch.int64, device=self.plan.device)
        self.positions = [(FIRST + n) * ones for n in range(self.plan.draws)]
        self.sample = torch.arange(self.rows, device=self.plan.device)

    def guided(self) -> Tensor:
        return self.uncond + GUIDANCE * (self.cond - self.uncond)

    def call(self, name: str) -> Callable[[], None]:
        """Return what makes all draws.

        Raises:
            Unavailable: if the contestant is not there.
        """
        one = {
            SAMPLE: self._ours, STEP: self._step, SORT: self._sort, TOPK: self._topk,
            USUAL: self._usual, FLASHINFER: self._flashinfer,
        }[name]()  # fmt: skip

        def every() -> None:
            self.tokens = [one(n) for n in range(self.plan.draws)]

        return every if name == USUAL else gpu.captured(self.plan.device, every)

    def check(self, moved: int = 0) -> None:
        """Compare the last tokens with the definition's, `moved` positions further on.

        Raises:
            Disagreement: if one differs.
        """
        for n in range(min(self.plan.checked, self.plan.draws)):
            wanted = reference.sample(
                self.cond.cpu(), uncond=self.uncond.cpu(), guidance=GUIDANCE, seed=SEED,
                sample=self.sample.cpu(), position=self.positions[n].cpu() + moved, **self.case,
            )  # fmt: skip
            wrong = int((self.tokens[n].cpu().flatten() != wanted).sum())
            if wrong:
                raise Disagreement(f"{wrong} of {self.rows} tokens are not the definition's")

    def _ours(self) -> Callable[[int], Tensor]:
        if not dispatch.loaded(self.plan.device, "sample"):
            raise Unavailable("mas_fast was built without CUDA code")
        case = self.case["top_k"], self.case["top_p"]
        return lambda n: torch.ops.mas_fast.sample(
            self.cond, self.uncond, GUIDANCE, 1.0, *case, SEED, self.sample, self.positions[n]
        )[0]

    def _step(self) -> Callable[[int], Tensor]:
        """Settings and positions are read from memory."""
        if not hasattr(ops, "sample_step"):
            raise Unavailable("not there")
        count, device, length = self.rows, self.plan.device, FIRST + 2 * self.plan.draws
        self.first = [(position - 1).int() for position in self.positions]
        drawn = torch.empty(self.plan.draws, count, 1, dtype=torch.int32, device=device)

        def full(value: float, dtype: torch.dtype, *shape: int) -> Tensor:
            return torch.full((count, *shape), value, dtype=dtype, device=device)

        settings = {
            "forced": full(-1, torch.int32, length),
            "guidance": full(GUIDANCE, torch.float32, length),
            "temperature": full(1.0, torch.float32),
            "top_k": full(self.case["top_k"] or 0, torch.int32),
            "top_p": full(self.case["top_p"] or 0.0, torch.float64),
            "seed": full(SEED, torch.int64),
        }

        def one(n: int) -> Tensor:
            ops.sample_step(
                self.cond, self.uncond, self.first[n], sample=self.sample, drawn=drawn[n],
                window=1, end=length, **settings,
            )  # fmt: skip
            return drawn[n]

        return one

    def _weights(self, values: Tensor) -> Tensor:
        """The shares of what is kept of sorted logits."""
        if self.case["top_k"] is not None:
            values = values.clone()
            values[:, self.case["top_k"] :] = -torch.inf
        shares = values.softmax(-1)
        if self.case["top_p"] is not None:
            shares = shares.masked_fill(shares.cumsum(-1) - shares > self.case["top_p"], 0)
        return shares

    def _sort(self) -> Callable[[int], Tensor]:
        def one(n: int) -> Tensor:
            values, ids = self.guided().sort(descending=True)
            return ids.gather(1, race(self._weights(values)))

        return one

    def _topk(self) -> Callable[[int], Tensor]:
        if self.case["top_k"] is None:
            raise Unavailable("more than the first k are kept")

        def one(n: int) -> Tensor:
            values, ids = self.guided().topk(min(self.case["top_k"], self.plan.vocab))
            return ids.gather(1, race(values.softmax(-1)))

        return one

    def _usual(self) -> Callable[[int], Tensor]:
        def one(n: int) -> Tensor:
            values, ids = self.guided().sort(descending=True)
            return ids.gather(1, self._weights(values).multinomial(1))

        return one

    def _flashinfer(self) -> Callable[[int], Tensor]:
        try:
            from flashinfer import sampling
        except ImportError as error:
            raise Unavailable("not installed: pip install flashinfer-python") from error
        if self.case["top_k"] is not None:
            return lambda n: sampling.top_k_sampling_from_probs(
                self.guided().softmax(-1), self.case["top_k"]
            )
        if self.case["top_p"] is not None:
            return lambda n: sampling.top_p_sampling_from_probs(
                self.guided().softmax(-1), self.case["top_p"]
            )
        return lambda n: sampling.sampling_from_probs(self.guided().softmax(-1))


def race(shares: Tensor) -> Tensor:
    """Draw an index from each row of shares, [B, 1], without waiting for the GPU."""
    return (shares / torch.empty_like(shares).exponential_(1)).argmax(-1, keepdim=True)


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all cases.

    Args:
        plan: what to do; None takes that of a GPU.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Unavailable: if there is no GPU that can run it; gives the reason.
    """
    if plan is None:
        gpu.require()
        plan = Plan()
    guard, matches = gpu.Guard(), {}
    for rows in plan.rows:
        for case, options in CASES.items():
            names = (SAMPLE, STEP, SORT, TOPK, USUAL, FLASHINFER)
            crew = [guard(contestant(name, plan, options, rows)) for name in names]
            matches[f"{case}, rows {rows}"] = measure(crew, plan.blocks)
    outcomes = goals_of(plan, matches)
    return {
        **results.provenance(),
        "gpu": gpu.name(plan.device),
        "plan": vars(plan),
        "broken": guard.broken,
        "matches": {case: match.to_dict() for case, match in matches.items()},
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [table(plan, matches), goals.table(outcomes)],
    }


def contestant(name: str, plan: Plan, case: dict, rows: int) -> Contestant:
    calls: list[Callable[[], None]] = []

    def verify() -> None:
        draws = Draws(plan, case, rows)
        calls.append(draws.call(name))
        calls[0]()
        if name in (SAMPLE, STEP):
            draws.check()
        if name == STEP:  # a replay reads the positions again
            for first in draws.first:
                first += plan.draws
            calls[0]()
            draws.check(moved=plan.draws)

    def block() -> Block:
        seconds = gpu.seconds(plan.device, calls * plan.units, ahead=name != USUAL)
        return Block("", tuple(each / plan.draws for each in seconds))

    return Contestant(name, block, verify)


def goals_of(plan: Plan, matches: dict[str, Match]) -> list[Goal]:
    """Make the goals of one row and of the most."""
    one, most = (matches[f"top_k 256, rows {rows}"] for rows in (plan.rows[0], plan.rows[-1]))
    limits = {(SORT, 0): 20, (FLASHINFER, 0): 3, (SORT, 1): 10, (FLASHINFER, 1): 1.5}
    ours = STEP if STEP in one.samples else SAMPLE
    figure = 1e6 * one.median(ours) if ours in one.samples else None
    outcomes = [Goal(f"{ours}, one row: us a token", figure, 5)]
    for (peer, index), limit in limits.items():
        match, rows = (one, most)[index], (plan.rows[0], plan.rows[-1])[index]
        text = f"{ours}, rows {rows}: times as fast as {peer}"
        missing = [match.missing[n] for n in (ours, peer) if n not in match.samples]
        if missing:
            outcomes.append(Goal(text, None, limit, at_most=False, detail=missing[0]))
            continue
        ratio = match.ratio(ours, peer)
        detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
        outcomes.append(Goal(text, 1 / ratio.value, limit, at_most=False, detail=detail))
    return outcomes


def table(plan: Plan, matches: dict[str, Match]) -> dict:
    rows = []
    for case, match in matches.items():
        for name in match.samples:
            low, high = (1e6 * seconds for seconds in match.spread(name))
            row = [case, name, 1e6 * match.median(name), f"{low:.1f}..{high:.1f}"]
            ratio = match.ratio(name, SORT) if SORT in match.samples else None
            rows.append([*row, ratio.value if ratio else None])
        rows += [[case, name, None, why, None] for name, why in match.missing.items()]
    columns = ["", "", "us a draw", "quartiles", f"time over {SORT}"]
    title = f"sampler: {plan.vocab} logits, guidance {GUIDANCE:g}, {gpu.name(plan.device)}"
    return {"title": title, "columns": columns, "rows": rows}
