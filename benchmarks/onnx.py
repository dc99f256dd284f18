"""Subject "onnx": milliseconds of the exported decoder of pictures, of minDALL-E's size, at batch 1
and 8 on a CPU, beside PyTorch channels-last and beside the decoder exported as it is by PyTorch's
exporter, in the same onnxruntime with all its optimisations; and an 8-bit variant of ours.

The 8-bit one is what `mas-fast export onnx --dtype int8` writes, calibrated on a few random codes.
Its PSNR to ours in fp32 is of the picture's own range, since random weights give pale pictures."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import goals, results
from benchmarks.goals import Goal
from benchmarks.threads import on_threads
from benchmarks.versus import Disagreement, Match, calls, measure
from mas_fast.models.vqvae import VQVAE, preset
from mas_fast.onnx.export import OPSET, write_graph
from mas_fast.onnx.files import Metadata
from mas_fast.onnx.parity import LEAST_PSNR, MOST_ERROR, made_up
from mas_fast.onnx.quantize import quantize
from mas_fast.onnx.session import Session

OURS, INT8 = "mas_fast, fp32", "mas_fast, int8 (QDQ)"
TORCH, PLAIN = "PyTorch, channels-last", "plain dynamo export"
CALIBRATION = 4  # pictures


@dataclass(frozen=True)
class Plan:
    preset: str = "vq-img-f16"
    batches: tuple[int, ...] = (1, 8)
    blocks: int = 6
    threads: int = 2


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all batches.

    Args:
        plan: what to do; the defaults of `Plan` if None.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
    """
    plan = plan or Plan()
    with (
        on_threads(plan.threads),
        tempfile.TemporaryDirectory() as folder,
        torch.inference_mode(),
    ):
        return _run(plan, Path(folder), measure)


def _run(plan: Plan, folder: Path, measure: Callable[..., Match]) -> dict:
    model = VQVAE.create(preset(plan.preset)).eval()
    metadata = Metadata("vq_img", "decoder", "fp32", model.config, "0" * 64)
    with torch.inference_mode(False):
        write_graph(folder / "ours.onnx", metadata, model)
        write_plain(folder / "plain.onnx", model)
    (codes,) = made_up(model.config, "decoder", CALIBRATION)
    quantize(folder / "ours.onnx", folder / "int8.onnx", codes.numpy())
    files = {OURS: "ours.onnx", PLAIN: "plain.onnx", INT8: "int8.onnx"}
    sessions = {n: Session(folder / f, ["cpu"], plan.threads) for n, f in files.items()}
    matches, facts = {}, {}
    for batch in plan.batches:
        (codes,) = made_up(model.config, "decoder", batch)
        decoders = {n: partial(session.run, codes.numpy()) for n, session in sessions.items()}
        decoders[TORCH] = partial(model.decode, codes)
        ours = decoders[OURS]()
        check(ours, decoders[TORCH]().numpy())
        facts[batch] = psnr(decoders[INT8](), ours)
        matches[batch] = measure([calls(n, call, 1) for n, call in decoders.items()], plan.blocks)
    outcomes = goals_of(matches, facts)
    return {
        **results.provenance(),
        "threads": plan.threads,
        "matches": {f"batch {batch}": match.to_dict() for batch, match in matches.items()},
        "psnr of int8": {f"batch {batch}": value for batch, value in facts.items()},
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [times(plan, matches, facts), goals.table(outcomes)],
    }


class Plain(nn.Module):
    def __init__(self, model: VQVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return self.model.decode(codes)


def write_plain(file: Path, model: VQVAE) -> None:
    """Export the decoder as the exporter's documentation shows it."""
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Plain(model),
            made_up(model.config, "decoder", 5),
            file,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=({0: batch},),
            verbose=False,
        )


def check(output: np.ndarray, expected: np.ndarray) -> None:
    error = float(np.abs(output - expected).max())
    if not error <= MOST_ERROR:
        raise Disagreement(f"onnx: found an error of {error:.3g}, expected at most {MOST_ERROR}")


def psnr(output: np.ndarray, expected: np.ndarray) -> float:
    """Return the PSNR in dB, of the range that `expected` has."""
    error = float(np.square(output.astype(np.float64) - expected).mean())
    return 10 * math.log10(float(np.ptp(expected)) ** 2 / max(error, 1e-30))


def goals_of(matches: dict[int, Match], facts: dict[int, float]) -> list[Goal]:
    outcomes = []
    for batch, match in matches.items():
        ratio = match.ratio(OURS, PLAIN)
        detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
        text = f"batch {batch}: no slower than {PLAIN}: upper quartile of times as fast"
        outcomes.append(Goal(text, 1 / ratio.low, 1.0, at_most=False, detail=detail))
        ratio = match.ratio(OURS, TORCH)
        detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
        text = f"batch {batch}: times as fast as {TORCH}"
        outcomes.append(Goal(text, 1 / ratio.value, 1.1, at_most=False, detail=detail))
        ratio = match.ratio(INT8, OURS)
        detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
        text = f"batch {batch}: int8, times as fast as fp32"
        outcomes.append(Goal(text, 1 / ratio.value, 1.5, at_most=False, detail=detail))
        text = f"batch {batch}: int8, PSNR to fp32 in dB"
        outcomes.append(Goal(text, facts[batch], LEAST_PSNR, at_most=False))
    return outcomes


def times(plan: Plan, matches: dict[int, Match], facts: dict[int, float]) -> dict:
    rows = []
    for batch, match in matches.items():
        for name in match.samples:
            low, high = (1e3 * seconds for seconds in match.spread(name))
            ratio = match.ratio(OURS, name) if name != OURS else None
            cells = [f"batch {batch}", name, 1e3 * match.median(name), f"{low:.0f}..{high:.0f}"]
            cells += [1 / ratio.value, ratio.verdict] if ratio else [None, None]
            rows.append(cells + [facts[batch] if name == INT8 else None])
    columns = ["", "", "ms", "quartiles", "ours in fp32 is x times as fast", "ours is", "PSNR, dB"]
    title = f"onnx: decoder of {plan.preset}, random weights, {plan.threads} threads of a CPU"
    return {"title": title, "columns": columns, "rows": rows}
