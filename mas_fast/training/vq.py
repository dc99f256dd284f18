"""Training of VQ-SEG and VQ-IMG.

    train(read(SegSettings, "configs/vq-seg-coco.yaml"))          # `mas-fast train vq-seg`
    train(read(ImgSettings, "configs/vq-img-coco.yaml"))          # `mas-fast train vq-img`

The run's folder gets checkpoints/, tensorboard/, sheets/ (input beside reconstruction), rejects.tsv
(what could not be read, and why) and, unless `output` names another place, bundle/ with the
tokenizer. Sheets, metrics and the bundle are those of the averaged weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor, nn

from mas_fast.bundle import save_vq
from mas_fast.data.sources import open_source
from mas_fast.discriminator import Discriminator
from mas_fast.evaluate import CodebookUsage, ConfusionMatrix, psnr
from mas_fast.files import replace_file
from mas_fast.losses import VQImageLoss, discriminator_loss, label_bce
from mas_fast.perceptual import LPIPS
from mas_fast.scene import layout_named
from mas_fast.training.crops import Crops
from mas_fast.training.trainer import Part, Settings, Trainer, check
from mas_fast.vq_config import VQConfig, preset
from mas_fast.vqvae import VQVAE

SHOWN = 8  # samples on a sheet
GAP = 4  # pixels between pictures on a sheet
LAST_TEMPERATURE = 1 / 16  # of the Gumbel quantizer


@dataclass(frozen=True, kw_only=True)
class VQSettings(Settings):
    """Common to both tokenizers.

    data: a source, as data.sources takes it. model: `preset`, and fields of VQConfig that replace
    its own. lr, betas: of Adam. quantizer_weight: of the quantizer's loss. augment: random crops
    and flips, else centre crops. sheet_every: steps between sheets, drawn together with metrics of
    `measure` samples. output: the bundle that receives the tokenizer.
    """

    FREE = Settings.FREE | {"sheet_every", "measure", "output"}

    data: Path
    model: dict[str, Any]
    lr: float = 4.5e-4
    betas: tuple[float, float] = (0.5, 0.9)
    quantizer_weight: float = 1.0
    augment: bool = True
    sheet_every: int = 500
    measure: int = 64
    output: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lr", "quantizer_weight", "sheet_every", "measure"):
            check(name, getattr(self, name), 0 if name == "quantizer_weight" else 1e-12)
        for beta in self.betas:
            check("betas", beta, 0, 1)

    def config(self) -> VQConfig:
        """The model's config. ValueError for an unknown preset or field."""
        values = dict(self.model)
        base = preset(values.pop("preset", None))
        if unknown := [name for name in values if name not in base.to_dict()]:
            expected = ["preset", *base.to_dict()]
            raise ValueError(f"model: found the unknown keys {unknown}, expected {expected}")
        return replace(base, **values)


@dataclass(frozen=True, kw_only=True)
class SegSettings(VQSettings):
    """face_weight: alpha of label_bce."""

    face_weight: float = 20.0


@dataclass(frozen=True, kw_only=True)
class ImgSettings(VQSettings):
    """perceptual: the folder with the weights of LPIPS, or null for none. gan_start: the first step
    of the GAN loss and its discriminator, or null for none."""

    perceptual: Path | None = None
    perceptual_weight: float = 1.0
    gan_start: int | None = None
    gan_weight: float = 0.8
    gan_warmup: int = 1000


# ------------------------------------------------------------------ losses


class _Loss(nn.Module):
    """A tokenizer and what it minimises: forward(batch, step) -> (loss, scalars to log)."""

    def __init__(self, model: VQVAE, settings: VQSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if self.model.config.quantizer == "gumbel":
            temperature = LAST_TEMPERATURE ** (step / self.settings.steps)
            self.model.quantize.temperature.fill_(temperature)
        out = self.model(inputs(batch))
        loss, terms = self.reconstruction_loss(batch, out.reconstruction, step)
        terms["quantizer"] = out.quantizer_loss
        terms |= {"perplexity": out.perplexity, "usage": out.usage}
        return loss + self.settings.quantizer_weight * out.quantizer_loss, terms


class SegLoss(_Loss):
    def reconstruction_loss(self, batch: dict, logits: Tensor, step: int):
        s, layout = self.settings, self.model.config.layout
        bce = label_bce(logits, batch["labels"], batch["edges"], layout, s.face_weight)
        # label_bce is a mean over channels, nearly all of which are 0 in a pixel: their sum has the
        # size that the quantizer's loss is made for.
        return bce * self.model.config.channels, {"bce": bce}


class ImgLoss(_Loss):
    """Keeps each pass' reconstruction until the discriminator has taken its turn."""

    def __init__(self, model: VQVAE, settings: ImgSettings, critic: Discriminator | None) -> None:
        super().__init__(model, settings)
        s = settings
        self.lpips = LPIPS(s.perceptual) if s.perceptual is not None else None
        self.critic = [critic]  # in a list: its parameters are not ours to update
        self.criterion = VQImageLoss(
            lpips=self.lpips,
            lpips_weight=s.perceptual_weight,
            gan_weight=0.0 if critic is None else s.gan_weight,
            gan_start=s.gan_start or 0,
            gan_warmup=s.gan_warmup,
        )
        self.passes: list[Tensor] = []

    def reconstruction_loss(self, batch: dict, reconstruction: Tensor, step: int):
        if self.criterion.gan_factor(step) > 0:
            self.passes.append(reconstruction.detach())
        return self.criterion(
            batch["image"],
            reconstruction,
            step=step,
            discriminator=self.critic[0],
            last_layer=self.model.decoder.conv_out.weight,
        )


class CriticLoss(nn.Module):
    def __init__(self, critic: Discriminator, first: ImgLoss) -> None:
        super().__init__()
        self.critic, self.first = critic, [first]

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        reconstruction = self.first[0].passes.pop(0)
        return discriminator_loss(self.critic, batch["image"], reconstruction), {}


def inputs(batch: dict) -> Tensor | tuple[Tensor, Tensor]:
    """What the VQVAE takes of a batch."""
    return batch["image"] if "image" in batch else (batch["labels"], batch["edges"])


# ------------------------------------------------------------------ the run


def train(settings: SegSettings | ImgSettings) -> Path:
    """Run to the end, from the folder's newest checkpoint where there is one, and return the bundle
    that the tokenizer was saved to. ValueError for settings, data or losses that are unfit."""
    config = settings.config()
    expected = "labels" if isinstance(settings, SegSettings) else "image"
    if config.input != expected:
        raise ValueError(f"model: found input {config.input!r}, expected {expected!r}")
    data = Crops(open_source(settings.data), config, settings.seed, settings.augment)
    model = VQVAE.create(config, seed=settings.seed)
    trainer = Trainer(parts(model, settings), data, settings)
    still = Crops(data.source, config, settings.seed, augment=False)

    def look(step: int) -> dict[str, float] | None:
        model = trainer.averaged("model")
        return None if trainer.rank else measure(model, still, settings, step)

    trainer.hooks = [(settings.sheet_every, look)]
    trainer.run()
    output = settings.output or settings.folder / "bundle"
    if trainer.rank == 0:
        name = "vq_seg" if config.input == "labels" else "vq_img"
        save_vq(output, name, trainer.averaged("model"))
    if trainer.world > 1:
        dist.destroy_process_group()
    return output


def parts(model: VQVAE, settings: SegSettings | ImgSettings) -> list[Part]:
    """The tokenizer and, for pictures from gan_start on, the discriminator."""

    def adam(module: nn.Module) -> torch.optim.Optimizer:
        learning = [p for p in module.parameters() if p.requires_grad]
        return torch.optim.Adam(learning, settings.lr, betas=settings.betas)

    if isinstance(settings, SegSettings):
        return [Part("model", model, SegLoss(model, settings), adam(model))]
    if settings.gan_start is None or settings.gan_weight == 0:
        return [Part("model", model, ImgLoss(model, settings, None), adam(model))]
    torch.manual_seed(settings.seed)
    critic = Discriminator(model.config.channels)
    loss = ImgLoss(model, settings, critic)
    return [
        Part("model", model, loss, adam(model)),
        Part(
            "critic",
            critic,
            CriticLoss(critic, loss),
            adam(critic),
            average=False,
            start=settings.gan_start,
        ),
    ]


# ------------------------------------------------------------------ what one sees of it


@torch.no_grad()
def measure(model: VQVAE, data: Crops, settings: VQSettings, step: int) -> dict[str, float]:
    """Draw sheets/step-*.png of a few samples, spread over the data, and return metrics of more:
    PSNR or mIoU, the share of the codes in use and their perplexity."""
    config = model.config
    numbers = spread(len(data), settings.measure)
    shown = set(numbers[spread(len(numbers), SHOWN)].tolist())
    usage, pairs, values = CodebookUsage(config.codes), [], []
    confusion = ConfusionMatrix(config.channels - 1)
    for chunk in np.array_split(numbers, -(-len(numbers) // settings.batch)):
        batch = data.collate([data[0, int(number)] for number in chunk])
        x = inputs({k: v.to(model.device) for k, v in batch.items() if isinstance(v, Tensor)})
        out = model(x)
        usage.add(out.codes.cpu())
        if config.input == "image":
            values += psnr(x, out.reconstruction).tolist()
            drawn = zip(pictures(x), pictures(out.reconstruction), strict=True)
        else:
            labels = out.reconstruction[:, :-1].argmax(1)
            confusion.add(labels.cpu(), batch["labels"])
            edges = out.reconstruction[:, -1] > 0
            scenes = ((batch["labels"], batch["edges"]), (labels, edges))
            drawn = zip(*(paint(*scene, config.layout) for scene in scenes), strict=True)
        pairs += [p for n, p in zip(chunk.tolist(), drawn, strict=True) if n in shown]
    file = settings.folder / "sheets" / f"step-{step:08d}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, lambda temporary: sheet(pairs).save(temporary, "PNG"))
    quality = {"psnr": float(np.mean(values))} if values else {"miou": confusion.mean_iou()}
    found = quality | {"used_codes": usage.used(), "perplexity": usage.perplexity()}
    return {f"measured/{name}": value for name, value in found.items()}


def spread(size: int, count: int) -> np.ndarray:
    """At most `count` different indices below `size`, evenly spread."""
    return np.linspace(0, size - 1, min(size, count)).round().astype(int)


def pictures(images: Tensor) -> list[np.ndarray]:
    """[B, 3, H, W] in [-1, 1] -> uint8 [H, W, 3] each."""
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return list(scaled.permute(0, 2, 3, 1).cpu().numpy())


def paint(labels: Tensor, edges: Tensor, layout: str) -> list[np.ndarray]:
    """[B, H, W] label maps -> uint8 [H, W, 3] each: the layout's colours, edges darkened."""
    colors = layout_named(layout).colors[labels.cpu().numpy()]
    colors[edges.cpu().numpy()] //= 2
    return list(colors)


def sheet(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Image.Image:
    """uint8 [H, W, 3] pictures, input | reconstruction, two such pairs in a row."""
    height, width = pairs[0][0].shape[:2]
    rows = -(-len(pairs) // 2)
    pair = 2 * width + GAP
    canvas = Image.new("RGB", (2 * pair + 5 * GAP, rows * (height + GAP) + GAP), "white")
    for n, both in enumerate(pairs):
        left, top = GAP + n % 2 * (pair + 3 * GAP), GAP + n // 2 * (height + GAP)
        for i, pixels in enumerate(both):
            canvas.paste(Image.fromarray(pixels), (left + i * (width + GAP), top))
    return canvas
