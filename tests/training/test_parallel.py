"""training/parallel.py: two processes learn what one does, and go on."""

import torch

from toy_runs import same, scalars, script, state


def test_two_processes_continue_bit_for_bit(tmp_path) -> None:
    for name, arguments in (("whole", []), ("killed", ["--kill", 7]), ("killed", [])):
        done = script(tmp_path / name, *arguments, world=2)
        assert bool(done.returncode) == bool(arguments), done.stderr
    assert same(state(tmp_path / "whole"), state(tmp_path / "killed"))
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "killed")


def test_two_processes_agree_with_one(tmp_path) -> None:
    done = script(tmp_path / "two", "--still", world=2)
    assert done.returncode == 0, done.stderr
    done = script(tmp_path / "one", "--still")
    assert done.returncode == 0, done.stderr
    one, two = (state(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        if name.startswith("model/model/"):
            torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5)
