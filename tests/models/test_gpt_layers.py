"""gpt_layers.py: positions, attention from a cache, modules by stream."""

import dataclasses

import torch

from mas_fast.models.gpt_config import preset
from random_gpt import random_model, random_tokens

TINY = preset("tiny")


def test_grid_positions_are_row_plus_column():
    grid = random_model(dataclasses.replace(TINY, positions="grid"))
    flat = random_model(TINY)
    state = {name: value for name, value in grid.state_dict().items() if "position" not in name}
    for name, table in grid.position.items():
        state[f"position.{name}.weight"] = table()
    flat.load_state_dict(state)
    tokens = random_tokens(TINY, 2)
    for name, value in grid(tokens).items():
        assert torch.equal(value, flat(tokens)[name])
    assert torch.equal(
        grid.position["img"]()[6],
        grid.position["img"].row.weight[1] + grid.position["img"].column.weight[2],
    )
