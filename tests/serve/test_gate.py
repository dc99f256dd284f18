"""gate.py: a body that does not come to its end."""

import asyncio
import json
import logging

import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.requests import Request
from starlette.responses import JSONResponse

from mas_fast.serve import gate
from mas_fast.serve.failures import Unfit
from mas_fast.serve.gate import Gate


class Figures:
    requests = Counter("requests", "", ("route", "status"), registry=CollectorRegistry())


async def reads_then_waits(scope, receive, send):
    """An app that reads the body, and then waits for the client to leave. What it could not read it
    answers in its own way, as FastAPI does."""
    try:
        await Request(scope, receive).body()
    except Unfit:
        return await JSONResponse({}, 400)(scope, receive, send)
    assert (await receive())["type"] == "http.disconnect"


def asked(messages, **options):
    """What a client gets that sends these messages, and nothing after them."""
    sent = []

    async def ask():
        waiting = iter(messages)

        async def receive():
            for seconds, message in waiting:
                await asyncio.sleep(seconds)
                return message
            await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        guarded = Gate(reads_then_waits, Figures, key=None, largest=100, **options)
        await asyncio.wait_for(guarded(scope, receive, send), 10)

    asyncio.run(ask())
    return sent


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(gate, "SLOWEST", 0.2)
    logging.getLogger("mas_fast.serve").setLevel(logging.WARNING)


def part(size: int, more: bool) -> dict:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


@pytest.mark.parametrize("parts", [[], [(0, part(1, True))], [(0.07, part(1, True))] * 9])
def test_a_body_that_does_not_come_is_not_waited_for(parts):
    start, body = asked(parts)
    assert start["status"] == 408
    assert json.loads(body["body"])["error"]["code"] == "timeout"


def test_once_it_is_whole_a_client_may_wait():
    """As for a picture that takes longer than a body may."""
    assert asked([(0, part(9, False)), (0.5, {"type": "http.disconnect"})]) == []


def test_what_is_too_large_is_not_read_to_its_end():
    start, _ = asked([(0, part(60, True)), (0, part(60, True)), (9, part(60, True))])
    assert start["status"] == 413
