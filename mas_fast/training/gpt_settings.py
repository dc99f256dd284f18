"""The settings of a GPT's training, and what follows from them alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mas_fast.bundle import BPE_FILE, GPT_FILE, Stored
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig, preset
from mas_fast.streams import Streams
from mas_fast.training.schedule import drop
from mas_fast.training.settings import Settings
from mas_fast.utils.validate import check_int, check_number, check_positive

WEIGHTS = {"text": 1.0, "seg": 1.0, "img": 7.0}
SHAPE = ("dim", "layers", "heads", "mlp", "positions", "qk_norm", "attention", "conv_kernel")


@dataclass(frozen=True, kw_only=True)
class GPTSettings(Settings):
    """data, validation: folders of token shards; metrics are of `measure` samples of the latter,
    or else of the former. samples: the first so many of the data, or null for all. model: `preset`,
    and sizes that replace its own; its streams are those of the data. weights: of the streams'
    losses, 1 : 1 : 7 where not given. start: a bundle whose GPT lends the weights that fit.
    bundle: the tokenizers that made the tokens; needed for sheets and BPE-dropout.

    optimizer: "adamw", or "muon" for the blocks' matrices and AdamW for the rest. lr, betas, decay:
    of it; norms, biases and embeddings do not decay. drop_at: the step at which the learning rate
    falls to lr_end times its base, in place of the cosine. picture_every: of so many steps, one
    sees the last stream; of 32 + 64 + 256 tokens, a step without it is 3.5 times as fast, and the
    scene, which needs none of it, is the harder thing to learn. caption_drop: the share of
    captions that become padding, for guidance; caption_drop_last: in that many last steps alone.
    bpe_dropout: of the captions' merges. unseen: the share of samples that hide tokens of the last
    stream in sight from the model, which are predicted all the same: half of them all tokens, the
    others a random share. What its neighbours do not tell has then to come from the streams before,
    such as a colour from the caption.

    recompute: blocks in the backward pass, which saves memory. compile: each block. parallel: under
    torchrun, "ddp", or "fsdp" for a model that does not fit one device. peak_tflops: of a device,
    to say which share the training uses; null: measured. sheet_every: steps between metrics and
    sheets. output: the bundle that receives the GPT, and the tokenizers of `bundle`, each time and
    at the end; its weights are `stored` as that.
    """

    FREE = Settings.FREE | {
        *("sheet_every", "measure", "output", "stored", "validation", "bundle", "start"),
        *("recompute", "compile", "parallel", "peak_tflops"),
    }

    data: Path | None = None
    samples: int | None = None
    model: dict[str, Any]
    validation: Path | None = None
    start: Path | None = None
    bundle: Path | None = None
    output: Path | None = None
    stored: Stored = "fp32"
    weights: dict[str, float] = field(default_factory=dict)
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = 4.5e-4
    betas: tuple[float, float] = (0.9, 0.96)
    decay: float = 0.045
    picture_every: int = 1
    drop_at: int | None = None
    caption_drop: float = 0.0
    caption_drop_last: int | None = None
    bpe_dropout: float = 0.0
    unseen: float = 0.0
    recompute: bool = False
    compile: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    peak_tflops: float | None = None
    sheet_every: int = 1000
    measure: int = 256
    skips: int = 10
    spike: float = 2.0  # times a loss in nats; ten times would be ruin and no spike

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lr", self.lr)
        for name in ("sheet_every", "measure", "picture_every"):
            check_int(name, getattr(self, name), 1)
        for name in ("caption_drop", "bpe_dropout", "unseen"):
            check_number(name, getattr(self, name), 0, 1)
        for beta in self.betas:
            check_number("betas", beta, 0, 1)
        check_number("decay", self.decay, 0)
        for name in ("samples", "drop_at", "caption_drop_last"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1)
        if self.peak_tflops is not None:
            check_positive("peak_tflops", self.peak_tflops)

    def made_from(self) -> dict[str, Path | None]:
        start = self.start and Path(self.start) / GPT_FILE
        retold = self.bundle if self.bpe_dropout else None
        return {"data": self.data, "start": start, "bundle": retold and Path(retold) / BPE_FILE}

    def config(self, streams: Streams | None = None) -> GPTConfig:
        """The model's config over `streams`, by default the preset's own. ValueError for an unknown
        preset, size or stream."""
        sizes = dict(self.model)
        base = preset(sizes.pop("preset", None))
        streams = base.streams if streams is None else streams
        if unknown := [name for name in sizes if name not in SHAPE]:
            expected = ["preset", *SHAPE]
            raise ValueError(f"model: found the unknown keys {unknown}, expected {expected}")
        if unknown := [name for name in self.weights if name not in streams.names]:
            raise ValueError(f"weights: found {unknown}, expected some of {list(streams.names)}")
        weights = WEIGHTS | self.weights
        weighted = [replace(s, loss_weight=weights.get(s.name, 0)) for s in streams]
        return replace(base, streams=Streams(weighted), **sizes)

    def cost(self, gpt: GPT) -> tuple[float, float]:
        """(tokens, floating-point operations) of a sample in training, the mean over the steps with
        and without its last stream."""
        share, whole = 1 / self.picture_every, gpt.streams.length
        before = whole - gpt.streams[-1].length
        flops = [gpt.flops_per_sequence(length) for length in (whole, before)]
        return (
            share * whole + (1 - share) * before,
            share * flops[0] + (1 - share) * flops[1],
        )

    def rate(self, step: int) -> float:
        if self.drop_at is None:
            return super().rate(step)
        return drop(step, self.drop_at, self.warmup, self.lr_end)
