"""segmenter.py: what goes in and what comes out."""

import numpy as np
import torch

from mas_fast.models.segmenter import WIDTHS, Segmenter, to_tensor

torch.set_num_threads(1)


def test_shapes() -> None:
    model = Segmenter([3, 7, 119]).eval()
    assert model(torch.zeros(2, 3, 64, 32)).shape == (2, 3, 32, 16)
    pictures = [np.full((64, 64, 3), value, np.uint8) for value in (0, 200)]
    found = model.segment(pictures)
    assert [labels.shape for labels in found] == [(32, 32)] * 2
    assert all(labels.dtype == np.uint8 and set(labels.flat) <= {3, 7, 119} for labels in found)
    assert np.array_equal(found[1], model.segment(pictures[1:])[0])


def test_features() -> None:
    model = Segmenter([3]).eval()
    x = torch.rand(2, 3, 64, 32)
    found = model.features(x)
    sizes = [(2, width, 32 >> n, 16 >> n) for n, width in enumerate(WIDTHS)]
    assert [tuple(y.shape) for y in found] == sizes
    other = x.clone()
    other[1, :, :32] = 0
    for y, z in zip(found, model.features(other), strict=True):
        assert torch.allclose(y[0], z[0], atol=1e-6)  # a picture is seen alone
        assert not torch.allclose(y[1], z[1], atol=1e-3)


def test_bytes_become_numbers() -> None:
    pictures = np.zeros((1, 2, 2, 3), np.uint8)
    pictures[0, 1, 0] = (0, 255, 51)
    found = to_tensor(pictures)
    assert found.shape == (1, 3, 2, 2)
    assert torch.allclose(found[0, :, 1, 0], torch.tensor([-1.0, 1.0, -0.6]))
