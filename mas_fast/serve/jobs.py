"""Work of requests in threads, bounded: what it gives comes to the event loop as it is made."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from mas_fast.serve.shared import Cancelled, SharedEngine

T = TypeVar("T")


class Busy(Exception):
    """There is no room for more requests now.

    Attributes:
        seconds: after which one may come again.
    """

    def __init__(self, waiting: int, seconds: int) -> None:
        super().__init__(f"found {waiting} requests that wait, expected fewer: try again later")
        self.seconds = seconds


class Jobs:
    """Threads that draw by one engine.

    Args:
        engine: of all of them.
        workers: requests that are worked on at once.
        waiting: requests that may wait for a worker.

    Attributes:
        open: requests that are worked on, or wait.
    """

    def __init__(self, engine: SharedEngine, *, workers: int, waiting: int) -> None:
        self.engine, self.open = engine, 0
        self._workers, self._most = workers, workers + waiting
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="draw")

    @property
    def waiting(self) -> int:
        """Requests that wait for a worker."""
        return max(self.open - self._workers, 0)

    def start(self, make: Callable[[], Iterable[T]], seconds: float) -> Job[T]:
        """Begin a job; in the event loop's thread.

        Args:
            make: is called in a worker, and what it gives is iterated over there.
            seconds: that it may take, waiting included.

        Returns:
            The job.

        Raises:
            Busy: as many as allowed wait already.
        """
        if self.open >= self._most:
            raise Busy(self.waiting, seconds=1 + self.waiting // self._workers)
        return Job(self, self._threads, make, seconds)

    def close(self) -> None:
        """End the threads, once their jobs are done."""
        self._threads.shutdown()


class Job(Generic[T]):
    """What a worker makes: an asynchronous iterator, to be iterated over once, or cancelled.

    Iterating raises what the worker did, and TimeoutError where it takes too long. Whatever ends
    it, the job ends.
    """

    def __init__(
        self,
        jobs: Jobs,
        threads: ThreadPoolExecutor,
        make: Callable[[], Iterable[T]],
        seconds: float,
    ) -> None:
        self._jobs, self._make, self._seconds = jobs, make, seconds
        self._end_at = time.monotonic() + seconds
        self._loop = asyncio.get_running_loop()
        self._found: asyncio.Queue[tuple[T | None, BaseException | None]] = asyncio.Queue()
        self._cancelled = threading.Event()
        jobs.open += 1
        threads.submit(self._work)

    def cancel(self) -> None:
        """Its worker stops soon, and its rows leave the engine."""
        self._cancelled.set()
        self._jobs.engine.wake()

    async def __aiter__(self) -> AsyncIterator[T]:
        try:
            while True:
                item, end = await self._next()
                if isinstance(end, StopIteration):
                    return
                if end is not None:
                    raise end
                yield item  # type: ignore[misc]  # an item comes without an end
        finally:
            self.cancel()

    async def _next(self) -> tuple[T | None, BaseException | None]:
        left = max(self._end_at - time.monotonic(), 0)
        try:
            return await asyncio.wait_for(self._found.get(), left)
        except asyncio.TimeoutError:  # TimeoutError itself since Python 3.11
            raise TimeoutError(f"found no end after {self._seconds:g} s") from None

    def _work(self) -> None:
        end: BaseException = StopIteration()
        try:
            if not self._cancelled.is_set():
                with self._jobs.engine.cancellable(self._cancelled):
                    for item in self._make():
                        if self._cancelled.is_set():
                            break
                        self._tell(self._found.put_nowait, (item, None))
        except Cancelled:
            pass
        except BaseException as error:
            end = error
        self._tell(self._end, end)

    def _tell(self, call: Callable[[Any], None], value: object) -> None:
        self._loop.call_soon_threadsafe(call, value)

    def _end(self, end: BaseException) -> None:
        self._jobs.open -= 1
        self._found.put_nowait((None, end))
