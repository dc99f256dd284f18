"""The team of threads of csrc/core/team.cpp, where the system will not start it."""

import subprocess
import sys

import pytest

pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")
pytest.importorskip("resource", reason="the limit is set through resource, POSIX only")

SCRIPT = """
import os, re, resource, sys
import numpy as np
from mas_fast import _engine
from mas_fast.config import preset

config, tokens = preset("tiny"), np.ones((1, 40), np.int32)
rng = np.random.default_rng(0)
weights = {name: rng.random(s, np.float32) for name, s in config.weight_shapes().items()}
make = lambda threads: _engine.Engine(config.to_engine(), weights.items(), threads=threads)
expected = make(1).logits(tokens)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), resource.RLIM_INFINITY))
tasks = len(os.listdir("/proc/self/task"))
for call in [lambda: make(1024), lambda: _engine.Bandwidth(1 << 16, 1024)] * 10:
    try:
        call()
        sys.exit("1024 threads were started")
    except RuntimeError as error:
        print(error)
    assert len(os.listdir("/proc/self/task")) == tasks
made = make(2).logits(tokens)
assert all((made[name] == values).all() for name, values in expected.items())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_too_many_threads_are_an_error_that_leaves_nothing() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert run.returncode == 0, (run.returncode, run.stdout, run.stderr)
    messages = run.stdout.splitlines()
    assert len(messages) == 20
    started = []
    for message in messages:
        assert message.startswith("threads is 1024, but only ")
        assert "ask for fewer, or raise the limits of this process: ulimit -u" in message
        started.append(int(message.split()[5]))
    assert 2 <= min(started) and max(started) <= 1.5 * min(started) + 8  # no stack is lost
