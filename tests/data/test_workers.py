"""data/workers.py: each shard is made once, here, in a pool and on Ray, whoever is killed."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mas_fast.data.workers import Progress, run_job

JOBS = '''
import errno, os, signal, time
from dataclasses import dataclass
from pathlib import Path
from mas_fast.data.workers import Job

@dataclass(frozen=True)
class Write(Job):
    """Writes a file a shard; `first` says what happens the first time that shard 3 is made."""
    folder: Path
    first: str = ""
    device: str = None

    def open(self):
        if self.first == "open":
            raise ValueError("found no weights")
        (self.folder / f"opened-{os.getpid()}").touch()
        return self.make

    def make(self, shard, tick):
        marker = self.folder / "marker"
        again = self.first.endswith("always") or not marker.exists()
        if shard == 3 and self.first and again:
            marker.touch()
            if self.first.startswith("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            if self.first == "full":
                raise OSError(errno.ENOSPC, "No space left on device", "00003.tar")
            if self.first == "wait":
                time.sleep(600)
            raise ValueError("found nonsense")
        for _ in range(5):
            tick(2)
        # "x" shows a shard made twice; a kill may end the other worker between its file and
        # its answer.
        mode = "w" if self.first.startswith("kill") else "x"
        with open(self.folder / f"{shard}.txt", mode) as file:
            file.write(f"{os.getpid()}")
        return 10
'''
LOCAL = {"workers": 2}
WAYS = [{"workers": 1}, LOCAL, {"workers": 2, "ray": "local"}]


NO_RAY = importlib.util.find_spec("ray") is None


def ways(*some):
    """pytest parameters; those on Ray are slow: it takes 10 s to start."""
    marks = [pytest.mark.slow, pytest.mark.skipif(NO_RAY, reason="Ray is not installed")]
    return [pytest.param(way, marks=marks) if "ray" in way else way for way in some]


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """A folder of modules that workers can import too."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "mas_fast_test_jobs.py").write_text(JOBS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))  # for Ray
        yield folder


@pytest.fixture
def Write(modules, request):
    import mas_fast_test_jobs

    if "ray" in str(request.node.callspec.params if hasattr(request.node, "callspec") else ""):
        request.getfixturevalue("cluster")
    return mas_fast_test_jobs.Write


@pytest.fixture(scope="module")
def cluster(modules):
    """One Ray for all tests, as where a user has begun one."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def made(folder) -> set[int]:
    return {int(file.stem) for file in folder.glob("*.txt")}


@pytest.mark.parametrize("way", ways(*WAYS), ids=str)
def test_every_shard_is_made_once(tmp_path, Write, way, capfd, terminal):
    run_job(Write(tmp_path), [1, 3, 4, 5, 8], done=7, images=57, **way)
    assert made(tmp_path) == {1, 3, 4, 5, 8}
    assert len(list(tmp_path.glob("opened-*"))) <= way["workers"]
    assert (str(os.getpid()) in (tmp_path / "3.txt").read_text()) == (way == WAYS[0])
    bar = capfd.readouterr().err
    assert "57/57" in bar
    assert "shard 5/5" in bar
    assert "image/s" in bar


@pytest.mark.parametrize("way", ways(*WAYS[1:]), ids=str)
def test_a_killed_worker_is_replaced(tmp_path, Write, way, capfd, terminal):
    run_job(Write(tmp_path, "kill"), range(8), **way)
    assert made(tmp_path) == set(range(8))
    assert (tmp_path / "marker").exists()
    assert "80/80" in capfd.readouterr().err


def test_workers_that_are_always_killed_end_the_run(tmp_path, Write):
    with pytest.raises(ChildProcessError, match="killed 3 times before any .* number 3: is there"):
        run_job(Write(tmp_path, "kill always"), range(6), progress=False, **LOCAL)
    assert {0, 1, 2} <= made(tmp_path) <= {0, 1, 2, 4, 5}


@pytest.mark.parametrize("way", ways(*WAYS), ids=str)
def test_what_a_worker_raises_ends_the_run(tmp_path, Write, way):
    with pytest.raises(ValueError, match="found nonsense"):
        run_job(Write(tmp_path, "raise"), range(200), progress=False, **way)
    assert 3 not in made(tmp_path)
    assert len(made(tmp_path)) < 200  # the others were not begun
    with pytest.raises(ValueError, match="found no weights"):
        run_job(Write(tmp_path, "open"), [200, 201], progress=False, **way)


@pytest.mark.parametrize("way", ways(*WAYS), ids=str)
def test_a_full_disk_is_named_and_the_run_goes_on_later(tmp_path, Write, way):
    with pytest.raises(OSError, match=r"No space left on device \(\d shards are left.*00003.tar"):
        run_job(Write(tmp_path, "full"), range(6), progress=False, **way)
    assert 3 not in made(tmp_path)
    run_job(Write(tmp_path), sorted(set(range(6)) - made(tmp_path)), progress=False, **way)
    assert made(tmp_path) == set(range(6))


def test_workers_end_with_the_process_that_feeds_them(tmp_path, modules):
    code = (
        "import sys; from pathlib import Path; from mas_fast.data.workers import run_job; "
        f"sys.path.insert(0, {str(modules)!r}); import mas_fast_test_jobs as jobs; "
        f"run_job(jobs.Write(Path({str(tmp_path)!r}), 'wait'), range(2, 4), workers=2)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "marker").exists() and 2 in made(tmp_path))
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    workers = [int(file.name.partition("-")[2]) for file in tmp_path.glob("opened-*")]
    assert workers
    assert run.pid not in workers
    wait_for(lambda: not any(map(alive, workers)))


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("way", [WAYS[0], pytest.param(LOCAL, marks=pytest.mark.slow)], ids=str)
def test_pytorch_has_one_thread_a_worker(tmp_path, modules, Write, way):
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    (modules / "mas_fast_test_threads.py").write_text(
        "import torch\nfrom mas_fast_test_jobs import Write\n"
        "class Threads(Write):\n"
        "    def make(self, shard, tick):\n"
        "        (self.folder / f'{shard}.txt').write_text(str(torch.get_num_threads()))\n"
        "        return 1\n"
    )
    import mas_fast_test_threads

    try:
        job = mas_fast_test_threads.Threads(tmp_path, device="cpu")
        run_job(job, range(2), progress=False, **way)
        assert [(tmp_path / f"{n}.txt").read_text() for n in range(2)] == ["1", "1"]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
        del sys.modules["mas_fast_test_threads"]


def test_unfit_arguments(tmp_path, Write, monkeypatch):
    with pytest.raises(ValueError, match="workers: found 0, expected an integer >= 1"):
        run_job(Write(tmp_path), [1], workers=0)
    with pytest.raises(ValueError, match="device: found 'tpu', expected 'cpu' or 'cuda'"):
        run_job(Write(tmp_path, device="tpu"), [1])
    run_job(Write(tmp_path, "open"), [])  # nothing to do
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="found 'cuda', expected 'cpu': PyTorch sees no GPU here"):
        run_job(Write(tmp_path, device="cuda"), [1], progress=False)


def test_ray_that_is_missing_is_named(tmp_path, Write, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "mas_fast\[ray\]"'):
        run_job(Write(tmp_path), [1], ray="local", progress=False)


def test_the_bar_extrapolates_from_the_shards_that_are_done():
    bar = Progress(4, done=100, images=None, show=False)
    bar.tick(0, 3)
    bar.tick(1, 5)
    assert bar.bar.total is None
    assert bar.seen == 108
    bar.done(1, 20)
    assert bar.bar.total == 100 + 4 * 20
    assert bar.seen == 123
    bar.lost()
    assert bar.seen == 120
    for shard in (0, 2, 3):
        bar.done(shard, 10)
    assert bar.bar.total == bar.seen == 150


def test_an_interrupt_ends_all_processes_quietly(modules, tmp_path) -> None:
    """Ctrl-C goes to the whole group, as a terminal sends it; shard 3 sleeps for minutes."""
    script = (
        "import mas_fast_test_jobs as jobs, pathlib, sys\n"
        "from mas_fast.data.workers import run_job\n"
        "if __name__ == '__main__':\n"
        "    job = jobs.Write(pathlib.Path(sys.argv[1]), 'wait')\n"
        "    try:\n"
        "        run_job(job, range(6), workers=2)\n"
        "    except KeyboardInterrupt as stop:\n"
        "        sys.exit(f'{stop}')\n"
    )
    (tmp_path / "script.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    while not (tmp_path / "marker").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    left = rb"[1-6] shards are left, and the same command goes on with them\n"
    assert re.fullmatch(left, printed), printed
    wait_for(lambda: not _running(process.pid))  # nobody is left, when the last one has noticed


def _running(group: int) -> list[str]:
    """What /proc says of the processes of a group, without those that nobody has waited for."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(its_group) == group and state != "Z":
            found.append(file.read_text())
    return found
