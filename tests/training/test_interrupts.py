"""training/interrupts.py: a run that is told to stop says how to go on."""

import os
import signal

import pytest
import torch

from toy_runs import same, state, toy

STOPS = {signal.SIGTERM: SystemExit, signal.SIGINT: KeyboardInterrupt}


def check_stop(stop, capfd, words) -> None:
    """It has said how to go on."""
    if isinstance(stop.value, SystemExit):
        assert stop.value.code == 143
        assert capfd.readouterr().err.splitlines()[-1] == f"terminated: {words}"
    else:  # the command line says it, and ends with 130
        assert str(stop.value) == words


@pytest.mark.parametrize("number", STOPS)
def test_a_run_that_is_told_to_stop_says_how_to_go_on(whole, tmp_path, capfd, number) -> None:
    def told(step: int) -> None:
        if step == 8:
            os.kill(os.getpid(), number)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(STOPS[number]) as stop:
        toy(tmp_path, hooks=[(1, told)]).run()
    assert signal.getsignal(signal.SIGTERM) is before
    last = tmp_path / "checkpoints" / "step-00000006"
    words = f"at step 8; the last checkpoint is {last}; the same command continues"
    check_stop(stop, capfd, words)
    toy(tmp_path).run()
    assert same(state(tmp_path), state(whole))


@pytest.mark.parametrize("number", STOPS)
def test_told_to_stop_in_a_save(whole, tmp_path, monkeypatch, capfd, number) -> None:
    trainer, write = toy(tmp_path), torch.save

    def told(*arguments, **more) -> None:
        if trainer.step == 3:
            os.kill(os.getpid(), number)
        write(*arguments, **more)

    with monkeypatch.context() as patch, pytest.raises(STOPS[number]) as stop:
        patch.setattr(torch, "save", told)
        trainer.run()
    words = "at step 3; there is no checkpoint yet; the same command continues"
    check_stop(stop, capfd, words)
    assert not list((tmp_path / "checkpoints").iterdir())
    toy(tmp_path).run()
    assert same(state(tmp_path), state(whole))
