"""The token streams: what a sequence is made of. No torch.

A sequence is a list of streams (text, then seg, then img), each with its own vocabulary, and there
is no begin-of-sequence token: position N predicts token N + 1. Hence, of the first stream, only
tokens 1.. are ever predicted; the last position of the sequence predicts nothing; and the last
position of one stream predicts the first token of the next, over that one's vocabulary.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from mas_fast.utils.documents import short
from mas_fast.utils.validate import check_choice, check_int, check_number, exact_keys

# What the C++ engine takes too (csrc/core/config.cpp). No model comes near; without bounds, a
# config with a wrong number would keep its reader busy for hours.
MOST_STREAMS, MOST_LENGTH, MOST_VOCAB = 64, 1 << 20, 1 << 22


@dataclass(frozen=True)
class Stream:
    """`length` tokens with ids 0..vocab-1.

    Attributes:
        name: an identifier.
        length: tokens.
        vocab: how many ids there are.
        grid: (height, width) of a stream in raster order, else None.
        loss_weight: its share in the weighted mean over streams.
        pad: the id that fills up a short sequence (attended, but no target), else None.

    Raises:
        ValueError: if one is unfit.
    """

    name: str
    length: int
    vocab: int
    grid: tuple[int, int] | None = None
    loss_weight: float = 1.0
    pad: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(
                f"stream name: found {short(self.name)}, expected an identifier such as 'text'"
            )
        label = f"stream {self.name!r}:"
        check_int(f"{label} length", self.length, 1, MOST_LENGTH)
        check_int(f"{label} vocab", self.vocab, 1, MOST_VOCAB)
        if self.grid is not None:
            if not isinstance(self.grid, tuple | list) or len(self.grid) != 2:
                raise ValueError(
                    f"{label} grid: found {short(self.grid)}, expected (height, width) or None"
                )
            object.__setattr__(self, "grid", tuple(self.grid))
            for size in self.grid:
                check_int(f"{label} grid", size, 1, MOST_LENGTH)
            if math.prod(self.grid) != self.length:
                raise ValueError(
                    f"{label} grid: found {self.grid}, expected height x width = {self.length}"
                )
        check_number(f"{label} loss_weight", self.loss_weight, 0)
        if self.pad is not None:
            check_int(f"{label} pad", self.pad, 0, self.vocab - 1)


@dataclass(frozen=True, init=False)
class Streams:
    """An ordered list of streams with distinct names: iterable, indexed by number or by name.

    Attributes:
        items: the streams, at most 64.
        length: of the whole sequence, 2 to 2^20 tokens.

    Raises:
        ValueError: if there are none or too many, a name comes twice, or no stream has a loss
            weight.
    """

    items: tuple[Stream, ...]

    def __init__(self, items: Iterable[Stream]) -> None:
        object.__setattr__(self, "items", tuple(items))
        for item in self.items:
            if not isinstance(item, Stream):
                raise ValueError(f"streams: found {short(item)}, expected Stream objects")
        if len(set(self.names)) != len(self.items):
            raise ValueError(f"streams: found the names {list(self.names)}, expected distinct ones")
        if len(self.items) > MOST_STREAMS:
            raise ValueError(f"streams: found {len(self.items)}, expected at most {MOST_STREAMS}")
        if not 2 <= self.length <= MOST_LENGTH:
            expected = f"expected at least 2, at most {MOST_LENGTH}"
            raise ValueError(f"streams: found {self.length} tokens in all, {expected}")
        if not any(stream.loss_weight for stream in self.items):
            raise ValueError("streams: found no loss_weight above 0, expected at least one")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(stream.name for stream in self.items)

    @property
    def length(self) -> int:
        return sum(stream.length for stream in self.items)

    def __iter__(self) -> Iterator[Stream]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: int | str) -> Stream:
        return self.items[key if isinstance(key, int) else self.index(key)]

    def index(self, name: str) -> int:
        """The number of the stream called `name`."""
        check_choice("stream", name, self.names)
        return self.names.index(name)

    def offset(self, name: str) -> int:
        """The position of the stream's first token."""
        return sum(stream.length for stream in self.items[: self.index(name)])

    def slice(self, name: str) -> builtins.slice:
        """The positions that hold the stream's tokens."""
        start = self.offset(name)
        return builtins.slice(start, start + self[name].length)

    def predicting(self, name: str, count: int | None = None) -> builtins.slice:
        """Return the positions whose logits are over a stream's vocabulary.

        Args:
            name: the stream.
            count: how many positions there are, from the first one; None for all.

        Returns:
            The positions one to the left of `slice`, so one fewer for the first stream. May be
            empty, never out of range.
        """
        tokens = self.slice(name)
        limit = self.length - 1 if count is None else min(count, self.length - 1)
        start = max(tokens.start - 1, 0)
        return builtins.slice(min(start, limit), min(max(tokens.stop - 1, start), limit))

    def at(self, position: int) -> Stream:
        """Return the stream of the token at a position.

        Args:
            position: 0 <= position < length.

        Returns:
            The stream.

        Raises:
            ValueError: if the position is out of range.
        """
        check_int("position", position, 0, self.length - 1)
        for stream in self.items:
            if position < stream.length:
                return stream
            position -= stream.length
        raise AssertionError("unreachable: the lengths sum to `length`")

    def to_list(self) -> list[dict]:
        """Plain values for JSON; `from_list` reads them back."""
        rows = []
        for stream in self.items:
            row = {field.name: getattr(stream, field.name) for field in fields(Stream)}
            rows.append(row | {"grid": None if stream.grid is None else list(stream.grid)})
        return rows

    @classmethod
    def from_list(cls, rows: list[dict]) -> Streams:
        """Make streams of what `to_list` returned.

        Args:
            rows: a dict for each stream.

        Returns:
            The streams.

        Raises:
            ValueError: if a key is missing or unknown.
        """
        if not isinstance(rows, list):
            raise ValueError(f"streams: found {type(rows).__name__}, expected a list")
        return cls(
            Stream(**exact_keys("stream", row, [f.name for f in fields(Stream)])) for row in rows
        )
