"""training/verdicts.py: what is bad is known on the device, and told in order."""

import math

import pytest

torch = pytest.importorskip("torch")

from mas_fast.training.verdicts import RECENT, Turn, Verdicts  # noqa: E402


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float32)


def judged(verdicts: Verdicts, loss: float, norm: float = 1.0, first: bool = True) -> float:
    verdict = verdicts.judge(number(loss), number(norm), first)
    assert (verdict.dtype, verdict.ndim) == (torch.float32, 0)
    return float(verdict)


@pytest.fixture
def verdicts() -> Verdicts:
    return Verdicts(torch.device("cpu"), 10.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_bad(verdicts, bad) -> None:
    assert judged(verdicts, bad) == 1
    assert judged(verdicts, 1.0, norm=bad) == 1
    assert verdicts.losses() == []
    assert judged(verdicts, 3e38, norm=3e38) == 0  # the sum of which is not finite in fp32


def test_a_spike_is_one_beside_a_hundred_good_losses(verdicts) -> None:
    for n in range(RECENT):
        assert judged(verdicts, 1e6 if n == 1 else -2.0) == 0  # too early to tell
    assert len(verdicts.losses()) == RECENT
    assert judged(verdicts, 1.1e7) == 1
    assert verdicts.losses()[:3] == [-2, 1e6, -2]
    for _ in range(2):
        assert judged(verdicts, 1.0) == 0
    assert verdicts.losses() == [-2.0] * (RECENT - 2) + [1.0] * 2  # not the spike
    assert judged(verdicts, 20.0) == 0  # ten times, and not above
    assert judged(verdicts, 200.1) == 1
    assert judged(verdicts, -200.1) == 1


def test_a_bad_turn_ends_its_step_and_no_other(verdicts) -> None:
    found = [judged(verdicts, loss, first=n % 2 == 0) for n, loss in enumerate((1, 1, math.nan, 1))]
    assert found == [0, 0, 1, 1]
    found = [judged(verdicts, loss, first=n % 2 == 0) for n, loss in enumerate((2, math.inf, 3, 1))]
    assert found == [0, 1, 0, 0]
    assert verdicts.losses() == [1, 2, 3]  # of first turns alone


def test_losses_are_remembered(verdicts) -> None:
    verdicts.remember([1.5, 2.5])
    assert verdicts.losses() == [1.5, 2.5]
    judged(verdicts, 3.0)
    assert verdicts.losses() == [1.5, 2.5, 3.0]
    verdicts.remember(range(RECENT + 7))
    assert verdicts.losses() == [*range(7, RECENT + 7)]


def test_turns_are_told_once_and_in_order(verdicts) -> None:
    assert verdicts.told() == []
    turns = []
    for step, loss in enumerate((1.0, math.nan, 3.0)):
        judged(verdicts, loss)
        scalars = {"loss": number(loss), "gradient_norm": number(2.0 + step)}
        scalars |= {"more": number(7.0)} if step == 2 else {}
        turns.append(Turn(step, "p", [f"row-{step}"], 0.1, scalars))
        verdicts.keep(turns[-1])
    told = verdicts.told()
    assert [turn for turn, *_ in told] == turns
    assert [bad for _, bad, _ in told] == [False, True, False]
    assert [values["gradient_norm"] for *_, values in told] == [2, 3, 4]
    assert told[2][2] == {"loss": 3.0, "gradient_norm": 4.0, "more": 7.0}
    assert verdicts.told() == []
    assert "a loss of nan and gradients of norm 3.0" in verdicts.problem(told[1][2])
    spike = verdicts.problem({"loss": 30.0, "gradient_norm": 1.0})
    assert spike == "a loss of 30, over 10 times the largest of the last 100"
