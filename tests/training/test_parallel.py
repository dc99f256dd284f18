"""training/parallel.py: two processes learn what one does, and go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from mas_fast.training.parallel import place
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


@pytest.mark.slow
def test_a_step_is_skipped_in_all_shares() -> None:
    """With FSDP2, of AdamW's 4 weights and 12 states, and of Muon's 4 and 8."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    file = Path(__file__).parents[1] / "support" / "sharded_skips.py"
    done = subprocess.run(
        [*launch, str(file)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str({"adamw": [0, 16], "muon": [0, 12]})


def test_a_process_with_a_gpu_names_it(monkeypatch) -> None:
    """So that NCCL connects at once and guesses no device; Gloo takes what is on the host."""
    joined, chosen = [], []
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(dist, "is_initialized", lambda: False)
    monkeypatch.setattr(dist, "init_process_group", lambda *a, **k: joined.append((a, k)))
    monkeypatch.setattr(dist, "get_rank", lambda: 3)
    monkeypatch.setattr(dist, "get_world_size", lambda: 4)
    device = torch.device("cuda", 3)
    assert place() == (3, 4, device)
    assert joined == [(("cpu:gloo,cuda:nccl",), {"device_id": device})]
    assert chosen == [device]
    joined.clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert place() == (3, 4, torch.device("cpu"))
    assert joined == [(("gloo",), {})]
