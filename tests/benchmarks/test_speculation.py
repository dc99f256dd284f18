"""The subject "speculation" on few captions and a small model for the 271M shape."""

import json

import numpy as np
import pytest

from benchmarks import speculation as subject
from benchmarks.versus import Disagreement

SMALL = subject.Plan(
    preset="storybook", captions=2, passes=2, blocks=1, threads=1, dtypes=("int8",)
)


def test_it_runs_on_a_small_model(capsys) -> None:
    record = subject.run(SMALL)
    case = record["cases"]["int8"]
    assert set(case["passes"]) == {*map(str, subject.WIDTHS), "auto"}
    assert case["passes"]["1"] == 320
    assert case["passes"]["16"] < 320 / 3
    assert set(case["271M passes"]["contestants"]) == set(map(str, subject.WIDTHS))
    json.dumps(record, allow_nan=False)
    subject.results.show(record)
    assert "int8, shipped: time of auto over width 1" in capsys.readouterr().out


def test_other_tokens_are_no_gain() -> None:
    engine = subject.CppEngine(subject.shipped(), dtype="int8", threads=1)
    ids = [subject.load_bpe(subject.shipped()).encode(["a dog"])[0]]
    pictures = subject.Pictures(engine, ids, 4, {0: np.zeros((1, 352), np.int64)})
    with pytest.raises(Disagreement, match="width 4: found other tokens for caption 0"):
        pictures.block()
