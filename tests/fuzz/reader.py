"""What a reader of files is to be here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reader:
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    files: tuple[str, ...] = ("*",)
    mend: Callable[[Path], object] = lambda folder: None


def attempt(*calls: Callable[[], object]) -> None:
    """All of them, though the first may refuse; the last refusal goes on."""
    refusal = None
    for call in calls:
        try:
            call()
        except (ValueError, OSError, ImportError, MemoryError) as error:
            refusal = error
    if refusal:
        raise refusal
