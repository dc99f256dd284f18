"""GPTs and tokens at random."""

import dataclasses

import torch

from mas_fast.models.gpt import GPT, GPTConfig, preset


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
