"""kv_cache.py: room for keys and values, and copies for several samples."""

import pytest
import torch

from mas_fast.models.gpt_config import preset
from mas_fast.models.kv_cache import KVCache
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
    found = model.decode(rows[:, 8:9], 8, shared)[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_room_of_its_own_for_keys_and_values() -> None:
    cache = KVCache.empty(TINY, 2, 5, device="cpu", dtype=torch.bfloat16)
    for tensor in (cache.k, cache.v):
        assert tensor.shape == (2, 2, 4, 5, 8)  # layers, rows, heads, positions, channels
        assert tensor.dtype == torch.bfloat16
    assert cache.k.data_ptr() != cache.v.data_ptr()


def test_a_copy_repeats_rows_in_succession_and_leaves_the_original_alone() -> None:
    numbers = torch.arange(2 * 3 * 1 * 4 * 2.0).view(2, 3, 1, 4, 2)
    cache = KVCache(numbers.clone(), -numbers)
    copy = cache.repeat(2, 7)
    assert copy.k.shape == copy.v.shape == (2, 6, 1, 7, 2)
    for row, source in enumerate((0, 0, 1, 1, 2, 2)):
        assert torch.equal(copy.k[:, row, :, :4], numbers[:, source])
        assert torch.equal(copy.v[:, row, :, :4], -numbers[:, source])
    copy.k.zero_()
    assert torch.equal(cache.k, numbers)


def test_no_copy_has_less_room_than_what_is_in_it() -> None:
    cache = KVCache.empty(TINY, 1, 5, device="cpu", dtype=torch.float32)
    with pytest.raises(RuntimeError, match="size"):
        cache.repeat(2, 4)
