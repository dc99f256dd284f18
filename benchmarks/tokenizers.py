"""Subject "tokenizers": VQ-SEG and VQ-IMG, trained with their small configs, beside a codebook of
k-means patches with as many codes at the same f, on the same photos and scenes.

Each trains and is measured on a hundred real photos: it shows that training
works, and nothing of how it generalises. The runs, with their reconstruction sheets, stay in
runs/tokenizers; a run that was stopped goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from benchmarks import REAL_DATA, goals, results
from benchmarks.goals import Goal
from mas_fast.bundle import load_vq
from mas_fast.data.crops import Crops
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.metrics import ConfusionMatrix, psnr
from mas_fast.evaluation.reconstruction import Reconstruction, evaluate
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.scene import VOID, layout_named

ROOT = Path(__file__).resolve().parents[1]
DATA = REAL_DATA / "coco"
THREADS = 1
MINUTES = 20.0


@dataclass(frozen=True)
class Subject:
    """A tokenizer that is trained and measured.

    Attributes:
        command: its command.
        name: its name in a bundle.
        metric: its metric.
        above: how far that is to be above the one of k-means patches.
    """

    command: str
    name: str
    metric: str
    above: float


SUBJECTS = (Subject("vq-img", "vq_img", "psnr", 1.0), Subject("vq-seg", "vq_seg", "miou", 0.05))


def run(data: Path = DATA, folder: Path = Path("runs/tokenizers")) -> dict:
    """Train both tokenizers and measure them.

    Args:
        data: folder of the data.
        folder: folder of the runs.

    Returns:
        The record, with its tables.

    Raises:
        ValueError: if the data is not there.
    """
    if not data.is_dir():
        raise ValueError(f"{data}: found no such folder, expected photos with COCO's panoptic maps")
    rows, outcomes = [], []
    for subject in SUBJECTS:
        minutes = train(subject, data, folder / subject.command)
        ours = evaluate(folder / subject.command / "bundle", subject.name, data)
        config = load_vq(folder / subject.command / "bundle", subject.name).config
        peer = patches(config, data)
        ours.sheet().save(folder / f"{subject.command}.png")
        value = ours.metrics[subject.metric]
        codes = f"{config.codes} codes, f{config.f}, {config.resolution} px"
        rows.append([f"{subject.command}, {codes}", subject.metric, value, peer])
        outcomes += judge(subject, ours, peer, minutes)
    columns = ["", "", "ours", "k-means patches"]
    title = f"tokenizers: trained for minutes on {ours.count} photos, measured on the same"
    return {
        **results.provenance(),
        "threads": THREADS,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [{"title": title, "columns": columns, "rows": rows}, goals.table(outcomes)],
    }


def judge(subject: Subject, ours: Reconstruction, peer: float, minutes: float | None) -> list[Goal]:
    """Make the goals: better than the peer, with codes that are used, in time.

    Args:
        subject: the tokenizer.
        ours: what it reached.
        peer: metric of the peer.
        minutes: what training took; None: it went on from before.

    Returns:
        The goals.
    """
    above = ours.metrics[subject.metric] - peer
    name = subject.command
    return [
        Goal(f"{name}: {subject.metric} above k-means patches", above, subject.above, False),
        Goal(f"{name}: share of codes in use", ours.metrics["used_codes"], 0.5, False),
        Goal(f"{name}: minutes of training", minutes, MINUTES),
    ]


def train(subject: Subject, data: Path, folder: Path) -> float | None:
    """Train a tokenizer with its command.

    Args:
        subject: the tokenizer.
        data: folder of the data.
        folder: folder of the run.

    Returns:
        Minutes that the command took; None where an earlier run was continued.
    """
    fresh = not folder.exists()
    config = ROOT / "configs" / f"{subject.command}-small.yaml"
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from mas_fast.cli import main; main()", "train", subject.command]
        + [str(config), "--data", str(data), "--folder", str(folder)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
    )
    return (time.perf_counter() - start) / 60 if fresh else None


# ---------------------------------------------------------------------------- k-means patches


def patches(config: VQConfig, data: Path) -> float:
    """Measure a codebook of f x f patches.

    The patches are of pixels, or of one-hot labels, of which a pixel then gets the likeliest.

    Args:
        config: of the tokenizer beside it.
        data: folder of the data.

    Returns:
        The metric.
    """
    crops = Crops(open_source(data), config)
    batch = crops.collate([crops[0, index] for index in range(len(crops))])
    if config.input == "image":
        images = batch["image"]
        return float(psnr(images, quantize(images, config)).mean())
    labels = batch["labels"]
    channels = layout_named(config.layout).edge_channel
    present, inverse = labels[labels != VOID].unique(), torch.full((256,), channels)
    inverse[present.long()] = torch.arange(len(present))
    hot = F.one_hot(inverse[labels.long()].clamp(max=len(present)), len(present) + 1)
    hot = hot[..., :-1].permute(0, 3, 1, 2).float()  # void has no channel
    confusion = ConfusionMatrix(channels)
    confusion.add(present[quantize(hot, config).argmax(1)], labels)
    return confusion.mean_iou()


def quantize(x: Tensor, config: VQConfig) -> Tensor:
    """Replace each f x f patch by the nearest of k-means' centres.

    Args:
        x: [B, C, H, W].
        config: has f and the number of codes.

    Returns:
        [B, C, H, W].
    """
    B, C, H, W = x.shape
    f = config.f
    flat = x.view(B, C, H // f, f, W // f, f).permute(0, 2, 4, 1, 3, 5).reshape(-1, C * f * f)
    means = KMeans(config.codes, n_init=1, random_state=0).fit(np.ascontiguousarray(flat))
    near = torch.from_numpy(means.cluster_centers_[means.labels_]).float()
    grid = near.view(B, H // f, W // f, C, f, f).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(B, C, H, W)
