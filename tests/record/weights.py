"""Random weights and pictures that every machine makes alike, for recordings and their tests."""

from __future__ import annotations

import numpy as np


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """fp32 arrays by name: normal, with the deviation sqrt(2 / inputs) for kernels and 0.3 for
    vectors, variances uniform in 0.5..1.5. numpy's RandomState, whose stream is frozen."""
    random, state = np.random.RandomState(seed), {}
    for name, shape in shapes.items():
        if name.endswith("running_var"):
            values = random.uniform(0.5, 1.5, shape)
        else:
            scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.3
            values = scale * random.standard_normal(shape)
        state[name] = values.astype(np.float32)
    return state


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """uint8 [H, W, 3]: waves of another length and phase in each colour."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[:height, :width][:, :, :, None]
    fx, fy, phase = random.uniform(0.02, 0.15, 3), random.uniform(0.02, 0.15, 3), random.rand(3) * 6
    mean, height = random.uniform(90, 160, 3), random.uniform(40, 80, 3)
    return np.round(mean + height * np.sin(fx * x + fy * y + phase)).astype(np.uint8)
