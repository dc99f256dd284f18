"""locks.py: one at a time, and no longer than the process that asked."""

import os
import subprocess
import sys

import pytest

from mas_fast.utils.locks import lock

HOLD = """
import os, sys, time
from mas_fast.utils.locks import lock
held = lock(sys.argv[1], "")
if os.fork() == 0:  # a worker that outlives its parent
    print(os.getppid(), flush=True)
time.sleep(60)
"""


def test_one_at_a_time(tmp_path) -> None:
    folder = tmp_path / "new" / "folder"
    held = lock(folder, "wait for it")
    with pytest.raises(ValueError, match=r"folder: found another run that writes .*; wait for it"):
        lock(folder, "wait for it")
    held.close()
    lock(folder, "").close()


def test_a_killed_process_holds_nothing_though_its_workers_live(tmp_path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            assert int(process.stdout.readline()) == process.pid
            with pytest.raises(ValueError, match="another run"):
                lock(tmp_path, "")
            process.kill()
            process.wait()
            lock(tmp_path, "").close()
        finally:
            os.killpg(process.pid, 9)  # the worker


def test_a_planted_link_is_not_followed(tmp_path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("content")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        lock(tmp_path / "run", "")
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "planted")
    with pytest.raises(OSError, match="symbolic links"):
        lock(tmp_path / "run", "")
    assert precious.read_text() == "content"
    assert not (tmp_path / "planted").exists()
