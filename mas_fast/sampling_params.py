"""How tokens are drawn: guidance, temperature, top-k and top-p. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mas_fast.utils.documents import short
from mas_fast.utils.validate import check_int, check_number


@dataclass(frozen=True)
class Sampling:
    """How one stream's tokens are drawn from logits.

    Attributes:
        guidance: 1: none. A list of two or more numbers is a schedule, which is kept as a tuple:
            they are spread over the stream's positions, the first and the last at its ends, and
            between two of them guidance goes from one to the other in equal steps.
        temperature: 0: the best token.
        top_k: the likeliest tokens that are kept; None: all.
        top_p: the likeliest tokens that sum to it are kept; None: all.

    Raises:
        ValueError: names the value found and those allowed.
    """

    guidance: float | Sequence[float] = 1.0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.guidance, list | tuple):
            if len(self.guidance) < 2:
                problem = f"found {short(list(self.guidance))}, expected a number"
                raise ValueError(f"guidance: {problem}, or two or more in a list")
            object.__setattr__(self, "guidance", tuple(self.guidance))
        for value in self.guidance if isinstance(self.guidance, tuple) else [self.guidance]:
            check_number("guidance", value)
        check_number("temperature", self.temperature, 0)
        if self.top_k is not None:
            check_int("top_k", self.top_k, 1)
        if self.top_p is not None:
            check_number("top_p", self.top_p)
            if not 0 < self.top_p <= 1:
                raise ValueError(
                    f"top_p: found {self.top_p!r}, expected None or a number in (0, 1]"
                )

    def guidance_at(self, positions: int) -> np.ndarray:
        """Tell the guidance of each position of a stream.

        Args:
            positions: of the stream.

        Returns:
            float64 [positions]. A schedule's own numbers are exact where they lie on a position,
            and one of equal numbers is that number everywhere.

        Raises:
            ValueError: if a schedule has more values than there are positions.
        """
        if not isinstance(self.guidance, tuple):
            return np.full(positions, self.guidance, np.float64)
        count = len(self.guidance)
        if count > positions:
            problem = f"found a schedule of {count} numbers, expected at most {positions}"
            raise ValueError(f"guidance: {problem}, as many as the stream has positions")
        knots = np.arange(positions) * (count - 1) / (positions - 1)  # whole ones are exact
        return np.interp(knots, np.arange(count), self.guidance)
