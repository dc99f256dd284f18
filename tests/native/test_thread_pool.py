"""The thread pool of csrc/core/thread_pool.cpp: its size, and what happens if the system does not
start it. tests/cpp/test_pace.cpp tests when one thread works alone."""

import os
import subprocess
import sys

import numpy as np
import pytest

native = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")
pytest.importorskip("resource", reason="the limit is set through resource, POSIX only")

SCRIPT = """
import os, resource, sys
import numpy as np
from mas_fast import _engine
from mas_fast.models.gpt_config import preset

config, tokens = preset("tiny"), np.ones((1, 40), np.int32)
rng = np.random.default_rng(0)
weights = {name: rng.random(s, np.float32) for name, s in config.weight_shapes().items()}
make = lambda threads: _engine.Engine(config.to_engine(), weights.items(), threads=threads)
expected = make(1).logits(tokens)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), resource.RLIM_INFINITY))
tasks = len(os.listdir("/proc/self/task"))
for _ in range(20):
    try:
        _engine.Bandwidth(1 << 16, 1024)
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
        assert message.startswith("threads: found 1024, expected at most ")
        assert "ask for fewer, or raise the limits of this process: ulimit -u" in message
        started.append(int(message.split()[6].rstrip(",")))
    assert 2 <= min(started)
    assert max(started) <= 1.5 * min(started) + 8  # no stack is lost


def test_an_engine_starts_no_more_threads_than_can_run() -> None:
    """64 threads on two processors took five times as long as two, 1000 did not end."""
    from mas_fast.models.gpt_config import preset

    config = preset("tiny")
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.weight_shapes().items()}
    most = native.available_threads()
    for asked, started in [(0, most), (1, 1), (most, most), (most + 1, most), (1000, most)]:
        engine = native.Engine(config.to_engine(), weights.items(), threads=asked)
        assert engine.threads == started


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_threads_follow_the_affinity() -> None:
    code = """import os
from mas_fast import _engine
before = _engine.available_threads()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(before, _engine.available_threads())"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    assert 1 <= before <= os.cpu_count()
    assert after == 1


def control_groups(folder, groups: str, mounts: list[tuple], limits: dict[str, str]):
    """A /proc of (root of the mount, where, type, options), and files below the mounts."""
    (folder / "self").mkdir()
    (folder / "self/cgroup").write_text(groups)
    lines = [
        f"{30 + i} 20 0:{i} {root} {folder}{point} rw,nosuid shared:9 - {kind} {kind} {options}\n"
        for i, (root, point, kind, options) in enumerate(mounts)
    ]
    (folder / "self/mountinfo").write_text("20 1 8:1 / / rw - ext4 /dev/sda rw\n" + "".join(lines))
    for name, text in limits.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return native.quota_threads(str(folder))


V2 = [("/", "/fs", "cgroup2", "rw,nsdelegate")]
V1 = [("/", "/fs/memory", "cgroup", "rw,memory"), ("/", "/fs/cpu", "cgroup", "rw,cpu,cpuacct")]


@pytest.mark.parametrize(
    "groups, mounts, limits, found",
    [
        ("0::/a/b\n", V2, {"fs/a/b/cpu.max": "max 100000\n"}, 0),
        ("0::/a/b\n", V2, {"fs/a/b/cpu.max": "150000 100000\n"}, 2),
        ("0::/a/b\n", V2, {"fs/a/b/cpu.max": "100000 100000\n"}, 1),
        ("0::/a/b\n", V2, {"fs/a/b/cpu.max": "5000 100000\n"}, 1),
        # the least of the group and of those above it
        ("0::/a/b\n", V2, {"fs/a/b/cpu.max": "8 1\n", "fs/a/cpu.max": "3 1\n"}, 3),
        ("0::/a/b\n", V2, {"fs/a/b/cpu.max": "2 1\n", "fs/a/cpu.max": "3 1\n"}, 2),
        ("0::/a/b\n", V2, {"fs/a/b/cpu.max": "max 1\n", "fs/cpu.max": "4 1\n"}, 4),
        # in a container: its own group is the root
        ("0::/\n", V2, {"fs/cpu.max": "200000 100000\n"}, 2),
        ("0::/x/12ab\n", [("/x/12ab", "/fs", "cgroup2", "rw")], {"fs/cpu.max": "2 1\n"}, 2),
        ("0::/../../y\n", V2, {"fs/cpu.max": "2 1\n"}, 2),
        ("5:memory:/m\n4:cpu,cpuacct:/d\n", V1, {
            "fs/cpu/d/cpu.cfs_quota_us": "250000\n", "fs/cpu/d/cpu.cfs_period_us": "100000\n",
        }, 3),
        ("4:cpu,cpuacct:/d\n", V1, {
            "fs/cpu/d/cpu.cfs_quota_us": "-1\n", "fs/cpu/d/cpu.cfs_period_us": "100000\n",
        }, 0),
        ("4:cpuset:/d\n", V1, {
            "fs/cpu/d/cpu.cfs_quota_us": "1\n", "fs/cpu/d/cpu.cfs_period_us": "1\n",
        }, 0),
        ("0::/a\n", [], {}, 0),
        ("", V2, {}, 0),
        ("nonsense\n:\n", V2, {"fs/cpu.max": "x y\n"}, 0),
    ],
)  # fmt: skip
def test_quotas_of_control_groups(tmp_path, groups, mounts, limits, found) -> None:
    assert control_groups(tmp_path, groups, mounts, limits) == found
    assert native.quota_threads(str(tmp_path / "nothing")) == 0
