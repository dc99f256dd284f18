"""The subject "requests" on a small model for the 271M shape."""

import json

import numpy as np
import pytest

from benchmarks import requests as subject
from benchmarks.versus import Disagreement

SMALL = subject.Plan(preset="storybook", positions=3, blocks=1, threads=1, dtypes=("int8",))


def test_it_runs_on_a_small_model(capsys) -> None:
    record = subject.run(SMALL)
    assert set(record["cases"]) == {"271M, int8", "shipped, int8"}
    json.dumps(record, allow_nan=False)
    subject.results.show(record)
    assert "16 requests, times the pictures of one at a time" in capsys.readouterr().out


def test_other_tokens_are_no_gain() -> None:
    engine = subject.CppEngine(subject.shipped(), dtype="int8", threads=1)
    pictures = subject.Pictures(engine, subject.story_requests(engine)[:2])
    pictures.tokens = [np.zeros((1, 352), np.int64)] * 2
    with pytest.raises(Disagreement, match="found other tokens"):
        pictures.together()
