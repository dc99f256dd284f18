"""How fast a device is at what training is made of."""

from __future__ import annotations

import time

import torch

SIZES = {"cuda": 8192, "cpu": 1024}  # of the square matrices
REPEATS = 5


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of the device's best matrix product.

    The numbers are random: zeros would draw less power, and run faster than anything real.
    """
    size = SIZES.get(device.type, 1024)
    generator = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(size, size, device=device, generator=generator).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(REPEATS):
        _wait(device)
        start = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
