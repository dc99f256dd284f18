"""Training of the GPT on token shards.

    train(read(GPTSettings, find("gpt", "tiny"), ["--data", "tokens"]))   # `mas-fast train gpt`

The run's folder gets checkpoints/, tensorboard/, skipped.tsv (bad steps), sheets/ (pictures of a
few captions, where `bundle` has the tokenizers that decode them) and, unless `output` names another
place, bundle/ with the GPT and those tokenizers. Sheets, metrics and the bundle are those of the
averaged weights.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mas_fast.bundle import (
    BPE_FILE,
    GPT_FILE,
    VQ_INPUTS,
    Stored,
    load_bpe,
    load_vq,
    save_bpe,
    save_gpt,
    save_vq,
)
from mas_fast.config import GPTConfig, preset
from mas_fast.data.shards import TokenShards
from mas_fast.gpt import GPT
from mas_fast.streams import Streams
from mas_fast.training.muon import MuonAdamW
from mas_fast.training.parallel import parallelize
from mas_fast.training.settings import Settings, check, check_positive
from mas_fast.training.sheets import Sheets
from mas_fast.training.speed import peak_flops
from mas_fast.training.tokens import Sequences, spread
from mas_fast.training.trainer import Part, Trainer
from mas_fast.training.warm import warm_start

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
            check(name, getattr(self, name), 1)
        for name in ("caption_drop", "bpe_dropout", "unseen"):
            check(name, getattr(self, name), 0, 1)
        for beta in self.betas:
            check("betas", beta, 0, 1)
        check("decay", self.decay, 0)
        for name in ("samples", "drop_at", "caption_drop_last"):
            if getattr(self, name) is not None:
                check(name, getattr(self, name), 1)
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
        if self.drop_at is None or step < self.warmup:
            return super().rate(step)
        return 1.0 if step < self.drop_at else self.lr_end


# ------------------------------------------------------------------ the loss


class GPTLoss(nn.Module):
    """A GPT and what it minimises: the mean over the targets of all passes and processes, however
    the padding is spread over them. `prepare` finds, for each pass, the weights that sum to it.
    In a step that does not see the last stream, it counts as one that is guessed, each token alike.
    """

    def __init__(self, model: GPT, settings: GPTSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def prepare(self, batches: list[dict], step: int) -> None:
        s, streams = self.settings, self.model.streams
        text = streams["text"]
        drops = s.caption_drop_last is None or step >= s.steps - s.caption_drop_last
        for batch in batches:
            if drops and s.caption_drop:
                dropped = (batch["draw"] < s.caption_drop)[:, None]
                batch["tokens"][:, streams.slice("text")].masked_fill_(dropped, text.pad)
        counts = torch.stack([targets(streams, batch["tokens"]) for batch in batches])
        totals, passes = counts.sum(0), len(batches)
        if dist.is_initialized():
            dist.all_reduce(totals)
            passes *= dist.get_world_size()
        shares = torch.where(totals > 0, counts * passes / totals.clamp(min=1), 1.0)
        for batch, share in zip(batches, shares.tolist(), strict=True):
            batch["shares"] = share

    def forward(self, batch: dict, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        tokens, shares, streams = batch["tokens"], batch["shares"], list(self.model.streams)
        own = [stream.loss_weight for stream in streams]
        total, guess = sum(own), 0.0
        if (step + 1) % self.settings.picture_every:
            last = streams.pop()
            tokens, shares, own = tokens[:, : -last.length], shares[:-1], own[:-1]
            guess = last.loss_weight / total * math.log(last.vocab)
        unseen = batch.get("unseen")
        if unseen is not None:
            unseen = unseen[:, : tokens.shape[1]].clone()
            unseen[:, : -streams[-1].length] = False
        weights = [weight * share for weight, share in zip(own, shares, strict=True)]
        scale = sum(weights) / total
        loss, losses = self.model.loss(tokens, weights if scale else None, unseen)
        means = zip(losses.items(), shares, strict=True)
        return scale * loss + guess, {name: share * value for (name, value), share in means}


def targets(streams: Streams, tokens: Tensor) -> Tensor:
    """How many tokens of each stream a batch [B, S] has to predict -> float64 [streams]."""
    counts = []
    for stream in streams:
        where = streams.predicting(stream.name)
        of = tokens[:, where.start + 1 : where.stop + 1]
        counted = torch.ones_like(of) if stream.pad is None else of != stream.pad
        counts.append(counted.sum())
    return torch.stack(counts).double()


def matrices_of(module: nn.Module) -> set[nn.Parameter]:
    """Of its linear layers."""
    return {m.weight for m in module.modules() if isinstance(m, nn.Linear)}


def optimizer(model: GPT, settings: GPTSettings) -> torch.optim.Optimizer:
    """Weight decay on the matrices of linear layers alone; Muon on those in the blocks alone."""
    lr, betas, decay = settings.lr, settings.betas, settings.decay
    muon = settings.optimizer == "muon"
    linear = matrices_of(model.blocks if muon else model)
    matrices = [p for p in model.parameters() if p in linear]
    rest = [p for p in model.parameters() if p not in linear]
    if muon:
        return MuonAdamW(matrices, rest, lr=lr, betas=betas, decay=decay)
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr, betas=betas, fused=True)


# ------------------------------------------------------------------ the run


def train(settings: GPTSettings) -> Path:
    """Run to the end, from the folder's newest checkpoint where there is one, and return the bundle
    that the GPT was saved to. ValueError for settings, data or losses that are unfit."""
    if settings.data is None:
        raise ValueError("data: found nothing, expected a folder of token shards (--data FOLDER)")
    output = settings.output or settings.folder / "bundle"
    if settings.start is not None and output.resolve() == settings.start.resolve():
        found = f"found the bundle {output}, which `start` reads"
        raise ValueError(f"output: {found}, expected another: it would be replaced")
    tokens = TokenShards(settings.data)
    config = settings.config(tokens.streams)
    bpe = None
    if settings.bpe_dropout and settings.bundle is not None:
        bpe = load_bpe(settings.bundle)
    data = Sequences(
        tokens, settings.seed, bpe, settings.bpe_dropout, settings.unseen, settings.samples
    )
    still = Sequences(_validation(settings, config), settings.seed)
    trainer = make_trainer(config, data, settings)
    sheets = None
    if trainer.rank == 0 and settings.bundle is not None:
        sheets = Sheets(settings.bundle, still, trainer.device)

    def save(averaged: GPT) -> None:
        save_gpt(output, averaged, settings.stored)
        if settings.bundle is not None:
            copy_tokenizers(settings.bundle, output)

    def look(step: int) -> dict[str, float] | None:
        averaged = trainer.averaged("gpt")
        if trainer.rank:
            return None
        save(averaged)
        if sheets:
            sheets.draw(averaged, settings.folder / "sheets" / f"step-{step:08d}.png")
        return measure(averaged, still, settings)

    trainer.hooks = [(settings.sheet_every, look)]
    trainer.run()
    averaged = trainer.averaged("gpt")
    if trainer.rank == 0:
        save(averaged)  # also of a run that had been finished, to another place
    if dist.is_initialized():
        dist.destroy_process_group()
    return output


def make_trainer(config: GPTConfig, data: Sequences, settings: GPTSettings) -> Trainer:
    """With one part, "gpt"."""
    model = GPT.create(config, seed=settings.seed)
    if settings.start is not None:
        warm_start(model, settings.start)
    loss = GPTLoss(model, settings)
    half = torch.bfloat16 if settings.precision == "bf16" else None
    trainer = Trainer(
        [Part("gpt", model, loss, optimizer(model, settings), prepare=loss.prepare)],
        data,
        settings,
        wrap=functools.partial(
            parallelize,
            blocks=model.blocks,
            kind=settings.parallel,
            recomputed=settings.recompute,
            compiled=settings.compile,
            dtype=half,
            unused=settings.picture_every > 1,
        ),
    )
    trainer.speed = _speed(config, settings, trainer)
    return trainer


def _validation(settings: GPTSettings, config: GPTConfig) -> TokenShards:
    tokens = TokenShards(settings.validation or settings.data)
    if not len(tokens):
        raise ValueError(f"{tokens.path}: found no samples, expected at least one")
    expected = [replace(s, loss_weight=1.0) for s in config.streams]
    if [replace(s, loss_weight=1.0) for s in tokens.streams] != expected:
        raise ValueError(
            f"{tokens.path}: found the streams {tokens.streams.to_list()}, expected those of "
            f"{settings.data}"
        )
    return tokens


def _speed(config: GPTConfig, settings: GPTSettings, trainer: Trainer):
    """Samples per second -> tokens per second, and which share of the devices' peak they use."""
    peak = 1e12 * settings.peak_tflops if settings.peak_tflops else None
    half = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    peak = peak or peak_flops(trainer.device, half)
    length, flops = settings.cost(GPT(config))

    def speed(rate: float) -> dict[str, float]:
        return {"tokens/s": rate * length, "mfu": rate * flops / (peak * trainer.world)}

    return speed


@torch.no_grad()
def measure(model: GPT, data: Sequences, settings: GPTSettings) -> dict[str, float]:
    """The mean loss of each stream, and their weighted mean, over `measure` samples spread over the
    data, with their captions."""
    streams = model.streams
    sums, counts = torch.zeros(len(streams), dtype=torch.float64), 0
    numbers = spread(len(data), settings.measure)
    share = max(1, settings.batch // settings.accumulate)
    for start in range(0, len(numbers), share):
        items = [data[0, int(number)] for number in numbers[start : start + share]]
        tokens = data.collate(items)["tokens"].to(model.device)
        half = settings.precision == "bf16"
        with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
            _, losses = model.loss(tokens)
        count = targets(streams, tokens).cpu()
        sums += torch.stack(list(losses.values())).double().cpu() * count
        counts = counts + count
    means = sums / counts.clamp(min=1)
    weights = torch.tensor([s.loss_weight for s in streams], dtype=torch.float64)
    named = dict(zip(streams.names, means.tolist(), strict=True))
    named["loss"] = float(means @ weights / weights.sum())
    return {f"measured/{name}": value for name, value in named.items()}


def copy_tokenizers(source: Path, bundle: Path) -> None:
    """Put the tokenizers of one bundle beside the GPT of another; the same one is left alone."""
    if Path(source).resolve() == Path(bundle).resolve():
        return
    for name in VQ_INPUTS:
        if (Path(source) / f"{name}.safetensors").is_file():
            save_vq(bundle, name, load_vq(source, name))
    if (Path(source) / BPE_FILE).is_file():
        save_bpe(bundle, load_bpe(source))
