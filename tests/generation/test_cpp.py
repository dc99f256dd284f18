"""cpp.py: the engine with arrays, beside the one with tensors."""

import importlib.util

import numpy as np
import pytest
import torch

from mas_fast.generation import generate_tokens
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.request import request
from random_gpt import GUIDED, PARTS, PROMPT, peaked

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mas_fast._engine") is None,
    reason="mas_fast._engine is not built: pip install -e .",
)
DTYPES = {"dtype": "fp32", "kv_dtype": "fp32"}


def test_tokens_are_those_of_generation(tiny_bundle) -> None:
    engine = CppEngine(tiny_bundle, threads=1, **DTYPES)
    how = {"num_samples": 3, "seed": 5, "guidance": 3.0, "top_k": {"seg": 10**30}}
    run = engine.start(request(engine.streams, [[9, 30], [7, 7]], **how))
    assert (run.position, run.stop) == (8, 40)
    assert (run.tokens[:, 8:] == -1).all()
    steps = []
    assert run.advance(5, lambda *step: steps.append(step)) == 13
    assert steps[-1] == (13, 40)
    assert run.advance() == run.position == 40
    expected = generate_tokens(tiny_bundle, [[9, 30], [7, 7]], engine="cpp", **DTYPES, **how)
    assert run.tokens.dtype == np.int64
    assert np.array_equal(run.tokens, expected.numpy())


def start(engine, prompt, **how):
    return engine.start(request(engine.streams, prompt, **how))


@pytest.mark.parametrize("window", [1, 4, "auto"])
def test_nulls_schedules_and_likelihoods_are_those_of_the_eager_engine(window) -> None:
    model = peaked()
    how = {
        "forced": PARTS,
        "null": [[1, 2, 3], [4]],
        "guidance": {"seg": [1.0, 3.0], "img": [4.0, 1.0, 2.0]},
        "score_forced": True,
        "num_samples": 2,
        "seed": 3,
    }
    eager = start(EagerEngine(model), PROMPT, **how)
    eager.advance()
    cpp = start(CppEngine(model, threads=2, **DTYPES), PROMPT, speculate=window, **how)
    cpp.advance()
    assert np.array_equal(cpp.tokens, eager.tokens.numpy())
    assert (cpp.forced_log_likelihood < -1).all()
    expected = eager.forced_log_likelihood.tolist()
    assert cpp.forced_log_likelihood.tolist() == pytest.approx(expected, abs=1e-4)


def test_kept_rows_go_on_as_they_would_have() -> None:
    engine = CppEngine(peaked(), threads=2, dtype="int8")
    how = {"forced": PARTS, "num_samples": 3, "seed": 7, "score_forced": True, **GUIDED}
    whole = start(engine, PROMPT, **how)
    whole.advance()
    run = start(engine, PROMPT, **how)
    run.advance(9)
    run.keep([4, 0, 5])
    run.advance(5)
    run.keep(np.array([2, 0]))
    run.advance()
    assert np.array_equal(run.tokens, whole.tokens[[5, 4]])
    assert np.array_equal(run.forced_log_likelihood, whole.forced_log_likelihood[[5, 4]])
    with pytest.raises(ValueError, match=r"rows: found 2, expected integers in 0\.\.1"):
        run.keep([2])


def test_runs_share_passes_and_come_and_go(tiny_bundle) -> None:
    engine = CppEngine(tiny_bundle, threads=2, dtype="bf16")
    asked = [
        {"prompt": [[9, 30]], "seed": 1, "guidance": 3.0},
        {"prompt": [[7], [8, 3]], "seed": 2, "num_samples": 2, "temperature": 0.5},
        {"prompt": [[1]], "seed": 3, "guidance": [2.0, 1.0], "null": [5], "speculate": 8},
        {"prompt": [[2]], "stop": 25, "top_k": 3, "speculate": 1},
    ]
    alone = [start(engine, **how) for how in asked]
    for run in alone:
        run.advance()
    runs = [start(engine, **how) for how in asked]
    assert engine.advance(runs[:2], passes=3) == 3
    assert 8 < runs[0].position < 40
    present = runs[1:]  # the first one waits
    while present:
        assert 1 <= engine.advance(present, passes=2) <= 2
        present = [run for run in present if run.position < run.stop]
    assert runs[0].position < 40
    engine.advance(runs, passes=10**6)
    for run, expected in zip(runs, alone, strict=True):
        assert run.error is None
        assert np.array_equal(run.tokens, expected.tokens)
    assert engine.advance(runs) == 0


def test_runs_that_cannot_share_passes_are_named(tiny_bundle) -> None:
    one, other = (CppEngine(tiny_bundle, threads=1, **DTYPES) for _ in range(2))
    run = start(one, [[9]])
    with pytest.raises(ValueError, match="runs: found a run of another engine"):
        other.advance([run])
    with pytest.raises(ValueError, match="runs: found a run twice"):
        one.advance([run, run])
    with pytest.raises(TypeError, match="runs: found None, expected Runs"):
        one.native.advance([run.run, None])
    with pytest.raises(ValueError, match="passes: found 0, expected 1 to"):
        one.advance([run], passes=0)
    assert run.position == 8


@pytest.mark.parametrize("window", [1, 8])
def test_infinite_logits_share_the_probability(window) -> None:
    """Tokens are drawn from such logits, so one that is forced there has a likelihood too."""
    model = peaked(torch.float32)
    with torch.no_grad():
        model.norm.weight.zero_()
        model.norm.bias.fill_(4.0)
        model.head["img"].weight[[2, 7]] = 3e38
    forced = np.full(40, -1)
    forced[26] = 7
    expected = np.log(0.5)
    for engine in (CppEngine(model, threads=2, **DTYPES), EagerEngine(model)):
        run = start(engine, [[9]], forced=forced, speculate=window, score_forced=True)
        assert run.advance() == 40
        assert run.forced_log_likelihood.tolist() == pytest.approx([expected])
    forced[26] = 3
    for engine in (CppEngine(model, threads=2, **DTYPES), EagerEngine(model)):
        run = start(engine, [[9]], forced=forced, speculate=window, score_forced=True)
        run.advance()
        assert run.forced_log_likelihood.tolist() == [-np.inf]
