"""gpt_layers.py: positions, attention from a cache, modules by stream."""

import dataclasses

import pytest
import torch
from torch import nn

from mas_fast.models.gpt_config import preset
from mas_fast.models.gpt_layers import (
    MLP,
    Attention,
    Block,
    ByStream,
    FlatPositions,
    GridPositions,
)
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


def test_grid_positions_by_hand() -> None:
    positions = GridPositions((2, 3), 2)
    with torch.no_grad():
        positions.row.weight.copy_(torch.tensor([[0.0, 5.0], [10.0, 6.0]]))
        positions.column.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.5]]))
    expected = [[0, 5], [1, 5], [2, 5.5], [10, 6], [11, 6], [12, 6.5]]
    assert positions().tolist() == expected


def test_flat_positions_are_their_table() -> None:
    positions = FlatPositions(3, 2)
    assert positions() is positions.weight
    assert positions.weight.shape == (3, 2)


def filled(layer: nn.Module) -> nn.Module:
    """In fp64, with weights at random."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.double().parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return layer


@pytest.mark.parametrize("mask", ["causal", "row", "column", "conv"])
@pytest.mark.parametrize("prefix", [1, 8, 13])
@pytest.mark.parametrize("window", [1, 3, 32])
def test_attention_from_a_cache_is_that_of_the_whole(mask, prefix, window) -> None:
    config = dataclasses.replace(TINY, qk_norm=True, attention=mask, conv_kernel=3)
    layer = filled(Attention(config, mask))
    x = torch.randn(2, 40, config.dim, dtype=torch.float64)
    room = torch.full((2, config.heads, 40, config.head_dim), torch.nan, dtype=torch.float64)
    cache = room, room.clone()  # what is not written must not be read
    with torch.no_grad():
        whole = layer(x, None, 0)
        found = [layer(x[:, :prefix], cache, 0)]
        found += [layer(x[:, n : n + window], cache, n) for n in range(prefix, 40, window)]
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mask", ["causal", "row", "column", "conv"])
def test_a_query_meets_no_key_after_it(mask) -> None:
    """Not even with a weight of 0, which an infinite value would outlive."""
    config = dataclasses.replace(TINY, attention=mask)
    layer = filled(Attention(config, mask))
    x = torch.randn(1, 6, config.dim, dtype=torch.float64)
    room = torch.randn(1, config.heads, 40, config.head_dim, dtype=torch.float64)
    alone = layer(x[:, :4], (room.clone(), room.clone()), 13)
    x[:, 4:] = torch.inf
    found = layer(x, (room.clone(), room.clone()), 13)[:, :4]
    torch.testing.assert_close(found, alone, rtol=1e-10, atol=1e-12)


def test_queries_and_keys_are_normalised_only_where_the_config_says_so() -> None:
    plain = Attention(TINY, "causal")
    assert not list(plain.q_norm.parameters())
    assert not list(plain.k_norm.parameters())
    normed = Attention(dataclasses.replace(TINY, qk_norm=True), "causal")
    assert normed.q_norm.weight.shape == normed.k_norm.weight.shape == (TINY.head_dim,)
    assert normed.q_norm.eps == normed.k_norm.eps == 1e-6


def test_the_mlp_has_the_exact_gelu() -> None:
    layer = filled(MLP(TINY))
    x = torch.randn(2, 3, TINY.dim, dtype=torch.float64)
    up = x @ layer.up.weight.T + layer.up.bias
    gelu = up * 0.5 * (1 + torch.erf(up / 2**0.5))
    expected = gelu @ layer.down.weight.T + layer.down.bias
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_a_block_adds_what_its_parts_give() -> None:
    block = filled(Block(TINY, "causal"))
    x = torch.randn(2, 5, TINY.dim, dtype=torch.float64)
    with torch.no_grad():
        middle = x + block.attention(block.norm1(x), None, 0)
        assert torch.equal(block(x), middle + block.mlp(block.norm2(middle)))
        for last in (block.attention.proj, block.mlp.down):
            last.weight.zero_(), last.bias.zero_()
        assert torch.equal(block(x), x)
    assert block.norm1.eps == block.norm2.eps == 1e-5


def test_streams_may_be_called_as_what_a_module_dict_refuses() -> None:
    names = ["keys", "type", "training"]
    for name in names:
        with pytest.raises(KeyError, match="already exists"):
            nn.ModuleDict({name: nn.Linear(1, 1)})
    modules = ByStream({name: nn.Linear(1, 1, bias=False) for name in names})
    assert list(modules.state_dict()) == [f"{name}.weight" for name in names]
    assert modules["type"] is list(modules.values())[1]
