"""eager.py: schedules of guidance and the null caption of each prompt, against their definition."""

import numpy as np
import pytest
import torch

from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT
from mas_fast.ops import reference
from random_gpt import PROMPT, peaked

TEXT = torch.from_numpy(PROMPT)


@pytest.fixture(scope="module")
def model() -> GPT:
    return peaked()


def drawn(model: GPT, **how) -> torch.Tensor:
    engine = EagerEngine(model)
    run = engine.start(request(engine.streams, PROMPT, **how))
    run.advance()
    return run.tokens


def logits_at(model: GPT, tokens: torch.Tensor, position: int) -> torch.Tensor:
    """[B, V] for the token at `position`, by a pass over all that comes before."""
    with torch.no_grad():
        return model(tokens[:, :position])[model.streams.at(position).name][:, -1].float()


def by_hand(model: GPT, guidance: np.ndarray, null: torch.Tensor, top_k: int) -> torch.Tensor:
    """One full pass for each token of each kind of row, guidance by its position, null by its
    prompt."""
    tokens = torch.full((2, 40), -1)
    tokens[:, :8] = TEXT
    for position in range(8, 40):
        other = torch.cat([null, tokens[:, 8:]], 1)
        scale = float(guidance[position])
        uncond = None if scale == 1 else logits_at(model, other, position)
        tokens[:, position] = reference.sample(
            logits_at(model, tokens, position),
            uncond=uncond,
            guidance=scale,
            top_k=top_k,
            seed=3,
            sample=torch.zeros(2, dtype=torch.int64),
            position=position,
        )
    return tokens


@pytest.mark.parametrize("speculate", [1, 5, 32])
def test_a_schedule_and_a_null_of_each_prompt(model, speculate) -> None:
    """A schedule that passes 1, where there is no guidance, and is negative at its end."""
    seg, img = [6.0, 1.0, 3.0], [4.0, -2.0]
    positions = np.arange(16) / 15
    guidance = np.ones(40)
    guidance[8:24] = np.interp(positions, [0, 0.5, 1], seg)
    guidance[24:] = np.interp(positions, [0, 1], img)
    null = [[4, 5, 6], [9]]
    padded = torch.tensor([[4, 5, 6, 0, 0, 0, 0, 0], [9, 0, 0, 0, 0, 0, 0, 0]])
    how = {"guidance": {"seg": seg, "img": img}, "null": null, "top_k": 9, "seed": 3}
    found = drawn(model, speculate=speculate, **how)
    assert torch.equal(found, by_hand(model, guidance, padded, top_k=9))
    swapped = drawn(model, speculate=speculate, **{**how, "null": null[::-1]})
    assert not torch.equal(found, swapped)


@pytest.mark.parametrize("speculate", [1, 8])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_equal_numbers_and_equal_nulls_change_nothing(dtype, speculate) -> None:
    model = peaked(dtype)
    one = drawn(model, guidance=2.3, speculate=speculate)
    for guidance in ([2.3, 2.3], [2.3] * 7, {"seg": [2.3] * 16, "img": 2.3}):
        assert torch.equal(drawn(model, guidance=guidance, speculate=speculate), one)
    for null in ([0], [[0], [0, 0]]):
        assert torch.equal(drawn(model, guidance=2.3, null=null, speculate=speculate), one)
    assert not torch.equal(drawn(model, guidance=[2.3, 3.0], speculate=speculate), one)
