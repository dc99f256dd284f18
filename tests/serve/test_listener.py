"""listener.py: how the server waits, and how it ends."""

import os
import signal
import threading
import time

import httpx
import pytest

from served import serving_process

STREAM = {"prompt": "a red house", "n": 8, "stream": True, "partial_images": 3}


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_answered_before_it_ends(kind):
    with serving_process() as (address, process):
        whole = []

        def ask() -> None:
            body = STREAM | {"stream": False, "partial_images": 0, "n": 16}
            whole.append(httpx.post(address + "/v1/images/generations", json=body, timeout=60))

        with httpx.stream(
            "POST", address + "/v1/images/generations", json=STREAM, timeout=60
        ) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("event: ")
            other = threading.Thread(target=ask)
            other.start()
            while b"open_requests 2" not in httpx.get(address + "/metrics").content:
                time.sleep(0.01)
            process.send_signal(kind)
            kinds = [line for line in lines if line.startswith("event: ")]
        other.join()
        assert kinds.count("event: image_generation.completed") == 8
        assert "event: error" not in kinds
        assert len(whole[0].json()["data"]) == 16
        process.wait(timeout=30)
        with pytest.raises(httpx.ConnectError):
            httpx.get(address + "/health")


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="found no /proc")
def test_an_idle_server_sleeps():
    """After a stream as before one."""
    with serving_process() as (address, process):
        httpx.post(address + "/v1/images/generations", json=STREAM | {"n": 1}, timeout=60)
        date = httpx.get(address + "/health").headers["date"]
        time.sleep(1)

        def woken() -> int:
            with open(f"/proc/{process.pid}/status") as file:
                line = next(line for line in file if line.startswith("voluntary_ctxt_switches"))
            return int(line.split()[1])

        before = woken()
        time.sleep(3)
        assert woken() - before <= 3 + 2 * 3 + 1, "once a second, and twice after a stream"
        assert httpx.get(address + "/health").headers["date"] != date
