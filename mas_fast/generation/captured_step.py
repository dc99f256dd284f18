"""Passes that are captured in CUDA graphs and replayed. On a CPU they are made one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mas_fast.generation.decode_step import DecodeStep

STEPS = 16  # passes of one replay


class CapturedStep:
    """A DecodeStep whose passes are replayed, one or STEPS at a time.

    Attributes:
        step: the step.
        runs: how many runs have their sequences in it.
    """

    def __init__(self, step: DecodeStep) -> None:
        self.step, self.runs = step, 0
        self._compiled: set[object] = set()
        self._replays: dict[tuple[object, int], Callable[[], None]] = {}

    def run(self, name: object, launch: Callable[[], None], passes: int) -> None:
        """Make some passes of one kind.

        Args:
            name: of the kind.
            launch: makes a pass.
            passes: how many.
        """
        while passes:
            if name not in self._compiled:  # kernels cannot be compiled during a capture
                launch()
                self._compiled.add(name)
                passes -= 1
                continue
            size = STEPS if passes >= STEPS else 1
            if (name, size) not in self._replays:
                self._replays[name, size] = capture(launch, size, self.step.weights.device)
            self._replays[name, size]()
            passes -= size


def capture(launch: Callable[[], None], size: int, device: torch.device) -> Callable[[], None]:
    """What repeats some launches: on a GPU the replay of a CUDA graph."""
    if device.type != "cuda":

        def repeat() -> None:
            for _ in range(size):
                launch()

        return repeat
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        for _ in range(size):
            launch()
    return graph.replay
