"""kv_cache.py: room for keys and values, and copies for several samples."""

import torch

from mas_fast.models.gpt_config import preset
from random_gpt import random_model, random_tokens

TINY = preset("tiny")


def test_a_repeated_cache_continues_each_sample_from_the_shared_prompt(poison_empty):
    model, tokens = random_model(TINY), random_tokens(TINY, 2)
    cache = model.new_cache(2, 8)
    model.prefill(tokens[:, :8], cache)
    shared = cache.repeat(3, 39)
    assert shared.k.shape == (2, 6, 4, 39, 8)
    rows = tokens.repeat_interleave(3, 0)
    expected = model(rows)["seg"][:, 1]
    torch.testing.assert_close(model.decode(rows[:, 8], 8, shared), expected, rtol=1e-9, atol=1e-11)
