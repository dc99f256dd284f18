"""The fixture `versus`: versus.measure, whose result also goes into pytest-benchmark's JSON."""

from __future__ import annotations

import pytest

from benchmarks import results
from benchmarks.versus import measure

RECORDS = pytest.StashKey[list]()


class Clock:
    """A timer that shows what was measured before.

    So pytest-benchmark counts our blocks as its rounds, which it could not interleave with those of
    others.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[float] = []

    def read(self) -> float:
        return self.now

    def replay(self) -> None:
        self.now += self.waiting.pop(0)


@pytest.fixture
def versus(request: pytest.FixtureRequest):
    """Measure as `versus.measure` does, and tell pytest-benchmark.

    The statistics of pytest-benchmark are those of the first contestant of the first match, a round
    being a block; its extra_info has every match in full.

    Returns:
        versus(contestants, blocks) -> Match.
    """
    clock = Clock()
    # Before `benchmark` is made, for that is when it takes its timer from the mark.
    request.node.add_marker(pytest.mark.benchmark(timer=clock.read))
    benchmark = request.getfixturevalue("benchmark")
    matches = benchmark.extra_info["matches"] = []

    def versus(contestants, blocks):
        match = measure(contestants, blocks)
        if not matches:
            clock.waiting = [sum(block.seconds) for block in match.samples[contestants[0].name]]
            benchmark.pedantic(clock.replay, rounds=len(clock.waiting))
        matches.append(match.to_dict())
        return match

    return versus


@pytest.fixture
def keep(request: pytest.FixtureRequest):
    """Store a record as `mas-fast bench` does, and print it at the end.

    Returns:
        keep(subject, record).
    """

    def keep(subject: str, record: dict) -> None:
        path = results.write(subject, record)
        request.config.stash.setdefault(RECORDS, []).append((record, path))

    return keep


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    for record, path in config.stash.get(RECORDS, []):
        terminalreporter.ensure_newline()
        results.show(record)
        terminalreporter.write_line(f"written to {path}")
