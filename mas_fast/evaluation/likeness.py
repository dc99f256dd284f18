"""How alike scenes and pictures are to true ones: labels, distribution, variety.

agreement(decoded, true)                                        # mean IoU
statistics = FeatureStatistics(); statistics.add(features)      # `frechet_distance` of two
variety([[features of seed 0, of seed 1, ...], ...], spread)    # 0: all seeds give one picture
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mas_fast.evaluation.metrics import ConfusionMatrix, FeatureStatistics
from mas_fast.scene.labels import MINI158


def agreement(guesses: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> float:
    """Return the mean IoU of label maps of MINI158 over all of them.

    Args:
        guesses: uint8 [H, W] each.
        true: uint8, as many of the same shapes; 255 counts for nothing.

    Returns:
        The mean over the classes that there are.
    """
    matrix = ConfusionMatrix(MINI158.edge_channel)
    for guess, labels in zip(guesses, true, strict=True):
        matrix.add(torch.from_numpy(guess), torch.from_numpy(labels))
    return matrix.mean_iou()


def statistics_of(features: Tensor) -> FeatureStatistics:
    """Return the statistics of features, [N, D]."""
    found = FeatureStatistics()
    found.add(features)
    return found


def variety(features: Sequence[Tensor], spread: Tensor) -> float:
    """Measure how far pictures of one caption are from each other.

    Args:
        features: of each caption those of its pictures, [n, D], n > 1.
        spread: standard deviations of the features over pictures of all kinds, [D].

    Returns:
        The mean distance of two pictures of a caption, per feature and in its spreads: that of two
        pictures of any captions would be near the square root of 2.
    """
    scale = spread.clamp(min=1e-6) * spread.numel() ** 0.5
    return float(torch.stack([torch.pdist(each / scale).mean() for each in features]).mean())
