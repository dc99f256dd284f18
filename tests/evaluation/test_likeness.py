"""likeness.py: variety is 0 for one picture, agreement is mean IoU."""

import numpy as np
import pytest
import torch

from mas_fast.evaluation.likeness import agreement, statistics_of, variety
from mas_fast.evaluation.metrics import frechet_distance


def test_variety() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 4, 300, generator=generator) * 5 + 3
    spread = features.flatten(0, 1).std(0)
    assert variety([*features], spread) == pytest.approx(2**0.5, rel=0.02)
    assert variety([*(features * 0.5)], spread) == pytest.approx(0.5**0.5, rel=0.02)
    assert variety([features[0, :1].expand(4, -1)], spread) == 0


def test_statistics_are_those_of_the_features() -> None:
    features = torch.randn(50, 6)
    found = statistics_of(features)
    assert torch.allclose(found.covariance(), torch.cov(features.T.double()))
    assert frechet_distance(found, statistics_of(features)) == pytest.approx(0, abs=1e-9)
    moved = statistics_of(features + torch.tensor([3.0, 4, 0, 0, 0, 0]))
    assert frechet_distance(found, moved) == pytest.approx(25)


def test_agreement_is_over_all_maps() -> None:
    true = [np.zeros((4, 4), np.uint8), np.full((4, 4), 17, np.uint8)]
    assert agreement(true, true) == 1
    guess = [true[0], np.zeros((4, 4), np.uint8)]
    assert agreement(guess, true) == pytest.approx((0.5 + 0) / 2)
    true[1][:] = 255  # void counts for nothing
    assert agreement(guess, true) == 1
