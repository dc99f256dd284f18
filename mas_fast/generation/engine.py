"""What every engine is: a model made ready, and generations that go on step by step. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from mas_fast.generation.request import Request
from mas_fast.streams import Streams
from mas_fast.utils.documents import short

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int], object]


class Run(Protocol):
    """A generation under way: all rows have reached `position`, and end at `stop`.

    Attributes:
        position: that all rows have reached.
        stop: the position at which they end.
        tokens: int64 [rows, S], row b * samples + n; -1 where not yet drawn.
        forced_log_likelihood: float64 [rows]; 0 unless the request asks for it (`score_forced`).
            The sum of the natural logarithms of the probabilities of the row's forced tokens, those
            up to `position` that come after the first token that the row draws. Probabilities are
            the softmax of the conditional logits, without guidance, temperature, top-k and top-p,
            in fp64. It is for choosing among candidates of one prompt, which differ in what they
            drew before a forced token, and not in what comes before all that is drawn.
    """

    @property
    def position(self) -> int: ...

    @property
    def stop(self) -> int: ...

    @property
    def tokens(self) -> Tensor | np.ndarray: ...

    @property
    def forced_log_likelihood(self) -> Tensor | np.ndarray: ...

    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        """Go on by some positions.

        Args:
            count: how many; 0: to the end.
            progress: is called with (position, stop) after each pass, which may draw several, or
                after some of them.

        Returns:
            The position reached.
        """

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows alone.

        Each keeps its prompt and the number of its sample, so it goes on to the tokens that it
        would have had.

        Args:
            rows: indices of rows as they are now, none twice; the new order.

        Raises:
            ValueError: if there are none, or one is out of range or comes twice.
        """


@runtime_checkable
class Engine(Protocol):
    """A model made ready, for any number of runs.

    Attributes:
        streams: of the model.
        rows: prompts x samples that are best drawn at once, which with guidance are twice as many
            rows of a pass; a request may have any number.
    """

    streams: Streams
    rows: int

    def start(self, request: Request) -> Run: ...

    def logits(self, tokens: object) -> dict[str, np.ndarray]:
        """Predict each token of whole sequences, or of their beginnings, from those before it.

        Args:
            tokens: ids [B, T] or [T] of the first T positions, T <= S.

        Returns:
            For each stream, float32 [B, n, vocab], the logits of those n of its tokens that have
            one of the T positions before them. n may be 0.

        Raises:
            ValueError: names what was found and what is allowed.
        """


def kept_rows(rows: Sequence[int], count: int) -> np.ndarray:
    """Check the argument of `Run.keep`.

    Args:
        rows: as there.
        count: rows that there are.

    Returns:
        int64 [len(rows)].

    Raises:
        ValueError: as there.
    """
    index = np.asarray(rows)
    if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu":
        raise ValueError(f"rows: found {short(rows)}, expected some integers in 0..{count - 1}")
    for row in index[(index < 0) | (index >= count)][:1]:
        raise ValueError(f"rows: found {row}, expected integers in 0..{count - 1}")
    if len(np.unique(index)) < len(index):
        raise ValueError(f"rows: found {short(index.tolist())}, expected none twice")
    return index.astype(np.int64)


def as_array(tokens: Tensor | np.ndarray) -> np.ndarray:
    """Bring a run's tokens to numpy, from whatever device they are on."""
    return tokens if isinstance(tokens, np.ndarray) else tokens.cpu().numpy()
