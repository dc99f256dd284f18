"""forced_likelihood.py under the interpreter, against PyTorch in fp64."""

import importlib.util
import os

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mas_fast.kernels.forced_likelihood import add_forced_likelihood

WINDOW, LENGTH = 3, 12


@pytest.mark.interpreted
@pytest.mark.parametrize("vocab", [5, 1500])
def test_forced_tokens_that_were_gone_by_count(vocab) -> None:
    logits = 4 * torch.randn(4 * WINDOW, vocab)
    logits[0, :2] = torch.inf  # the largest are infinite: 1/2 each
    logits[4, 3] = -torch.inf
    forced = torch.full((4, LENGTH), -1, dtype=torch.int32)
    forced[0, 5], forced[0, 6], forced[1, 7:9], forced[2, 2:5] = 1, 3, 4, 2
    first = torch.tensor([7, 8, 4, 9], dtype=torch.int32)  # after the pass
    advanced = torch.tensor([3, 2, 3, 0], dtype=torch.int32)
    after = torch.tensor([4, 0, 2, 0], dtype=torch.int32)
    total = torch.tensor([0.5, -1.0, 0.0, 7.0], dtype=torch.float64)
    want = total.clone()
    for b, known in enumerate(first.tolist()):
        begin = known - int(advanced[b])
        for p in range(begin + 1, known + 1):
            if forced[b, p] >= 0 and p > after[b]:
                row = logits[b * WINDOW + p - begin - 1].double()
                below = row - row.max()
                below[row == row.max()] = 0
                want[b] += below.log_softmax(0)[forced[b, p]]
    add_forced_likelihood(logits, forced, first, advanced, after, total, window=WINDOW)
    assert total.tolist() == pytest.approx(want.tolist(), rel=1e-12)
    assert total[3] == 7
    assert len(set(total.tolist())) == 4


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="it starts this pytest")
def test_under_the_interpreter(run_interpreted) -> None:
    run_interpreted(__file__, "interpreted")
