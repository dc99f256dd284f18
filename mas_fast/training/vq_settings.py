"""The settings of the training of VQ-SEG and VQ-IMG. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from mas_fast.bundle.config import VQ_NAMES
from mas_fast.models.vqvae_config import VQConfig, preset
from mas_fast.training.settings import Help, Precision, Settings
from mas_fast.utils.validate import check_int, check_number, check_positive


@dataclass(frozen=True, kw_only=True)
class VQSettings(Settings):
    """Settings of both tokenizers."""

    FREE = Settings.FREE | {"sheet_every", "metric_samples", "output", "stored"}

    data: Annotated[
        Path, Help("COCO folder, webdataset tars, scene shards, or a folder of images.")
    ]
    labels: Annotated[str | None, Help("Label space of the label maps in the data.")] = None
    samples: Annotated[
        int | None, Help("Use the first samples of the data only; null: all.", "samples")
    ] = None
    model: Annotated[dict[str, Any], Help("`preset`, and fields of VQConfig that replace its own.")]
    decoder_of: Annotated[
        Path | None,
        Help(
            "Bundle whose tokenizer learns on, but in its decoder alone, so that tokens made with "
            "it keep their meaning."
        ),
    ] = None
    lr: Annotated[float, Help("Base learning rate of Adam.")] = 4.5e-4
    betas: Annotated[tuple[float, float], Help("Betas of Adam.", "0..1")] = (0.5, 0.9)
    quantizer_weight: Annotated[float, Help("Weight of the quantizer's loss.")] = 1.0
    augment: Annotated[bool, Help("Random crops and flips; else centre crops.")] = True
    sheet_every: Annotated[int, Help("Steps between metrics and sheets.", "steps")] = 500
    metric_samples: Annotated[
        int, Help("Samples that the metrics beside the sheets are of.", "samples")
    ] = 64
    output: Annotated[
        Path | None, Help("Bundle that receives the tokenizer; null: bundle/ in `folder`.")
    ] = None
    stored: Annotated[Precision, Help("Precision of the weights in `output`.")] = "fp32"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lr", self.lr)
        check_number("quantizer_weight", self.quantizer_weight, 0)
        for name in ("sheet_every", "metric_samples"):
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
        """The model's config.

        Raises:
            ValueError: a preset or field is unknown.
        """
        values = dict(self.model)
        base = preset(values.pop("preset", None))
        if unknown := [name for name in values if name not in base.to_dict()]:
            expected = ["preset", *base.to_dict()]
            raise ValueError(f"model: found unknown keys {unknown}, expected {expected}")
        return replace(base, **values)


@dataclass(frozen=True, kw_only=True)
class SegSettings(VQSettings):
    """Settings of VQ-SEG."""

    face_weight: Annotated[
        float, Help("Weight of the channels of face parts in the loss (alpha of label_bce).")
    ] = 20.0
    thing_weight: Annotated[
        float, Help("Weight of the channels of things and human parts in the loss.")
    ] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("face_weight", "thing_weight"):
            check_number(name, getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True)
class ImgSettings(VQSettings):
    """Settings of VQ-IMG.

    The boxes of objects and faces are those of "object_boxes" and "face_boxes" in a sample's json,
    else those of the things and the face parts in its scene.
    """

    perceptual: Annotated[
        Path | None,
        Help(
            "Folder with the weights of LPIPS, or with the storybook's segmenter, in whose "
            "features pictures are then compared; null: neither."
        ),
    ] = None
    perceptual_weight: Annotated[float, Help("Weight of `perceptual` in the loss.")] = 1.0
    object_weight: Annotated[
        float, Help("Weight of the object loss, `perceptual` of each thing's box; 0: none.")
    ] = 0.0
    face: Annotated[
        Path | None,
        Help("Folder with the weights of FaceDistance, for each face's box; null: no face loss."),
    ] = None
    face_weight: Annotated[float, Help("Weight of the face loss.")] = 1.0
    thing_weight: Annotated[
        float, Help("How often the pixels of an object's box count in L1.", "times")
    ] = 1.0
    gan_start: Annotated[
        int | None,
        Help("First step of the GAN loss and its discriminator; null: neither.", "step"),
    ] = None
    gan_width: Annotated[
        int, Help("Channels of the discriminator's first layer, an eighth of its widest.")
    ] = 64
    gan_weight: Annotated[float, Help("Weight of the GAN loss, beside its adaptive one.")] = 0.8
    gan_warmup: Annotated[
        int, Help("Steps over which the GAN loss grows to its weight.", "steps")
    ] = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("perceptual_weight", "object_weight", "face_weight", "gan_weight"):
            check_number(name, getattr(self, name), 0)
        check_number("thing_weight", self.thing_weight, 0)
        check_int("gan_width", self.gan_width, 1)
        if self.object_weight and self.perceptual is None:
            raise ValueError(
                f"object_weight: found {self.object_weight} without `perceptual`, the folder with "
                "the weights of LPIPS that the object loss needs; expected both, or 0"
            )

    def made_from(self) -> dict[str, Path | None]:
        from mas_fast.evaluation.segmenter import FILE as SEGMENTER_FILE
        from mas_fast.models.perceptual import FACE_FILE, LPIPS_FILE, VGG16_FILE, find_weights

        sources = super().made_from()
        if self.perceptual and (segmenter := Path(self.perceptual) / SEGMENTER_FILE).is_file():
            sources["perceptual"] = segmenter
        elif self.perceptual is not None:
            files = find_weights(self.perceptual, VGG16_FILE, LPIPS_FILE)
            sources |= dict(zip(("perceptual/vgg16", "perceptual"), files, strict=True))
        if self.face is not None:
            (sources["face"],) = find_weights(self.face, FACE_FILE)
        return sources

    def boxes(self) -> list[str]:
        """The names of the boxes that the losses look at."""
        faces = self.face is not None and self.face_weight > 0
        objects = self.object_weight > 0 or self.thing_weight != 1
        return ["object_boxes"] * objects + ["face_boxes"] * faces
