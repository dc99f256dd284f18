"""eager.py: how likely forced tokens are, and rows that are kept, by which candidates are chosen;
and the logits of whole sequences."""

import numpy as np
import pytest
import torch

from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT
from random_gpt import GUIDED, PARTS, PROMPT, peaked, random_tokens


@pytest.fixture(scope="module")
def model() -> GPT:
    return peaked()


def logits_at(model: GPT, tokens: torch.Tensor, position: int) -> torch.Tensor:
    """[B, V] for the token at `position`, by a pass over all that comes before."""
    with torch.no_grad():
        return model(tokens[:, :position])[model.streams.at(position).name][:, -1].float()


def likelihood_by_hand(model: GPT, tokens: torch.Tensor, forced: np.ndarray, stop: int) -> list:
    """The definition, in fp64, of rows whose forced tokens are these."""
    totals = []
    for row, given in zip(tokens, forced, strict=True):
        first = 8 + int((given[8:] < 0).argmax())
        where = [p for p in range(first + 1, stop) if given[p] >= 0]
        total = 0.0
        for position in where:
            logit = logits_at(model, row[None], position)[0].double()
            total += float(logit[row[position]] - logit.logsumexp(0))
        totals.append(total)
    return totals


@pytest.mark.parametrize("speculate", [1, 3, 32])
@pytest.mark.parametrize("how", [{}, GUIDED], ids=["plain", "guided"])
def test_the_likelihood_of_forced_tokens(model, how, speculate) -> None:
    """Without guidance and top-k, whatever the tokens are drawn with, up to each position."""
    engine = EagerEngine(model)
    asked = {"forced": PARTS, "num_samples": 2, "speculate": speculate, **how}
    run = engine.start(request(engine.streams, PROMPT, score_forced=True, **asked))
    assert run.forced_log_likelihood.tolist() == [0.0] * 4
    assert run.forced_log_likelihood.dtype == torch.float64
    seen = set()
    while run.position < run.stop:
        run.advance(3)
        expected = likelihood_by_hand(model, run.tokens, PARTS.repeat(2, 0), run.position)
        assert run.forced_log_likelihood.tolist() == pytest.approx(expected, abs=1e-5)
        seen.add(tuple(expected))
    assert len(seen) > 4
    one = engine.start(request(engine.streams, PROMPT, score_forced=True, **asked))
    one.advance()
    assert torch.equal(one.forced_log_likelihood, run.forced_log_likelihood)
    assert len(set(one.forced_log_likelihood.tolist())) == 4
    other = engine.start(request(engine.streams, PROMPT, **asked))
    other.advance()
    assert torch.equal(other.tokens, run.tokens)
    assert other.forced_log_likelihood.tolist() == [0.0] * 4


def test_what_comes_before_all_that_a_row_draws_does_not_count(model) -> None:
    forced = np.full((2, 40), -1)
    forced[:, 8:14] = 3
    forced[0, 14:20] = 5  # the first row draws from 20 on, the second from 14 on
    engine = EagerEngine(model)
    run = engine.start(request(engine.streams, PROMPT, forced=forced, score_forced=True))
    run.advance()
    assert run.forced_log_likelihood.tolist() == [0.0, 0.0]
    whole = engine.start(request(engine.streams, PROMPT, forced=run.tokens, score_forced=True))
    assert whole.advance() == 40
    assert whole.forced_log_likelihood.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("when", [0, 1, 9, 32])
@pytest.mark.parametrize("rows", [[3, 0, 4], [5], [0, 1, 2, 3, 4, 5], (2, 1)], ids=str)
@pytest.mark.parametrize("how", [{}, GUIDED, {"speculate": 6, **GUIDED}], ids=str)
def test_rows_that_are_kept_go_on_as_they_would_have(model, how, rows, when) -> None:
    engine = EagerEngine(model)
    asked = {"forced": PARTS, "num_samples": 3, "null": [[4], [9]], "score_forced": True, **how}
    whole = engine.start(request(engine.streams, PROMPT, **asked))
    whole.advance()
    run = engine.start(request(engine.streams, PROMPT, **asked))
    if when:
        run.advance(when)
    before = run.tokens, run.forced_log_likelihood
    run.keep(rows)
    kept = torch.tensor(rows)
    assert torch.equal(run.tokens, before[0][kept])
    assert torch.equal(run.forced_log_likelihood, before[1][kept])
    assert run.advance() == 40
    assert torch.equal(run.tokens, whole.tokens[kept])
    likelihood = whole.forced_log_likelihood[kept].tolist()
    assert run.forced_log_likelihood.tolist() == pytest.approx(likelihood, abs=1e-5)


def test_rows_may_be_kept_again_and_without_a_pass(model) -> None:
    engine = EagerEngine(model)
    first = engine.start(request(engine.streams, PROMPT, num_samples=3, **GUIDED))
    first.advance()
    whole = first.tokens
    run = engine.start(request(engine.streams, PROMPT, num_samples=3, **GUIDED))
    for count, rows, left in ((4, [5, 1, 2], [5, 1, 2]), (7, np.array([2, 0]), [2, 5])):
        run.advance(count)
        run.keep(rows)
        assert torch.equal(run.tokens[:, : run.position], whole[left][:, : run.position])
    run.advance()
    assert torch.equal(run.tokens, whole[[2, 5]])
    run.keep([1])
    assert torch.equal(run.tokens, whole[[5]])
    given = engine.start(request(engine.streams, PROMPT, forced=whole[[0, 3]]))
    given.keep([1])
    assert torch.equal(given.tokens, whole[[3]])


def test_logits_are_those_of_the_forward_pass(model) -> None:
    engine = EagerEngine(model)
    tokens = random_tokens(model.config, 3)
    for length in (1, 8, 9, 30, 40):
        found = engine.logits(tokens[:, :length].int().numpy())
        with torch.no_grad():
            expected = model(tokens[:, :length])
        assert list(found) == ["text", "seg", "img"]
        for name, logits in expected.items():
            assert found[name].dtype == np.float32
            assert np.array_equal(found[name], logits.float().numpy())
