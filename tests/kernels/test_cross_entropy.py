"""kernels/cross_entropy.py, beside what ops/test_functional_cross_entropy.py asks of every
implementation.

The kernels run here under the interpreter, in a pytest of their own, since Triton reads
TRITON_INTERPRET when it is imported; and on a GPU, where there is one.
"""

import math
from pathlib import Path

import pytest
import torch

from cross_entropy_cases import (
    CASES,
    INTERPRETED,
    Case,
    assert_near,
    call,
    needs_interpreter,
    needs_triton,
)
from mas_fast import ops
from mas_fast.ops import cross_entropy_chunked

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


# ---- as an operator ----------------------------------------------------------------------------


@needs_triton
@needs_interpreter
def test_triton_refuses_bf16_under_the_interpreter():
    case = Case("small", torch.bfloat16)
    words = "hidden: found torch.bfloat16, expected float32 or float16 for impl='triton' under"
    with pytest.raises(ValueError, match=words):
        call(case, "triton")
    case = Case("small", torch.float32)
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match=words):
        call(case, "triton")


# ---- Triton ------------------------------------------------------------------------------------


@needs_triton
@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is the pytest that it starts")
def test_triton_kernels_under_the_interpreter(run_interpreted):
    run_interpreted(__file__)
    run_interpreted(str(Path(__file__).parents[1] / "ops" / "test_functional_cross_entropy.py"))


@needs_triton
@needs_interpreter
@pytest.mark.parametrize("vocab", [5, 1000, 3000])
def test_triton_softmax_reads_long_rows_twice(vocab, monkeypatch):
    from mas_fast.kernels import cross_entropy as kernels
    from mas_fast.kernels import launch

    monkeypatch.setattr(kernels, "WHOLE", 512)
    monkeypatch.setitem(launch.TILES, "cross_entropy", {80: launch.Tile(1, 512, 1, 1)})
    logits = torch.randn(6, vocab) * 5
    targets = torch.tensor([[0, vocab - 1], [3, 4], [-1, vocab]])
    scale = torch.tensor(0.25)
    want, found, exact = logits.clone(), logits.clone(), logits.double()
    peer = cross_entropy_chunked._Torch
    nats, turned = torch.empty(2, 2), targets.int().T.contiguous().T
    ours, others = (torch.full((2, 3), math.inf).T for _ in range(2))  # of odd strides, too
    peer.softmax_gradient(want[:4], targets[:2], scale, 3, nats, True)
    peer.softmax_gradient(exact[:4], targets[:2], scale.double(), 3, nats.clone(), True)
    kernels.softmax_gradient(found, turned, scale, 3, ours, True)
    torch.testing.assert_close(ours[:2], nats)
    assert ours[2].isnan().all()  # what is no id
    # Where the target is almost certain its gradient is the little that p - 1 leaves: an ulp of 1.
    ulp = torch.finfo(torch.float32).eps * float(scale)
    allowed = 2 * float((want - exact)[:4].abs().max()) + ulp
    assert float((found - exact)[:4].abs().max()) <= allowed
    again = logits.clone()
    kernels.softmax_gradient(again, targets, scale, 3, others, False)
    assert torch.equal(others[:2], ours[:2])
    assert torch.equal(again, logits)


@needs_triton
@needs_interpreter
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("unit", [None, 0.125])
@pytest.mark.parametrize("width", [5, 600])
def test_triton_exchanges_rows(width, unit, dtype, monkeypatch):
    """As PyTorch does, also rows of two blocks, of odd strides, more or fewer than the old ones."""
    from mas_fast.kernels import cross_entropy as kernels
    from mas_fast.kernels import launch

    monkeypatch.setitem(launch.TILES, "cross_entropy_rows", {80: launch.Tile(1, 512, 4, 1)})
    scale = None if unit is None else torch.tensor(unit)
    whole = torch.full((4, 9, 2 * width), 42.0)  # what is not asked for stays
    views = [whole[:2, 1:4, ::2], whole[2:, 2:4, 1::2], whole[1:3, 4:, :width]]
    states = torch.randn(3, 5, width + 1)[..., 1:]
    news = [states[:1, :2], states[:2], states[1:, ::2]]
    peer = cross_entropy_chunked._Torch
    for old in (None, *views):
        for new in (None, *news):
            found, want = (torch.randn(12, width, generator=torch.Generator()) for _ in range(2))
            found, want = found.to(dtype), want.to(dtype)
            wholes = []
            for module, rows in ((kernels, found), (peer, want)):
                if old is not None:
                    whole[:] = 42
                module.exchange(rows, old, new, scale)
                wholes.append(whole.clone())
            assert torch.equal(found, want)
            assert torch.equal(*wholes)


def sum_of_chunks(chunks, dtype, last):
    """What add_weight_gradient makes of pairs (g, x); `last`: whether the last one is told so."""
    from mas_fast.kernels import cross_entropy as kernels

    result = torch.empty(chunks[0][0].shape[1], chunks[0][1].shape[1], dtype=dtype)
    scratch = kernels.new_scratch(result)
    for i, (g, x) in enumerate(chunks):
        kernels.add_weight_gradient(result, scratch, g, x, i == 0, last and i == len(chunks) - 1)
    if scratch is None or last:
        return result
    bits = (result.view(torch.int16).int() << 16) | (scratch.int() << 8)
    return bits.view(torch.float32)


@needs_triton
@needs_interpreter
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_triton_sums_over_chunks(dtype, poison_empty):
    """Forty chunks lose little more than fp32 would, until the last rounds to 16 bits."""
    chunks = [(torch.randn(9, 70).half(), torch.randn(9, 19).half()) for _ in range(40)]
    want = sum(g.double().T @ x.double() for g, x in chunks)
    error = (sum_of_chunks(chunks, dtype, last=False).double() - want).abs().max()
    assert error <= want.abs().max() * (2.0**-21 if dtype == torch.float32 else 2.0**-13)
    if dtype != torch.bfloat16:  # the interpreter rounds to it towards zero
        eps = torch.finfo(dtype).eps
        error = (sum_of_chunks(chunks, dtype, last=True).double() - want).abs()
        assert (error <= 0.51 * eps * want.abs() + 2.0**-13 * want.abs().max()).all()


@needs_triton
@needs_interpreter
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 65504.0, -(2.0**-24), 0.0])
def test_triton_sums_keep_what_is_not_finite(value):
    chunks = [(torch.full((1, 1), g).half(), torch.ones(1, 1).half()) for g in (value, 0.0, 0.0)]
    found = sum_of_chunks(chunks, torch.bfloat16, last=False)
    torch.testing.assert_close(found, torch.tensor([[value]]), rtol=0, atol=0, equal_nan=True)


@needs_triton
@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_cuda_values_and_gradients(name, dtype, monkeypatch):
    for budget in (28 << 20, 40_000):
        monkeypatch.setitem(cross_entropy_chunked.CHUNK_BYTES, "cuda", budget)
        case = Case(name, dtype, "cuda")
        assert_near(case.run("triton"), case)
        assert_near(case.run("chunked"), case)


@needs_triton
@needs_cuda
def test_cuda_memory_and_determinism():
    """mini-270m, 64 sequences: beside the gradients at most 2% of the bf16 logits."""
    lengths, vocabs = [63, 256, 256], [16384, 1024, 16384]
    hidden = torch.randn(64, 575, 1024, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    heads = [
        (0.02 * torch.randn(v, 1024, device="cuda")).bfloat16().requires_grad_() for v in vocabs
    ]
    parts = zip(vocabs, lengths, strict=True)
    targets = torch.cat([torch.randint(v, (64, n), device="cuda") for v, n in parts], 1)

    def run():
        loss, losses = ops.stream_cross_entropy(hidden, heads, targets, lengths, weights=[1, 1, 7])
        return [loss.detach(), losses, *torch.autograd.grad(loss, [hidden, *heads])]

    first = run()  # which makes cuBLAS its workspace
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    second = run()
    extra = torch.cuda.max_memory_allocated() - before - sum(t.nbytes for t in second)
    assert extra <= 0.02 * 2 * 64 * 576 * sum(vocabs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
