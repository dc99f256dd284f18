"""What every request passes before it is looked at: limits of its body, a key, and the log. HEAD is
asked as GET: the server leaves the body out.

Plain ASGI, so that a stream is neither held back nor cut.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mas_fast.serve.failures import Unfit, answer
from mas_fast.serve.metrics import Metrics

log = logging.getLogger("mas_fast.serve")
GUARDED = "/v1/"  # the paths that need the key
SLOWEST = 30.0  # seconds that a body may take to come
TOO_SLOW = f"the body: found no end after {SLOWEST:g} s, expected it sooner"


class Gate:
    """The outermost part of a server.

    Args:
        app: what is behind it.
        metrics: count requests.
        key: what "Authorization: Bearer KEY" must say for paths under /v1/; None: nothing.
        largest: bytes that a body may have.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, key: str | None, largest: int) -> None:
        self._app, self._metrics = app, metrics
        self._key, self._largest = None if key is None else key.encode(), largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begin, status, count = time.perf_counter(), 0, 0
        refusal, whole = self._refused(scope), False
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def counted() -> Message:
            """A body that does not say its length is counted as it comes."""
            nonlocal count, refusal, whole
            if whole:  # what is waited for now is that the client leaves
                return await receive()
            left = max(begin + SLOWEST - time.perf_counter(), 0)
            try:
                message = await asyncio.wait_for(receive(), left)
            except asyncio.TimeoutError:  # TimeoutError itself since Python 3.11
                refusal = Unfit(TOO_SLOW, status=408, code="timeout")
                raise refusal from None
            count, whole = count + len(message.get("body", b"")), not message.get("more_body")
            if count > self._largest:
                refusal = self._too_large("found more")
                raise refusal
            return message

        async def unless_refused(message: Message) -> None:
            if refusal is None:  # else the app answers for a body that it could not read
                await noted(message)

        try:
            if refusal is None:
                await self._app(asked, counted, unless_refused)
            if refusal is not None:
                await answer(refusal)(scope, receive, noted)
        finally:
            self._note(asked, scope["method"], status, time.perf_counter() - begin)

    def _refused(self, scope: Scope) -> Exception | None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._largest:
            return self._too_large(f"found {length:.20}")
        if self._key is None or not scope["path"].startswith(GUARDED):
            return None
        scheme, _, said = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(said.encode(), self._key):
            return None
        message = "found no valid key, expected the header Authorization: Bearer KEY"
        return Unfit(message, status=401, code="invalid_api_key")

    def _too_large(self, found: str) -> Unfit:
        message = f"the body: {found}, expected at most {self._largest} bytes"
        return Unfit(message, status=413, code="body_too_large")

    def _note(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "other")
        self._metrics.requests.labels(path, status).inc()
        client = scope.get("client") or ("-", 0)
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "client": client[0],
            "method": method,
            "path": scope["path"],
            "status": status,  # 0: the client left before an answer
            "seconds": round(seconds, 4),
        }
        log.info(json.dumps(line))
