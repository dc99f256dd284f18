"""Scenes for VQ-SEG, at random."""

import torch


def scene(size=(32, 48), rows=2, labels=157, seed=0):
    """Labels with void in between, and edges."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(labels + 20, (rows, *size), generator=generator)
    edges = torch.rand(rows, *size, generator=generator) < 0.3
    return torch.where(found < labels, found, 255).to(torch.uint8), edges
