"""GPTs of odd shapes with random weights, and their logits in fp64."""

import numpy as np
import torch

from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.streams import Stream, Streams


def streams(*sizes: tuple) -> Streams:
    return Streams(
        Stream(name, length, vocab, *grid, pad=0 if name == "text" else None)
        for name, length, vocab, *grid in sizes
    )


# Odd head counts, widths no multiple of 64, vocabularies none of 16; over 512 positions.
SHAPES = {
    "d96h3": GPTConfig(
        streams(("text", 16, 211), ("seg", 256, 77), ("img", 256, 333)), 96, 3, 3, 384
    ),
    "d120h5": GPTConfig(streams(("text", 9, 50), ("img", 520, 117)), 120, 2, 5, 300, qk_norm=True),
    "d72h9": GPTConfig(
        streams(("text", 33, 1001), ("seg", 100, 19), ("img", 400, 129)), 72, 4, 9, 290
    ),
    "d72h3, masks": GPTConfig(
        streams(("text", 17, 211), ("seg", 180, 77, (12, 15)), ("img", 300, 333, (20, 15))),
        *(72, 4, 3, 290),
        attention=("row", "column", "causal", "conv"),
        conv_kernel=7,
    ),
}


def random_model(config: GPTConfig, seed: int = 0, spread: float = 0.1) -> GPT:
    """A GPT in fp64 (its weights are fp32 numbers) whose logits are far from uniform."""
    model = GPT.create(config, dtype=torch.float64, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter).normal_(0, spread, generator=generator)
            parameter.copy_((parameter + noise).float())
    return model


def random_tokens(config: GPTConfig, rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, s.vocab, (rows, s.length)) for s in config.streams]
    return np.concatenate(columns, 1).astype(np.int32)


def exact_logits(model: GPT, tokens: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {k: v.numpy() for k, v in model(torch.from_numpy(tokens).long()).items()}
