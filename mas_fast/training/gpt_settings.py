"""The settings of a GPT's training, and what follows from them alone. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mas_fast.bundle.config import BPE_FILE, GPT_FILE
from mas_fast.models.gpt_config import GPTConfig, preset
from mas_fast.streams import Streams
from mas_fast.training.schedule import step_drop
from mas_fast.training.settings import Help, Precision, Settings
from mas_fast.utils.validate import check_int, check_number, check_positive

if TYPE_CHECKING:
    from mas_fast.models.gpt import GPT

WEIGHTS = {"text": 1.0, "seg": 1.0, "img": 7.0}
SHAPE = ("dim", "layers", "heads", "mlp", "positions", "qk_norm", "attention", "conv_kernel")


@dataclass(frozen=True, kw_only=True)
class GPTSettings(Settings):
    """Settings of a GPT's training."""

    FREE = Settings.FREE | {
        *("sheet_every", "metric_samples", "output", "stored", "validation", "bundle", "start"),
        *("recompute", "compile", "parallel", "peak_tflops"),
    }

    data: Annotated[
        Path | None, Help("Folder of token shards, as `mas-fast data tokenize` makes them.")
    ] = None
    samples: Annotated[
        int | None, Help("Use the first samples of the data only; null: all.", "samples")
    ] = None
    model: Annotated[
        dict[str, Any],
        Help(
            "`preset`, and fields of GPTConfig that replace its own (dim, layers, heads, mlp, "
            "positions, qk_norm, attention, conv_kernel); the streams are those of the data."
        ),
    ]
    validation: Annotated[
        Path | None, Help("Token shards for metrics and sheets; null: those of `data`.")
    ] = None
    start: Annotated[
        Path | None, Help("Bundle whose GPT lends the weights that fit (warm start).")
    ] = None
    bundle: Annotated[
        Path | None,
        Help("Bundle with the tokenizers of the tokens; needed for sheets and BPE-dropout."),
    ] = None
    output: Annotated[
        Path | None,
        Help(
            "Bundle that receives the GPT, and the tokenizers of `bundle`, with each sheet and at "
            "the end; null: bundle/ in `folder`."
        ),
    ] = None
    stored: Annotated[Precision, Help("Precision of the weights in `output`.")] = "fp32"
    weights: Annotated[
        dict[str, float],
        Help("Weight of each stream's loss; of those left out: text 1, seg 1, img 7."),
    ] = field(default_factory=dict)
    optimizer: Annotated[
        Literal["adamw", "muon"],
        Help("adamw, or muon for the blocks' matrices and AdamW for the rest."),
    ] = "adamw"
    lr: Annotated[float, Help("Base learning rate.")] = 4.5e-4
    betas: Annotated[tuple[float, float], Help("Betas of AdamW.", "0..1")] = (0.9, 0.96)
    weight_decay: Annotated[
        float, Help("Decay of matrices; norms, biases and embeddings do not decay.")
    ] = 0.045
    image_every: Annotated[
        int,
        Help(
            "One step of this many sees the last stream, the image tokens. Of 32 + 64 + 256 "
            "tokens, a step without them is 3.5 times as fast, and the scene, which needs none of "
            "them, is the harder thing to learn.",
            "steps",
        ),
    ] = 1
    lr_drop_step: Annotated[
        int | None,
        Help(
            "Step at which the learning rate falls to `lr_end` times its base; null: it falls "
            "along half a cosine.",
            "step",
        ),
    ] = None
    caption_drop: Annotated[
        float, Help("Share of captions that become padding, for classifier-free guidance.", "0..1")
    ] = 0.0
    caption_drop_last: Annotated[
        int | None, Help("Drop captions in this many last steps only; null: in all.", "steps")
    ] = None
    bpe_dropout: Annotated[
        float, Help("Share of the captions' merges that are left out (BPE-dropout).", "0..1")
    ] = 0.0
    masked_share: Annotated[
        float,
        Help(
            "Share of samples in which tokens of the last stream in sight are hidden from the "
            "model and predicted all the same: all tokens in half of these samples, a random "
            "share in the others. What the neighbours of a token do not tell must then come from "
            "the streams before, such as a colour from the caption.",
            "0..1",
        ),
    ] = 0.0
    recompute: Annotated[
        bool, Help("Compute blocks again in the backward pass, which saves memory.")
    ] = False
    compile: Annotated[bool, Help("Compile each block with torch.compile.")] = False
    parallel: Annotated[
        Literal["ddp", "fsdp"],
        Help("Under torchrun: ddp, or fsdp for a model that does not fit one device."),
    ] = "ddp"
    peak_tflops: Annotated[
        float | None,
        Help("Peak of a device, to say which share of it is used; null: measured.", "TFLOP/s"),
    ] = None
    sheet_every: Annotated[int, Help("Steps between metrics and sheets.", "steps")] = 1000
    metric_samples: Annotated[
        int, Help("Samples that the metrics beside the sheets are of.", "samples")
    ] = 256
    max_skips: int = 10
    spike_factor: float = 2.0  # times a loss in nats; ten times would be ruin and no spike

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lr", self.lr)
        for name in ("sheet_every", "metric_samples", "image_every"):
            check_int(name, getattr(self, name), 1)
        for name in ("caption_drop", "bpe_dropout", "masked_share"):
            check_number(name, getattr(self, name), 0, 1)
        for beta in self.betas:
            check_number("betas", beta, 0, 1)
        check_number("weight_decay", self.weight_decay, 0)
        for name in ("samples", "lr_drop_step", "caption_drop_last"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1)
        if self.peak_tflops is not None:
            check_positive("peak_tflops", self.peak_tflops)

    def made_from(self) -> dict[str, Path | None]:
        start = self.start and Path(self.start) / GPT_FILE
        retold = self.bundle if self.bpe_dropout else None
        return {"data": self.data, "start": start, "bundle": retold and Path(retold) / BPE_FILE}

    def config(self, streams: Streams | None = None) -> GPTConfig:
        """The model's config over `streams`, by default those of the preset.

        Raises:
            ValueError: a preset, size or stream is unknown.
        """
        sizes = dict(self.model)
        base = preset(sizes.pop("preset", None))
        streams = base.streams if streams is None else streams
        if unknown := [name for name in sizes if name not in SHAPE]:
            expected = ["preset", *SHAPE]
            raise ValueError(f"model: found unknown keys {unknown}, expected {expected}")
        if unknown := [name for name in self.weights if name not in streams.names]:
            raise ValueError(f"weights: found {unknown}, expected some of {list(streams.names)}")
        weights = WEIGHTS | self.weights
        weighted = [replace(s, loss_weight=weights.get(s.name, 0)) for s in streams]
        return replace(base, streams=Streams(weighted), **sizes)

    def cost(self, gpt: GPT) -> tuple[float, float]:
        """Cost of a sample in training, the mean over steps with and without its last stream.

        Returns:
            Tokens, and floating-point operations.
        """
        share, length = 1 / self.image_every, gpt.streams.length
        shorter = length - gpt.streams[-1].length
        flops, fewer = gpt.flops_per_sequence(length), gpt.flops_per_sequence(shorter)
        return share * length + (1 - share) * shorter, share * flops + (1 - share) * fewer

    def lr_factor(self, step: int) -> float:
        if self.lr_drop_step is None:
            return super().lr_factor(step)
        return step_drop(step, self.lr_drop_step, self.warmup, self.lr_end)
