"""Cuts the making of images, one after another, into timed blocks of tokens.

Runs inside a worker. Tokens are numbered from 1, as in "tokens 65..576 after a prompt of 64". The
first token after the prompt comes out of the prefill and is not timed, for anyone."""

from __future__ import annotations

import queue
import threading
import time


class Stepping:
    """Images in steps: `begin` prefills and makes the first token, `steps` makes more.

    `steps` returns the seconds of each token.

    Args:
        prompt: tokens of the prompt.
        length: tokens of the whole sequence.
        size: tokens of a block.
    """

    def __init__(self, prompt: int, length: int, size: int) -> None:
        self.prompt, self.length, self.size = prompt, length, size
        self.known = length  # tokens so far: with all of them, the next block begins another image

    def begin(self) -> None:
        raise NotImplementedError

    def steps(self, count: int) -> list[float]:
        raise NotImplementedError

    def warm(self) -> None:
        """Begin the next image; what may fail, fails here."""
        self.begin()
        self.known = self.prompt + 1

    def block(self) -> dict:
        if self.known == self.length:
            self.warm()
        first = self.prompt if self.known == self.prompt + 1 else self.known
        stop = min(first + self.size, self.length)
        seconds = self.steps(stop - self.known)
        self.known = stop
        return {"span": f"{first + 1}..{stop}", "seconds": seconds}


class Paced(Stepping):
    """A Stepping for libraries that generate in one call.

    It runs in a thread of its own, calls `tick` after each token, and is held inside `tick` between
    blocks.
    """

    def __init__(self, prompt: int, length: int, size: int) -> None:
        super().__init__(prompt, length, size)
        self.thread: threading.Thread | None = None

    def generate(self) -> None:
        """Make a whole image, calling self.tick() once for each token after the prompt."""
        raise NotImplementedError

    def begin(self) -> None:
        if self.thread:
            self.thread.join()
        self.go, self.done = threading.Semaphore(0), queue.SimpleQueue()
        self.ticks, self.pause, self.seconds = 0, 1, []
        self.last = time.perf_counter()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self._wait()

    def steps(self, count: int) -> list[float]:
        self.pause = self.ticks + count
        self.go.release()
        return self._wait()

    def tick(self) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.ticks += 1
        if self.ticks == self.pause:
            seconds, self.seconds = self.seconds, []
            self.done.put(seconds)
            if self.ticks < self.length - self.prompt:
                self.go.acquire()
            now = time.perf_counter()
        self.last = now

    def _run(self) -> None:
        try:
            self.generate()
        except BaseException as error:  # handed to the thread that waits
            self.done.put(error)

    def _wait(self) -> list[float]:
        result = self.done.get()
        if isinstance(result, BaseException):
            raise result
        return result
