"""training/checkpoints.py: whole or absent, and read without running code (test_trainer.py kills
processes that write them)."""

import json
import os
import pickle

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
        assert checkpoints.latest().name == "step-00000005"
        assert list(tmp_path.glob(".step-*.tmp"))
    checkpoints.save(15, {}, tensors(15))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000015"]


def test_another_shape_or_name_is_refused(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))
    for wrong in ({"a/weight": torch.zeros(2, 2)}, {"c": torch.zeros(3)}):
        with pytest.raises(ValueError, match="step-00000005: found a damaged checkpoint"):
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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"step": "5"}'])
def test_values_that_are_none(tmp_path, text) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, {}, tensors(5))
    path = checkpoints.latest()
    assert json.loads((path / "values.json").read_text()) == {"step": 5}
    (path / "values.json").write_text(text)
    with pytest.raises(ValueError, match="step-00000005: found a damaged checkpoint"):
        checkpoints.values(path)
