"""Times contestants side by side, block by block, and says who is faster and by how much.

    match = measure([Contestant("ours", ours), Contestant("peer", peer)], blocks=24)
    match.ratio("ours", "peer")          # Ratio(value=0.53, low=0.51, high=0.55): ours is faster

On a shared machine the same program moves by 1.4x from one minute to the next, so only neighbours
in time are compared: A B C A B C ..., one block each, and a ratio is formed pair by pair. Its
interval is the middle half of those ratios; where it holds 1, the difference is smaller than the
spread: a tie."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class Disagreement(AssertionError):
    """An implementation does not do what the reference does, so its time means nothing."""


class Unavailable(Exception):
    """A contestant that cannot take part, or no longer; the message says why."""


@dataclass(frozen=True)
class Block:
    """The times of a block; only blocks of one range are alike.

    Attributes:
        span: the range of units that it covered.
        seconds: of each unit (token, call).
    """

    span: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Contestant:
    """What is timed.

    Attributes:
        name: its name in a match.
        block: runs and times the next block.
        verify: raises Disagreement unless the implementation agrees with the reference; peers that
            compute something else have none.
        blocks: takes part in that many only.
    """

    name: str
    block: Callable[[], Block]
    verify: Callable[[], None] | None = None
    blocks: int | None = None


def calls(name: str, function: Callable[[], object], units: int, verify=None) -> Contestant:
    """Make a contestant whose block is `units` calls of a function."""

    def block() -> Block:
        seconds = []
        for _ in range(units):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        return Block("", tuple(seconds))

    return Contestant(name, block, verify)


@dataclass(frozen=True)
class Ratio:
    """The time of one contestant over that of another.

    Attributes:
        value: the ratio.
        low: where the middle half of the ratios of neighbouring blocks begins.
        high: where it ends.
    """

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        if self.low <= 1 <= self.high:
            return "tie"
        return "faster" if self.high < 1 else "slower"

    def to_dict(self) -> dict:
        return {"ratio": self.value, "low": self.low, "high": self.high, "verdict": self.verdict}


@dataclass
class Match:
    """What was measured.

    Attributes:
        samples: the blocks of each contestant in the order of time.
        missing: why others are missing.
    """

    samples: dict[str, list[Block]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def spans(self, name: str) -> dict[str, float]:
        """Return the median seconds per unit in each range, over all units of all its blocks."""
        units: dict[str, list[float]] = {}
        for block in self.samples[name]:
            units.setdefault(block.span, []).extend(block.seconds)
        return {span: statistics.median(seconds) for span, seconds in units.items()}

    def median(self, name: str) -> float:
        """Return the seconds per unit: the mean over the ranges of the median in each."""
        return statistics.mean(self.spans(name).values())

    def fastest(self, name: str) -> float:
        """Return the least seconds of any unit."""
        return min(seconds for block in self.samples[name] for seconds in block.seconds)

    def spread(self, name: str) -> tuple[float, float]:
        """Return the noise between blocks without the trend over ranges.

        Args:
            name: the contestant.

        Returns:
            The lower and the upper quartile of the block medians, each first divided by its range's
            median and then put on the scale of `median`.
        """
        spans, scale = self.spans(name), self.median(name)
        relative = [block.median / spans[block.span] for block in self.samples[name]]
        low, high = quartiles(relative)
        return low * scale, high * scale

    def ratio(self, name: str, other: str) -> Ratio:
        """Compare two contestants.

        Args:
            name: the contestant whose time is divided.
            other: the contestant that it is divided by.

        Returns:
            The median over the rounds in which both were.
        """
        pairs = zip(self.samples[name], self.samples[other], strict=False)
        each = [a.median / b.median for a, b in pairs]
        return Ratio(statistics.median(each), *quartiles(each))

    def to_dict(self) -> dict:
        """Return the match for JSON, in seconds.

        It has all block medians, so that every figure can be formed again.
        """
        contestants = {
            name: {
                "median": self.median(name),
                "quartiles": self.spread(name),
                "spans": self.spans(name),
                "blocks": [[block.span, block.median] for block in blocks],
            }
            for name, blocks in self.samples.items()
        }
        return {"contestants": contestants, "missing": self.missing}


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile; of a single value, twice that value."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def measure(contestants: Sequence[Contestant], blocks: int) -> Match:
    """Verify all contestants, then time them in rounds of one block each.

    They take turns in the order given. One that raises Unavailable is left out, with its reason in
    `missing` and without the blocks it had.

    Args:
        contestants: with distinct names.
        blocks: how many rounds.

    Returns:
        What was measured.

    Raises:
        Disagreement: before anything is timed, if a contestant is wrong.
        ValueError: if two have one name.
    """
    names = [contestant.name for contestant in contestants]
    if len(set(names)) != len(names):
        raise ValueError(f"contestants: found the names {names}, expected distinct ones")
    match = Match()
    taking_part = []
    for contestant in contestants:
        try:
            if contestant.verify:
                contestant.verify()
            taking_part.append(contestant)
        except Unavailable as error:
            match.missing[contestant.name] = str(error)
    for number in range(blocks):
        for contestant in list(taking_part):
            if contestant.blocks is not None and number >= contestant.blocks:
                continue
            try:
                match.samples.setdefault(contestant.name, []).append(contestant.block())
            except Unavailable as error:
                taking_part.remove(contestant)
                del match.samples[contestant.name]
                match.missing[contestant.name] = str(error)
    return match
