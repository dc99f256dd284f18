"""devices.py: names of devices."""

import pytest
import torch

from mas_fast.devices import find_device


def test_devices() -> None:
    assert find_device("cpu") == find_device(torch.device("cpu")) == torch.device("cpu")
    assert find_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("tpu9", "cuda:99"):
        with pytest.raises(ValueError, match=f"device: found '{name}', expected one that is here"):
            find_device(name)
