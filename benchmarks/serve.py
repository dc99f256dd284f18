"""Subject "serve": `mas-fast serve` over the loopback, with the model that ships: how soon a scene
is seen after a stroke, how long a picture takes, and what 16 clients at once get.

The server is a process of its own, as people start it. A stroke is a request with a scene in part,
streamed: its first event is the scene."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks import goals, results
from benchmarks.goals import Goal
from benchmarks.versus import Unavailable

PATH = "/v1/images/generations"
STROKE = {"prompt": "an elephant on the grass", "scene": "elephant: 66,48,116,108"}
CAPTION = {"prompt": "a red house beside a lake at dusk"}


@dataclass(frozen=True)
class Plan:
    strokes: int = 50
    clients: int = 16
    requests: int = 4  # of each client
    idle: float = 5.0  # seconds
    dtype: str = "bf16"


@dataclass(frozen=True)
class Served:
    """A server that is ready: its address, process, and the seconds that took."""

    address: str
    pid: int
    seconds: float

    def ask(self, **body: object) -> dict:
        """Ask for a picture; the seconds to the first event and to the last."""
        begin = time.perf_counter()
        headers = {"content-type": "application/json"}
        content = json.dumps(body).encode()
        request = urllib.request.Request(self.address + PATH, content, headers)
        first = None
        with urllib.request.urlopen(request, timeout=600) as answer:
            for line in answer:
                if first is None and line.startswith(b"data"):
                    first = time.perf_counter() - begin
        return {"first": first, "whole": time.perf_counter() - begin}

    def processor_seconds(self) -> float:
        """Seconds of processor time that it has used."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """The most memory that it has had."""
        with open(f"/proc/{self.pid}/status") as file:
            line = next(line for line in file if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


@contextlib.contextmanager
def serving(*options: str) -> Iterator[Served]:
    """Start a server, and wait until it is ready."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "mas_fast", "serve", "--port", "0", *options]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1:]
        if not address:
            raise Unavailable("the server did not start; see `mas-fast serve`")
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(address[0] + "/ready"):
                break
            time.sleep(0.02)
        yield Served(address[0], server.pid, time.perf_counter() - begin)
    finally:
        server.terminate()
        server.wait(timeout=60)


def run(plan: Plan | None = None) -> dict:
    """Measure a server.

    Args:
        plan: what to do; None takes the default.

    Returns:
        The record, with its tables.

    Raises:
        Unavailable: the server does not start.
    """
    plan = plan or Plan()
    with serving("--dtype", plan.dtype) as served:
        served.ask(**CAPTION)
        before = served.processor_seconds()
        time.sleep(plan.idle)
        idle = (served.processor_seconds() - before) / plan.idle
        strokes = [
            served.ask(**STROKE, seed=n, stream=True, partial_images=1) for n in range(plan.strokes)
        ]
        count = plan.clients * plan.requests
        alone = [served.ask(**CAPTION, seed=n)["whole"] for n in range(count)]
        begin = time.perf_counter()
        with ThreadPoolExecutor(plan.clients) as threads:
            shared = list(
                threads.map(lambda n: served.ask(**CAPTION, seed=n)["whole"], range(count))
            )
        seconds = time.perf_counter() - begin
        memory = served.megabytes()
    single = statistics.median(alone)
    figures = {
        "first look at the scene, s": statistics.median(s["first"] for s in strokes),
        "whole picture after a stroke, s": statistics.median(s["whole"] for s in strokes),
        "one client, s a picture": single,
        f"{plan.clients} clients, pictures a second": count / seconds,
        f"{plan.clients} clients, p95, s": statistics.quantiles(shared, n=20)[-1],
        "from the command to ready, s": served.seconds,
        "memory at most, MB": memory,
        "idle, of a core": idle,
    }
    rate = count / seconds * sum(alone) / count
    late = statistics.quantiles(shared, n=20)[-1] / single
    outcomes = [
        Goal("first look at the scene after a stroke, s", list(figures.values())[0], 0.3),
        Goal("whole picture after a stroke, s", list(figures.values())[1], 1.0),
        Goal(f"{plan.clients} clients: times the pictures of one", rate, 2.5, at_most=False),
        Goal(f"{plan.clients} clients: p95 over one's time", late, 8.0),
        Goal("from the command to ready, s", served.seconds, 2.0),
        Goal("memory, MB", memory, 400.0),
        Goal("idle, of a core", idle, 0.005),
    ]
    rows = [[name, value] for name, value in figures.items()]
    table = {"title": f"serve: {plan.dtype}", "columns": ["", "measured"], "rows": rows}
    return {
        **results.provenance(),
        "plan": vars(plan),
        "figures": figures,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [table, goals.table(outcomes)],
    }
