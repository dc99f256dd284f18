"""engine.py: what is an engine, and what every run of one keeps to."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from built import needs_engine
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.engine import Engine, kept_rows
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
    assert engine.rows == 16
    names = ("streams", "rows", "start", "logits")
    parts = {name: getattr(engine, name) for name in names}
    assert isinstance(SimpleNamespace(**parts), Engine)
    for missing in parts:
        others = {name: part for name, part in parts.items() if name != missing}
        assert not isinstance(SimpleNamespace(**others), Engine)


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


def test_logits_take_ids_of_any_kind(engine) -> None:
    tokens = [[5, 9, 3, 1, 0, 0, 0, 0, 31], [7, 1, 1, 2, 60, 3, 0, 0, 2]]
    expected = engine.logits(torch.tensor(tokens))
    shapes = {name: logits.shape for name, logits in expected.items()}
    assert shapes == {"text": (2, 7, 64), "seg": (2, 2, 32), "img": (2, 0, 64)}
    for same in (tokens, np.array(tokens, np.uint8)):
        found = engine.logits(same)
        assert all(np.array_equal(found[name], expected[name]) for name in shapes)
    one = engine.logits(tokens[1])
    for name in shapes:
        assert one[name].dtype == np.float32
        assert np.allclose(one[name][0], expected[name][1], atol=1e-5)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([1] * 41, "tokens: found shape [1, 41], expected 1 to 40 in a row"),
        ([], "tokens: empty: found shape [0], expected some tokens"),
        ([[1.0]], "tokens: found dtype float64, expected integers"),
        ([-1], "tokens: found id -1 in 'text', expected 0 to 63"),
        ([0] * 8 + [32], "tokens: found id 32 in 'seg', expected 0 to 31"),
    ],
)
def test_tokens_without_logits_are_named(engine, tokens, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        engine.logits(tokens)


def test_rows_that_can_be_kept() -> None:
    for rows in ([2, 0], (2, 0), np.array([2, 0], np.uint8), torch.tensor([2, 0])):
        found = kept_rows(rows, 3)
        assert found.dtype == np.int64
        assert found.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "rows: found [], expected some integers in 0..2"),
        (1, "rows: found 1, expected some integers in 0..2"),
        ([1.0], "rows: found [1.0], expected some integers in 0..2"),
        ([True], "rows: found [True], expected some integers in 0..2"),
        ([[0, 1]], "rows: found [[0, 1]], expected some integers in 0..2"),
        ([0, 3], "rows: found 3, expected integers in 0..2"),
        ([-1], "rows: found -1, expected integers in 0..2"),
        ([1, 0, 1], "rows: found [1, 0, 1], expected none twice"),
    ],
)
def test_rows_that_cannot_be_kept_are_named(rows, message) -> None:
    with pytest.raises(ValueError) as error:
        kept_rows(rows, 3)
    assert str(error.value) == message
