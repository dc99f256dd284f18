"""Subject "gpu_batch": a decode step of the 271M GPT on an NVIDIA GPU for 16 and for 64 pictures at
once (two rows each), who and how as in "gpu_decode"; and whether a picture's tokens are the same
alone and beside others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from benchmarks import goals, gpu, results
from benchmarks.goals import Goal
from benchmarks.gpu_decode import share_of_read, table, times
from benchmarks.gpu_engines import (
    COMPILED,
    REHEARSAL,
    Model,
    Plan,
    beside_compiled,
    beside_others,
    contestants,
    ours,
)
from benchmarks.versus import Match, measure

__all__ = ["REHEARSAL", "run"]

PICTURES = {"bf16": 97, "fp8": 185}  # a second at the largest batch, on an H200


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all batches.

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
        plan = Plan(images=2)
    guard, agreed, matches, beside = gpu.Guard(), {}, {}, {}
    same: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Model(plan, folder)
        for batch in plan.batches:
            crew = [guard(each) for each in contestants(model, batch, agreed)]
            matches[batch] = measure(crew, plan.images * plan.blocks)
            for dtype in plan.dtypes:
                if ours(dtype) in matches[batch].samples:
                    text = f"{ours(dtype)}, batch {batch}"
                    same[text] = beside_others(model, dtype, batch)
        for batch in reversed(plan.batches):  # the largest has goals
            crew = [guard(each) for each in beside_compiled(model, batch, agreed)]
            beside[batch] = measure(crew, plan.images * plan.blocks)
    largest = plan.batches[-1]
    outcomes = [*goals_of(plan, matches[largest], beside[largest]), *goals_of_tokens(same)]
    return {
        **results.provenance(),
        "gpu": gpu.name(plan.device),
        "plan": plan.to_dict(),
        "tokens as the reference": agreed,
        "tokens as alone": same,
        "broken": guard.broken,
        "matches": {str(batch): match.to_dict() for batch, match in matches.items()},
        "beside compiled": {str(batch): match.to_dict() for batch, match in beside.items()},
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [
            *(table(plan, match, batch) for batch, match in matches.items()),
            *(table(plan, match, batch) for batch, match in beside.items()),
            goals.table(outcomes),
        ],
    }


def goals_of(plan: Plan, match: Match, beside: Match) -> list[Goal]:
    """Make the goals of the largest batch, from its two matches.

    With fewer bits ours stands beside the compiled loop by way of our first dtype, which was in
    both matches.
    """
    batch, first = plan.batches[-1], ours(plan.dtypes[0])
    outcomes = [times(beside, first, COMPILED, 1.8)]
    if "fp8" in plan.dtypes:
        text, figure = f"{ours('fp8')}: times as fast as {COMPILED}", None
        if {first, ours("fp8")} <= match.samples.keys() and beside.samples.keys() >= {
            first,
            COMPILED,
        }:
            figure = match.ratio(first, ours("fp8")).value / beside.ratio(first, COMPILED).value
        outcomes.append(Goal(text, figure, 3.0, at_most=False))
    for dtype in plan.dtypes:
        if dtype in PICTURES:
            figure = None
            if ours(dtype) in match.samples:
                drawn = plan.config.streams.length - plan.prompt
                figure = batch / drawn / match.median(ours(dtype))
            text = f"{ours(dtype)}, batch {batch}: pictures/s, decoders aside"
            outcomes.append(Goal(text, figure, PICTURES[dtype], at_most=False))
    outcomes.append(share_of_read(plan, match, ours(plan.dtypes[0]), batch, 0.7))
    return outcomes


def goals_of_tokens(same: dict[str, float]) -> list[Goal]:
    """Make the goals: a picture's tokens are the same alone and beside others."""
    return [
        Goal(f"{name}: share of tokens as alone", share, 1.0, at_most=False)
        for name, share in same.items()
    ]
