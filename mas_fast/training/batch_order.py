"""Which samples a step sees: a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class Order:
    """The batches of one process, for a DataLoader: the (epoch, index) of their samples.

    It has one batch for each of `steps` and each pass. Epoch e is a permutation of the samples
    drawn from (seed, e), and a batch may reach into the next epoch. All processes and passes
    together see the same samples, however many they are.

    Args:
        size: samples of the data.
        seed: seed of the permutations.
        batch: samples per step, split over the processes and passes.
        passes: passes per step (gradient accumulation).
        rank: of this process.
        world: processes.

    Attributes:
        steps: the steps to come.

    Raises:
        ValueError: the batch cannot be split.
    """

    def __init__(
        self, size: int, seed: int, batch: int, passes: int, rank: int = 0, world: int = 1
    ) -> None:
        if batch % (passes * world):
            raise ValueError(
                f"batch: found {batch}, expected a multiple of accumulate = {passes} times "
                f"{world} processes"
            )
        self.size, self.seed, self.batch, self.passes, self.rank = size, seed, batch, passes, rank
        self.share = batch // (passes * world)
        self.steps = range(0)
        self._cached = (-1, np.empty(0, np.int64))

    def at(self, position: int) -> tuple[int, int]:
        """The (epoch, index) of the sample at `position` of the endless sequence."""
        epoch, offset = divmod(position, self.size)
        if self._cached[0] != epoch:
            self._cached = (epoch, np.random.default_rng((self.seed, epoch)).permutation(self.size))
        return epoch, int(self._cached[1][offset])

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in self.steps:
            for turn in range(self.passes):
                first = step * self.batch + (self.rank * self.passes + turn) * self.share
                yield [self.at(first + i) for i in range(self.share)]

    def __len__(self) -> int:
        return len(self.steps) * self.passes
