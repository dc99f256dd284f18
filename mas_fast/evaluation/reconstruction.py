"""How well a tokenizer gives back what it is given: metrics, and a sheet to look at.

    found = evaluate("my-bundle", "vq_img", "photos", lpips="weights")    # `mas-fast eval vq-img`
    found = reconstruct(model, Crops(source, model.config), range(64))
    found.metrics            # {"psnr": 27.1, "ssim": 0.81, "used_codes": 0.93, "perplexity": 180.2}
    found.sheet().save("sheet.png")                                       # input | reconstruction

Each picture is seen once, as its middle square at the model's resolution.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mas_fast.bundle.torch_io import load_vq
from mas_fast.data.crops import Crops
from mas_fast.data.sources.base import Reject
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.metrics import (
    CodebookUsage,
    ConfusionMatrix,
    FeatureExtractor,
    ImageQuality,
)
from mas_fast.models.perceptual import LPIPS
from mas_fast.models.torch_codec import pictures
from mas_fast.models.vqvae import VQVAE
from mas_fast.scene.labels import LAYOUTS, Layout, layout_named
from mas_fast.utils.devices import find_device
from mas_fast.utils.progress import progress_bar

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 8  # samples on a sheet
GAP = 4  # pixels between pictures on a sheet
UNITS = {"psnr": "dB", "used_codes": "of the codes", "perplexity": "codes"}


@dataclass
class Reconstruction:
    """What a tokenizer made of the samples of a data set.

    Attributes:
        count: samples that were measured.
        metrics: of pictures psnr, ssim and sharpness, lpips and rfid where asked for; of scenes
            miou and edge_iou; of both used_codes (a share) and perplexity.
        classes: of scenes (name, IoU, share of all pixels that have it), the most frequent first,
            of those that either side has.
        rejects: (key, reason) of what could not be read.
        pairs: uint8 [H, W, 3], input and reconstruction of some samples.
    """

    count: int
    metrics: dict[str, float]
    classes: list[tuple[str, float, float]] = field(default_factory=list)
    rejects: list[tuple[str, str]] = field(default_factory=list)
    pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def to_dict(self) -> dict:
        """Plain values for JSON; null where there is no number."""
        return {
            "samples": self.count,
            "metrics": {name: _number(value) for name, value in self.metrics.items()},
            "iou": {name: _number(iou) for name, iou, _ in self.classes},
            "rejects": [list(reject) for reject in self.rejects],
        }

    def tables(self) -> list[Table]:
        """Tables for rich's console."""
        from rich.table import Table

        title = f"{self.count} samples" + (f", {len(self.rejects)} rejects" if self.rejects else "")
        table = Table("metric", "value", "", title=title)
        for name, value in self.metrics.items():
            table.add_row(name, f"{value:.4f}", UNITS.get(name, ""))
        if not self.classes:
            return [table]
        classes = Table("class", "IoU", "share of pixels")
        for name, iou, share in self.classes:
            classes.add_row(name, f"{iou:.4f}", f"{share:.2%}")
        return [classes, table]

    def sheet(self) -> Image.Image:
        """The pairs side by side."""
        return sheet(self.pairs)


def evaluate(
    bundle: str | os.PathLike,
    name: str,
    data: str | os.PathLike,
    *,
    samples: int | None = None,
    batch: int = 8,
    workers: int = 0,
    device: str | None = None,
    labels: str | os.PathLike | None = None,
    lpips: str | os.PathLike | None = None,
    features: str | os.PathLike | None = None,
) -> Reconstruction:
    """Measure a tokenizer of a bundle on a data set.

    Args:
        bundle: the bundle.
        name: "vq_seg" or "vq_img".
        data: a source, as data.sources takes it.
        samples: this many samples, evenly spread over the data; None for all.
        batch: samples at a time.
        workers: processes that load samples.
        device: None for a GPU where there is one.
        labels: label space of the label maps in the data.
        lpips: folder with the weights of LPIPS; for pictures alone.
        features: a file as metrics.FeatureExtractor takes it; for pictures alone.

    Raises:
        ValueError: something is missing or unfit.
    """
    for option, value in (("samples", samples), ("batch", batch)):
        if value is not None and value < 1:
            raise ValueError(f"{option}: found {value}, expected a value >= 1")
    chosen = find_device(device)
    model = load_vq(bundle, name, chosen, torch.float32)
    if model.config.input == "labels" and model.config.layout is None:
        layouts = [f"{key} ({layout.channels} channels)" for key, layout in LAYOUTS.items()]
        raise ValueError(
            f"{bundle}: {name}: found a tokenizer of {model.config.channels} channels without a "
            f"layout, expected one of the layouts {layouts}: which class each of its channels is, "
            "is not known, so it cannot be measured on scenes; `mas-fast train vq-seg` makes one "
            "that can"
        )
    crops = Crops(open_source(data, labels=labels), model.config)
    numbers = spread(len(crops), samples or len(crops))
    quality = ImageQuality(
        lpips=None if lpips is None else LPIPS(lpips).to(chosen),
        features=None if features is None else FeatureExtractor(features, chosen),
    )
    return reconstruct(
        model, crops, numbers, batch=batch, workers=workers, quality=quality, progress=True
    )


@torch.no_grad()
def reconstruct(
    model: VQVAE,
    data: Crops,
    numbers: Sequence[int] | np.ndarray,
    *,
    batch: int = 8,
    workers: int = 0,
    quality: ImageQuality | None = None,
    progress: bool = False,
) -> Reconstruction:
    """Measure a tokenizer on items of a data set.

    Args:
        model: the tokenizer, in evaluation mode.
        data: the data.
        numbers: which of its items.
        batch: items at a time.
        workers: processes that load items.
        quality: what is measured of pictures; None for PSNR and SSIM.
        progress: whether to show a progress bar.

    Raises:
        ValueError: no item can be read.
    """
    config, device = model.config, model.device
    pictured = config.input == "image"
    quality = quality or ImageQuality()
    if not pictured:
        layout = layout_named(cast(str, config.layout))  # it raises for None
        labels, edges = ConfusionMatrix(layout.edge_channel), ConfusionMatrix(2)
    usage, count = CodebookUsage(config.codes), 0
    rejects: list[tuple[str, str]] = []
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    shown = set(spread(len(numbers), SHOWN).tolist())
    once = _Once(data, numbers)
    loader = DataLoader(
        once,
        batch,
        num_workers=workers,
        collate_fn=once.collate,
        generator=torch.Generator(),  # else it would draw from the global generator
    )
    with progress_bar(total=len(numbers), unit="sample", show=progress) as bar:
        for loaded in loader:
            bar.update(len(loaded["positions"]) + len(loaded["rejects"]))
            rejects += loaded["rejects"]
            if not loaded["positions"]:
                continue
            count += len(loaded["positions"])
            x = inputs({k: v.to(device) for k, v in loaded.items() if isinstance(v, Tensor)})
            out = model(x)
            usage.add(out.codes)
            if isinstance(x, Tensor):
                quality.add(x, out.reconstruction)
                drawn = zip(pictures(x), pictures(out.reconstruction), strict=True)
            else:
                guess = out.reconstruction[:, :-1].argmax(1), out.reconstruction[:, -1] > 0
                labels.add(guess[0].cpu(), loaded["labels"])
                edges.add(guess[1].long().cpu(), loaded["edges"].long())
                (ours, theirs), name = guess, layout.name
                drawn = zip(paint(x[0], x[1], name), paint(ours, theirs, name), strict=True)
            pairs += [p for n, p in zip(loaded["positions"], drawn, strict=True) if n in shown]
    if not count:
        key, reason = rejects[0]
        raise ValueError(
            f"data: found {len(rejects)} unreadable samples, no other; {key}: {reason}"
        )
    codes = {"used_codes": usage.used(), "perplexity": usage.perplexity()}
    if pictured:
        return Reconstruction(count, quality.result() | codes, [], rejects, pairs)
    metrics = {"miou": labels.mean_iou(), "edge_iou": float(edges.iou()[1])}
    return Reconstruction(count, metrics | codes, _classes(labels, layout), rejects, pairs)


class _Once(Dataset):
    """Each of the numbers once, whatever comes of it."""

    def __init__(self, data: Crops, numbers: Sequence[int] | np.ndarray) -> None:
        self.data, self.numbers = data, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, position: int) -> tuple[int, Any]:
        return position, self.data.square(int(self.numbers[position]))

    def collate(self, items: Sequence) -> dict:
        """A batch as Crops' collate makes it, and "positions": which of the numbers it has."""
        rejects = [(item.key, item.reason) for _, item in items if isinstance(item, Reject)]
        good = [(position, item) for position, item in items if not isinstance(item, Reject)]
        batch = self.data.collate([(item, []) for _, item in good]) if good else {}
        return batch | {"positions": [position for position, _ in good], "rejects": rejects}


def _classes(matrix: ConfusionMatrix, layout: Layout) -> list[tuple[str, float, float]]:
    ious, pixels = matrix.iou(), matrix.counts.sum(1).double()
    shares = pixels / pixels.sum()
    order = pixels.argsort(descending=True, stable=True).tolist()
    rows = [(layout.names[n], float(ious[n]), float(shares[n])) for n in order]
    return [row for row in rows if not math.isnan(row[1])]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ------------------------------------------------------------------ what one sees of it


def inputs(batch: dict) -> Tensor | tuple[Tensor, Tensor]:
    """The part of a batch that the VQVAE takes."""
    return batch["image"] if "image" in batch else (batch["labels"], batch["edges"])


def spread(size: int, count: int) -> np.ndarray:
    """At most `count` different indices below `size`, evenly spread."""
    return np.linspace(0, size - 1, min(size, count)).round().astype(int)


def paint(labels: Tensor, edges: Tensor, layout: str) -> list[np.ndarray]:
    """Label maps [B, H, W] in the layout's colours, edges darkened: uint8 [H, W, 3] each."""
    colors = layout_named(layout).colors[labels.cpu().numpy()]
    colors[edges.cpu().numpy()] //= 2
    return list(colors)


def sheet(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Image.Image:
    """A sheet of pictures, uint8 [H, W, 3]: input | reconstruction, two such pairs in a row."""
    height, width = pairs[0][0].shape[:2]
    rows = -(-len(pairs) // 2)
    pair = 2 * width + GAP
    canvas = Image.new("RGB", (2 * pair + 5 * GAP, rows * (height + GAP) + GAP), "white")
    for n, both in enumerate(pairs):
        left, top = GAP + n % 2 * (pair + 3 * GAP), GAP + n // 2 * (height + GAP)
        for i, pixels in enumerate(both):
            canvas.paste(Image.fromarray(pixels), (left + i * (width + GAP), top))
    return canvas
