"""cpp.py: the engine with arrays, beside the one with tensors."""

import importlib.util

import numpy as np
import pytest

from mas_fast.generation import generate_tokens
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.request import request

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
