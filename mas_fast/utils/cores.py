"""How many cores a process may use. No torch."""

from __future__ import annotations

import os

from mas_fast.utils import native


def available() -> int:
    """Count the cores that this process may run on.

    Returns:
        The cores of the affinity mask, or fewer where a cgroup's quota limits its time; those of
        the mask alone where the C++ engine, which counts them, is not built, and those of the
        machine where the system has no masks. At least 1.
    """
    if native.problem("_engine") is None:
        return native.engine().available_threads()
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int, name: str = "threads") -> int:
    """Check a number of threads.

    More threads than cores wait for each other at every step.

    Args:
        threads: 0 (all cores), or at most the cores that are available.
        name: what the error calls the number.

    Returns:
        The number.

    Raises:
        ValueError: if it is negative or larger than the number of cores available.
    """
    most = available()
    if not 0 <= threads <= most:
        allowed = f"0 (all) to {most}, the cores that this process may use"
        raise ValueError(f"{name}: found {threads}, expected {allowed}")
    return threads
