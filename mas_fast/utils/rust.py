"""Libraries in Rust, which may panic. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_panics() -> Iterator[None]:
    """Turn a panic within the block into a ValueError.

    pyo3 raises a panic as a class of its own that is no Exception, so that it would pass by every
    handler and end the process.

    Yields:
        Nothing.

    Raises:
        ValueError: if the block panics.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the library gave up: {error}") from error
