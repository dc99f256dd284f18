"""PyTorch's threads on a CPU, for as long as something is measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Run the block on so many threads; afterwards there are as many as before.

    Args:
        count: how many.

    Yields:
        Nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
