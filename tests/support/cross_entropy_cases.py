"""What stream_cross_entropy is computed of here, and how near to fp64 it has to come."""

import importlib.util
import os

import pytest
import torch

from mas_fast import ops

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
needs_interpreter = pytest.mark.interpreted
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
# rows, width, then of each stream (positions, vocabulary, weight, ignored id)
CASES = {
    "three streams": (3, 48, (5, 1000, 1.0, 7), (9, 33, 1.0, None), (4, 130, 7.0, None)),
    "one stream": (1, 16, (40, 65, 0.5, 0)),
    "odd": (2, 7, (1, 1, 1.0, None), (3, 3, 2.0, -100), (2, 257, 0.0, None)),
    "empty streams": (2, 20, (0, 50, 1.0, None), (3, 40, 1.0, None), (0, 9, 3.0, 2)),
    "small": (2, 3, (1, 4, 1.0, None), (2, 3, 2.0, -100)),
    "no rows": (0, 8, (2, 5, 1.0, None), (3, 6, 1.0, None)),
}


class Case:
    """hidden, heads and targets, and the rest of the arguments. One target in four is ignored
    where a stream ignores any."""

    def __init__(self, name, dtype, device="cpu", scale=1.0):
        rows, width, *streams = CASES[name]
        g = torch.Generator().manual_seed(len(name))
        self.lengths, vocabs, self.weights, self.ignored = map(list, zip(*streams, strict=True))
        hidden = torch.randn(rows, sum(self.lengths), width, generator=g) * scale
        self.hidden = hidden.to(device, dtype).requires_grad_()
        heads = [torch.randn(v, width, generator=g) for v in vocabs]
        self.heads = [h.to(device, dtype).requires_grad_() for h in heads]
        parts = []
        for length, vocab, ignored in zip(self.lengths, vocabs, self.ignored, strict=True):
            part = torch.randint(vocab, (rows, length), generator=g)
            if ignored is not None:
                part[torch.rand(part.shape, generator=g) < 0.25] = ignored
            parts.append(part)
        self.targets = torch.cat(parts, 1).to(device)

    @property
    def tensors(self):
        return [self.hidden, *self.heads]

    def double(self):
        """The same values in fp64."""
        other = object.__new__(Case)
        vars(other).update(vars(self))
        other.hidden, *other.heads = (t.detach().double().requires_grad_() for t in self.tensors)
        return other

    def run(self, impl, upstream=1.0):
        """loss, losses, and the gradients of upstream * loss."""
        loss, losses = ops.stream_cross_entropy(
            self.hidden, self.heads, self.targets, self.lengths,
            weights=self.weights, ignored=self.ignored, impl=impl,
        )  # fmt: skip
        assert not losses.requires_grad
        assert loss.shape == ()
        wanted = torch.promote_types(self.hidden.dtype, torch.float32)
        assert loss.dtype == losses.dtype == wanted
        assert losses.shape == (len(self.heads),)
        return [loss.detach(), losses, *torch.autograd.grad(loss * upstream, self.tensors)]


def assert_near(found, case, upstream=1.0):
    """At most twice the error of PyTorch in the dtype of the case, and 1 ulp of the largest."""
    exact = case.double().run("reference", upstream)
    peer = case.run("reference", upstream)
    for ours, theirs, want in zip(found, peer, exact, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == want.shape
        if not want.numel():
            continue
        ulp = torch.finfo(ours.dtype).eps * float(want.abs().max())
        allowed = 2 * float((theirs.double() - want).abs().max()) + ulp
        assert float((ours.double() - want).abs().max()) <= allowed


def call(case, impl):
    return ops.stream_cross_entropy(
        case.hidden, case.heads, case.targets, case.lengths,
        weights=case.weights, ignored=case.ignored, impl=impl,
    )  # fmt: skip
