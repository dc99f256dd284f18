"""An engine that many threads use at once: their runs share each pass over the weights.

    engine = SharedEngine(painter.engine)
    run = engine.start(request)          # in any thread
    run.advance(32)                      # waits until passes, shared with others, got it there

So everything that draws by an engine, a painter above all, draws in batches without knowing it. One
thread owns the engine. Before each pass it looks at which runs want to go on, so that rows join and
leave between two passes. Those that began first go first, as many as a pass gains by (sharing.py).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mas_fast.generation.cpp import CppEngine, CppRun
from mas_fast.generation.engine import Progress
from mas_fast.generation.request import Request
from mas_fast.serve.sharing import Sharing
from mas_fast.utils.validate import check_int


class Cancelled(Exception):
    """What a run was for is no longer wanted."""


class SharedEngine:
    """An engine for any number of threads.

    Args:
        engine: the one that draws.
        rows: sequences that go on in a pass at most; runs that come later wait. A run that has more
            goes on alone. None: as many as the engine draws best at once.

    Attributes:
        streams: of the GPT.
        rows: as given.
        passes: that were made.
        drawn: positions that were drawn, of all sequences.
        rows_drawing: sequences of the pass under way.
    """

    def __init__(self, engine: CppEngine, rows: int | None = None) -> None:
        self.streams, self.rows = engine.streams, engine.rows if rows is None else rows
        check_int("rows", self.rows, 1)
        self.passes = self.drawn = self.rows_drawing = 0
        self._engine, self._sharing = engine, Sharing(self.rows)
        self._begun = itertools.count()
        self._changed = threading.Condition()
        self._waiting: list[SharedRun] = []
        self._closed = False
        self._here = threading.local()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def native(self) -> Any:
        """The C++ engine."""
        return self._engine.native

    @property
    def alive(self) -> bool:
        """Whether the thread that owns the engine is there."""
        return self._thread.is_alive()

    def start(self, request: Request) -> SharedRun:
        """Start a run, as every engine does."""
        cancelled = getattr(self._here, "cancelled", None)
        own = self._engine.start(request)
        return SharedRun(self, own, cancelled or threading.Event(), next(self._begun))

    def logits(self, tokens: object) -> dict[str, np.ndarray]:
        """As every engine; between two passes."""
        return self._engine.logits(tokens)

    @contextlib.contextmanager
    def cancellable(self, cancelled: threading.Event) -> Iterator[None]:
        """Runs that this thread starts within the context end with `Cancelled`, soon after the
        event is set; `wake` makes it soon."""
        self._here.cancelled = cancelled
        try:
            yield
        finally:
            del self._here.cancelled

    def wake(self) -> None:
        """Let waiting runs look whether they are cancelled."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread. Runs that wait end with `Cancelled`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _advance(self, run: SharedRun, goal: int) -> None:
        """Wait until a run is at `goal`, or has ended."""
        with self._changed:
            run.goal = goal
            self._waiting.append(run)
            self._changed.notify_all()
            try:
                self._changed.wait_for(
                    lambda: run.reached or run.cancelled.is_set() or self._closed
                )
                self._changed.wait_for(lambda: not run.drawing)  # the pass under way has it
            finally:
                self._waiting.remove(run)
            if not run.reached:
                raise Cancelled

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or any(self._ready()))
                if self._closed:
                    return
                runs = self._next()
                for run in runs:
                    run.drawing = True
                self.rows_drawing = sum(run.rows for run in runs)
            before, begin = sum(run.position * run.rows for run in runs), time.perf_counter()
            error = None
            try:
                self._engine.advance([run.own for run in runs], 1)
            except Exception as failure:  # the threads that wait for their runs raise it
                error = failure
            seconds = time.perf_counter() - begin
            with self._changed:
                self.passes += 1
                for run in runs:
                    run.drawing, run.position = False, run.own.position
                    run.failure = error or run.failure
                drawn = sum(run.position * run.rows for run in runs) - before
                self._sharing.passed(self.rows_drawing, drawn, seconds)
                self.drawn += drawn
                self.rows_drawing = 0
                if self._closed or any(run.reached or run.cancelled.is_set() for run in runs):
                    self._changed.notify_all()

    def _ready(self) -> Iterator[SharedRun]:
        """The runs that want to go on."""
        return (r for r in self._waiting if not (r.reached or r.cancelled.is_set()))

    def _next(self) -> list[SharedRun]:
        """The runs of the next pass: those that began first, as many as there is room for."""
        ready = sorted(self._ready(), key=lambda run: run.number)
        left = self._sharing.limit(sum(run.rows for run in ready))
        runs: list[SharedRun] = []
        for run in ready:
            if runs and run.rows > left:
                break
            runs.append(run)
            left -= run.rows
        return runs


class SharedRun:
    """A run of a SharedEngine; used by the thread that started it.

    Attributes:
        position: that all rows have reached.
        stop: the position at which they end.
        rows: its sequences.
        number: of all runs, in the order of their beginning.
        goal: the position that the thread waits for.
        drawing: whether the pass under way has it.
        failure: what a pass ended with.
    """

    def __init__(
        self, engine: SharedEngine, own: CppRun, cancelled: threading.Event, number: int
    ) -> None:
        self.own, self.stop, self.cancelled = own, own.stop, cancelled
        self.position = self.goal = own.position
        self.rows, self.number = len(own.tokens), number
        self.drawing = False
        self.failure: Exception | None = None
        self._engine = engine

    @property
    def reached(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.position >= self.goal or bool(self.failure or self.own.error)

    @property
    def tokens(self) -> np.ndarray:
        return self.own.tokens

    @property
    def forced_log_likelihood(self) -> np.ndarray:
        return self.own.forced_log_likelihood

    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        """As every run; it may go on a little farther, since a pass draws several positions.

        Raises:
            Cancelled: if nobody wants it any more.
            ValueError: as the engine's own runs, for a NaN.
        """
        check_int("count", count, 0)
        goal = min(self.position + count, self.stop) if count else self.stop
        if goal > self.position:
            self._engine._advance(self, goal)
        if self.failure is not None:
            raise self.failure
        if self.own.error is not None:
            raise ValueError(self.own.error)
        if progress is not None:
            progress(self.position, self.stop)
        return self.position

    def keep(self, rows: Sequence[int]) -> None:
        self.own.keep(rows)
        self.rows = len(rows)
