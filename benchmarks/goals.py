"""The goals of subject "decode": each a figure of the run beside its limit. A goal that is missed
is shown as missed, and one whose peer is not there as not measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.versus import Match

NEAR = 16  # tokens whose median stands for the time at one position
SLACK = 150e6  # bytes beyond packed weights and KV cache
INT8 = ("mas_fast int8, KV int8", "mas_fast int8, KV bf16")
INT4 = "mas_fast int4, KV int8"
SPARSE = "mas_fast int8, KV int8, DALL-E's masks"
BF16, FP32 = "mas_fast bf16", "mas_fast fp32"
LLAMA, TRANSFORMERS = "llama.cpp", "transformers bf16, 2 rows"
CTRANSLATE2, DRAM = "CTranslate2 int8, 2 rows", "DRAM read"


@dataclass(frozen=True)
class Goal:
    """A figure of the run beside its limit.

    Attributes:
        text: what the figure is.
        figure: the figure; None where it could not be measured.
        limit: what the figure is to be at most, or at least.
        at_most: which of the two.
        detail: what is shown beside it.
    """

    text: str
    figure: float | None
    limit: float
    at_most: bool = True
    detail: str = ""

    @property
    def passed(self) -> bool | None:
        if self.figure is None:
            return None
        return self.figure <= self.limit if self.at_most else self.figure >= self.limit

    def to_dict(self) -> dict:
        return {**vars(self), "passed": self.passed}


def decode(match: Match, facts: dict[str, dict], read_bytes: int) -> list[Goal]:
    """Make all goals.

    Args:
        match: the times.
        facts: of each engine of ours, as `decode.Crew.facts` gives them.
        read_bytes: bytes of one pass over memory.

    Returns:
        The goals.
    """
    bandwidth = read_bytes / match.fastest(DRAM)
    outcomes = []
    for names, peer in ((INT8, "Q8_0"), ((BF16,), "BF16"), ((INT4,), "Q4_0"), ((INT4,), "Q4_K")):
        for name in names:
            for rows, limit in (("1 row", 1.0), ("2 rows", 0.6)):
                outcomes.append(_faster(match, name, f"{LLAMA} {peer}, {rows}", limit))
    outcomes.append(_faster(match, SPARSE, INT8[0], 1.0))
    outcomes.append(_faster(match, INT4, INT8[0], 0.62))
    for name in INT8:
        outcomes.append(_bandwidth(match, name, facts[name]["step_bytes"], bandwidth))
    outcomes.append(_times(match, BF16, TRANSFORMERS, 3.0))
    for name in INT8:
        outcomes.append(_times(match, name, CTRANSLATE2, 4.0))
    for name in facts:
        outcomes.append(_growth(match, name, facts[name]["step_bytes"]))
    for name in facts:
        outcomes.append(_memory(name, facts[name]))
    return outcomes


def _faster(match: Match, name: str, peer: str, limit: float) -> Goal:
    text = f"{name}: time over {peer}"
    if peer not in match.samples:
        return Goal(text, None, limit)
    ratio = match.ratio(name, peer)
    return Goal(text, ratio.value, limit, detail=f"{ratio.low:.2f}..{ratio.high:.2f}")


def _times(match: Match, name: str, peer: str, limit: float) -> Goal:
    text = f"{name}: times as fast as {peer}"
    if peer not in match.samples:
        return Goal(text, None, limit, at_most=False)
    ratio = match.ratio(name, peer)
    detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    return Goal(text, 1 / ratio.value, limit, at_most=False, detail=detail)


def _bandwidth(match: Match, name: str, step_bytes: list[int], best: float) -> Goal:
    """Bytes that must move over the time, in units of the best rate at which memory was read."""
    timed = step_bytes[-sum(span_tokens(match, name)) :]
    rate = statistics.mean(timed) / match.median(name)
    detail = f"{rate / 1e9:.1f} of {best / 1e9:.1f} GB/s"
    text = f"{name}: share of the DRAM read bandwidth"
    return Goal(text, rate / best, 0.8, at_most=False, detail=detail)


def _growth(match: Match, name: str, step_bytes: list[int]) -> Goal:
    """Time at the last tokens over time at the first, against 1.1 x the same ratio of bytes."""
    spans = list(match.spans(name))
    blocks = {span: [b for b in match.samples[name] if b.span == span] for span in spans}
    tokens = span_tokens(match, name)
    near = min(NEAR, min(tokens) // 2)
    # The first token of a block wakes the threads, so the early ones are those just after it.
    early = [s for block in blocks[spans[0]] for s in block.seconds[1 : 1 + near]]
    late = [s for block in blocks[spans[-1]] for s in block.seconds[-near:]]
    start = len(step_bytes) - sum(tokens) + 1
    growth = statistics.median(late) / statistics.median(early)
    moved = sum(step_bytes[-near:]) / sum(step_bytes[start : start + near])
    detail = f"bytes grow {moved:.2f}x"
    return Goal(f"{name}: time at the end over the start", growth, 1.1 * moved, detail=detail)


def _memory(name: str, fact: dict) -> Goal:
    known = fact["weight_bytes"] + fact["kv_bytes"]
    limit, peak = (known + SLACK) / 1e6, fact["peak_anonymous_bytes"] / 1e6
    detail = f"weights {fact['weight_bytes'] / 1e6:.0f}, KV {fact['kv_bytes'] / 1e6:.0f}"
    return Goal(f"{name}: peak anonymous memory, MB", peak, limit, detail=detail)


def span_tokens(match: Match, name: str) -> list[int]:
    """Count the tokens that are timed in each range."""
    return [
        next(len(block.seconds) for block in match.samples[name] if block.span == span)
        for span in match.spans(name)
    ]


def table(goals: list[Goal]) -> dict:
    """Make the table of goals as `results.show` wants it."""
    words = {True: "passed", False: "FAILED", None: "not measured"}
    rows = [
        [
            goal.text,
            goal.figure,
            f"{'<=' if goal.at_most else '>='} {goal.limit:.2f}",
            goal.detail,
            words[goal.passed],
        ]
        for goal in goals
    ]
    return {"title": "goals", "columns": ["", "figure", "goal", "", "result"], "rows": rows}
