"""What a call adds to the process at its peak, as Linux counts it, page by page (VmHWM)."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.versus import Unavailable
from benchmarks.worker import Worker


def is_told() -> bool:
    """Return whether this system tells."""
    return sys.platform == "linux" and os.access("/proc/self/clear_refs", os.W_OK)


def added_bytes(call: Callable[[], object]) -> int:
    """Return the peak of the process while `call` runs, less what it held before, in bytes."""
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps would hide what a call takes
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def in_a_process(target: str, threads: int, **options) -> int | None:
    """Call `peak()` of a class in a process of its own.

    Args:
        target: the class, "module:Name".
        threads: of the process.
        options: what the class is made with.

    Returns:
        The result; None where the system does not tell, or the class is Unavailable there.
    """
    if not is_told():
        return None
    worker = Worker(target, threads)
    try:
        worker.create(**options)
        return worker.call("peak")
    except Unavailable:
        return None
    finally:
        worker.close()


def _status(field: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s*(\d+) kB", text)[1]) << 10
