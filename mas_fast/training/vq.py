"""Training of VQ-SEG and VQ-IMG.

    train(read(SegSettings, find("vq-seg", "small")))             # `mas-fast train vq-seg`
    train(read(ImgSettings, find("vq-img", "small")))             # `mas-fast train vq-img`

The run's folder gets checkpoints/, tensorboard/, sheets/ (input beside reconstruction), rejects.tsv
(what could not be read, and why) and, unless `output` names another folder, bundle/ with the
tokenizer. Sheets, metrics and the bundle are made of the EMA of the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mas_fast.bundle.config import VQ_NAMES
from mas_fast.bundle.torch_io import load_vq, save_vq
from mas_fast.data.crops import Crops
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.reconstruction import inputs, reconstruct, spread
from mas_fast.evaluation.segmenter import FILE as SEGMENTER_FILE
from mas_fast.evaluation.segmenter import read_segmenter
from mas_fast.models.discriminator import Discriminator
from mas_fast.models.perceptual import LPIPS, FaceDistance, FeatureDistance
from mas_fast.models.quantizer import Gumbel
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.training.trainer import Part, Trainer
from mas_fast.training.vq_losses import VQImageLoss, discriminator_loss, label_bce
from mas_fast.training.vq_settings import ImgSettings, SegSettings, VQSettings
from mas_fast.utils.files import replace_file

LAST_TEMPERATURE = 1 / 16  # of the Gumbel quantizer


# ------------------------------------------------------------------ losses


class _Loss(nn.Module):
    """A tokenizer and what it minimises."""

    settings: VQSettings

    def __init__(self, model: VQVAE, settings: VQSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def reconstruction_loss(
        self, batch: dict, reconstruction: Tensor, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a reconstruction, and scalars to log."""
        raise NotImplementedError

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one pass, and scalars to log."""
        if self.settings.decoder_of is not None:
            reconstruction = self.model.decode(self.model.encode(inputs(batch)))
            return self.reconstruction_loss(batch, reconstruction, step)
        if isinstance(quantize := self.model.quantize, Gumbel):
            temperature = LAST_TEMPERATURE ** (step / self.settings.steps)
            quantize.temperature.fill_(temperature)
        out = self.model(inputs(batch))
        loss, terms = self.reconstruction_loss(batch, out.reconstruction, step)
        terms["quantizer"] = out.quantizer_loss
        terms |= {"perplexity": out.perplexity, "usage": out.usage}
        return loss + self.settings.quantizer_weight * out.quantizer_loss, terms


class SegLoss(_Loss):
    """The loss of VQ-SEG: label_bce."""

    settings: SegSettings

    def reconstruction_loss(
        self, batch: dict, reconstruction: Tensor, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        s = self.settings
        layout = cast(str, self.model.config.layout)  # label_bce raises for None
        weights = s.face_weight, s.thing_weight
        bce = label_bce(reconstruction, batch["labels"], batch["edges"], layout, *weights)
        # label_bce is a mean over channels, nearly all of which are 0 in a pixel: their sum has the
        # size that the quantizer's loss is made for.
        return bce * self.model.config.channels, {"bce": bce}


class ImgLoss(_Loss):
    """The loss of VQ-IMG.

    It keeps the reconstruction of each pass until the discriminator has taken its turn.
    """

    settings: ImgSettings

    def __init__(self, model: VQVAE, settings: ImgSettings, critic: Discriminator | None) -> None:
        super().__init__(model, settings)
        s = settings
        self.lpips = perceptual(s.perceptual) if s.perceptual is not None else None
        self.face = FaceDistance(s.face) if s.face is not None and s.face_weight > 0 else None
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

    def reconstruction_loss(
        self, batch: dict, reconstruction: Tensor, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
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
        for name, listed in boxes.items():  # the mean number in a picture: 0 tells of a mistake
            terms[name] = loss.new_tensor(sum(map(len, listed)) / len(listed))
        return loss, terms


def perceptual(folder: Path) -> LPIPS | FeatureDistance:
    """The distance of pictures whose weights are in a folder.

    Raises:
        ValueError: they are not there, or no weights of theirs.
    """
    if (Path(folder) / SEGMENTER_FILE).is_file():
        return FeatureDistance(read_segmenter(folder))
    return LPIPS(folder)


class CriticLoss(nn.Module):
    """The discriminator and what it minimises."""

    def __init__(self, critic: Discriminator, first: ImgLoss) -> None:
        super().__init__()
        self.critic, self.first = critic, [first]

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one pass, and nothing to log."""
        reconstruction = self.first[0].passes.pop(0)
        return discriminator_loss(self.critic, batch["image"], reconstruction), {}


# ------------------------------------------------------------------ the run


def train(settings: SegSettings | ImgSettings) -> Path:
    """Train a tokenizer, from the folder's newest checkpoint where there is one.

    Returns:
        The bundle that the tokenizer was saved to.

    Raises:
        ValueError: settings, data or losses are unfit.
    """
    config = settings.config()
    expected = "labels" if isinstance(settings, SegSettings) else "image"
    if config.input != expected:
        raise ValueError(f"model: found input {config.input!r}, expected {expected!r}")
    boxes = settings.boxes() if isinstance(settings, ImgSettings) else ()
    source = open_source(settings.data, labels=settings.labels)
    if settings.samples is not None:
        source = source.head(settings.samples)
    data = Crops(source, config, settings.seed, settings.augment, boxes)
    model = make_model(config, settings)
    trainer = Trainer(parts(model, settings), data, settings)
    plain = Crops(source, config)  # without augmentation

    def inspect(step: int) -> dict[str, float] | None:
        model = trainer.ema_model("model")
        assert isinstance(model, VQVAE)
        return None if trainer.rank else measure(model, plain, settings, step)

    trainer.hooks = [(settings.sheet_every, inspect)]
    trainer.run()
    output = settings.output or settings.folder / "bundle"
    if trainer.rank == 0:
        averaged = trainer.ema_model("model")
        assert isinstance(averaged, VQVAE)
        save_vq(output, VQ_NAMES[config.input], averaged, settings.stored)
    if trainer.world > 1:
        dist.destroy_process_group()
    return output


def make_model(config: VQConfig, settings: VQSettings) -> VQVAE:
    """A new tokenizer, or that of `decoder_of`, of which only the decoder has gradients.

    Raises:
        ValueError: the tokenizer of `decoder_of` has another config.
    """
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
    """The parts to train: the tokenizer and, for pictures, a discriminator from gan_start on."""

    def adam(module: nn.Module) -> torch.optim.Optimizer:
        learning = [p for p in module.parameters() if p.requires_grad]
        return torch.optim.Adam(learning, settings.lr, betas=settings.betas, fused=True)

    if isinstance(settings, SegSettings):
        return [Part("model", model, SegLoss(model, settings), adam(model))]
    if settings.gan_start is None or settings.gan_weight == 0:
        return [Part("model", model, ImgLoss(model, settings, None), adam(model))]
    torch.manual_seed(settings.seed)
    critic = Discriminator(model.config.channels, width=settings.gan_width)
    if model.config.resolution < critic.smallest:  # known now, and not only at gan_start
        raise ValueError(
            f"resolution: found {model.config.resolution}, expected at least {critic.smallest} for "
            "the discriminator (or gan_start: null)"
        )
    loss = ImgLoss(model, settings, critic)
    return [
        # What a skipped step has kept for the critic is not for the next one.
        Part("model", model, loss, adam(model), prepare=lambda *_: loss.passes.clear()),
        Part(
            "critic",
            critic,
            CriticLoss(critic, loss),
            adam(critic),
            ema=False,
            start=settings.gan_start,
        ),
    ]


# ------------------------------------------------------------------ what one sees of it


def measure(model: VQVAE, data: Crops, settings: VQSettings, step: int) -> dict[str, float]:
    """Draw sheets/step-*.png of a few samples, and measure `metric_samples` spread over the data.

    Returns:
        The metrics of evaluation.reconstruction.
    """
    numbers = spread(len(data), settings.metric_samples)
    result = reconstruct(model, data, numbers, batch=settings.batch)
    file = settings.folder / "sheets" / f"step-{step:08d}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, lambda temporary: result.sheet().save(temporary, "PNG"))
    return {f"measured/{name}": value for name, value in result.metrics.items()}
