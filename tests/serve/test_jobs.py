"""jobs.py: what workers make comes to the event loop, bounded and cancellable."""

import asyncio
import threading
import time

import pytest

from mas_fast.generation.cpp import CppEngine
from mas_fast.serve.jobs import Busy, Jobs
from mas_fast.serve.shared import SharedEngine


@pytest.fixture
def engine(tiny_bundle):
    engine = SharedEngine(CppEngine(tiny_bundle))
    yield engine
    engine.close()


@pytest.fixture
def jobs(engine):
    jobs = Jobs(engine, workers=2, waiting=1)
    yield jobs
    jobs.close()


def test_items_come_in_order(jobs):
    async def collect():
        return [item async for item in jobs.start(lambda: range(5), 20)]

    assert asyncio.run(collect()) == [0, 1, 2, 3, 4]
    assert jobs.open == 0


def test_what_a_worker_raises_is_raised(jobs):
    def make():
        yield 1
        raise ValueError("found nothing")

    async def collect():
        found = []
        with pytest.raises(ValueError, match="found nothing"):
            async for item in jobs.start(make, 20):
                found.append(item)
        return found

    assert asyncio.run(collect()) == [1]
    assert jobs.open == 0


def test_no_more_than_allowed(jobs):
    """Two are worked on, one waits, and the next is refused."""
    go = threading.Event()

    def make():
        go.wait()
        yield 1

    async def fill():
        started = [jobs.start(make, 20) for _ in range(3)]
        assert jobs.waiting == 1
        with pytest.raises(Busy) as refusal:
            jobs.start(make, 20)
        assert refusal.value.seconds >= 1
        go.set()
        for job in started:
            assert [item async for item in job] == [1]

    asyncio.run(fill())
    assert jobs.open == 0


def test_too_long(jobs):
    go = threading.Event()

    def make():
        go.wait()
        yield 1

    async def wait():
        with pytest.raises(TimeoutError, match="found no end after 0.05 s"):
            async for _ in jobs.start(make, 0.05):
                pass
        go.set()

    asyncio.run(wait())


def test_who_stops_listening_ends_the_work(jobs):
    made = []

    def make():
        for n in range(1000):
            made.append(n)
            time.sleep(0.01)
            yield n

    async def leave():
        items = aiter(jobs.start(make, 20))
        assert await anext(items) == 0
        await items.aclose()
        while jobs.open:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(leave(), 20))
    assert len(made) < 100
