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
    beside_others,
    contestants,
    ours,
)
from benchmarks.versus import Match, measure

__all__ = ["REHEARSAL", "run"]

PICTURES = {"bf16": 97, "fp8": 185}  # a second at the largest batch, on an H200
TIMES = {"bf16": 1.8, "fp8": 3.0}  # as fast as the compiled loop there


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
    guard, agreed, matches = gpu.Guard(), {}, {}
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
    outcomes = [*goals_of(plan, matches[plan.batches[-1]]), *goals_of_tokens(same)]
    return {
        **results.provenance(),
        "gpu": gpu.name(plan.device),
        "plan": vars(plan),
        "tokens as the reference": agreed,
        "tokens as alone": same,
        "broken": guard.broken,
        "matches": {str(batch): match.to_dict() for batch, match in matches.items()},
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [
            *(table(plan, match, batch) for batch, match in matches.items()),
            goals.table(outcomes),
        ],
    }


def goals_of(plan: Plan, match: Match) -> list[Goal]:
    """Make the goals of the largest batch."""
    batch, outcomes = plan.batches[-1], []
    for dtype in plan.dtypes:
        if dtype in TIMES or dtype == plan.dtypes[0]:
            outcomes.append(times(match, ours(dtype), COMPILED, TIMES.get(dtype, 1.8)))
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
