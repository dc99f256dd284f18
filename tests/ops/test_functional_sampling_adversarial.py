"""A thousandth of scripts/adversarial_sampler.py, which proves the sampler on a million rows."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

native = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")
SCRIPT = Path(__file__).parents[2] / "scripts/adversarial_sampler.py"
spec = importlib.util.spec_from_file_location("adversarial_sampler", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.mark.parametrize("kind", script.KINDS)
def test_rows_that_were_made_to_break_it(kind) -> None:
    rng = np.random.default_rng(script.KINDS.index(kind))
    for vocab in (1, 17, 300):
        found = script.differing(rng, kind, 8, vocab, "cpu")
        assert found == dict.fromkeys(native.supported_isas(), 0)


def test_a_wrong_row_would_be_found(monkeypatch) -> None:
    right = script.reference.sample
    monkeypatch.setattr(script.reference, "sample", lambda *a, **o: (right(*a, **o) + 1) % 300)
    found = script.differing(np.random.default_rng(0), "normal", 8, 300, "cpu")
    assert all(wrong == 8 for wrong in found.values())
