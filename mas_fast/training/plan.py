"""What a run takes, before it runs: parameters, memory, hours, disk. Nothing is allocated.

    for table in plan(settings, machine=Machine.parse("8xH200"), pairs=14_000_000): show(table)

Figures that are assumed and not computed say so. Memory follows the sizes of what the trainer
holds; tests compare the share of activations with what PyTorch saves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mas_fast.models.gpt import GPT, GPTConfig
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.optim import matrices_of
from mas_fast.utils.validate import check_int

# name: peak FLOP/s in bf16 and in fp32, bytes of memory; of their data sheets, without sparsity.
GPUS = {
    "H200": (989e12, 67e12, 141e9),
    "H100": (989e12, 67e12, 80e9),
    "A100": (312e12, 19.5e12, 80e9),
    "RTX4090": (165e12, 83e12, 24e9),
}
USED = 0.45  # of the peak: published GPT training reaches 0.4 to 0.5
ENCODER, DECODER = 138e9, 252e9  # FLOPs of the f16 networks at 256 pixels, forward
PANOPTIC = 19.0  # images/s of one GPU: Detectron2's panoptic FPN on a V100, one at a time
# Bytes per pair, measured on COCO at 256 pixels; captions are those of CC3M, 60 characters.
PAIR, SCENE, CAPTION = 36e3, 50e3, 80
SEG_SAMPLES = 600_000 * 48  # that Make-A-Scene's scene tokenizer was trained on
STATE = 4 + 4 + 8 + 4  # bytes a weight: itself, gradient, AdamW's two moments, EMA
MUON = -4  # of those: one moment in place of two
# Bytes saved for the backward pass, per token and unit of width: by a block, and of its input.
BLOCK_STATE, INPUT_STATE = {"bf16": 36, "fp32": 64}, 4


@dataclass(frozen=True)
class Machine:
    """GPUs of one kind.

    Attributes:
        gpu: a name of GPUS.
        count: how many.
    """

    gpu: str
    count: int

    @classmethod
    def parse(cls, text: str) -> Machine:
        """The machine that a text means, such as 8xH200.

        Raises:
            ValueError: the GPU is unknown.
        """
        match = re.fullmatch(r"(\d+)x(\w+)", text)
        if not match or match[2] not in GPUS or int(match[1]) < 1:
            raise ValueError(f"machine: found {text!r}, expected COUNTxGPU, one of {list(GPUS)}")
        return cls(match[2], int(match[1]))

    @property
    def bf16(self) -> float:
        """Peak in bf16 of all GPUs, FLOP/s."""
        return GPUS[self.gpu][0] * self.count

    @property
    def fp32(self) -> float:
        """Peak in fp32 of all GPUs, FLOP/s."""
        return GPUS[self.gpu][1] * self.count

    @property
    def memory(self) -> float:
        """Memory of one GPU, bytes."""
        return GPUS[self.gpu][2]

    def __str__(self) -> str:
        return f"{self.count} x {self.gpu} ({self.memory / 1e9:.0f} GB each)"


@dataclass(frozen=True)
class Table:
    """A table of the plan, as text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def plan(settings: GPTSettings, machine: Machine, pairs: int) -> list[Table]:
    """Plan a run.

    Args:
        settings: settings of the GPT's training.
        machine: where it would run.
        pairs: pictures with captions.

    Returns:
        The GPT that the settings ask for, the memory of one GPU while it trains, and what all steps
        take from raw pairs to the trained GPT.

    Raises:
        ValueError: the batch cannot be split, or there is less than one pair.
    """
    check_int("pairs", pairs, 1)
    passes = settings.accumulate * machine.count
    if settings.batch % passes:
        raise ValueError(
            f"batch: found {settings.batch}, expected a multiple of accumulate = "
            f"{settings.accumulate} times {machine.count} GPUs"
        )
    config = settings.config()
    return [
        parameters(config),
        memory_table(config, settings, machine),
        steps(config, settings, machine, pairs),
    ]


def parameters(config: GPTConfig) -> Table:
    """The numbers of parameters, counted on the meta device."""
    model = GPT(config)
    parts = {
        "embeddings": (model.embed, model.position),
        f"{config.layers} blocks": (model.blocks, model.norm),
        "heads": (model.head,),
    }
    rows = []
    for name, modules in parts.items():
        count = sum(p.numel() for module in modules for p in module.parameters())
        rows.append([name, f"{count:,}"])
    rows.append(["all", f"{model.parameters_count():,}"])
    streams = " + ".join(f"{s.name} {s.length} of {s.vocab}" for s in config.streams)
    return Table(f"GPT over {streams}", ["", "parameters"], rows)


def memory(config: GPTConfig, settings: GPTSettings, devices: int) -> dict[str, float]:
    """Bytes in one device while the GPT trains, by what they hold."""
    model = GPT(config)
    count = model.parameters_count()
    block = sum(p.numel() for p in model.blocks[0].parameters())
    root = count - block * config.layers
    half = settings.precision != "fp32"  # auto: GPUs have bf16
    width = 2 if half else 4
    share = settings.batch // (settings.accumulate * devices)
    tokens = share * (config.streams.length - 1)
    shared = settings.parallel == "fsdp" and devices > 1
    of_block = tokens * config.dim * BLOCK_STATE["bf16" if half else "fp32"]
    of_inputs = tokens * config.dim * INPUT_STATE * config.layers
    activations = of_inputs + of_block if settings.recompute else of_block * config.layers
    held = state(model, settings) / (devices if shared else 1)
    sizes = {"weights, gradients, moments, EMA": held}
    if shared:
        # Two blocks at a time, as the next one is fetched early, beside the gradient of one; or
        # of all in fp32, which several passes add up before they are shared out.
        sizes["gathered: 2 blocks and the rest"] = width * (2 * block + root)
        sizes["whole gradients"] = 4 * (block if settings.accumulate == 1 else count)
    elif width == 2:
        sizes["weights in bf16"] = width * count
    sizes[f"activations of {share} samples"] = activations
    return sizes


def state(model: GPT, settings: GPTSettings) -> int:
    """Bytes of all that training keeps of the weights from step to step, and their gradients."""
    size = STATE * model.parameters_count()
    if settings.optimizer == "muon":
        size += MUON * sum(p.numel() for p in matrices_of(model.blocks))
    return size


def memory_table(config: GPTConfig, settings: GPTSettings, machine: Machine) -> Table:
    """Memory of one GPU, and whether it fits."""
    sizes = memory(config, settings, machine.count)
    rows = [[name, f"{size / 1e9:.2f}"] for name, size in sizes.items()]
    total = sum(sizes.values())
    fits = "fits" if total < 0.9 * machine.memory else "DOES NOT FIT"
    rows.append([f"all, of {machine.memory / 1e9:.0f}: {fits}", f"{total / 1e9:.2f}"])
    title = f"memory of each GPU, {settings.parallel}"
    if settings.parallel == "fsdp":
        block = sum(p.numel() for p in GPT(config).blocks[0].parameters())
        others = GPT(config).parameters_count() - config.layers * block
        title += f": {config.layers} units of {block:,} parameters, and one of {others:,}, "
        title += f"each in {machine.count} parts"
    return Table(title, ["", "GB"], rows)


def steps(config: GPTConfig, settings: GPTSettings, machine: Machine, pairs: int) -> Table:
    """Disk and hours of each step for `pairs` pairs."""
    gpt = GPT(config)
    sample = sum(2 * stream.length for stream in config.streams) + CAPTION
    gradients = 4 * gpt.parameters_count()
    checkpoint = settings.keep_checkpoints * (state(gpt, settings) - gradients)
    samples = settings.steps * settings.batch
    epochs = samples / min(pairs, settings.samples or pairs)
    peak = machine.fp32 if settings.precision == "fp32" else machine.bf16
    hours = {
        "annotate": pairs / (PANOPTIC * machine.count),
        "tokenize": pairs * 2 * ENCODER / (USED * machine.fp32),
        "vq-seg": SEG_SAMPLES * 3 * (ENCODER + DECODER) / (USED * machine.fp32),
        "gpt": samples * settings.cost(gpt)[1] / (USED * peak),
    }
    rows = [
        ["pairs, as img2dataset stores them at 256 pixels", _disk(pairs * PAIR), "the network's"],
        ["data prepare (panoptic alone: 19 images/s a GPU)", _disk(pairs * SCENE)]
        + [_time(hours["annotate"])],
        ["train vq-seg (28.8M samples)", "1 GB", _time(hours["vq-seg"])],
        ["data tokenize", _disk(pairs * sample), _time(hours["tokenize"])],
        [f"train gpt ({epochs:.2g} epochs; {settings.keep_checkpoints} checkpoints)"]
        + [_disk(checkpoint), _time(hours["gpt"])],
    ]
    title = f"{pairs:,} pairs on {machine}, at {USED:.0%} of the peak of its data sheet"
    return Table(title, ["step", "disk", "hours"], rows)


def _disk(size: float) -> str:
    return f"{size / 1e12:.2f} TB" if size >= 1e12 else f"{size / 1e9:.1f} GB"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f}"
