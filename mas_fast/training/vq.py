"""Training of VQ-SEG and VQ-IMG.

    train(read(SegSettings, "configs/vq-seg-coco.yaml"))          # `mas-fast train vq-seg`
    train(read(ImgSettings, "configs/vq-img-coco.yaml"))          # `mas-fast train vq-img`

The run's folder gets checkpoints/, tensorboard/, sheets/ (input beside reconstruction), rejects.tsv
(what could not be read, and why) and, unless `output` names another place, bundle/ with the
tokenizer. Sheets, metrics and the bundle are those of the averaged weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mas_fast.bundle import VQ_NAMES, Stored, load_vq, save_vq
from mas_fast.data.crops import Crops
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.reconstruction import inputs, reconstruct, spread
from mas_fast.models.discriminator import Discriminator
from mas_fast.models.perceptual import (
    FACE_FILE,
    LPIPS,
    LPIPS_FILE,
    VGG16_FILE,
    FaceDistance,
    find_weights,
)
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import VQConfig, preset
from mas_fast.training.settings import Settings
from mas_fast.training.trainer import Part, Trainer
from mas_fast.training.vq_losses import VQImageLoss, discriminator_loss, label_bce
from mas_fast.utils.files import replace_file
from mas_fast.utils.validate import check_int, check_number, check_positive

LAST_TEMPERATURE = 1 / 16  # of the Gumbel quantizer


@dataclass(frozen=True, kw_only=True)
class VQSettings(Settings):
    """Common to both tokenizers.

    data: a source, as data.sources takes it, with the label space of its label maps; samples: the
    first so many of it, or null for all.
    model: `preset`, and fields of VQConfig that replace its own. decoder_of: a bundle whose
    tokenizer learns on, but in its decoder alone, so that tokens made with it keep their meaning.
    lr, betas: of Adam.
    quantizer_weight: of the quantizer's loss. augment: random crops and flips, else centre crops.
    sheet_every: steps between sheets, drawn together with metrics of `measure` samples. output: the
    bundle that receives the tokenizer, its weights `stored` as that.
    """

    FREE = Settings.FREE | {"sheet_every", "measure", "output", "stored"}

    data: Path
    labels: str | None = None
    samples: int | None = None
    model: dict[str, Any]
    decoder_of: Path | None = None
    lr: float = 4.5e-4
    betas: tuple[float, float] = (0.5, 0.9)
    quantizer_weight: float = 1.0
    augment: bool = True
    sheet_every: int = 500
    measure: int = 64
    output: Path | None = None
    stored: Stored = "fp32"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lr", self.lr)
        check_number("quantizer_weight", self.quantizer_weight, 0)
        for name in ("sheet_every", "measure"):
            check_int(name, getattr(self, name), 1)
        for beta in self.betas:
            check_number("betas", beta, 0, 1)
        if self.samples is not None:
            check_int("samples", self.samples, 1)

    def made_from(self) -> dict[str, Path | None]:
        tokenizer = f"{VQ_NAMES[self.config().input]}.safetensors"
        decoder_of = self.decoder_of and Path(self.decoder_of) / tokenizer
        return {"data": self.data, "decoder_of": decoder_of}

    def free(self) -> set[str]:
        """Of the Gumbel quantizer not `steps`, over which it cools down."""
        return super().free() - ({"steps"} if self.config().quantizer == "gumbel" else set())

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
    """face_weight, thing_weight: alpha and things of label_bce."""

    face_weight: float = 20.0
    thing_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("face_weight", "thing_weight"):
            check_number(name, getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True)
class ImgSettings(VQSettings):
    """perceptual: the folder with the weights of LPIPS, or null for none. object_weight: of the
    object loss, which is LPIPS of each thing's box; 0 for none. face: the folder with the weights
    of FaceDistance, for the loss of each face's box, or null for none. Boxes are those of
    "object_boxes" and "face_boxes" in a sample's json, else those of the things and the face parts
    in its scene. thing_weight: how often the pixels of an object's box count in L1. gan_start: the
    first step of the GAN loss and its discriminator, or null for none.
    """

    perceptual: Path | None = None
    perceptual_weight: float = 1.0
    object_weight: float = 0.0
    face: Path | None = None
    face_weight: float = 1.0
    thing_weight: float = 1.0
    gan_start: int | None = None
    gan_weight: float = 0.8
    gan_warmup: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("perceptual_weight", "object_weight", "face_weight", "gan_weight"):
            check_number(name, getattr(self, name), 0)
        check_number("thing_weight", self.thing_weight, 0)
        if self.object_weight and self.perceptual is None:
            raise ValueError(
                f"object_weight: found {self.object_weight} without `perceptual`, the folder with "
                "the weights of LPIPS that the object loss needs; expected both, or 0"
            )

    def made_from(self) -> dict[str, Path | None]:
        found = super().made_from()
        if self.perceptual is not None:
            files = find_weights(self.perceptual, VGG16_FILE, LPIPS_FILE)
            found |= dict(zip(("perceptual/vgg16", "perceptual"), files, strict=True))
        if self.face is not None:
            (found["face"],) = find_weights(self.face, FACE_FILE)
        return found

    def boxes(self) -> list[str]:
        """The names of the boxes that the losses look at."""
        faces = self.face is not None and self.face_weight > 0
        objects = self.object_weight > 0 or self.thing_weight != 1
        return ["object_boxes"] * objects + ["face_boxes"] * faces


# ------------------------------------------------------------------ losses


class _Loss(nn.Module):
    """A tokenizer and what it minimises: forward(batch, step) -> (loss, scalars to log)."""

    def __init__(self, model: VQVAE, settings: VQSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if self.settings.decoder_of is not None:
            reconstruction = self.model.decode(self.model.encode(inputs(batch)))
            return self.reconstruction_loss(batch, reconstruction, step)
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
        weights = s.face_weight, s.thing_weight
        bce = label_bce(logits, batch["labels"], batch["edges"], layout, *weights)
        # label_bce is a mean over channels, nearly all of which are 0 in a pixel: their sum has the
        # size that the quantizer's loss is made for.
        return bce * self.model.config.channels, {"bce": bce}


class ImgLoss(_Loss):
    """Keeps each pass' reconstruction until the discriminator has taken its turn."""

    def __init__(self, model: VQVAE, settings: ImgSettings, critic: Discriminator | None) -> None:
        super().__init__(model, settings)
        s = settings
        self.lpips = LPIPS(s.perceptual) if s.perceptual is not None else None
        self.face = FaceDistance(s.face) if "face_boxes" in s.boxes() else None
        self.critic = [critic]  # in a list: its parameters are not ours to update
        self.criterion = VQImageLoss(
            lpips=self.lpips,
            lpips_weight=s.perceptual_weight,
            face=self.face,
            face_weight=s.face_weight,
            objects=self.lpips,
            object_weight=s.object_weight,
            thing_weight=s.thing_weight,
            gan_weight=0.0 if critic is None else s.gan_weight,
            gan_start=s.gan_start or 0,
            gan_warmup=s.gan_warmup,
        )
        self.passes: list[Tensor] = []
        self.step = -1  # that they are of

    def reconstruction_loss(self, batch: dict, reconstruction: Tensor, step: int):
        if step != self.step:  # the discriminator may have missed its turn
            self.passes, self.step = [], step
        if self.criterion.gan_factor(step) > 0:
            self.passes.append(reconstruction.detach())
        boxes = {name: batch[name] for name in self.settings.boxes()}
        loss, terms = self.criterion(
            batch["image"],
            reconstruction,
            step=step,
            discriminator=self.critic[0],
            last_layer=self.model.decoder.conv_out.weight,
            **boxes,
        )
        for name, of_batch in boxes.items():  # the mean number in a picture: 0 tells of a mistake
            terms[name] = loss.new_tensor(sum(map(len, of_batch)) / len(of_batch))
        return loss, terms


class CriticLoss(nn.Module):
    def __init__(self, critic: Discriminator, first: ImgLoss) -> None:
        super().__init__()
        self.critic, self.first = critic, [first]

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        reconstruction = self.first[0].passes.pop(0)
        return discriminator_loss(self.critic, batch["image"], reconstruction), {}


# ------------------------------------------------------------------ the run


def train(settings: SegSettings | ImgSettings) -> Path:
    """Run to the end, from the folder's newest checkpoint where there is one, and return the bundle
    that the tokenizer was saved to. ValueError for settings, data or losses that are unfit."""
    config = settings.config()
    expected = "labels" if isinstance(settings, SegSettings) else "image"
    if config.input != expected:
        raise ValueError(f"model: found input {config.input!r}, expected {expected!r}")
    boxes = settings.boxes() if config.input == "image" else ()
    source = open_source(settings.data, labels=settings.labels)
    if settings.samples is not None:
        source = source.head(settings.samples)
    data = Crops(source, config, settings.seed, settings.augment, boxes)
    model = make_model(config, settings)
    trainer = Trainer(parts(model, settings), data, settings)
    still = Crops(source, config)

    def look(step: int) -> dict[str, float] | None:
        model = trainer.averaged("model")
        return None if trainer.rank else measure(model, still, settings, step)

    trainer.hooks = [(settings.sheet_every, look)]
    trainer.run()
    output = settings.output or settings.folder / "bundle"
    if trainer.rank == 0:
        save_vq(output, VQ_NAMES[config.input], trainer.averaged("model"), settings.stored)
    if trainer.world > 1:
        dist.destroy_process_group()
    return output


def make_model(config: VQConfig, settings: VQSettings) -> VQVAE:
    """A new tokenizer, or that of `decoder_of`, of which the decoder alone has gradients.
    ValueError where that is another model."""
    if settings.decoder_of is None:
        return VQVAE.create(config, seed=settings.seed)
    model = load_vq(settings.decoder_of, VQ_NAMES[config.input], dtype=torch.float32)
    if model.config != config:
        raise ValueError(
            f"{settings.decoder_of}: found {model.config}, expected {config} as in the settings"
        )
    model.requires_grad_(False)
    for part in (model.decoder, model.post_quant_conv):
        part.requires_grad_(True)
    return model


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
    if model.config.resolution < critic.smallest:  # known now, and not only at gan_start
        raise ValueError(
            f"resolution: found {model.config.resolution}, expected at least {critic.smallest} for "
            "the discriminator (or gan_start: null)"
        )
    loss = ImgLoss(model, settings, critic)
    return [
        # What a step that was left out has kept for the critic is not for the next one.
        Part("model", model, loss, adam(model), prepare=lambda *_: loss.passes.clear()),
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


def measure(model: VQVAE, data: Crops, settings: VQSettings, step: int) -> dict[str, float]:
    """Draw sheets/step-*.png of a few samples, spread over the data, and return metrics of more, as
    reconstruction has them."""
    numbers = spread(len(data), settings.measure)
    found = reconstruct(model, data, numbers, batch=settings.batch)
    file = settings.folder / "sheets" / f"step-{step:08d}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, lambda temporary: found.sheet().save(temporary, "PNG"))
    return {f"measured/{name}": value for name, value in found.metrics.items()}
