"""A server of the bundle that comes with mas_fast, in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator


@contextlib.contextmanager
def serving(*options: str, **environment: str) -> Iterator[str]:
    """The address of a server that is ready."""
    with serving_process(*options, **environment) as (address, _):
        yield address


@contextlib.contextmanager
def serving_process(
    *options: str, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The same, and its process, which may end before."""
    command = [sys.executable, "-m", "mas_fast", "serve", "--port", "0", *options]
    log = tempfile.TemporaryFile("w+")  # a pipe that nobody reads would fill up
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if " at http://" not in line:
            log.seek(0)
            raise AssertionError(log.read())
        address = line.split()[-1]
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(address + "/ready") as answer:
                assert json.load(answer) == {"status": "ready"}
                break
            time.sleep(0.05)
        yield address, server
    finally:
        server.terminate()
        server.communicate(timeout=40)
        log.close()
