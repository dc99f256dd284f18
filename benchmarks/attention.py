"""Subject "attention": microseconds of attention, forward and forward + backward, on an NVIDIA GPU
beside PyTorch's own kernels: SDPA with each of its backends, and FlexAttention compiled.

The shape is that of the 270M preset in training: 64 rows, 16 heads of 64 channels, 576 positions,
bf16. Under a mask FlexAttention gets the mask as a function of positions and skips blocks as ours
does; SDPA, which could only take it as a dense tensor, is left out there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import goals, gpu, results
from benchmarks.versus import Block, Contestant, Disagreement, Match, Unavailable, measure
from mas_fast import ops
from mas_fast.ops.reference import attention as reference_attention

OURS, FLEX = "mas_fast", "FlexAttention"
BACKENDS = {
    "flash": "FLASH_ATTENTION",
    "cuDNN": "CUDNN_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
}
CHECKED = 2  # rows


@dataclass(frozen=True)
class Plan:
    batch: int = 64
    heads: int = 16
    channels: int = 64
    text: int = 64
    side: int = 16  # of each of the two grids
    dtype: torch.dtype = torch.bfloat16
    blocks: int = 16
    units: int = 8  # calls of a block
    compiled: bool = True  # FlexAttention
    device: str = "cuda"

    @property
    def length(self) -> int:
        return self.text + 2 * self.side**2

    @property
    def mask(self) -> dict:
        """What describes the sequence to `ops.attention`."""
        return {"text": self.text, "grids": [(self.side, self.side)] * 2}


REHEARSAL = Plan(
    batch=2, heads=1, channels=16, text=8, side=4, dtype=torch.float32, blocks=1, units=1,
    compiled=False, device="cpu",
)  # fmt: skip


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all masks.

    Args:
        plan: what to do; None takes that of a GPU.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
        Unavailable: if there is no GPU that can run it; gives the reason.
    """
    if plan is None:
        gpu.require()
        plan = Plan()
    guard = gpu.Guard()
    matches, rows, outcomes = {}, [], []
    for mask in reference_attention.MASKS:
        for backward in (False, True):
            case = f"{mask}, forward + backward" if backward else f"{mask}, forward"
            crew = [guard(each) for each in contestants(plan, mask, backward)]
            match = matches[case] = measure(crew, plan.blocks)
            limit = 1.5 if mask != "causal" else 1.15 if backward else 1.25
            outcomes.append(goal(match, case, limit))
            if case == "causal, forward":
                outcomes.append(rate_goal(plan, match, case))
            for name in match.samples:
                low, high = (1e6 * seconds for seconds in match.spread(name))
                cells = [case, name, 1e6 * match.median(name), f"{low:.0f}..{high:.0f}"]
                ratio = None
                if name != OURS and OURS in match.samples:
                    ratio = match.ratio(OURS, name)
                rate = flops(plan, backward) / match.median(name) / 1e12
                cells.append(rate if mask == "causal" else None)
                rows.append(cells + ([1 / ratio.value, ratio.verdict] if ratio else [None, None]))
            rows += [[case, name, None, why, *[None] * 3] for name, why in match.missing.items()]
    columns = ["", "", "us", "quartiles", "TFLOP/s", "ours is x times as fast", "ours is"]
    title = f"attention: {plan.batch} x {plan.heads} heads, {plan.length} positions, "
    title += f"{plan.channels} channels, {plan.dtype}"
    return {
        **results.provenance(),
        "gpu": gpu.name(plan.device),
        "broken": guard.broken,
        "matches": {case: match.to_dict() for case, match in matches.items()},
        "goals": [each.to_dict() for each in outcomes],
        "tables": [{"title": title, "columns": columns, "rows": rows}, goals.table(outcomes)],
    }


def flops(plan: Plan, backward: bool) -> float:
    """Count the operations on the causal triangle: two products forward, five more backward."""
    pairs = plan.batch * plan.heads * plan.length * (plan.length + 1)
    return (7 if backward else 2) * pairs * plan.channels


def goal(match: Match, case: str, limit: float) -> goals.Goal:
    """Make the goal: how many times as fast as the best peer ours is."""
    peers = [name for name in match.samples if name != OURS]
    text = f"{case}: times as fast as the best peer"
    if not peers or OURS not in match.samples:
        return goals.Goal(text, None, limit, at_most=False)
    best = min(peers, key=match.median)
    ratio = match.ratio(OURS, best)
    detail = f"{best}, {1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    return goals.Goal(text, 1 / ratio.value, limit, at_most=False, detail=detail)


def rate_goal(plan: Plan, match: Match, case: str) -> goals.Goal:
    """Make the goal of the forward pass on an H200."""
    rate = flops(plan, False) / match.median(OURS) / 1e12 if OURS in match.samples else None
    return goals.Goal(f"{case}: TFLOP/s (on an H200)", rate, 300, at_most=False)


def contestants(plan: Plan, mask: str, backward: bool) -> list[Contestant]:
    """Make ours and the peers, on two sets of inputs by turns, each larger than a GPU's cache."""
    g = torch.Generator(plan.device).manual_seed(0)
    sets = []
    for _ in range(2):
        shape = plan.batch, plan.length, 3, plan.heads, plan.channels
        qkv = torch.randn(shape, device=plan.device, generator=g).to(plan.dtype)
        do = torch.randn(qkv[:, :, 0].shape, device=plan.device, generator=g).to(plan.dtype)
        leaves = [x.detach().requires_grad_(backward) for x in qkv.permute(2, 0, 3, 1, 4)]
        sets.append((leaves, do.transpose(1, 2)))

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ops.attention(q, k, v, mask=mask, impl="triton", **plan.mask)

    functions = {OURS: ours}
    if mask == "causal":
        functions |= {f"SDPA {name}": sdpa(backend) for name, backend in BACKENDS.items()}
    functions[FLEX] = flex(plan, mask)
    return [timed(plan, name, function, sets, mask) for name, function in functions.items()]


def timed(plan: Plan, name: str, function: Callable, sets: list, mask: str) -> Contestant:
    """Make a contestant, whose calls are timed between two events on the GPU."""

    def call(number: int) -> tuple[Tensor, ...]:
        leaves, do = sets[number % 2]
        out = function(*leaves)
        return out, *(torch.autograd.grad(out, leaves, do) if out.requires_grad else ())

    def verify() -> None:
        try:
            values = call(0)
        except RuntimeError as error:
            if name == OURS:
                raise
            # A backend that refuses the inputs says so.
            raise Unavailable(str(error).strip().splitlines()[0]) from error
        check(name, values, *sets[0], mask, plan.mask)
        call(1)

    def block() -> Block:
        return Block("", gpu.seconds(plan.device, [partial(call, n) for n in range(plan.units)]))

    return Contestant(name, block, verify)


def check(
    name: str, values: tuple[Tensor, ...], leaves: list, do: Tensor, mask: str, options: dict
) -> None:
    """Compare the first rows with the definition in fp64.

    Args:
        name: the contestant, for the message.
        values: the output, and with a backward pass the gradients of q, k and v.
        leaves: q, k and v.
        do: the gradient of the output.
        mask: one of the masks.
        options: describe the sequence.

    Raises:
        Disagreement: if the relative error is too large.
    """
    exact = [x[:CHECKED].detach().double().requires_grad_() for x in leaves]
    out = reference_attention.attention(*exact, mask=mask, **options)
    wanted = [out]
    if len(values) > 1:
        wanted += torch.autograd.grad(out, exact, do[:CHECKED].double())
    for got, want in zip(values, wanted, strict=True):
        got, want = got[:CHECKED].detach().double(), want.detach()
        error = float((got - want).abs().max() / want.abs().max())
        if not error <= 0.02:
            raise Disagreement(f"{name}, {mask}: relative error {error:.3g}, expected 0.02")


def sdpa(backend: str) -> Callable:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(getattr(SDPBackend, backend)):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return attend


def flex(plan: Plan, mask: str) -> Callable:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    shown = shows(plan, mask)
    length = torch.arange(plan.length, device=plan.device)
    exact = reference_attention.visible(mask, plan.length, device=plan.device, **plan.mask)
    if not torch.equal(shown(0, 0, length[:, None], length[None, :]), exact):
        raise Disagreement(f"{FLEX}: its {mask} mask is not that of the definition")
    visible = create_block_mask(shown, None, None, plan.length, plan.length, device=plan.device)
    if not plan.compiled:
        return lambda q, k, v: flex_attention(q, k, v, block_mask=visible)
    compiled = whole_graphs(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=visible)


def whole_graphs(function: Callable) -> Callable:
    """Compile a function anew for each mask, with and without gradients.

    Those are as many times as Dynamo's limit, beyond which it would run uncompiled; `fullgraph`
    makes an error of that.
    """
    torch._dynamo.config.recompile_limit = 4 * len(reference_attention.MASKS)
    return torch.compile(function, dynamic=False, fullgraph=True)


def shows(plan: Plan, mask: str) -> Callable:
    """Return the mask as FlexAttention wants it: arithmetic on positions."""
    text, side, reach = plan.text, plan.side, reference_attention.KERNEL // 2

    def visible(b, h, i, j):
        if mask == "causal":
            return i >= j
        at, before = i - text, j - text
        grid = side * side
        alike = (i >= text) & (j >= text) & (at // grid == before // grid)
        if mask == "row":
            near = at - before <= side
        elif mask == "column":
            near = at % side == before % side
        else:
            beside = (at % side - before % side).abs() <= reach
            near = (at // side - before // side <= reach) & beside
        return (i >= j) & (~alike | near)

    return visible
