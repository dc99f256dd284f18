"""training/checkpoints.py: whole or absent, and read without running code (test_trainer.py kills
processes that write them)."""

import errno
import hashlib
import json
import os
import pickle
import signal
import stat
import threading

import pytest
import torch

from mas_fast.training.checkpoints import Checkpoints


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {
        "a/weight": torch.full((3, 2), value),
        "a/step": torch.tensor(value),
        "b": torch.ones(4),
    }


def test_what_is_saved_comes_back(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert checkpoints.latest() is None
    for step in (5, 10, 100_000_000):
        checkpoints.save(step, {"recent": [1.5, float("nan")]}, tensors(step))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000010", "step-100000000"]
    latest = checkpoints.latest()
    assert latest.name == "step-100000000"  # by number, not by name
    assert checkpoints.values(latest)["step"] == 100_000_000
    assert checkpoints.values(latest)["recent"][0] == 1.5
    assert set(checkpoints.names(latest)) == set(tensors(0))
    found = {name: torch.zeros_like(tensor) for name, tensor in tensors(0).items()}
    checkpoints.read(checkpoints.all()[0], found)
    for name, tensor in tensors(10).items():
        assert torch.equal(found[name], tensor)


def test_half_of_one_is_none(tmp_path, monkeypatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "rename"):  # while torch writes the tensors; and of the whole
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="No space left"):
                checkpoints.save(10, {}, tensors(10))
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]
    checkpoints.save(15, {}, tensors(15))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000015"]


def test_another_shape_or_name_is_refused(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))
    for wrong in ({"a/weight": torch.zeros(2, 2)}, {"c": torch.zeros(3)}):
        with pytest.raises(ValueError, match="step-00000005: found other tensors than"):
            checkpoints.read(checkpoints.latest(), wrong)


class Evil:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_no_code_is_run(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    checkpoints.save(5, {}, tensors(5))
    path = checkpoints.latest()
    (path / ".metadata").write_bytes(pickle.dumps(Evil(tmp_path / "touched")))
    for call in (checkpoints.names, lambda path: checkpoints.read(path, tensors(0))):
        with pytest.raises(ValueError, match="damaged checkpoint .*found posix.system in it"):
            call(path)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"step": "5"}', '{"step": 6}', '{"step": true}', "[" * 99_999, "\xff"]
    + ['{"step": ' + "9" * 5000 + "}", '{"step": 5, "index": "0"}', '{"step": 5, "index": []}'],
)
def test_values_that_are_none(tmp_path, text) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))
    path = checkpoints.latest()
    index = hashlib.sha256((path / ".metadata").read_bytes()).hexdigest()
    assert json.loads((path / "values.json").read_text()) == {"step": 5, "index": index}
    assert checkpoints.values(path) == {"step": 5}
    (path / "values.json").write_text(text)
    with pytest.raises(ValueError, match="step-00000005: found a damaged checkpoint"):
        checkpoints.values(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_what_the_disk_says_is_what_is_raised(tmp_path, monkeypatch, number) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))

    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        checkpoints.save(10, {}, tensors(10))
    assert caught.value.errno == number
    assert os.strerror(number) in str(caught.value)
    assert ("72 bytes needed, " in str(caught.value)) == (number != errno.EIO)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit(143)])
def test_what_stops_a_save_is_not_wrapped(tmp_path, monkeypatch, error) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))

    def stop(*_):
        raise error

    monkeypatch.setattr(torch, "save", stop)
    with pytest.raises(error if isinstance(error, type) else SystemExit):
        checkpoints.save(10, {}, tensors(10))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def test_low_memory_while_reading_is_no_damage(tmp_path, monkeypatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))

    def none(*_, **__):
        raise MemoryError

    monkeypatch.setattr(torch, "frombuffer", none)
    for call in (checkpoints.newest, lambda: checkpoints.read(checkpoints.latest(), tensors(0))):
        with pytest.raises(MemoryError):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def test_a_checkpoint_that_may_not_be_read_is_no_damage(tmp_path, monkeypatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10):
        checkpoints.save(step, {}, tensors(step))
    real = os.open

    def forbidden(path, *more):
        if str(path).endswith("step-00000010/.metadata"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *more)

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(PermissionError, match="step-00000010/.metadata"):
        checkpoints.newest()


def test_damaged_ones_are_set_aside_and_count_no_more(tmp_path, capfd) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10):
        checkpoints.save(step, {}, tensors(step))
    (tmp_path / "step-00000010.damaged").mkdir()  # of an earlier time
    (tmp_path / "step-00000010" / "__0_0.distcp").unlink()
    path, values = checkpoints.newest()
    assert path.name == "step-00000005"
    assert values == {"step": 5}
    words = "step-00000010: damaged (__0_0.distcp: No such file or directory), now step-00000010."
    assert words + "damaged-2" in capfd.readouterr().err
    checkpoints.save(10, {}, tensors(10))
    names = ["step-00000005", "step-00000010", "step-00000010.damaged", "step-00000010.damaged-2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert checkpoints.newest()[0].name == "step-00000010"


def test_values_that_the_caller_refuses_are_damage(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(5, {"recent": []}, tensors(5))
    with pytest.raises(ValueError, match="no whole one .*values.json: found no 'losses'"):
        checkpoints.newest(lambda values: values["losses"])


@pytest.mark.parametrize("name", ["values.json", ".metadata", "__0_0.distcp"])
def test_a_pipe_is_not_waited_for(tmp_path, name) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))
    (tmp_path / "step-00000005" / name).unlink()
    os.mkfifo(tmp_path / "step-00000005" / name)
    alarm = threading.Timer(30, os.kill, (os.getpid(), signal.SIGALRM))
    alarm.start()
    with pytest.raises(ValueError, match=f"{name}: found no plain file"):
        checkpoints.newest()
    alarm.cancel()


@pytest.mark.parametrize("name", ["values.json", ".metadata", "__0_0.distcp"])
@pytest.mark.parametrize("kind", ["folder", "link to itself", "socket"])
def test_what_is_no_file_in_the_place_of_one_is_damage(tmp_path, name, kind) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(5, {}, tensors(5))
    checkpoints.save(10, {}, tensors(10))
    file = tmp_path / "step-00000010" / name
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "socket":
        os.mknod(file, stat.S_IFSOCK | 0o600)
    else:
        file.symlink_to(name)
    assert checkpoints.newest()[0].name == "step-00000005"
