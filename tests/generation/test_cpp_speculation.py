"""cpp.py: tokens are the same, bit for bit, however many positions a pass draws."""

import itertools
import math

import numpy as np
import pytest
import torch

from built import needs_engine
from mas_fast.bundle import load_bpe, read_sampling, shipped
from mas_fast.data.storybook.world1.captions import captions
from mas_fast.data.storybook.world1.story import story
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.request import WIDEST, request
from random_gpt import GUIDED, PARTS, PROMPT, peaked

pytestmark = needs_engine
WIDTHS = [2, 3, 5, 8, WIDEST, "auto"]
DTYPES = [("fp32", "fp32"), ("bf16", "bf16"), ("int8", "bf16"), ("int8", "int8"), ("int4", "int8")]
MASKS = [
    {},
    {"attention": "conv", "conv_kernel": 3},
    {"attention": ("row", "column"), "positions": "grid"},
]
HOW = {
    "plain": {},
    "greedy": {"temperature": 0.0},
    "guided": GUIDED,
    "guided picture": {"guidance": {"img": 3.0}, "temperature": 0.5},
    "samples": {"num_samples": 3, "seed": 5, **GUIDED},
    "forced": {"forced": PARTS, "num_samples": 2, **GUIDED},
    "stopped": {"forced": PARTS, "stop": 27, "top_k": 3},
}


def drawn(engine: CppEngine, prompt: object, **how) -> tuple[np.ndarray, int]:
    """The tokens, and the passes that drew them."""
    run = engine.start(request(engine.streams, prompt, **how))
    positions = []
    assert run.advance(progress=lambda position, _: positions.append(position)) == run.stop
    assert positions == sorted(set(positions))
    assert positions[-1] == run.stop
    return run.tokens, run.run.passes


def widths_agree(engine: CppEngine, prompt: object, widths=WIDTHS, **how) -> None:
    expected, most = drawn(engine, prompt, speculate=1, **how)
    for speculate in widths:
        tokens, passes = drawn(engine, prompt, speculate=speculate, **how)
        assert np.array_equal(tokens, expected), speculate
        assert passes <= most


def shipped_captions(engine: CppEngine, count: int) -> list[np.ndarray]:
    """The ids of captions that training never saw."""
    text = load_bpe(shipped()).encode([captions(story("validation", n))[0] for n in range(count)])
    return list(text[0])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dtype", "kv_dtype"), DTYPES)
def test_tokens_are_those_of_one_position_a_pass(dtype, kv_dtype, threads) -> None:
    engine = CppEngine(peaked(torch.float32), dtype=dtype, kv_dtype=kv_dtype, threads=threads)
    for how in HOW.values():
        widths_agree(engine, PROMPT, **how)


@pytest.mark.parametrize("changes", MASKS[1:], ids=str)
@pytest.mark.parametrize(("dtype", "kv_dtype"), DTYPES)
def test_and_under_every_mask(changes, dtype, kv_dtype) -> None:
    model = peaked(torch.float32, **changes)
    engine = CppEngine(model, dtype=dtype, kv_dtype=kv_dtype, threads=1)
    for how in HOW.values():
        widths_agree(engine, PROMPT, **how)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dtype", "kv_dtype"), DTYPES)
def test_a_thousand_seeds(dtype, kv_dtype, threads) -> None:
    engine = CppEngine(peaked(torch.float32), dtype=dtype, kv_dtype=kv_dtype, threads=threads)
    right = 0
    for seed in range(1000):
        one, many = drawn(engine, PROMPT[:1], speculate=1, seed=seed, **GUIDED)
        tokens, passes = drawn(engine, PROMPT[:1], speculate=8, seed=seed, **GUIDED)
        assert np.array_equal(tokens, one), seed
        right += many - passes
    assert right > 1000  # guesses


@pytest.mark.parametrize("speculate", [1, 4, WIDEST, "auto"])
def test_a_run_may_pause_anywhere(speculate) -> None:
    engine = CppEngine(peaked(torch.float32), threads=1)
    expected, _ = drawn(engine, PROMPT, speculate=1, **GUIDED)
    run = engine.start(request(engine.streams, PROMPT, speculate=speculate, **GUIDED))
    for count in itertools.cycle((1, 6, 2)):
        if run.position == run.stop:
            break
        reached = min(run.position + count, 40)
        assert run.advance(count) == reached  # no further than asked for
        assert np.array_equal(run.tokens[:, :reached], expected[:, :reached])
        assert (run.tokens[:, reached:] == -1).all()
    assert np.array_equal(run.tokens, expected)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
def test_the_shipped_model_draws_the_same(dtype) -> None:
    engine = CppEngine(shipped(), dtype=dtype)
    for text in shipped_captions(engine, 2):
        widths_agree(engine, text, [3, 16, "auto"], **read_sampling(shipped()))


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dtype", "kv_dtype"), DTYPES)
def test_the_shipped_model_draws_the_same_at_any_width(dtype, kv_dtype, threads) -> None:
    engine = CppEngine(shipped(), dtype=dtype, kv_dtype=kv_dtype, threads=threads)
    texts = shipped_captions(engine, 6)
    how = read_sampling(shipped())
    for text in texts[:3]:
        widths_agree(engine, text, **how)
    widths_agree(engine, np.stack(texts[3:]), num_samples=2, stop=200, **how)
    whole, _ = drawn(engine, texts[0], **how)
    part = np.full((1, 352), -1)
    part[:, 40:80] = whole[:, 40:80]  # of the scene
    widths_agree(engine, texts[0], forced=part, seed=9, **how)


@pytest.mark.slow
def test_a_window_of_16_leaves_a_third_of_the_passes() -> None:
    engine = CppEngine(shipped(), dtype="int8")
    passes = [
        drawn(engine, text, speculate=16, **read_sampling(shipped()))[1]
        for text in shipped_captions(engine, 16)
    ]
    drawn_tokens = engine.streams.length - engine.streams[0].length
    assert math.fsum(passes) <= len(passes) * drawn_tokens / 3
