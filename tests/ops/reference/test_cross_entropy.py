"""reference/cross_entropy.py: the formula and its derivatives."""

import torch
import torch.nn.functional as F

from cross_entropy_cases import Case
from mas_fast import ops


def test_the_definition_is_the_plain_formula():
    case = Case("three streams", torch.float64)
    loss, losses, *grads = case.run("reference")
    each = []
    hidden, targets = (t.split(case.lengths, 1) for t in (case.hidden, case.targets))
    for x, head, target, ignored in zip(hidden, case.heads, targets, case.ignored, strict=True):
        logits, target = (x @ head.T).flatten(0, 1), target.flatten()
        each.append(
            F.cross_entropy(logits, target, ignore_index=-1 if ignored is None else ignored)
        )
    want = (each[0] + each[1] + 7 * each[2]) / 9
    torch.testing.assert_close(losses, torch.stack(each).detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(loss, want.detach(), rtol=1e-12, atol=0)
    for ours, theirs in zip(grads, torch.autograd.grad(want, case.tensors), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_the_definition_has_derivatives():
    case = Case("small", torch.float64)

    def loss(hidden, *heads):
        return ops.stream_cross_entropy(
            hidden, heads, case.targets, case.lengths,
            weights=case.weights, ignored=case.ignored, impl="reference",
        )[0]  # fmt: skip

    assert torch.autograd.gradcheck(loss, case.tensors)
    assert torch.autograd.gradgradcheck(loss, case.tensors)
