"""scoring.py: log-likelihoods with a caption, minus those without it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from built import needs_engine
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.scoring import log_likelihood, score_tokens
from mas_fast.models.gpt import GPT
from mas_fast.streams import Streams
from random_gpt import PROMPT, peaked, random_tokens


@pytest.fixture(scope="module")
def model() -> GPT:
    return peaked()


@pytest.fixture(scope="module")
def tokens(model) -> torch.Tensor:
    return random_tokens(model.config, 2, seed=5)


def by_hand(model: GPT, text, tokens: torch.Tensor) -> dict[str, list[float]]:
    """The definition in fp64: log p of each token after all before it, one pass each."""
    rows = tokens.clone()
    rows[:, :8] = torch.as_tensor(text)
    totals = {"seg": [0.0] * len(rows), "img": [0.0] * len(rows)}
    for n, row in enumerate(rows):
        for position in range(8, 40):
            name = model.streams.at(position).name
            with torch.no_grad():
                logit = model(row[None, :position])[name][0, -1]
            assert logit.dtype == torch.float64
            totals[name][n] += float(logit.log_softmax(0)[row[position]])
    return totals


def minus(a: dict, b: dict) -> dict[str, list[float]]:
    return {name: (np.array(a[name]) - np.array(b[name])).tolist() for name in a}


def test_scores_are_those_of_the_definition(model, tokens) -> None:
    scores = score_tokens(EagerEngine(model), PROMPT, tokens)
    expected = minus(by_hand(model, PROMPT, tokens), by_hand(model, PROMPT * 0, tokens))
    assert list(scores) == ["seg", "img"]
    for name, score in scores.items():
        assert score.dtype == np.float64
        assert score.tolist() == pytest.approx(expected[name], abs=2e-5)  # of fp32 logits
        assert np.abs(score).min() > 0.1


@needs_engine
def test_both_engines_give_the_same_scores(tokens) -> None:
    model = peaked(torch.float32)
    cpp = CppEngine(model, threads=1, dtype="fp32", kv_dtype="fp32")
    found = score_tokens(cpp, PROMPT, tokens)
    for name, expected in score_tokens(EagerEngine(model), PROMPT, tokens).items():
        assert found[name].tolist() == pytest.approx(expected.tolist(), abs=1e-3)


def test_one_caption_one_null_or_one_of_each(model, tokens) -> None:
    engine = EagerEngine(model)
    each = score_tokens(engine, [[5, 9], [4]], tokens, null=[[1], [2, 2]])
    for n, (prompt, null) in enumerate((([5, 9], [1]), ([4], [2, 2]))):
        both = score_tokens(engine, prompt, tokens, null=null)
        alone = score_tokens(engine, prompt, tokens[n].tolist(), null=[null])
        for name in each:
            assert each[name][n] == both[name][n] == alone[name][0]
    same = score_tokens(engine, [5, 9], tokens, null=[5, 9])
    assert all(score.tolist() == [0.0, 0.0] for score in same.values())
    other = tokens.clone()
    other[:, :8] = 63  # of no account
    again = score_tokens(engine, [[5, 9], [4]], other, null=[[1], [2, 2]])
    assert all(np.array_equal(again[name], each[name]) for name in each)


def test_sequences_are_read_one_by_one(model, tokens) -> None:
    read = []

    def logits(tokens):
        read.append(tokens.tolist())
        return EagerEngine(model).logits(tokens)

    engine = SimpleNamespace(streams=model.streams, logits=logits)
    score_tokens(engine, PROMPT, tokens)
    rest = tokens[:, 8:].tolist()
    captions = (PROMPT[0], PROMPT[0] * 0, PROMPT[1], PROMPT[1] * 0)
    assert read == [[[*text.tolist(), *rest[n // 2]]] for n, text in enumerate(captions)]


@pytest.mark.parametrize("scale", [1, 1000])
def test_log_likelihoods_in_fp64(scale) -> None:
    """Of logits whose exponentials overflow, too, and of many."""
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=(256, 999)) * scale).astype(np.float32)
    tokens = rng.integers(0, 999, 256).astype(np.int32)
    logp = torch.from_numpy(logits).double().log_softmax(1)
    expected = float(logp[torch.arange(256), torch.from_numpy(tokens).long()].sum())
    assert log_likelihood(logits, tokens) == pytest.approx(expected, rel=1e-13)


def test_logits_that_overflow_are_refused() -> None:
    logits = np.zeros((2, 4), np.float32)
    for value in (np.nan, np.inf):
        logits[1, 2] = value
        with (
            np.errstate(invalid="ignore"),
            pytest.raises(ValueError, match="logits: found a log-likelihood of nan, expected a"),
        ):
            log_likelihood(logits, np.zeros(2, np.int32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokens": [[1] * 39]}, "tokens: found 39 in a row, expected 40"),
        ({"tokens": [[1] * 8 + [-1] * 32]}, "tokens: found id -1 in 'seg', expected 0 to 31"),
        ({"prompt": [[1]] * 3}, "captions: found 3, expected one, or 2 as rows of tokens"),
        ({"prompt": [64]}, "prompt: found id 64 in 'text'"),
        ({"null": [[1]] * 3}, "null: found 3 captions, expected one, or 2 as prompts"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(model, tokens, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        score_tokens(EagerEngine(model), **({"prompt": [1], "tokens": tokens} | arguments))


def test_without_a_pad_id_a_null_is_needed(model, tokens) -> None:
    streams = Streams(dataclasses.replace(stream, pad=None) for stream in model.streams)
    engine = SimpleNamespace(streams=streams, logits=EagerEngine(model).logits)
    with pytest.raises(ValueError, match="null: found None, expected ids: 'text' has no pad id"):
        score_tokens(engine, [1] * 8, tokens)
    found = score_tokens(engine, PROMPT, tokens, null=[0] * 8)
    expected = score_tokens(EagerEngine(model), PROMPT, tokens)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
