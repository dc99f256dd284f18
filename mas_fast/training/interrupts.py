"""How a run that is told to stop ends: with the words how to go on."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

TERMINATED = 128 + signal.SIGTERM  # the exit status, as a shell has it


@contextlib.contextmanager
def interruptible(words: Callable[[], str], spoken: bool = True) -> Iterator[None]:
    """Within it, SIGTERM and Ctrl-C say how to go on.

    SIGTERM ends the process with the status 143 and a line with the words; the KeyboardInterrupt of
    Ctrl-C carries them.

    Args:
        words: makes the words.
        spoken: whether SIGTERM prints the line.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _stop) if main else None
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(words()) from None
    except SystemExit as stop:
        if stop.code == TERMINATED and spoken:
            print(f"terminated: {words()}", file=sys.stderr)
        raise
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


def _stop(*_: object) -> None:
    raise SystemExit(TERMINATED)
