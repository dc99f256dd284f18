"""kernels/launch.py: which tile a GPU gets."""

import pytest
import torch

from mas_fast.kernels import launch

# KiB of shared memory that a program can have (CUDA programming guide, "Compute Capabilities").
HELD = {80: 163, 86: 99, 87: 163, 89: 99, 90: 227, 100: 227, 103: 227, 110: 227, 120: 99, 121: 99}


@pytest.mark.parametrize("capability", HELD)
def test_shared_memory_holds_every_tile(capability) -> None:
    for kernel in launch.TILES:
        assert launch.tile(kernel, capability).shared <= HELD[capability]


def test_the_newest_tile_that_fits_is_taken(monkeypatch) -> None:
    small, large, huge = (launch.Tile(64, 64, 4, 2, shared=kib) for kib in (99, 150, 200))
    monkeypatch.setitem(launch.TILES, "one", {80: small, 87: large, 90: huge})
    found = {c: launch.tile("one", c) for c in (75, *HELD)}
    assert found == dict.fromkeys(found, small) | {87: large} | dict.fromkeys(
        (90, 100, 103, 110), huge
    )


def test_the_interpreter_is_sm_80() -> None:
    assert launch.capability(torch.zeros(1)) == 80


def test_options() -> None:
    assert launch.Tile(1, 1, 4, 2).options == {"num_warps": 4, "num_stages": 2}
    assert launch.Tile(1, 1, 4, 2, maxnreg=128).options["maxnreg"] == 128
