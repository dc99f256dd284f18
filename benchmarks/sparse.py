"""A GPT under DALL-E's masks (arXiv 2102.12092, appendix B.1): row, column, row, row by turns, and
conv in the last layer. No torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mas_fast.models.gpt_config import GPTConfig

if TYPE_CHECKING:
    from mas_fast.models.gpt import GPT


def sparse_config(config: GPTConfig) -> GPTConfig:
    turns = ("row", "column", "row", "row") * config.layers
    return replace(config, attention=(*turns[: config.layers - 1], "conv"))


def sparse(model: GPT) -> GPT:
    """Return a copy of the model, with these masks."""
    copy = type(model)(sparse_config(model.config))
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    copy.load_state_dict(weights, assign=True)
    return copy
