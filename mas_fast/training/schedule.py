"""LR schedules: the factor of the base learning rate at a step, counted from 0.

All begin with `warmup` steps of a straight line up to 1.
"""

import math


def cosine(step: int, steps: int, warmup: int, end: float) -> float:
    """Half a cosine from 1 down to `end` at the last of `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def step_drop(step: int, drop_step: int, warmup: int, end: float) -> float:
    """1 before `drop_step`, `end` from there on."""
    if step < warmup:
        return (step + 1) / warmup
    return 1.0 if step < drop_step else end
