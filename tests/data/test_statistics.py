"""data/statistics.py: counts that add up."""

import json

import numpy as np
import pytest

from mas_fast.data.statistics import Statistics, add_up, mean, quantile
from mas_fast.scene import Scene


def one(labels, captions=(), person=False, closed=False) -> Statistics:
    statistics = Statistics()
    labels = np.array(labels, np.uint8)
    scene = Scene(labels, np.zeros(labels.shape, bool))
    statistics.add(scene, list(captions), person, closed)
    return statistics


PARTS = [
    one([[0, 0, 255]], ["a red house", "빨간 집"], person=True),
    one([[3, 255], [3, 0]], person=True),
    one([[7]], ["x"], closed=True),
]


def test_counts():
    total = add_up(PARTS)
    assert (total.samples, total.persons, total.closed) == (3, 2, 1)
    assert total.pixels == {0: 3, 255: 2, 3: 2, 7: 1}
    assert total.pictures == {0: 2, 255: 2, 3: 1, 7: 1}
    assert total.captions == {2: 1, 0: 1, 1: 1}
    assert total.words == {3: 1, 2: 1, 1: 1}
    assert total.characters == {11: 1, 4: 1, 1: 1}
    assert PARTS[0] == one([[0, 0, 255]], ["a red house", "빨간 집"], person=True)  # unchanged


def test_json_and_back():
    for part in (add_up(PARTS), Statistics()):
        assert Statistics.from_dict(json.loads(json.dumps(part.to_dict()))) == part
    assert list(PARTS[1].to_dict()["pixels"]) == ["0", "3", "255"]  # whatever came first


def test_marks_of_a_histogram():
    lengths = {1: 1, 5: 2, 9: 7}
    marks = {0: 1, 0.1: 1, 0.11: 5, 0.3: 5, 0.31: 9, 1: 9}
    assert {share: quantile(lengths, share) for share in marks} == marks
    assert mean(lengths) == pytest.approx(7.4)
    assert quantile({}, 0.5) == 0
    assert mean({}) == 0
