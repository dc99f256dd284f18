"""attention_masks.py against the definition of the masks, and the GPT's gradients under them."""

import dataclasses

import pytest
import torch

from mas_fast import ops
from mas_fast.models.gpt import GPT, preset
from mas_fast.ops.attention_masks import MASKS, seen
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.streams import Streams

LAYOUTS = [(6, ((5, 6), (10, 4))), (0, ((4, 9),)), (3, ((1, 7), (8, 1), (7, 7)))]


@pytest.mark.parametrize("kernel", [1, 3, 11])
@pytest.mark.parametrize(("text", "grids"), LAYOUTS)
@pytest.mark.parametrize("mask", MASKS)
def test_ranges_are_the_rows_of_the_definition(mask, text, grids, kernel):
    layout = {"text": text, "grids": grids, "kernel": kernel}
    length = text + sum(height * width for height, width in grids)
    shown = reference_attention.visible(mask, length, **layout)
    for position in range(length):
        found = [other for part in seen(mask, position, **layout) for other in part]
        assert sorted(found) == shown[position].nonzero().flatten().tolist()
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("attention", [*MASKS, ("conv", "row")], ids=str)
def test_gradients_are_those_of_the_definition(attention, count, monkeypatch):
    """Of sequences of the first two streams, and of all."""
    config = dataclasses.replace(preset("tiny"), attention=attention, conv_kernel=3)
    length = Streams(list(config.streams)[:count]).length
    tokens = torch.randint(32, (2, length))
    found = []
    for attend in (ops.attention, reference_attention.attention):
        monkeypatch.setattr(ops, "attention", attend)
        model = GPT.create(config, dtype=torch.float64)
        model.loss(tokens)[0].backward()
        found.append([p.grad for p in model.parameters() if p.grad is not None])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)
