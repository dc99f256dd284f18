"""uvicorn as this server wants it: idle while nobody asks, and streams end when they are whole."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI
from sse_starlette.sse import AppStatus


def listen(app: FastAPI, listening: socket.socket, log: dict) -> None:
    """Serve an app until a signal ends it, and then what it has under way, for 30 s at most.

    Args:
        app: what is served.
        listening: the socket that clients come to.
        log: as logging.config.dictConfig takes it.
    """
    AppStatus.disable_automatic_graceful_drain()  # which would cut the streams under way
    config = uvicorn.Config(app, log_config=log, access_log=False, timeout_graceful_shutdown=30)
    Listener(config).run(sockets=[listening])


class Listener(uvicorn.Server):
    """uvicorn's server looks ten times a second whether it is to end. This one is told by the
    signal, and wakes once a second for the header `Date`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def main_loop(self) -> None:
        ended = asyncio.Event()
        self._ended = asyncio.get_running_loop(), ended
        while not await self.on_tick(0):
            with contextlib.suppress(asyncio.TimeoutError):  # TimeoutError itself since 3.11
                await asyncio.wait_for(ended.wait(), 1)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._ended is not None:
            loop, ended = self._ended
            loop.call_soon_threadsafe(ended.set)
