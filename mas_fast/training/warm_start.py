"""Weights of one GPT in another: longer, with other vocabularies, or with a stream more.

minDALL-E's stage 2 becomes a GPT of three streams in this way: its text and img tables and heads
stay what they are, img at the positions of the picture and not of the sequence, so that what it
knows is all there, and seg gets tables and a head of its own.
"""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor

from mas_fast.bundle.torch_io import load_gpt
from mas_fast.models.gpt import GPT


@torch.no_grad()
def warm_start(model: GPT, bundle: str | os.PathLike) -> list[str]:
    """Fill `model` with the weights of the bundle's GPT.

    Of a stream with another vocabulary or, in the text, another length, the common ids or positions
    are taken. Flat positions of a grid of another size are those of the old grid, interpolated.
    The attention masks may differ: a masked model can begin with a causal one's weights.

    Returns:
        Names of the weights that keep their values: those of streams that the bundle does not have.

    Raises:
        ValueError: width, layers, heads, MLP, kind of positions or QK-norm differ.
    """
    source = load_gpt(bundle, dtype=model.dtype)
    old, new = source.config, model.config
    for name in ("dim", "layers", "heads", "mlp", "positions", "qk_norm"):
        if getattr(old, name) != getattr(new, name):
            old_value = f"found {name} = {getattr(old, name)}"
            raise ValueError(
                f"{bundle}: {old_value}, expected {getattr(new, name)} as in the model"
            )
    weights, kept = source.state_dict(), []
    for name, weight in model.state_dict().items():
        if name not in weights:
            kept.append(name)
            continue
        weight.copy_(_fitted(name, weights[name], weight, source, model))
    return kept


def _fitted(name: str, old: Tensor, new: Tensor, source: GPT, model: GPT) -> Tensor:
    if old.shape == new.shape and not name.startswith("position."):
        return old
    kind, stream = name.split(".")[:2]
    if kind == "position":
        before, after = (gpt.streams[stream] for gpt in (source, model))
        if before.grid != after.grid and before.grid and after.grid:
            return _resized(old, before.grid, after.grid, name)
    out = new.clone()
    count = min(len(old), len(new))
    out[:count] = old[:count]
    return out


def _resized(table: Tensor, before: tuple[int, int], after: tuple[int, int], name: str) -> Tensor:
    """A position table of the grid `before` on the grid `after`: flat, or of rows or columns."""
    if name.endswith(("row.weight", "column.weight")):
        size = after[0] if name.endswith("row.weight") else after[1]
        return F.interpolate(table.T[None], size=size, mode="linear")[0].T
    maps = table.view(*before, -1).permute(2, 0, 1)[None]
    resized = F.interpolate(maps.float(), size=after, mode="bilinear")[0]
    return resized.permute(1, 2, 0).flatten(0, 1).to(table.dtype)
