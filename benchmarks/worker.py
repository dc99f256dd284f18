"""A contestant in a process of its own.

    worker = Worker("benchmarks.peers.llama_cpp:LlamaCpp", threads=2)
    worker.create(...)                       # keyword arguments of the class
    worker.call("block")                     # JSON in, JSON out
    worker.peak_bytes, worker.close()

So the libraries cannot disturb one another: each has its own thread pool, and between two calls
the process is stopped (SIGSTOP), so that no pool goes on spinning while another is timed. And
memory can be told apart: the peak of anonymous memory (RssAnon; files that are mapped do not
count) beyond what importing the libraries took."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from benchmarks.versus import Unavailable

INSTALL = "not installed: pip install -e .[bench]"
ROOT = Path(__file__).resolve().parent.parent
# The two packages by their places, and the checkout off the path: its kernels/ is not what
# transformers imports.
START = """import importlib.util, sys
sys.path[:] = {path!r}
for name in ("mas_fast", "benchmarks"):
    folder = {root!r} + "/" + name
    spec = importlib.util.spec_from_file_location(
        name, folder + "/__init__.py", submodule_search_locations=[folder])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
from benchmarks.worker import serve
serve()"""


class Worker:
    """The parent's handle.

    Args:
        target: the class, "module:Name".
        threads: of the process.

    Attributes:
        base_bytes: anonymous memory after importing the libraries.
        peak_bytes: the most seen since.

    Raises:
        Unavailable: if the library is not installed or fails, or the process dies.
    """

    def __init__(self, target: str, threads: int) -> None:
        self.module, self.name = target.split(":")
        self.base_bytes = self.peak_bytes = 0
        self.log = tempfile.TemporaryFile()
        path = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START.format(path=path, root=str(ROOT))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"},
        )
        try:
            self._request({"do": "import", "module": self.module})
            self.base_bytes = self.peak_bytes = self._anonymous()
        except BaseException:
            self.close()
            raise

    def create(self, **options) -> None:
        self._request({"do": "create", "name": self.name, "options": options})

    def call(self, method: str, *arguments, watch_ms: int = 5):
        """Call a method of the contestant.

        Args:
            method: its name.
            arguments: values that JSON has.
            watch_ms: how often memory is looked at meanwhile, in milliseconds, and once at the end.

        Returns:
            The result of the method.
        """
        request = {"do": "call", "method": method, "arguments": arguments}
        return self._request(request, watch_ms)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()

    def _request(self, request: dict, watch_ms: int = 5):
        self.process.send_signal(signal.SIGCONT)
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over, watch_ms / 1e3))
        watcher.start()
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            over.set()
            watcher.join()
        if not line:
            code = self.process.wait()
            reason = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            raise Unavailable(f"the process died: {reason}{self._last_words()}")
        self.peak_bytes = max(self.peak_bytes, self._anonymous())
        self.process.send_signal(signal.SIGSTOP)
        reply = json.loads(line)
        if "error" in reply:
            raise Unavailable(reply["error"])
        return reply["result"]

    def _watch(self, over: threading.Event, seconds: float) -> None:
        while not over.wait(seconds):
            self.peak_bytes = max(self.peak_bytes, self._anonymous())

    def _anonymous(self) -> int:
        """RssAnon; 0 where the system does not tell."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        return next(
            (int(s.split()[1]) << 10 for s in text.splitlines() if s.startswith("RssAnon")), 0
        )

    def _last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1]})" if lines else ""


def serve() -> None:
    """Serve requests in the child, one line of JSON each, until its parent is gone."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # without it a stopped child would outlive its parent
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    # What a library prints must not come between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module = player = None
    for line in sys.stdin:
        request, result = json.loads(line), None
        try:
            if request["do"] == "import":
                module = importlib.import_module(request["module"])
            elif request["do"] == "create":
                player = getattr(module, request["name"])(**request["options"])
            else:
                result = getattr(player, request["method"])(*request["arguments"])
            reply = {"result": result}
        except ModuleNotFoundError as error:
            known = error.name and not error.name.startswith(("benchmarks", "mas_fast"))
            reply = {"error": f"{INSTALL} ({error.name})" if known else str(error)}
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)
