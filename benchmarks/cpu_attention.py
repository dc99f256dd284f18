"""Subject "cpu_attention": milliseconds of causal attention, forward and forward + backward in bf16
on one thread, beside PyTorch's fused kernel for CPUs and beside products and softmax as nanoGPT
writes them, whose scores are in bf16.

The queries and keys have the length that an RMSNorm gives them, in the layout of the GPT. The
errors against fp64 stand beside the times: a peer may be fast by being coarse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import goals, results
from benchmarks.goals import Goal
from benchmarks.threads import on_threads
from benchmarks.versus import Contestant, Disagreement, Match, calls, measure
from mas_fast import ops
from mas_fast.ops.reference import attention as reference_attention

OURS, FUSED, PLAIN = "mas_fast", "SDPA", "nanoGPT-style"
CHECKED = 2  # rows, in fp64
LIMIT = 2.0  # times the error of the fused kernel, at most


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        shapes: (name, (rows, heads, positions, channels)) of each.
        units: calls of a block.
        blocks: rounds of one block for each contestant.
    """

    shapes: tuple[tuple[str, tuple[int, int, int, int]], ...] = (
        ("storybook", (32, 4, 351, 64)),
        ("storybook, text and scene", (32, 4, 95, 64)),
        ("mini-270m", (2, 16, 575, 64)),
    )
    units: int = 3
    blocks: int = 12


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all shapes.

    Args:
        plan: what to do; the defaults of `Plan` if None.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
    """
    plan = plan or Plan()
    with on_threads(1):
        return _run(plan, measure)


def _run(plan: Plan, measure: Callable[..., Match]) -> dict:
    matches, rows, outcomes = {}, [], []
    for name, shape in plan.shapes:
        leaves, do = inputs(*shape)
        errors = {n: error(function, leaves, do) for n, function in FUNCTIONS.items()}
        if not errors[OURS] <= LIMIT * errors[FUSED]:
            raise Disagreement(
                f"{name}: found an error of {errors[OURS]:.3g}, expected at most {LIMIT} times "
                f"{errors[FUSED]:.3g}, that of {FUSED}"
            )
        for backward in (False, True):
            case = f"{name}, forward" + " + backward" * backward
            match = matches[case] = measure(contestants(leaves, do, backward, plan), plan.blocks)
            if backward:
                outcomes.append(goal(match, case))
            for n in FUNCTIONS:
                ratio = match.ratio(OURS, n) if n != OURS else None
                cells = [case, n, 1e3 * match.median(n), errors[n]]
                rows.append(cells + ([1 / ratio.value, ratio.verdict] if ratio else [None, None]))
    columns = ["", "", "ms", "largest error", "ours is x times as fast", "ours is"]
    shapes = "; ".join(f"{name}: {' x '.join(map(str, shape))}" for name, shape in plan.shapes)
    title = (
        f"cpu_attention: bf16, causal, one thread (rows x heads x positions x channels: {shapes})"
    )
    return {
        **results.provenance(),
        "matches": {case: match.to_dict() for case, match in matches.items()},
        "goals": [each.to_dict() for each in outcomes],
        "tables": [{"title": title, "columns": columns, "rows": rows}, goals.table(outcomes)],
    }


def goal(match: Match, case: str) -> Goal:
    best = min((FUSED, PLAIN), key=match.median)
    ratio = match.ratio(OURS, best)
    detail = f"{best}, {1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    text = f"{case}: times as fast as the best peer"
    return Goal(text, 1 / ratio.value, 1.0, at_most=False, detail=detail)


def inputs(rows: int, heads: int, length: int, channels: int) -> tuple[list[Tensor], Tensor]:
    """Return q, k and v as views of one tensor, and the gradient of the output."""
    g = torch.Generator().manual_seed(0)
    qkv = torch.randn(rows, length, 3, heads, channels, generator=g)
    qkv[:, :, :2] *= channels**0.5 / qkv[:, :, :2].norm(dim=-1, keepdim=True)
    do = torch.randn(rows, length, heads, channels, generator=g).bfloat16().transpose(1, 2)
    return list(qkv.bfloat16().permute(2, 0, 3, 1, 4)), do


def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ops.attention(q, k, v, impl="blocks")


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    length = q.shape[2]
    mask = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(2, 3)) * q.shape[3] ** -0.5
    return scores.masked_fill(mask, -math.inf).softmax(3) @ v


FUNCTIONS = {OURS: ours, FUSED: fused, PLAIN: plain}


def contestants(leaves: list[Tensor], do: Tensor, backward: bool, plan: Plan) -> list[Contestant]:
    def call(function: Callable) -> Callable[[], object]:
        if not backward:
            return lambda: function(*leaves)
        learning = [x.detach().requires_grad_() for x in leaves]
        return lambda: torch.autograd.grad(function(*learning), learning, do)

    return [calls(name, call(function), plan.units) for name, function in FUNCTIONS.items()]


def error(function: Callable, leaves: list[Tensor], do: Tensor) -> float:
    """Return the largest error of the output and the gradients of the first rows, against fp64."""

    def values(call: Callable, dtype: torch.dtype) -> list[Tensor]:
        few = [x[:CHECKED].detach().to(dtype).requires_grad_() for x in leaves]
        out = call(*few)
        grads = torch.autograd.grad(out, few, do[:CHECKED].to(dtype))
        return [x.detach().double() for x in (out, *grads)]

    exact = values(reference_attention.attention, torch.float64)
    rounded = values(function, torch.bfloat16)
    return max(float((a - b).abs().max()) for a, b in zip(rounded, exact, strict=True))
