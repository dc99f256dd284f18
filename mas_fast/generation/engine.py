"""What every engine is: a model made ready, and generations that go on step by step. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from mas_fast.generation.request import Request
from mas_fast.streams import Streams

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int], object]


class Run(Protocol):
    """A generation under way: all rows have reached `position`, and end at `stop`.

    Attributes:
        position: that all rows have reached.
        stop: the position at which they end.
        tokens: int64 [B * samples, S], row b * samples + n; -1 where not yet drawn.
    """

    @property
    def position(self) -> int: ...

    @property
    def stop(self) -> int: ...

    @property
    def tokens(self) -> Tensor | np.ndarray: ...

    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        """Go on by some positions.

        Args:
            count: how many; 0: to the end.
            progress: is called with (position, stop) after each pass, which may draw several.

        Returns:
            The position reached.
        """


@runtime_checkable
class Engine(Protocol):
    """A model made ready, for any number of runs."""

    streams: Streams

    def start(self, request: Request) -> Run: ...


def as_array(tokens: Tensor | np.ndarray) -> np.ndarray:
    """Bring a run's tokens to numpy, from whatever device they are on."""
    return tokens if isinstance(tokens, np.ndarray) else tokens.cpu().numpy()
