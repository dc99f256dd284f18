"""progress.py: a bar on a terminal, a rare line elsewhere."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from mas_fast.utils import progress
from mas_fast.utils.progress import progress_bar


def work(**options) -> None:
    with progress_bar(total=40, unit="step", **options) as bar:
        bar.set_description("reading")
        for n in range(40):
            bar.update()
            bar.set_postfix_str(f"loss {n}")


def test_short_work_writes_nothing_into_a_log(capsys) -> None:
    work()
    assert list(progress_bar(range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_long_work_writes_a_line_now_and_then(capsys, monkeypatch) -> None:
    seconds = iter(range(0, 10**6, 4))  # each look at the clock takes four
    monkeypatch.setattr("tqdm.std.time", lambda: next(seconds))
    work()
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 12
    assert "\r" not in "".join(lines)
    assert all(line.startswith("reading: ") and "/40" in line for line in lines)
    assert "40/40" in lines[-1]
    assert "loss" in lines[-1]


def test_a_terminal_gets_a_bar(capsys, monkeypatch) -> None:
    monkeypatch.setattr(progress, "terminal", lambda: True)
    work()
    assert "40/40" in capsys.readouterr().err
    work(show=False)
    assert capsys.readouterr().err == ""


def test_what_a_terminal_is() -> None:
    code = "from mas_fast.utils.progress import progress_bar; list(progress_bar(range(3)))"
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run([sys.executable, "-c", code], stderr=follower, check=True)
    os.close(follower)
    assert b"3/3" in os.read(leader, 1 << 16)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""
