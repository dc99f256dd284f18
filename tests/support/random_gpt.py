"""GPTs and tokens at random."""

import dataclasses

import numpy as np
import torch

from mas_fast.models.gpt import GPT, GPTConfig, preset

# What speculation is asked for, of `peaked`.
PROMPT = np.array([[5, 9, 3, 0, 0, 0, 0, 0], [7, 1, 1, 2, 60, 3, 0, 0]])
GUIDED = {"guidance": {"seg": 2.0, "img": 3.0}, "top_k": 5, "top_p": 0.9}
# Part of a scene, other tokens in each row, and a few of the picture.
PARTS = np.full((2, 40), -1)
PARTS[0, 9:20], PARTS[1, [8, 12, 13, 23]], PARTS[:, 26:29] = 3, 4, 60


def random_tokens(config: GPTConfig, rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    parts = [
        torch.randint(0, s.vocab, (rows, s.length), generator=generator) for s in config.streams
    ]
    return torch.cat(parts, 1)


def random_model(config: GPTConfig, dtype: torch.dtype = torch.float64) -> GPT:
    """With weights, gains and biases large enough that every part of the model matters."""
    model = GPT.create(config).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter).normal_(0, 0.1, generator=generator)
            parameter.add_(noise)
    return model.to(dtype)


def peaked(dtype=torch.float64, **changes) -> GPT:
    """A random model whose logits have a spread of about 2, so that what it is told matters."""
    model = GPT.create(dataclasses.replace(preset("tiny"), **changes), dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter)
            parameter.add_(
                noise.normal_(0, 0.3 if parameter.ndim > 1 else 0.1, generator=generator)
            )
    return model.to(dtype)
