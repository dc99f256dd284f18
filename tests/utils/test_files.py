"""files.py: a file is replaced in one step or not at all."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mas_fast.utils.files import replace_file, sweep


def test_the_old_content_stays_until_the_new_one_is_whole(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def write(temporary):
        temporary.write_text("ne")
        assert file.read_text() == "old"
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        temporary.chmod(0o600)

    replace_file(file, write)
    assert file.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failure_leaves_the_old_content_and_no_scraps(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise OSError(5, "disk broken")

    with pytest.raises(OSError, match="disk broken"):
        replace_file(file, write)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    class RustError(Exception):  # as safetensors' own
        pass

    for error in (
        OSError(28, "No space left on device"),
        RustError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ):

        def write(temporary, error=error):
            temporary.write_text("half")
            raise error

        with pytest.raises(OSError, match="No space left on device: .*a.txt") as found:
            replace_file(file, write)
        assert found.value.errno == 28
        assert found.value.filename == str(file)
        assert file.read_text() == "old"
        assert os.listdir(tmp_path) == ["a.txt"]


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from mas_fast.utils.files import replace_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
weights = {"w": np.ones(10**6, np.float32)}
for write in (lambda file: file.write_bytes(bytes(10**6)), lambda file: save_file(weights, file)):
    try:
        replace_file(Path(sys.argv[1]), write)
    except OSError as error:
        print(error)
"""


def test_what_libraries_say_of_a_disk_is_passed_on(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_text("old")
    command = [sys.executable, "-c", LIMITED, str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2
    assert all("File too large" in line and str(file) in line for line in lines)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_other_errors_stay_what_they_are(tmp_path):
    def write(temporary):
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        replace_file(tmp_path / "a.txt", write)
    assert os.listdir(tmp_path) == []


def test_no_link_is_followed(tmp_path, monkeypatch):
    """Neither one in the place of the temporary file nor one in the place of the file itself."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "a.txt"
    file.symlink_to(elsewhere)
    replace_file(file, lambda temporary: temporary.write_text("new"))
    assert file.read_text() == "new"
    assert not file.is_symlink()
    assert elsewhere.read_text() == "mine"

    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    (folder / f".a.txt.{os.getpid()}.00000000.tmp").symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        replace_file(file, lambda temporary: temporary.write_text("newer"))
    assert file.read_text() == "new"
    assert elsewhere.read_text() == "mine"


def test_the_longest_name_can_be_written(tmp_path):
    file = tmp_path / ("é" * 127)
    replace_file(file, lambda temporary: temporary.write_text("new"))
    assert file.read_text() == "new"


KILLED = """
import os, signal, sys
from pathlib import Path
from mas_fast.utils.files import replace_file

def write(temporary):
    temporary.write_text("half")
    print(temporary, flush=True)
    sys.stdin.readline()

replace_file(Path(sys.argv[1]), write)
"""


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path):
    others = [".notes.tmp", ".a.txt.tmp", "a.1.tmp", ".a.txt.x.tmp"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".b.txt.17.tmp").write_text("of a version before")
    (tmp_path / "mine").touch()
    (tmp_path / ".link.17.01234567.tmp").symlink_to(tmp_path / "mine")
    command = [sys.executable, "-c", KILLED]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, tmp_path / "dead"], **pipes) as dead:
        scrap = Path(dead.stdout.readline().strip())
        # Behind the first one's own sweep, which could meet a file that is not yet locked.
        alive = subprocess.Popen([*command, tmp_path / "alive"], **pipes)
        kept = Path(alive.stdout.readline().strip())
        dead.kill()
        dead.wait()
        sweep(tmp_path)
        assert not scrap.exists()
        assert kept.read_text() == "half"
        assert not (tmp_path / ".b.txt.17.tmp").exists()
        assert (tmp_path / "mine").exists()
        assert set(others) <= set(os.listdir(tmp_path))
        alive.communicate("go on\n")
        assert alive.returncode == 0
        assert (tmp_path / "alive").read_text() == "half"


def test_the_first_file_of_a_process_sweeps_its_folder(tmp_path):
    scrap = tmp_path / ".gpt.safetensors.17.01234567.tmp"
    scrap.write_text("half of a model")
    replace_file(tmp_path / "other", lambda temporary: temporary.write_text("new"))
    assert os.listdir(tmp_path) == ["other"]
    sweep(tmp_path / "absent")


def test_a_sweep_before_the_lock_costs_no_file(tmp_path, monkeypatch):
    """Another process may look at the folder between the making of the file and its lock."""
    lock, sweeps = fcntl.flock, []

    def swept(file, operation):
        if operation == fcntl.LOCK_EX and not sweeps:
            sweeps.append(operation)
            sweep(tmp_path)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", swept)
    replace_file(tmp_path / "a.txt", lambda temporary: temporary.write_text("whole"))
    assert sweeps
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"
