"""How tokens are drawn: guidance, temperature, top-k and top-p. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from mas_fast.utils.validate import check_int, check_number


@dataclass(frozen=True)
class Sampling:
    """How one stream's tokens are drawn from logits.

    Attributes:
        guidance: 1: none.
        temperature: 0: the best token.
        top_k: the likeliest tokens that are kept; None: all.
        top_p: the likeliest tokens that sum to it are kept; None: all.

    Raises:
        ValueError: names the value found and those allowed.
    """

    guidance: float = 1.0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        check_number("guidance", self.guidance)
        check_number("temperature", self.temperature, 0)
        if self.top_k is not None:
            check_int("top_k", self.top_k, 1)
        if self.top_p is not None:
            check_number("top_p", self.top_p)
            if not 0 < self.top_p <= 1:
                raise ValueError(
                    f"top_p: found {self.top_p!r}, expected None or a number in (0, 1]"
                )
