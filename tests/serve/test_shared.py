"""shared.py: runs of many threads in the same passes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.request import request
from mas_fast.serve.shared import Cancelled, SharedEngine


@pytest.fixture(scope="module")
def own(tiny_bundle) -> CppEngine:
    return CppEngine(tiny_bundle)


@pytest.fixture
def shared(own):
    engine = SharedEngine(own)
    yield engine
    engine.close()


def asked(engine, n: int):
    """Requests that differ in caption, seed, settings and number of samples."""
    options = {"guidance": (1.0, 3.0, 2.0)[n % 3], "top_k": (None, 8)[n % 2]}
    return request(engine.streams, [n % 7], seed=n, num_samples=1 + n % 3, **options)


def test_tokens_are_those_of_each_run_alone(own, shared):
    count = 24

    def draw(n: int) -> np.ndarray:
        run = shared.start(asked(shared, n))
        while run.position < run.stop:
            run.advance(1 + n % 5)
        return run.tokens

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(draw, range(count)))
    for n in range(count):
        run = own.start(asked(own, n))
        run.advance()
        np.testing.assert_array_equal(found[n], run.tokens)
    assert shared.drawn >= count * (shared.streams.length - shared.streams[0].length)


def test_passes_are_shared(own):
    """Runs that wait at the same time take hardly more passes than one."""
    engine = SharedEngine(own)
    meet = threading.Barrier(8)

    def draw(_: int) -> None:
        run = engine.start(request(engine.streams, [1], seed=1, speculate=1))
        meet.wait()
        run.advance()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(draw, range(8)))
    engine.close()
    length = engine.streams.length - engine.streams[0].length
    assert engine.passes < 2 * (length + 8)


def test_more_rows_than_a_pass_has_wait_their_turn(own):
    engine = SharedEngine(own, rows=2)
    runs = [engine.start(request(engine.streams, [n], num_samples=3)) for n in range(3)]
    with ThreadPoolExecutor(3) as threads:
        positions = list(threads.map(lambda run: run.advance(), runs))
    engine.close()
    assert positions == [engine.streams.length] * 3


def test_keep_goes_on_with_some_rows(own, shared):
    given, alone = shared.start(asked(shared, 2)), own.start(asked(own, 2))
    for run in (given, alone):
        run.advance(4)
        run.keep([2, 0])
    given.advance()
    alone.advance()
    np.testing.assert_array_equal(given.tokens, alone.tokens)


def test_a_run_that_is_cancelled_ends_and_the_others_go_on(shared):
    cancelled, begun = threading.Event(), threading.Event()

    def draw() -> None:
        with shared.cancellable(cancelled):
            run = shared.start(asked(shared, 0))
        run.advance(1)
        begun.set()
        cancelled.wait()
        run.advance()

    with ThreadPoolExecutor(2) as threads:
        ended = threads.submit(draw)
        begun.wait()
        other = threads.submit(lambda: shared.start(asked(shared, 1)).advance())
        cancelled.set()
        shared.wake()
        with pytest.raises(Cancelled):
            ended.result(timeout=20)
        assert other.result(timeout=20) == shared.streams.length


def test_closing_ends_those_that_wait(own):
    engine = SharedEngine(own)
    run = engine.start(asked(engine, 0))
    assert engine.alive
    engine.close()
    assert not engine.alive
    with pytest.raises(Cancelled):
        run.advance()


def test_an_error_of_the_engine_is_that_of_its_runs(shared, monkeypatch):
    def fails(runs, passes):
        raise ValueError("found a NaN")

    run = shared.start(asked(shared, 0))
    with monkeypatch.context() as patched:
        patched.setattr(shared._engine, "advance", fails)
        with pytest.raises(ValueError, match="found a NaN"):
            run.advance()
    assert shared.start(asked(shared, 1)).advance() == shared.streams.length
