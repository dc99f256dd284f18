"""Subject "collapse": VQ-SEG with and without the three cleaning rules, same seed and steps, on the
real scenes of COCO and CIHP; writes docs/collapse.md with curves and a sheet.

Without the rules a scene is what annotators say, layer on layer: panoptic classes, human parts with
their background, the parts of pictures without people too, and the edges of both, as many-hot
channels. The rules make one label of that (mas_fast/scene/rules.py). Both tokenizers have the same
channels (mas159), network, loss weights, seed and batches."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks import REAL_DATA, results
from mas_fast.data.sources.base import Sample
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.metrics import ConfusionMatrix
from mas_fast.models.vqvae import VQVAE
from mas_fast.scene import COCO_NAMES, FACE_NAMES, LIP_NAMES, MAS159, VOID, Layers, find_edges
from mas_fast.training.settings import read
from mas_fast.training.trainer import Part, Trainer
from mas_fast.training.vq import SegSettings
from mas_fast.training.vq_losses import label_bce

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
DATA = REAL_DATA
SOURCES = ("coco", "cihp")
BACKGROUND = MAS159.human  # of the human layer, LIP 0
LABELS = MAS159.edge_channel  # channels that a pixel's label may be, the background among them
GREY = (128, 128, 128)  # the background on a sheet
ALPHA = 20.0  # weight of the face parts, as in label_bce
SHOWN = 6
WITH, WITHOUT = "with the rules", "without"


# ---------------------------------------------------------------------------- scenes


def stack(layers: Layers) -> np.ndarray:
    """Stack the layers as they come.

    A parser that was not asked, or saw nobody, says background everywhere.

    Args:
        layers: the layers of a picture.

    Returns:
        float32 [159, H, W].
    """
    shape = layers.panoptic.shape
    human = layers.human if layers.human is not None else np.zeros(shape, np.uint8)
    face = layers.face if layers.face is not None else np.zeros(shape, np.uint8)
    channels = np.zeros((MAS159.channels, *shape), np.float32)
    channels[: len(COCO_NAMES)] = layers.panoptic == np.arange(len(COCO_NAMES))[:, None, None]
    parts = np.arange(len(LIP_NAMES))[:, None, None]
    channels[BACKGROUND : BACKGROUND + len(LIP_NAMES)] = human == parts
    parts = np.arange(1, len(FACE_NAMES) + 1)[:, None, None]
    channels[MAS159.face_channels] = face == parts
    edges = find_edges(layers.panoptic, layers.instances) | find_edges(human)
    channels[MAS159.edge_channel] = edges
    return channels


class Scenes(Dataset):
    """Middle squares of the sources' layers, cleaned and not."""

    def __init__(self, folder: Path, size: int) -> None:
        self.items = []
        for name in SOURCES:
            for item in open_source(folder / name):
                if isinstance(item, Sample) and item.layers is not None:
                    layers = item.square(size).layers
                    scene = layers.clean(MAS159)
                    key = f"{name}/{item.key}"
                    self.items.append((key, scene.labels, scene.edges, stack(layers)))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: tuple[int, int]) -> tuple:
        return self.items[index[1]]

    def collate(self, items: list) -> dict:
        keys, labels, edges, stacks = zip(*items, strict=True)
        arrays = {"labels": labels, "edges": edges, "stack": stacks}
        tensors = {name: torch.from_numpy(np.stack(values)) for name, values in arrays.items()}
        return {"keys": list(keys), "rejects": [], **tensors}

    def batches(self, size: int) -> list[dict]:
        parts = (self.items[i : i + size] for i in range(0, len(self), size))
        return [self.collate(part) for part in parts]


# ---------------------------------------------------------------------------- two ways


class Loss(nn.Module):
    """The same for both: a_c BCE summed over channels, and the quantizer's."""

    def __init__(self, model: VQVAE) -> None:
        super().__init__()
        self.model = model
        weights = torch.ones(MAS159.channels)
        weights[MAS159.face_channels] = ALPHA
        self.register_buffer("weights", weights)

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        out = self.model(inputs(self.model, batch))
        if self.model.config.input == "labels":
            bce = label_bce(out.reconstruction, batch["labels"], batch["edges"], MAS159, ALPHA)
            bce = bce * MAS159.channels
        else:
            each = F.binary_cross_entropy_with_logits(
                out.reconstruction.float(), batch["stack"], reduction="none"
            )
            bce = torch.einsum("bchw,c->bhw", each, self.weights).mean()
        return bce + out.quantizer_loss, {"bce": bce.detach()}


def inputs(model: VQVAE, batch: dict) -> Tensor | tuple[Tensor, Tensor]:
    if model.config.input == "labels":
        return batch["labels"], batch["edges"]
    return batch["stack"]


@dataclass
class Point:
    """A point of the curves.

    Attributes:
        step: steps of training before it.
        background: share of the pixels whose likeliest label is the human background.
        miou: of the likeliest labels against the clean scene.
        beneath: the same where the background may not be chosen.
        iou: of each class that the clean scenes have.
    """

    step: int
    background: float
    miou: float
    beneath: float
    iou: dict[str, float]


@torch.no_grad()
def look(model: VQVAE, batches: list[dict], step: int) -> tuple[Point, np.ndarray]:
    """Measure a model.

    Args:
        model: the tokenizer.
        batches: the scenes.
        step: steps of training before.

    Returns:
        A point of the curves, and the likeliest labels, uint8 [N, H, W].
    """
    confusion, beneath, guesses = ConfusionMatrix(LABELS), ConfusionMatrix(LABELS), []
    for batch in batches:
        logits = model(inputs(model, batch)).reconstruction[:, :LABELS]
        guess = logits.argmax(1)
        confusion.add(guess, batch["labels"])
        logits[:, BACKGROUND] = -torch.inf
        beneath.add(logits.argmax(1), batch["labels"])
        guesses.append(guess.byte().numpy())
    labels, truth = np.concatenate(guesses), np.concatenate([b["labels"].numpy() for b in batches])
    iou = confusion.iou().tolist()
    present = [int(c) for c in np.unique(truth) if c != VOID]
    share = float((labels == BACKGROUND).mean())
    classes = {MAS159.names[c]: iou[c] for c in present}
    # Over the classes of the clean scenes alone: a class that is only guessed is not one more zero.
    return Point(
        step,
        share,
        float(np.mean([iou[c] for c in present])),
        float(np.mean(np.array(beneath.iou().tolist())[present])),
        classes,
    ), labels


def train(name: str, settings: SegSettings, data: Scenes) -> tuple[list[Point], np.ndarray]:
    config = replace(settings.config(), channels=MAS159.channels, layout=MAS159.name)
    if name == WITHOUT:
        config = replace(config, input="image", layout=None)
    model = VQVAE.create(config, seed=settings.seed)
    learning = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(learning, settings.lr, betas=settings.betas, fused=True)
    trainer = Trainer([Part("model", model, Loss(model), adam)], data, settings)
    points, batches = [], data.batches(settings.batch)

    def measure(step: int) -> dict[str, float]:
        point, _ = look(trainer.ema_model("model"), batches, step)
        points.append(point)
        return {"measured/miou": point.miou, "measured/background": point.background}

    trainer.hooks = [(settings.sheet_every, measure)]
    trainer.run()
    return points, look(trainer.ema_model("model"), batches, settings.steps)[1]


# ---------------------------------------------------------------------------- the page


def run(
    data: Path = DATA,
    docs: Path = ROOT / "docs",
    overrides: tuple[str, ...] = ("--steps", "800", "--sheet_every", "80"),
) -> dict:
    """Train both and write the page.

    Args:
        data: folder of the data.
        docs: folder of the page.
        overrides: settings of the training, as on the command line.

    Returns:
        The record, with its table.

    Raises:
        ValueError: if the data is not there.
    """
    if not data.is_dir():
        raise ValueError(f"{data}: found no such folder, expected {', '.join(SOURCES)} in it")
    file = ROOT / "configs" / "vq-seg-small.yaml"
    settings = read(SegSettings, file, ["--data", str(data), *overrides])
    scenes = Scenes(data, settings.config().resolution)
    runs, guesses = {}, {}
    with tempfile.TemporaryDirectory() as folder:  # the curves are of whole runs: none goes on
        for name in (WITH, WITHOUT):
            options = replace(settings, folder=Path(folder) / name.replace(" ", "-"))
            runs[name], guesses[name] = train(name, options, scenes)
    pictures = docs / "collapse"
    pictures.mkdir(parents=True, exist_ok=True)
    curves(runs).savefig(pictures / "curves.png", dpi=100)
    sheet(scenes, guesses).save(pictures / "scenes.png", optimize=True)
    table = {"title": "after the last step", **summary(runs)}
    (docs / "collapse.md").write_text(page(runs, len(scenes), settings), "utf-8")
    points = {name: [vars(point) for point in curve] for name, curve in runs.items()}
    return {**results.provenance(), "points": points, "tables": [table]}


def summary(runs: dict[str, list[Point]]) -> dict:
    columns = ["", "background", "mIoU", "mIoU, background not allowed", "classes above 0.5 IoU"]
    rows = []
    for name, points in runs.items():
        last = points[-1]
        good = sum(value > 0.5 for value in last.iou.values())
        share = f"{last.background:.1%}"
        row = [name, share, last.miou, last.beneath, f"{good} of {len(last.iou)}"]
        rows.append(row)
    return {"columns": columns, "rows": rows}


def curves(runs: dict[str, list[Point]]):
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    titles = ("share of human background", "mIoU", "mIoU, background not allowed")
    for axis, title, field in zip(axes, titles, ("background", "miou", "beneath"), strict=True):
        for name, points in runs.items():
            axis.plot([p.step for p in points], [getattr(p, field) for p in points], label=name)
        axis.set(title=title, xlabel="step", ylim=(-0.02, 1.02))
        axis.grid(alpha=0.3)
    axes[0].legend()
    return figure


def sheet(scenes: Scenes, guesses: dict[str, np.ndarray], scale: int = 2) -> Image.Image:
    """Draw a row for the clean scene and one for each run; the background is grey.

    Only scenes of COCO are drawn, whose annotations may be shown.
    """
    coco = sum(key.startswith("coco/") for key, *_ in scenes.items)
    numbers = np.linspace(0, coco - 1, SHOWN).round().astype(int)
    colors = MAS159.colors.copy()
    colors[BACKGROUND] = GREY
    truth = np.stack([scenes.items[n][1] for n in numbers])
    rows = [truth, *(guess[numbers] for guess in guesses.values())]
    height, width = truth.shape[1:]
    canvas = Image.new("RGB", (SHOWN * (width + 4) - 4, len(rows) * (height + 4) - 4), "white")
    for y, row in enumerate(rows):
        for x, labels in enumerate(row):
            corner = (x * (width + 4), y * (height + 4))
            canvas.paste(Image.fromarray(colors[labels]), corner)
    return canvas.resize((canvas.width * scale, canvas.height * scale), Image.Resampling.NEAREST)


def page(runs: dict[str, list[Point]], count: int, settings: SegSettings) -> str:
    def markdown(columns: list[str], rows: list[list]) -> str:
        cells = [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
        lines = [columns, ["---"] * len(columns), *cells]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    names = list(next(iter(runs.values()))[-1].iou)
    steps = [point.step for point in runs[WITH]]
    over = [
        [str(step), *(f"{points[i].background:.1%}" for points in runs.values())]
        for i, step in enumerate(steps)
    ]
    classes = [[name, *(points[-1].iou[name] for points in runs.values())] for name in names]
    total, size = summary(runs), settings.config().resolution
    return f"""# The collapse to "background", and the three rules

Written by `mas-fast bench collapse`; the figures are of one run of it.

A human parser labels every pixel that is no part of a person as *background*, in every picture,
also where there is nobody. As one of the channels of VQ-SEG that label is true nearly everywhere,
so that a tokenizer learns it first, and may answer "background" to everything. Three cleaning rules
(`mas_fast/scene/rules.py`) take it away: a gate that asks the panoptic map for people, no
background label, one label for a pixel.

Two tokenizers were trained on the same {count} scenes of COCO and CIHP, at {size} px, for
{settings.steps} steps each, with the same network, seed, batches and loss weights: one on clean
scenes, the other on the layers as they come. Each is asked for the likeliest of the label channels
of each pixel, and this is compared with the clean scene. The last column but one asks again and
leaves the background out: what the tokenizer knows beneath it.

{markdown(total["columns"], total["rows"])}

![share of background and mIoU over the steps](collapse/curves.png)

Scenes of COCO: clean, then as the two tokenizers give them back ({WITH}, {WITHOUT}). Human
background is grey, void is black. The label maps derive from COCO's annotations (CC BY 4.0).

![scenes](collapse/scenes.png)

## Share of pixels predicted as background

{markdown(["step", *runs], over)}

## IoU of each class after the last step

{markdown(["class", *runs], classes)}
"""
