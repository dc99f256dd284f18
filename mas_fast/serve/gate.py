"""What every request passes before it is looked at: limits of its body, a key, and the log.

Plain ASGI, so that a stream is neither held back nor cut.
"""

from __future__ import annotations

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

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def counted() -> Message:
            """A body that does not say its length is counted as it comes."""
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._largest:
                raise self._too_large("found more")
            return message

        async def unless_too_large(message: Message) -> None:
            if count <= self._largest:  # else the app answers for a body that it could not read
                await noted(message)

        try:
            refusal = self._refused(scope)
            if refusal is None:
                await self._app(scope, counted, unless_too_large)
                refusal = self._too_large("found more") if count > self._largest else None
            if refusal is not None:
                await answer(refusal)(scope, receive, noted)
        finally:
            self._note(scope, status, time.perf_counter() - begin)

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

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "other")
        self._metrics.requests.labels(path, status).inc()
        client = scope.get("client") or ("-", 0)
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "client": client[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": status,  # 0: the client left before an answer
            "seconds": round(seconds, 4),
        }
        log.info(json.dumps(line))
