"""Training of the GPT on token shards.

    train(read(GPTSettings, find("gpt", "tiny"), ["--data", "tokens"]))   # `mas-fast train gpt`

The run's folder gets checkpoints/, tensorboard/, skipped.tsv (skipped steps), sheets/ (pictures of
a few captions, where `bundle` has the tokenizers that decode them) and, unless `output` names
another folder, bundle/ with the GPT and those tokenizers. Sheets, metrics and the bundle are made
of the EMA of the weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from mas_fast.bundle.config import BPE_FILE, VQ_INPUTS
from mas_fast.bundle.extras import load_bpe, save_bpe
from mas_fast.bundle.torch_io import load_vq, save_gpt, save_vq
from mas_fast.data.token_shards import TokenShards
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.training.dataset import Sequences, spread
from mas_fast.training.gpt_loss import GPTLoss, targets
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.optim import optimizer
from mas_fast.training.parallel import parallelize, place
from mas_fast.training.sample_sheets import Sheets
from mas_fast.training.speed import peak_flops
from mas_fast.training.trainer import Part, Trainer
from mas_fast.training.warm_start import warm_start
from mas_fast.utils.devices import in_bf16, whole_fp32


def train(settings: GPTSettings) -> Path:
    """Train a GPT, from the folder's newest checkpoint where there is one.

    Returns:
        The bundle that the GPT was saved to.

    Raises:
        ValueError: settings, data or losses are unfit.
    """
    if settings.data is None:
        raise ValueError("data: found nothing, expected a folder of token shards (--data FOLDER)")
    output = settings.output or settings.folder / "bundle"
    if settings.start is not None and output.resolve() == settings.start.resolve():
        problem = f"found the bundle {output}, which `start` reads"
        raise ValueError(f"output: {problem}, expected another: it would be replaced")
    tokens = TokenShards(settings.data)
    config = settings.config(tokens.streams)
    bpe = None
    if settings.bpe_dropout and settings.bundle is not None:
        bpe = load_bpe(settings.bundle)
    data = Sequences(
        tokens, settings.seed, bpe, settings.bpe_dropout, settings.masked_share, settings.samples
    )
    validation = Sequences(_validation(settings, config), settings.seed)
    trainer = make_trainer(config, data, settings)
    sheets = None
    if trainer.rank == 0 and settings.bundle is not None:
        sheets = Sheets(settings.bundle, validation, trainer.device)

    def save(model: nn.Module) -> GPT:
        assert isinstance(model, GPT)
        save_gpt(output, model, settings.stored)
        if settings.bundle is not None:
            copy_tokenizers(settings.bundle, output)
        return model

    def inspect(step: int) -> dict[str, float] | None:
        averaged = trainer.ema_model("gpt")
        if trainer.rank:
            return None
        model = save(averaged)
        if sheets:
            sheets.draw(model, settings.folder / "sheets" / f"step-{step:08d}.png")
        return measure(model, validation, settings)

    trainer.hooks = [(settings.sheet_every, inspect)]
    trainer.run()
    averaged = trainer.ema_model("gpt")
    if trainer.rank == 0:
        save(averaged)  # also of a run that had been finished, to another place
    if dist.is_initialized():
        dist.destroy_process_group()
    return output


def make_trainer(config: GPTConfig, data: Sequences, settings: GPTSettings) -> Trainer:
    """A trainer with one part, "gpt"."""
    model = GPT.create(config, seed=settings.seed)
    if settings.start is not None:
        warm_start(model, settings.start)
    loss = GPTLoss(model, settings)
    dtype = torch.bfloat16 if in_bf16(settings.precision, place()[2]) else None
    trainer = Trainer(
        [Part("gpt", model, loss, optimizer(model, settings), prepare=loss.prepare)],
        data,
        settings,
        wrap=functools.partial(
            parallelize,
            blocks=list(model.blocks),
            kind=settings.parallel,
            recomputed=settings.recompute,
            compiled=settings.compile,
            dtype=dtype,
            unused=settings.image_every > 1,
        ),
    )
    trainer.speed = _speed(config, settings, trainer)
    return trainer


def _validation(settings: GPTSettings, config: GPTConfig) -> TokenShards:
    folder = settings.validation or settings.data
    assert folder is not None  # checked in `train`
    tokens = TokenShards(folder)
    if not len(tokens):
        raise ValueError(f"{tokens.path}: found no samples, expected at least one")
    expected = [replace(s, loss_weight=1.0) for s in config.streams]
    if [replace(s, loss_weight=1.0) for s in tokens.streams] != expected:
        raise ValueError(
            f"{tokens.path}: found the streams {tokens.streams.to_list()}, expected those of "
            f"{settings.data}"
        )
    return tokens


def _speed(
    config: GPTConfig, settings: GPTSettings, trainer: Trainer
) -> Callable[[float], dict[str, float]]:
    """From samples per second to tokens per second, and the share of the devices' peak they use."""
    peak = 1e12 * settings.peak_tflops if settings.peak_tflops else None
    dtype = torch.bfloat16 if in_bf16(settings.precision, trainer.device) else torch.float32
    with whole_fp32():  # as the trainer computes
        peak = peak or peak_flops(trainer.device, dtype)
    length, flops = settings.cost(GPT(config))

    def speed(rate: float) -> dict[str, float]:
        return {"tokens/s": rate * length, "mfu": rate * flops / (peak * trainer.world)}

    return speed


@torch.no_grad()
def measure(model: GPT, data: Sequences, settings: GPTSettings) -> dict[str, float]:
    """The mean loss of each stream, and their weighted mean, over `metric_samples` samples.

    They are spread over the data, with their captions.
    """
    streams = model.streams
    sums, counts = (torch.zeros(len(streams), dtype=torch.float64) for _ in range(2))
    numbers = spread(len(data), settings.metric_samples)
    share = max(1, settings.batch // settings.accumulate)
    for start in range(0, len(numbers), share):
        items = [data[0, int(number)] for number in numbers[start : start + share]]
        tokens = data.collate(items)["tokens"].to(model.device)
        bf16 = in_bf16(settings.precision, model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
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
    """Copy the tokenizers of one bundle to the GPT of another; the same bundle is left alone."""
    if Path(source).resolve() == Path(bundle).resolve():
        return
    for name in VQ_INPUTS:
        if (Path(source) / f"{name}.safetensors").is_file():
            save_vq(bundle, name, load_vq(source, name))
    if (Path(source) / BPE_FILE).is_file():
        save_bpe(bundle, load_bpe(source))
