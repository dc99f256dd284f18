"""Progress on stderr: a bar on a terminal; elsewhere, as in a log, a plain line each minute. No
torch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

EVERY = 60.0  # seconds between two lines where nobody sees a bar move; shorter work writes none


def progress_bar(items: Iterable | None = None, *, show: bool = True, **options: Any) -> tqdm:
    """Make a progress bar.

    Args:
        items: what to iterate over; None for a bar that is moved by hand.
        show: whether to show anything.
        options: those of tqdm.

    Returns:
        The bar.
    """
    if not show or terminal():
        return tqdm(items, disable=not show, dynamic_ncols=True, **options)
    return _Rare(
        items,
        file=_Lines(),
        ncols=100,
        ascii=True,
        delay=EVERY,
        mininterval=EVERY,
        **options,
    )


class _Rare(tqdm):
    """Draws when it is time, and not whenever a description changes."""

    def refresh(self, *arguments: Any, **options: Any) -> None:
        now = self._time()  # type: ignore[attr-defined]  # tqdm's own clock, not in its annotations
        if now - self.last_print_t >= self.mininterval:
            super().refresh(*arguments, **options)


def terminal() -> bool:
    return sys.stderr.isatty()


class _Lines:
    """What tqdm draws, one line under the other."""

    def write(self, text: str) -> None:
        if text := text.strip():
            sys.stderr.write(f"{text}\n")

    def flush(self) -> None:
        sys.stderr.flush()
