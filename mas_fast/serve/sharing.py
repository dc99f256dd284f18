"""How many rows a pass should have, where more wait.

A pass over many rows reads the weights once for all. Where arithmetic is what takes the time, as on
few cores, that gains nothing: sixteen pictures that go on together then all end when the last one
does, and one after the other the half of them ends in half of the time. So it is measured, as the
server draws, how many tokens a second passes of so many rows give.
"""

from __future__ import annotations

ENOUGH = 0.9  # of the highest rate: fewer rows are better at nearly the same
NEWEST = 0.1  # the weight of the last pass of a kind: what is known fades, so changes are found
TRIED = 8  # passes of each kind before it is judged
SELDOM = 32  # one pass of so many is of another kind than the best


class Sharing:
    """What is known of passes, by how many rows they have: 1, up to 2, up to 4, and so on.

    Args:
        most: rows that a pass may have.
    """

    def __init__(self, most: int) -> None:
        self.limits = [*(2**n for n in range((most - 1).bit_length())), most]
        self._passes = dict.fromkeys(self.limits, 0)
        self._rates = dict.fromkeys(self.limits, 0.0)  # tokens a second
        self._count = 0

    def limit(self, waiting: int) -> int:
        """Say how many rows the next pass should have at most.

        Args:
            waiting: rows that could be in it.

        Returns:
            One of `limits`.
        """
        within = [limit for limit in self.limits if limit < 2 * waiting] or self.limits[:1]
        if len(within) == 1:
            return within[0]
        for limit in reversed(within):  # all that wait, until more is known
            if self._passes[limit] < TRIED:
                return limit
        self._count += 1
        if self._count % SELDOM == 0:
            return within[self._count // SELDOM % len(within)]
        best = max(self._rates[limit] for limit in within)
        return next(limit for limit in within if self._rates[limit] >= ENOUGH * best)

    def passed(self, rows: int, tokens: int, seconds: float) -> None:
        """Take note of a pass.

        Args:
            rows: that it had.
            tokens: that it drew.
            seconds: that it took.
        """
        kind = next((limit for limit in self.limits if rows <= limit), self.limits[-1])
        self._passes[kind] += 1
        weight = max(NEWEST, 1 / self._passes[kind])
        self._rates[kind] += weight * (tokens / seconds - self._rates[kind])
