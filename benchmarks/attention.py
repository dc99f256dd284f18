"""Subject "attention": microseconds of attention, forward and forward + backward, on an NVIDIA GPU
beside PyTorch's own kernels: SDPA with each of its backends, and FlexAttention compiled.

The shape is that of the 270M preset in training: 64 rows, 16 heads of 64 channels, 576 positions,
bf16. Under a mask FlexAttention gets the mask as a function of positions and skips blocks as ours
does; SDPA, which could only take it as a dense tensor, is left out there."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import goals, results
from benchmarks.versus import Block, Contestant, Disagreement, Match, Unavailable, measure
from mas_fast import ops
from mas_fast.ops.reference import attention as reference_attention

BATCH, HEADS, LENGTH, CHANNELS = 64, 16, 576, 64
PAPER = {"text": 64, "grids": [(16, 16), (16, 16)]}
OURS, FLEX = "mas_fast", "FlexAttention"
BACKENDS = {
    "flash": "FLASH_ATTENTION",
    "cuDNN": "CUDNN_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
}
CHECKED = 2  # rows
AHEAD = 20_000_000  # cycles that the GPU waits, so that it never waits for Python afterwards


def run(blocks: int = 16, units: int = 8, measure: Callable[..., Match] = measure) -> dict:
    """Measure all masks.

    Args:
        blocks: rounds of one block for each contestant.
        units: calls of a block.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
        Unavailable: if there is no GPU that can run it; gives the reason.
    """
    if not torch.cuda.is_available():
        raise Unavailable("attention needs an NVIDIA GPU, found none")
    if torch.cuda.get_device_capability() < (8, 0):
        raise Unavailable("attention needs compute capability 8.0 or higher")
    matches, rows, outcomes = {}, [], []
    for mask in reference_attention.MASKS:
        for backward in (False, True):
            case = f"{mask}, forward + backward" if backward else f"{mask}, forward"
            match = matches[case] = measure(contestants(mask, backward, units), blocks)
            outcomes.append(goal(match, case, 1.25 if mask == "causal" else 1.5))
            for name in match.samples:
                low, high = (1e6 * seconds for seconds in match.spread(name))
                cells = [case, name, 1e6 * match.median(name), f"{low:.0f}..{high:.0f}"]
                ratio = match.ratio(OURS, name) if name != OURS else None
                cells.append(
                    flops(backward) / match.median(name) / 1e12 if mask == "causal" else None
                )
                rows.append(cells + ([1 / ratio.value, ratio.verdict] if ratio else [None, None]))
            rows += [[case, name, None, why, *[None] * 3] for name, why in match.missing.items()]
    columns = ["", "", "us", "quartiles", "TFLOP/s", "ours is x times as fast", "ours is"]
    title = f"attention: {BATCH} x {HEADS} heads, {LENGTH} positions, {CHANNELS} channels, bf16"
    return {
        **results.provenance(),
        "gpu": torch.cuda.get_device_name(),
        "matches": {case: match.to_dict() for case, match in matches.items()},
        "goals": [each.to_dict() for each in outcomes],
        "tables": [{"title": title, "columns": columns, "rows": rows}, goals.table(outcomes)],
    }


def flops(backward: bool) -> float:
    """Count the operations on the causal triangle: two products forward, five more backward."""
    return (7 if backward else 2) * BATCH * HEADS * LENGTH * (LENGTH + 1) * CHANNELS


def goal(match: Match, case: str, limit: float) -> goals.Goal:
    """Make the goal: how many times as fast as the best peer ours is."""
    peers = [name for name in match.samples if name != OURS]
    text = f"{case}: times as fast as the best peer"
    if not peers:
        return goals.Goal(text, None, limit, at_most=False)
    best = min(peers, key=match.median)
    ratio = match.ratio(OURS, best)
    detail = f"{best}, {1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    return goals.Goal(text, 1 / ratio.value, limit, at_most=False, detail=detail)


def contestants(mask: str, backward: bool, units: int) -> list[Contestant]:
    """Make ours and the peers, on two sets of inputs by turns, each larger than the GPU's cache."""
    g = torch.Generator("cuda").manual_seed(0)
    sets = []
    for _ in range(2):
        qkv = torch.randn(BATCH, LENGTH, 3, HEADS, CHANNELS, device="cuda", generator=g).bfloat16()
        do = torch.randn(BATCH, LENGTH, HEADS, CHANNELS, device="cuda", generator=g).bfloat16()
        leaves = [x.detach().requires_grad_(backward) for x in qkv.permute(2, 0, 3, 1, 4)]
        sets.append((leaves, do.transpose(1, 2)))

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ops.attention(q, k, v, mask=mask, impl="triton", **PAPER)

    functions = {OURS: ours}
    if mask == "causal":
        functions |= {f"SDPA {name}": sdpa(backend) for name, backend in BACKENDS.items()}
    functions[FLEX] = flex(mask)
    return [timed(name, function, sets, mask, units) for name, function in functions.items()]


def timed(name: str, function: Callable, sets: list, mask: str, units: int) -> Contestant:
    """Make a contestant, whose calls are timed between two events on the GPU.

    The GPU is kept busy until all calls are queued.
    """

    def call(number: int) -> tuple[Tensor, ...]:
        leaves, do = sets[number % 2]
        out = function(*leaves)
        return out, *(torch.autograd.grad(out, leaves, do) if out.requires_grad else ())

    def verify() -> None:
        try:
            values = call(0)
        except RuntimeError as error:  # a backend that refuses the inputs says so
            raise Unavailable(str(error).strip().splitlines()[0]) from error
        check(name, values, *sets[0], mask)
        call(1)

    def block() -> Block:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(units + 1)]
        torch.cuda._sleep(AHEAD)
        events[0].record()
        for number, event in enumerate(events[1:]):
            call(number)
            event.record()
        torch.cuda.synchronize()
        pairs = zip(events, events[1:], strict=False)
        return Block("", tuple(before.elapsed_time(after) / 1e3 for before, after in pairs))

    return Contestant(name, block, verify)


def check(name: str, values: tuple[Tensor, ...], leaves: list, do: Tensor, mask: str) -> None:
    """Compare the first rows with the definition in fp64.

    Args:
        name: the contestant, for the message.
        values: the output, and with a backward pass the gradients of q, k and v.
        leaves: q, k and v.
        do: the gradient of the output.
        mask: one of the masks.

    Raises:
        Disagreement: if the relative error is too large.
    """
    exact = [x[:CHECKED].detach().double().requires_grad_() for x in leaves]
    out = reference_attention.attention(*exact, mask=mask, **PAPER)
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


def flex(mask: str) -> Callable:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    shown = reference_attention.visible(mask, LENGTH, device="cuda", **PAPER)
    length = torch.arange(LENGTH, device="cuda")
    visible = create_block_mask(shows(mask), None, None, LENGTH, LENGTH, device="cuda")
    if not torch.equal(shows(mask)(0, 0, length[:, None], length[None, :]), shown):
        raise Disagreement(f"{FLEX}: its {mask} mask is not that of the definition")
    compiled = whole_graphs(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=visible)


def whole_graphs(function: Callable) -> Callable:
    """Compile a function anew for each mask, with and without gradients.

    Those are as many times as Dynamo's limit, beyond which it would run uncompiled; `fullgraph`
    makes an error of that.
    """
    torch._dynamo.config.recompile_limit = 4 * len(reference_attention.MASKS)
    return torch.compile(function, dynamic=False, fullgraph=True)


def shows(mask: str) -> Callable:
    """Return the mask at PAPER's shape as FlexAttention wants it: arithmetic on positions."""
    text, side, reach = PAPER["text"], 16, reference_attention.KERNEL // 2

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
