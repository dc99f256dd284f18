"""training/trainer.py on a toy."""

import resource
import signal

import pytest
import torch
from torch import nn

from mas_fast.training.settings import build, plain
from mas_fast.training.trainer import Settings, Trainer
from toy_runs import TOY, Rows, same, scalars, script, state, toy


def test_a_run_is_not_written_into_its_data(tmp_path, monkeypatch) -> None:
    """Its sample sheets would be samples, and it could never be continued."""
    monkeypatch.setattr(Settings, "made_from", lambda self: {"data": tmp_path})
    for folder in (tmp_path, tmp_path / "run"):
        with pytest.raises(ValueError, match="found an output that (is|lies in) the input"):
            toy(folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", [("--kill", 1), ("--kill", 7), ("--kill", 9), ("--kill-saving", 6)])
def test_a_killed_run_continues_bit_for_bit(whole, tmp_path, how) -> None:
    killed = script(tmp_path, *how)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "checkpoints" / "step-00000012").exists()
    continued = script(tmp_path)
    assert continued.returncode == 0, continued.stderr
    assert same(state(tmp_path), state(whole))
    assert scalars(tmp_path) == scalars(whole)
    assert scalars(tmp_path, "critic/loss") == scalars(whole, "critic/loss")
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_losses_and_checkpoints_of_a_whole_run(whole) -> None:
    losses = scalars(whole)
    assert list(losses) == list(range(1, 13))
    assert list(scalars(whole, "critic/loss")) == list(range(6, 13))  # starts at step 5, from 0
    rates = scalars(whole, "model/lr")
    assert [rates[i] for i in (1, 2, 4)] == pytest.approx([0.0025, 0.005, 0.01])
    assert 0.001 < rates[12] < 0.0015
    files = sorted(file.name for file in (whole / "checkpoints").iterdir())
    assert files == ["step-00000009", "step-00000012"]


def test_a_finished_run_stays(whole) -> None:
    before = {file: file.stat().st_mtime_ns for file in (whole / "checkpoints").iterdir()}
    toy(whole).run()
    assert before == {file: file.stat().st_mtime_ns for file in (whole / "checkpoints").iterdir()}


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(whole, tmp_path, workers) -> None:
    toy(tmp_path, workers=workers, keep_checkpoints=1).run()
    assert same(state(tmp_path), state(whole))


def test_passes_sum_to_the_batch(tmp_path) -> None:
    """Without batch norm and dropout, two passes of half a batch are one pass of it."""
    weights = []
    for accumulate in (1, 2):
        trainer = toy(tmp_path / str(accumulate), accumulate=accumulate, clip=0.01)
        trainer.parts = trainer.parts[:1]
        trainer.parts[0].model.eval()
        trainer.run()
        weights.append(nn.utils.parameters_to_vector(trainer.parts[0].model.parameters()))
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


def test_hooks_change_nothing(whole, tmp_path) -> None:
    toy(tmp_path, hooks=[(5, lambda step: {"drawn": torch.rand(())})]).run()
    assert list(scalars(tmp_path, "drawn")) == [5, 10, 12]
    assert same(state(tmp_path), state(whole))


def test_fp32_is_whole(tmp_path) -> None:
    """In TF32, which is PyTorch's default for convolutions on a GPU, products have 10 bits."""
    seen, before = [], precisions()
    toy(tmp_path, steps=1, hooks=[(1, lambda step: seen.append(precisions()))]).run()
    assert seen == [["ieee", "ieee"]]
    assert precisions() == before


def precisions() -> list[str]:
    return [torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision]


def test_bf16_learns(tmp_path) -> None:
    toy(tmp_path, precision="bf16", steps=3).run()
    assert state(tmp_path)["model/model/head.weight"].dtype == torch.float32


# ------------------------------------------------------------------ bad input


def test_no_samples(tmp_path) -> None:
    trainer = toy(tmp_path)
    trainer.data.__class__ = type("None", (Rows,), {"__len__": lambda self: 0})
    with pytest.raises(ValueError, match="found no samples"):
        Trainer(trainer.parts, trainer.data, trainer.settings)


def test_an_optimizer_that_cannot_skip_is_refused(tmp_path) -> None:
    trainer = toy(tmp_path)
    part = trainer.parts[1]
    part.optimizer = torch.optim.SGD(part.model.parameters())
    with pytest.raises(ValueError, match="found SGD of 'critic', expected fused=True"):
        Trainer(trainer.parts, trainer.data, trainer.settings)


def test_other_settings_are_refused(whole) -> None:
    with pytest.raises(ValueError, match=r"found a run with other settings, .*'batch': \(4, 2\)"):
        toy(whole, batch=2)
    assert Settings.FREE <= plain(build(Settings, TOY | {"folder": "x"}, "toy")).keys()


def test_a_folder_in_use_is_refused(tmp_path) -> None:
    first = toy(tmp_path)
    with pytest.raises(ValueError, match=r"another run that writes to it; wait for it, or train"):
        toy(tmp_path)
    other = script(tmp_path)
    assert other.returncode == 1
    assert "found another run" in other.stderr
    first.run()
    assert toy(tmp_path).step == 12


def test_an_error_at_the_start_holds_no_lock(whole) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="found a run with other settings"):
            toy(whole, seed=5)


def test_a_full_disk_in_a_save_is_said(whole, tmp_path) -> None:
    trainer, limits = toy(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    words = r"step-00000003: not written: File too large \(\d+ bytes needed, \d+ free\)"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(OSError, match=words):
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not any((tmp_path / "checkpoints").iterdir())
    toy(tmp_path).run()
    assert same(state(tmp_path), state(whole))
