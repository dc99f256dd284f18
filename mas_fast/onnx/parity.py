"""What an exported graph gives beside what PyTorch gives, on made-up inputs of several batch sizes.

    rows = compare(file, metadata, model)       # one for each batch size, one not optimised
    problems = judge(metadata, rows)            # [] where it is good enough
    report = Parity(rows)                       # .table() for rich, .to_dict() for JSON

What is asked of fp32: the same codes; images and logits within 1e-4 of PyTorch's, or of those in
fp64, or nearer to these than PyTorch's in fp32 are (of a trained tokenizer the logits reach 150,
and PyTorch's own rounding 3e-4). Of fp16: 99% of the codes, the others' distance within 1% of the
best; images and logits at 40 dB or more. Of int8, beside what the fp32 graph makes of codes that
were drawn: pictures at 40 dB or more, and scenes of which 99% of the pixels keep their label, and
99% their edge.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mas_fast.models.quantizer import Gumbel
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.onnx.files import FIDELITY, Metadata, import_onnxruntime
from mas_fast.scene.labels import VOID, layout_named

if TYPE_CHECKING:
    from rich.table import Table

BATCHES = (1, 2, 3, 8)
UNOPTIMISED = 2  # the batch that also runs as the graph is written
MOST_ERROR, LEAST_TOKENS, MOST_EXCESS, LEAST_PSNR, LEAST_AGREEMENT = 1e-4, 0.99, 0.01, 40.0, 0.99
REGIONS = 12  # of a made-up label map


@dataclass(frozen=True)
class Row:
    """One file at one batch size.

    Attributes:
        file: its name.
        batch: the batch size.
        optimised: as onnxruntime makes it faster, or as it is written.
        error: of a decoder: the largest absolute error.
        psnr: of a decoder, in dB, of [-1, 1] or of the logits' range.
        agreement: of scenes in int8: the share of pixels that keep their label, or their edge bit
            if that is less.
        error64: of a decoder whose fp32 error is over the limit: the largest to PyTorch in fp64.
        lost64: the same of PyTorch in fp32.
        tokens: of an encoder: the number of codes.
        differ: of an encoder: how many of them are others than PyTorch's.
        excess: of an encoder: by how much the worst of those is farther than the nearest, as a
            share of its distance (of Gumbel's logits: below the best, as a share of their range).
    """

    file: str
    batch: int
    optimised: bool
    error: float | None = None
    psnr: float | None = None
    error64: float | None = None
    lost64: float | None = None
    agreement: float | None = None
    tokens: int | None = None
    differ: int | None = None
    excess: float | None = None


@dataclass(frozen=True)
class Parity:
    """The figures of all files that were exported together.

    Attributes:
        rows: one for each file and batch size.
    """

    rows: tuple[Row, ...]

    def to_dict(self) -> dict:
        """Plain values for JSON; no infinities: the PSNR of equal images is null."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            if row["psnr"] is not None and not math.isfinite(row["psnr"]):
                row["psnr"] = None
        limits = {
            "fp32": {"error": MOST_ERROR, "tokens": 1.0},
            "fp16": {"psnr": LEAST_PSNR, "tokens": LEAST_TOKENS, "excess": MOST_EXCESS},
            "int8": {"psnr": LEAST_PSNR, "agreement": LEAST_AGREEMENT},
        }
        return {"limits": limits, "rows": rows}

    def table(self) -> Table:
        """A table for rich's console."""
        from rich.table import Table

        table = Table("file", "batch", "optimised", "max error", "PSNR dB")
        for name in ("to fp64 (PyTorch's)", "equal codes or pixels", "excess"):
            table.add_column(name)
        for i, row in enumerate(self.rows):
            cells = [row.file, str(row.batch), "yes" if row.optimised else "no"]
            if row.tokens is None:
                cells += [f"{row.error:.1e}", f"{row.psnr:.1f}"]
                if row.error64 is not None:
                    cells += [f"{row.error64:.1e} ({row.lost64:.1e})"]
                if row.agreement is not None:
                    cells += ["", f"{row.agreement:.2%}"]
            else:
                cells += ["", "", "", f"{row.tokens - (row.differ or 0)} of {row.tokens}"]
                cells += [f"{row.excess:.1e}"] if row.differ else []
            last = i + 1 == len(self.rows) or self.rows[i + 1].file != row.file
            table.add_row(*cells, end_section=last)
        return table


@torch.no_grad()
def compare(file: Path, metadata: Metadata, model: VQVAE) -> list[Row]:
    """Compare a file with the fp32 tokenizer that it was made from, at each batch size.

    Raises:
        ValueError: if it does not take a batch of 0, as is left where a filter took out all
            pictures.
    """
    fast, plain = (_session(file, optimised) for optimised in (True, False))
    for session in (fast, plain):
        _take_none(file, metadata, session)
    rows = []
    for batch in BATCHES:
        inputs = made_up(metadata.config, metadata.part, batch)
        if metadata.part == "decoder":
            expected = model.decode(*inputs)
        else:
            expected = model.encode(inputs[0] if metadata.model == "vq_img" else _pair(*inputs))
        for session in (fast, plain) if batch == UNOPTIMISED else (fast,):
            result = torch.from_numpy(session.run(None, _feed(metadata, inputs))[0])
            if metadata.part == "decoder":
                measured: dict[str, Any] = _of_values(expected, result, metadata.config)
                if metadata.dtype == "fp32" and not measured["error"] <= MOST_ERROR:
                    exact = _double(model).decode(*inputs)
                    measured["error64"] = (result - exact).abs().max().item()
                    measured["lost64"] = (expected - exact).abs().max().item()
            else:
                measured = _of_codes(model, inputs, expected, result)
            rows.append(Row(metadata.file_name, batch, session is fast, **measured))
    return rows


def compare_drawn(file: Path, metadata: Metadata, source: Path, codes: np.ndarray) -> Row:
    """Compare a decoder with another of the same inputs and outputs, by what a GPT drew.

    Args:
        file: the decoder.
        metadata: of the other one.
        source: the other one.
        codes: of pictures or scenes, int64 [N, h, w]; they are decoded one at a time.

    Returns:
        The figures of all of them together.

    Raises:
        ValueError: as in `compare`.
    """
    _take_none(file, metadata, _session(file, False))
    fast, exact = (_session(path, True) for path in (file, source))
    _take_none(file, metadata, fast)
    found, expected = (
        torch.from_numpy(np.concatenate([run.run(None, {"codes": c[None]})[0] for c in codes]))
        for run in (fast, exact)
    )
    measured: dict[str, Any] = _of_values(expected, found, metadata.config)
    if metadata.config.input == "labels":
        measured["agreement"] = _agreement(expected, found, metadata.config)
    return Row(file.name, 1, True, **measured)


def _feed(metadata: Metadata, inputs: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
    names = [value.name for value in metadata.inputs]
    return {name: value.numpy() for name, value in zip(names, inputs, strict=True)}


def _take_none(file: Path, metadata: Metadata, session: Any) -> None:
    empty = tuple(value[:0] for value in made_up(metadata.config, metadata.part, 1))
    expected = [0, *metadata.outputs[0].shape[1:]]
    outcome: object
    try:
        outcome = list(session.run(None, _feed(metadata, empty))[0].shape)
    except Exception as error:  # its own classes share no base but this
        outcome = str(error)
    if outcome != expected:
        raise ValueError(
            f"{file.name}: a batch of 0: found {outcome}, expected the shape {expected}"
        )


def judge(metadata: Metadata, rows: list[Row]) -> list[str]:
    """What falls short, in words; a share of tokens is that of all batches together."""
    problems: list[str] = []

    def ask(row: Row, figure: str, good: bool, value: object, expected: str) -> None:
        if not good:  # NaN is not good
            run = "" if row.optimised else ", not optimised"
            batch = f"{row.file}: batch {row.batch}{run}"
            problems.append(f"{batch}: {figure}: found {value}, expected {expected}")

    fp16 = metadata.dtype == "fp16"
    for row in rows:
        if metadata.dtype == "int8" and FIDELITY[metadata.model] == "agreement":
            good = _figure(row.agreement) >= LEAST_AGREEMENT
            ask(row, "agreement", good, row.agreement, f">= {LEAST_AGREEMENT}")
        elif metadata.part == "decoder" and metadata.dtype != "fp32":
            ask(row, "PSNR", _figure(row.psnr) >= LEAST_PSNR, row.psnr, f">= {LEAST_PSNR} dB")
        elif metadata.part == "decoder":
            good = _figure(row.error) <= MOST_ERROR
            if row.error64 is not None:
                good = row.error64 <= max(MOST_ERROR, _figure(row.lost64))
            value = f"{row.error} ({row.error64} to fp64, where PyTorch loses {row.lost64})"
            ask(row, "max error", good, value, f"<= {MOST_ERROR}")
        elif fp16:
            good = _figure(row.excess) <= MOST_EXCESS
            ask(row, "excess distance of a code", good, row.excess, f"<= {MOST_EXCESS}")
        else:
            value = f"{row.differ} of {row.tokens} (excess distance {row.excess})"
            ask(row, "codes that differ", row.differ == 0, value, "none")
    if metadata.part == "encoder" and fp16:
        total, differ = (sum(getattr(row, name) for row in rows) for name in ("tokens", "differ"))
        if differ > (1 - LEAST_TOKENS) * total:
            expected = f"at least {LEAST_TOKENS:.0%}"
            problems.append(
                f"{metadata.file_name}: equal codes: found {total - differ} of {total}, "
                f"expected {expected}"
            )
    return problems


def _figure(value: float | None) -> float:
    """A figure of a row; NaN, which is not good, where it has none."""
    return math.nan if value is None else value


def made_up(config: VQConfig, part: str, batch: int) -> tuple[Tensor, ...]:
    """Inputs of a graph, a function of the batch size.

    Returns:
        Random codes, smooth pictures, or label maps of some regions with, where the layout has
        them, the edges between them.
    """
    generator = torch.Generator().manual_seed(batch)
    size, side = config.resolution, config.resolution // config.f
    if part == "decoder":
        return (torch.randint(config.codes, (batch, side, side), generator=generator),)
    if config.input == "image":
        image = torch.zeros(batch, config.channels, size, size)
        for waves in (2, 4, 8, 16):
            noise = torch.randn(batch, config.channels, waves, waves, generator=generator)
            image += F.interpolate(noise, (size, size), mode="bicubic") / waves**0.5
        return (image.tanh(),)
    count = config.channels - config.has_edges
    ids = torch.tensor([*range(count), VOID], dtype=torch.uint8)
    chosen = ids[torch.randint(len(ids), (batch, REGIONS), generator=generator)]
    centres = torch.rand(batch, 1, 1, REGIONS, 2, generator=generator) * size
    pixels = torch.cartesian_prod(*[torch.arange(size)] * 2).view(1, size, size, 1, 2)
    region = (pixels - centres).square().sum(-1).argmin(-1)
    labels = chosen.gather(1, region.flatten(1)).view_as(region)
    if not config.has_edges:
        return (labels,)
    edges = torch.zeros_like(labels, dtype=torch.bool)
    edges[:, :, 1:] |= region[:, :, 1:] != region[:, :, :-1]
    edges[:, 1:] |= region[:, 1:] != region[:, :-1]
    return labels, edges


def _session(file: Path, optimised: bool) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _double(model: VQVAE) -> VQVAE:
    return copy.deepcopy(model).double()


def _pair(labels: Tensor, edges: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    return labels, edges


def _of_values(expected: Tensor, actual: Tensor, config: VQConfig) -> dict[str, float]:
    difference = actual.double() - expected.double()
    # A picture's values are meant to fill [-1, 1], whatever this one does.
    peak = 2.0 if config.input == "image" else float(expected.max() - expected.min())
    error = difference.square().mean().sqrt().item()
    psnr = 20 * math.log10(peak / error) if error else math.inf
    return {"error": difference.abs().max().item(), "psnr": psnr}


def _agreement(expected: Tensor, actual: Tensor, config: VQConfig) -> float:
    """The share of pixels that keep their label, or their edge bit if that is less, of logits
    [N, C, H, W]."""
    labels = torch.arange(config.channels - config.has_edges)
    if config.layout is not None:
        labels = torch.from_numpy(layout_named(config.layout).label_channels)
    same = [expected[:, labels].argmax(1) == actual[:, labels].argmax(1)]
    if config.has_edges:
        same += [(expected[:, -1] > 0) == (actual[:, -1] > 0)]
    return min(kept.double().mean().item() for kept in same)


def _of_codes(
    model: VQVAE, inputs: tuple[Tensor, ...], expected: Tensor, actual: Tensor
) -> dict[str, Any]:
    other = expected != actual
    differ, excess = int(other.sum()), 0.0
    if differ:
        z = model.quant_conv(model.encoder(*inputs)).permute(0, 2, 3, 1)[other]
        excess = _excess(model, z, actual[other])
    return {"tokens": expected.numel(), "differ": differ, "excess": excess}


def _excess(model: VQVAE, z: Tensor, codes: Tensor) -> float:
    """The largest excess distance of the codes of vectors z, [N, D].

    Within the rounding of z, another code than the expected one may be the nearest, so the nearest
    is looked for anew.
    """
    if isinstance(model.quantize, Gumbel):
        proj = model.quantize.proj
        assert proj.bias is not None
        score = F.linear(z.double(), proj.weight.double().flatten(1), proj.bias.double())
        best, chosen = score.amax(1), score.gather(1, codes[:, None])[:, 0]
        return ((best - chosen) / (best - score.amin(1))).max().item()
    distance = torch.cdist(z.double(), model.quantize.table.double()).square()
    best, chosen = distance.amin(1), distance.gather(1, codes[:, None])[:, 0]
    return (chosen / best - 1).max().item()
