"""Times work on a device: between events on a GPU, by the clock on a CPU, where the subjects of the
GPU are rehearsed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from benchmarks.versus import Block, Contestant, Unavailable

AHEAD = 20_000_000  # cycles that a GPU waits, so that it never waits for Python afterwards


def require(capability: tuple[int, int] = (8, 0)) -> None:
    """Check that there is a GPU.

    Args:
        capability: the least that it needs.

    Raises:
        Unavailable: if there is none, or an older one.
    """
    if not torch.cuda.is_available():
        raise Unavailable("it needs an NVIDIA GPU, found none")
    found = torch.cuda.get_device_capability()
    if found < capability:
        least = ".".join(map(str, capability))
        raise Unavailable(
            f"it needs compute capability {least} or higher, found {'.'.join(map(str, found))}"
        )


def name(device: str) -> str:
    """Return the name of the device, for the record."""
    return torch.cuda.get_device_name() if device == "cuda" else "CPU, a rehearsal"


def settle(device: str) -> None:
    """Wait for all that was queued."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(
    device: str, functions: Sequence[Callable[[], object]], *, ahead: bool = True
) -> tuple[float, ...]:
    """Time calls, one after the other.

    Args:
        device: where they compute, "cuda" or "cpu".
        functions: the calls.
        ahead: keep a GPU busy until all are queued, so that what Python takes is not in the times;
            otherwise it is, which is what a caller waits for.

    Returns:
        The seconds of each.
    """
    if device == "cpu":
        stamps = [time.perf_counter()]
        for function in functions:
            function()
            stamps.append(time.perf_counter())
        return tuple(after - before for before, after in zip(stamps, stamps[1:], strict=False))
    events = [torch.cuda.Event(enable_timing=True) for _ in range(len(functions) + 1)]
    torch.cuda.synchronize()
    if ahead:
        torch.cuda._sleep(AHEAD)
    events[0].record()
    for function, event in zip(functions, events[1:], strict=True):
        function()
        event.record()
    torch.cuda.synchronize()
    pairs = zip(events, events[1:], strict=False)
    return tuple(before.elapsed_time(after) / 1e3 for before, after in pairs)


def captured(device: str, function: Callable[[], object]) -> Callable[[], object]:
    """Capture a call in a CUDA graph, after some calls that compile it.

    Args:
        device: on a CPU the function itself is returned, called once.
        function: without arguments; reads and writes the same memory each time.

    Returns:
        What replays it.
    """
    if device == "cpu":
        function()
        return function
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


class Guard:
    """Keeps a contestant that fails from costing the others their times.

    Attributes:
        broken: why, of each that failed.
    """

    def __init__(self) -> None:
        self.broken: dict[str, str] = {}

    def __call__(self, contestant: Contestant) -> Contestant:
        """Return the contestant, for whom any failure is a reason not to take part."""
        verify, block = contestant.verify, contestant.block
        return replace(
            contestant,
            block=self._guarded(contestant.name, block),
            verify=self._guarded(contestant.name, verify) if verify else None,
        )

    def _guarded(self, name: str, function: Callable[[], Block | None]) -> Callable:
        def call() -> Block | None:
            try:
                return function()
            except Unavailable:
                raise
            except Exception as error:
                first = (str(error).strip() or "no message").splitlines()[0]
                self.broken[name] = f"{type(error).__name__}: {first}"
                raise Unavailable(f"FAILED: {self.broken[name]}") from error

        return call
