"""How many cores a process may use. No torch."""

from __future__ import annotations

import os

from mas_fast.utils import native


def available() -> int:
    """Cores that this process may run on: those of its affinity mask, or fewer where a cgroup's
    quota limits its time; the mask's alone where the C++ engine, which counts them, is not built.
    At least 1."""
    if native.problem("_engine") is None:
        return native.engine().available_threads()
    return len(os.sched_getaffinity(0))


def check_threads(threads: int, name: str = "threads") -> int:
    """The number, if it is 0 (all cores) or one of the cores available. More threads than cores
    wait for each other at every step."""
    most = available()
    if not 0 <= threads <= most:
        allowed = f"0 (all) to {most}, the cores that this process may use"
        raise ValueError(f"{name}: found {threads}, expected {allowed}")
    return threads
