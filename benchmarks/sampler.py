"""Subject "sampler": microseconds to draw one token out of 16,384 on one thread, beside two ways
to do it in PyTorch.

Ours is the C++ sampler, through the numpy binding; the peers are what generation code usually
does: a full sort with its cumulative sum, and, where it is all that is asked, topk. All of them
mix the guidance, and start from the same logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks import results
from benchmarks.threads import on_threads
from benchmarks.versus import Disagreement, Match, calls, measure
from mas_fast.ops import reference
from mas_fast.utils import native

VOCAB, GUIDANCE, SEED = 16384, 3.0, 7
CASES = {
    "top_k 256": {"top_k": 256, "top_p": None},
    "top_p 0.9": {"top_k": None, "top_p": 0.9},
    "all tokens": {"top_k": None, "top_p": None},
}
OURS, SORT, TOPK = "mas_fast", "torch sort + multinomial", "torch topk + multinomial"
CHECKED = 32  # rows


def run(blocks: int = 30, units: int = 64, measure: Callable[..., Match] = measure) -> dict:
    """Measure all cases.

    Args:
        blocks: rounds of one block for each contestant.
        units: calls of a block.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its table.

    Raises:
        Disagreement: if ours is wrong.
    """
    with on_threads(1):
        matches = {name: measure(contestants(case, units), blocks) for name, case in CASES.items()}
    rows, ratios = [], {}
    for case, match in matches.items():
        ratios[case] = {
            peer: match.ratio(OURS, peer).to_dict() for peer in match.samples if peer != OURS
        }
        for name in match.samples:
            low, high = (1e6 * seconds for seconds in match.spread(name))
            row = [case, name, 1e6 * match.median(name), f"{low:.1f}..{high:.1f}"]
            against = ratios[case].get(name)
            row += [against["ratio"], against["verdict"]] if against else [None, None]
            rows.append(row)
    columns = ["", "", "us per token", "quartiles", "ours over it", "ours is"]
    title = f"sampler: one row of {VOCAB} logits, guidance {GUIDANCE:g}, one thread"
    return {
        **results.provenance(),
        "isa": native.engine().active_isa(),
        "matches": {case: match.to_dict() for case, match in matches.items()},
        "ratios": ratios,
        "tables": [{"title": title, "columns": columns, "rows": rows}],
    }


def contestants(case: dict, units: int) -> list:
    """Make ours and the peers; each draws from another row of the same logits at every call."""
    rows = torch.randn(2, 64, 1, VOCAB, generator=torch.Generator().manual_seed(0))
    cond, uncond = rows * 2
    arrays = cond.numpy(), uncond.numpy()

    def ours(number: int) -> tuple[np.ndarray, np.ndarray]:
        c, u = (array[number % 64] for array in arrays)
        return native.engine().sample(c, u, seed=SEED, position=number, guidance=GUIDANCE, **case)

    def guided(number: int) -> torch.Tensor:
        c, u = cond[number % 64], uncond[number % 64]
        return u + GUIDANCE * (c - u)

    def sort(number: int) -> int:
        logits, ids = guided(number).sort(descending=True)
        if case["top_k"] is not None:
            logits[:, case["top_k"] :] = -torch.inf
        probabilities = logits.softmax(-1)
        if case["top_p"] is not None:
            before = probabilities.cumsum(-1) - probabilities
            probabilities[before > case["top_p"]] = 0
        return int(ids.gather(1, probabilities.multinomial(1)))

    def topk(number: int) -> int:
        logits, ids = guided(number).topk(case["top_k"])
        return int(ids.gather(1, logits.softmax(-1).multinomial(1)))

    def multinomial(number: int) -> int:
        return int(guided(number).softmax(-1).multinomial(1))

    def verify() -> None:
        for number in range(CHECKED):
            token, kept = ours(number)
            c, u = cond[number], uncond[number]
            options = {"seed": SEED, "position": number, "guidance": GUIDANCE}
            expected = reference.sample(c, uncond=u, **options, **case)
            mask = reference.kept_mask(reference.guided_logits(c, u, GUIDANCE), **case)
            if int(token[0]) != int(expected) or not np.array_equal(kept, mask.numpy()):
                problem = f"found token {token[0]} of {kept.sum()}"
                raise Disagreement(f"{case}: {problem}, expected {int(expected)} of {mask.sum()}")

    peers = {SORT: sort}
    if case["top_k"] is not None:
        peers[TOPK] = topk
    elif case["top_p"] is None:
        peers = {"torch softmax + multinomial": multinomial}
    return [
        calls(OURS, counted(ours), units, verify),
        *(calls(name, counted(function), units) for name, function in peers.items()),
    ]


def counted(function: Callable[[int], object]) -> Callable[[], object]:
    """Return a function that calls `function` with 0, 1, 2, ..."""
    number = -1

    def call() -> object:
        nonlocal number
        number += 1
        return function(number)

    return call
