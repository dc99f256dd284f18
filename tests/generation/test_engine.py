"""engine.py: what is an engine, and what every run of one keeps to."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from built import needs_engine
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.engine import Engine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT, preset

PROMPT = [[5, 9, 3], [7, 1]]


def eager(model: GPT) -> Engine:
    return EagerEngine(model)


def cpp(model: GPT) -> Engine:
    return CppEngine(model, threads=1, dtype="fp32", kv_dtype="fp32")


@pytest.fixture(scope="module", params=[eager, pytest.param(cpp, marks=needs_engine)])
def engine(request) -> Engine:
    return request.param(GPT.create(preset("tiny")))


def test_what_is_an_engine(engine) -> None:
    assert isinstance(engine, Engine)
    assert engine.streams == preset("tiny").streams
    assert isinstance(SimpleNamespace(streams=engine.streams, start=engine.start), Engine)
    assert not isinstance(SimpleNamespace(streams=engine.streams), Engine)
    assert not isinstance(SimpleNamespace(start=engine.start), Engine)


@pytest.mark.parametrize("speculate", ["auto", 1, 4, 32])
def test_a_run_goes_on_by_some_positions_or_to_its_end(engine, speculate) -> None:
    how = {"num_samples": 2, "stop": 20, "speculate": speculate}
    run = engine.start(request(engine.streams, PROMPT, **how))
    assert (run.position, run.stop) == (8, 20)
    steps = []
    for count, reached in ((1, 9), (4, 13), (0, 20), (3, 20)):
        assert run.advance(count, lambda *step: steps.append(step)) == reached == run.position
        tokens = np.asarray(run.tokens)
        assert tokens.shape == (4, 40)
        assert tokens.dtype == np.int64
        assert (tokens[:, :reached] >= 0).all()
        assert (tokens[:, reached:] == -1).all()
    positions = [position for position, stop in steps if position > 8]  # the prefill tells too
    assert positions == sorted(set(positions))
    assert {9, 13, 20} <= set(positions) <= {*range(9, 21)}
    assert {stop for _, stop in steps} == {20}
    if speculate == 1:
        assert positions == [*range(9, 21)]


def test_rows_of_a_prompt_follow_each_other(engine) -> None:
    run = engine.start(request(engine.streams, PROMPT, num_samples=2))
    expected = [[5, 9, 3] + [0] * 5] * 2 + [[7, 1] + [0] * 6] * 2
    assert torch.as_tensor(run.tokens)[:, :8].tolist() == expected


def test_no_run_goes_back(engine) -> None:
    run = engine.start(request(engine.streams, PROMPT))
    with pytest.raises(ValueError, match="count: found -1, expected "):
        run.advance(-1)
    assert run.position == 8
