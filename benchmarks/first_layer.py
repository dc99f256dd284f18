"""Subject "first_layer": the first convolution of VQ-SEG at 256 pixels from a label map, beside
building one-hot channels and convolving them, in both memory formats; then the whole encoder each
way.

Time: all take turns in one process. Memory: memory.py, in a process each. All return the same
tensor, so the goal is about what comes beside it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import goals, memory, results
from benchmarks.goals import Goal
from benchmarks.threads import on_threads
from benchmarks.versus import Disagreement, Match, calls, measure
from mas_fast.models.vqvae import VQVAE, LabelConv2d, VQConfig, preset

OURS, FIRST, LAST = "mas_fast", "one-hot, channels-first", "one-hot, channels-last"
ENCODER = {OURS: "encoder, mas_fast", LAST: "encoder, one-hot, channels-last"}
CHECKED = 64  # pixels, in fp64
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Plan:
    preset: str = "vq-seg-mas159"
    size: int = 256
    units: int = 3
    blocks: int = 12
    encoder_blocks: int = 4
    threads: int = 2


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure the layer and the encoder.

    Args:
        plan: what to do; the defaults of `Plan` if None.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
    """
    plan = plan or Plan()
    with on_threads(plan.threads):
        return _run(plan, measure)


def _run(plan: Plan, measure: Callable[..., Match]) -> dict:
    config = preset(plan.preset)
    encoder = VQVAE.create(config).encoder
    layers = contestants(config, encoder.conv_in)
    x = scene(plan.size, config.channels)

    def verify() -> None:
        check(encoder.conv_in, layers[OURS], config.channels)

    with torch.inference_mode():
        layer = measure(
            [
                calls(name, bind(call, x), plan.units, verify if name == OURS else None)
                for name, call in layers.items()
            ],
            plan.blocks,
        )
        halves = encoders(encoder, layers)
        names = {name: bind(call, x) for name, call in halves.items()}
        encoder_match = measure(
            [calls(n, call, 1) for n, call in names.items()], plan.encoder_blocks
        )
    peaks = {name: peak_bytes(name, plan) for name in layers}
    outcomes = goals_of(plan, layer, encoder_match, peaks)
    return {
        **results.provenance(),
        "threads": plan.threads,
        "matches": {"layer": layer.to_dict(), "encoder": encoder_match.to_dict()},
        "peak_bytes": peaks,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [times(plan, layer, encoder_match, peaks), goals.table(outcomes)],
    }


def contestants(config: VQConfig, layer: nn.Conv2d) -> dict[str, Callable[..., Tensor]]:
    """Return f(labels, edges) -> [1, O, H, W] by name, all with the weights of `layer`."""
    labels = config.channels - config.has_edges

    def planes(dim: int, shape: tuple[int, ...], ids: Tensor, edges: Tensor) -> Tensor:
        # The leanest way in PyTorch: zeros, then ones where the label says so. Void marks the edge
        # channel, which the edges then overwrite.
        x = torch.zeros(shape).scatter_(dim, ids.clamp(max=labels).long().unsqueeze(dim), 1)
        x.select(dim, labels).copy_(edges)
        return x

    def channels_first(ids: Tensor, edges: Tensor) -> Tensor:
        B, H, W = ids.shape
        x = planes(1, (B, config.channels, H, W), ids, edges)
        return F.conv2d(x, layer.weight, layer.bias, padding=1)

    def channels_last(ids: Tensor, edges: Tensor) -> Tensor:
        x = planes(3, (*ids.shape, config.channels), ids, edges).permute(0, 3, 1, 2)
        return F.conv2d(x, layer.weight, layer.bias, padding=1)

    return {OURS: layer, FIRST: channels_first, LAST: channels_last}


def encoders(encoder: nn.Module, layers: dict[str, Callable]) -> dict[str, Callable]:
    """Return the encoder as it is, and with its first layer on one-hot channels."""
    other = copy.copy(encoder)
    other._modules = {**encoder._modules, "conv_in": Called(layers[LAST])}
    return {ENCODER[OURS]: encoder, ENCODER[LAST]: other}


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, *x: Tensor) -> Tensor:
        return self.function(*x)


def scene(size: int, channels: int) -> tuple[Tensor, Tensor]:
    """Make squares of 8 x 8 pixels with random labels, some void, and one edge bit in ten."""
    generator = torch.Generator().manual_seed(0)
    squares = torch.randint(channels, (1, size // 8, size // 8), generator=generator)
    squares = torch.where(squares < channels - 1, squares, 255).to(torch.uint8)
    labels = squares.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return labels, torch.rand(labels.shape, generator=generator) < 0.1


def check(layer: nn.Conv2d, ours: Callable[..., Tensor], channels: int) -> None:
    labels, edges = scene(CHECKED, channels)
    ids = torch.arange(channels - 1, dtype=torch.uint8)[:, None, None]
    x = torch.cat([labels[:, None] == ids, edges[:, None]], 1).double()
    expected = F.conv2d(x, layer.weight.double(), layer.bias.double(), padding=1)
    error = float((ours(labels, edges) - expected).abs().max())
    if not error <= TOLERANCE:
        raise Disagreement(f"the first layer: found an error of {error:.1e}, allowed {TOLERANCE}")


def bind(function: Callable, x: tuple) -> Callable[[], object]:
    return lambda: function(*x)


# ---------------------------------------------------------------------------- memory


class Memory:
    """Runs in a process of its own: `peak` is what one call adds at most, in bytes."""

    def __init__(self, name: str, preset_name: str, size: int) -> None:
        config = preset(preset_name)
        self.call = contestants(config, LabelConv2d(config))[name]
        self.x = scene(size, config.channels)
        with torch.inference_mode():
            self.call(*scene(16, config.channels))  # loads the code

    def peak(self) -> int:
        with torch.inference_mode():
            return memory.added_bytes(lambda: self.call(*self.x))


def peak_bytes(name: str, plan: Plan) -> int | None:
    """Return `Memory.peak` of a process of its own; None where the system does not tell."""
    options = {"name": name, "preset_name": plan.preset, "size": plan.size}
    return memory.in_a_process("benchmarks.first_layer:Memory", plan.threads, **options)


# ---------------------------------------------------------------------------- results


def goals_of(plan: Plan, layer: Match, encoder: Match, peaks: dict[str, int | None]) -> list[Goal]:
    outcomes = []
    result = result_bytes(plan)
    for peer in (FIRST, LAST):
        figure = 1 / layer.ratio(OURS, peer).value
        outcomes.append(Goal(f"times as fast as {peer}", figure, 6, at_most=False))
        share, detail = None, ""
        if peaks[OURS] is not None and peaks[peer] is not None and peaks[peer] > result:
            share = max(peaks[OURS] - result, 0) / (peaks[peer] - result)
            detail = f"with the result {peaks[OURS] / peaks[peer]:.2f}"
        outcomes.append(Goal(f"memory beside the result, over {peer}", share, 0.4, detail=detail))
    ratio = encoder.ratio(*ENCODER.values())
    detail = f"{ratio.verdict}, {ratio.low:.3f}..{ratio.high:.3f}"
    outcomes.append(Goal("time of the encoder, over one-hot", ratio.value, 1.0, detail=detail))
    return outcomes


def result_bytes(plan: Plan) -> int:
    return 4 * plan.size**2 * preset(plan.preset).ch


def times(plan: Plan, layer: Match, encoder: Match, peaks: dict[str, int | None]) -> dict:
    rows = []
    for match, ours in ((layer, OURS), (encoder, ENCODER[OURS])):
        for name in match.samples:
            low, high = (1e3 * seconds for seconds in match.spread(name))
            row = [name, 1e3 * match.median(name), f"{low:.1f}..{high:.1f}"]
            ratio = match.ratio(ours, name) if name != ours else None
            row += [ratio.value, ratio.verdict] if ratio else [None, None]
            peak = peaks.get(name)
            rows.append([*row, None if peak is None else peak / 1e6])
    columns = ["", "ms", "quartiles", "ours over it", "ours is", "peak MB"]
    title = f"first_layer: {plan.preset} at {plan.size} px, {plan.threads} threads; "
    title += f"the result is {result_bytes(plan) / 1e6:.1f} MB"
    return {"title": title, "columns": columns, "rows": rows}
