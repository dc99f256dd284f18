"""stream_cross_entropy: every implementation against the fp64 definition."""

import importlib.util
import math

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
from mas_fast.models.gpt import GPT, preset
from mas_fast.ops import cross_entropy_chunked
from mas_fast.ops.reference import cross_entropy as reference_cross_entropy

TRITON = pytest.param("triton", marks=[needs_triton, needs_interpreter])
FAST = ["chunked", TRITON]
IMPLS = ["reference", *FAST]
# Of the interpreter's dtypes bf16 is left out: its tl.dot of bf16 is silently wrong.
DTYPES = [torch.float32, torch.float16, *([] if INTERPRETED else [torch.bfloat16])]


BUDGETS = {"one chunk": None, "some chunks": 40_000} | ({} if INTERPRETED else {"rows": 1})


@pytest.fixture(params=BUDGETS.values(), ids=BUDGETS)
def chunk_bytes(request, monkeypatch):
    if request.param:
        monkeypatch.setitem(cross_entropy_chunked.CHUNK_BYTES, "cpu", request.param)


@pytest.mark.parametrize("impl", IMPLS)
def test_it_is_the_loss_of_the_gpt(impl):
    model = GPT.create(preset("tiny"))
    streams, g = model.streams, torch.Generator().manual_seed(1)
    parts = [torch.randint(s.vocab, (3, s.length), generator=g) for s in streams]
    parts[0][:, -3:] = streams[0].pad
    tokens = torch.cat(parts, 1)
    hidden = model._hidden(tokens[:, :-1])
    places = [streams.predicting(s.name) for s in streams]
    loss, losses = ops.stream_cross_entropy(
        hidden, [model.head[s.name].weight for s in streams], tokens[:, 1:].int(),
        [p.stop - p.start for p in places], weights=[s.loss_weight for s in streams],
        ignored=[s.pad for s in streams], impl=impl,
    )  # fmt: skip
    want, by_stream = model.loss(tokens)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(losses, torch.stack(list(by_stream.values())))


# ---- the arithmetic ----------------------------------------------------------------------------


@pytest.mark.parametrize("impl", FAST)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, dtype, impl, chunk_bytes, poison_empty):
    for scale in (1.0, 30.0):  # logits up to about 600
        case = Case(name, dtype, scale=scale / CASES[name][1] ** 0.5)
        assert_near(case.run(impl), case)


@pytest.mark.parametrize("name", CASES)
def test_fp64(name, chunk_bytes):
    case = Case(name, torch.float64)
    for found, want in zip(case.run("chunked"), case.run("reference"), strict=True):
        torch.testing.assert_close(found, want, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("impl", FAST)
@pytest.mark.parametrize("upstream", [0.0, -3.0, 1 / 7])
def test_the_upstream_gradient_scales(upstream, impl):
    for dtype in (torch.float32, torch.float16):
        case = Case("three streams", dtype)
        assert_near(case.run(impl, upstream), case, upstream)


@pytest.mark.parametrize("impl", FAST)
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("power", [0, 8, 16])
def test_fp16_needs_no_loss_scale(power, autocast, impl, monkeypatch):
    """As accurate as PyTorch under the same loss scale, also where no logit's gradient is a normal
    number of fp16 without one (2^-14): most are 2^-9 / 4096 = 2^-21 here."""
    monkeypatch.setitem(cross_entropy_chunked.CHUNK_BYTES, "cpu", 200 * 2 * (4096 + 32))
    g = torch.Generator().manual_seed(0)
    hidden, head = torch.randn(2, 256, 16, generator=g), torch.randn(4096, 16, generator=g) / 4
    targets = torch.randint(4096, (2, 256), generator=g)
    exact = [x.half().double().requires_grad_() for x in (hidden, head)]
    half = [x.detach().to(torch.float32 if autocast else torch.float16) for x in exact]
    half = [x.requires_grad_() for x in half]

    def gradients(tensors, impl):
        with torch.autocast("cpu", torch.float16, enabled=autocast and impl is not None):
            loss, _ = ops.stream_cross_entropy(
                tensors[0], tensors[1:], targets, [256], impl=impl or "reference"
            )
        return torch.autograd.grad(loss * 2**power, tensors)

    want = gradients(exact, None)
    for ours, theirs, true in zip(
        gradients(half, impl), gradients(half, "reference"), want, strict=True
    ):
        error, usual = ((x.double() - true).norm() / true.norm() for x in (ours, theirs))
        assert error <= 1.5 * usual
        assert error < 1e-3 or (power < 16 and not autocast)  # what fp16 cannot hold is lost


@pytest.mark.parametrize("impl", FAST)
def test_only_what_is_wanted(impl):
    case = Case("three streams", torch.float32)
    loss, _, *whole = case.run(impl)
    for which in range(4):
        for i, tensor in enumerate(case.tensors):
            tensor.requires_grad_(i == which)
        found, _ = call(case, impl)
        (grad,) = torch.autograd.grad(found, case.tensors[which])
        assert torch.equal(found, loss)
        assert torch.equal(grad, whole[which])
    with torch.no_grad():
        found, losses = call(case, impl)
    assert torch.equal(found, loss)
    assert not found.requires_grad


@pytest.mark.parametrize("impl", IMPLS)
def test_a_stream_that_is_all_padding(impl):
    case = Case("three streams", torch.float32)
    case.targets[:, :5] = 7
    loss, losses, d_hidden, d_head, *_ = case.run(impl)
    assert losses[0] == 0
    assert (losses[1:] > 0).all()
    torch.testing.assert_close(loss, (losses[1] + 7 * losses[2]) / 9)
    assert not d_hidden[:, :5].any()
    assert not d_head.any()
    assert d_hidden.isfinite().all()
    case.targets = case.targets.new_full(case.targets.shape, 7)
    case.ignored = [7, 7, 7]
    assert not any(tensor.any() for tensor in case.run(impl))


@pytest.mark.parametrize("impl", FAST)
def test_strides_and_repetition(impl, monkeypatch):
    monkeypatch.setitem(cross_entropy_chunked.CHUNK_BYTES, "cpu", 20_000)
    case = Case("three streams", torch.float16)
    want = case.run(impl)
    for one, other in zip(case.run(impl), want, strict=True):
        assert torch.equal(one, other)
    case.hidden, *case.heads = (t.detach().mT.contiguous().mT for t in case.tensors)
    for tensor in case.tensors:
        tensor.requires_grad_()
    case.targets = case.targets.T.contiguous().T.int()
    for one, other in zip(case.run(impl), want, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("impl", FAST)
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_autocast(dtype, impl, chunk_bytes):
    case = Case("three streams", torch.float32)
    exact = case.double().run("reference")
    with torch.autocast("cpu", dtype):
        peer, found = case.run("reference"), case.run(impl)
        for theirs, ours, want in zip(peer, found, exact, strict=True):
            assert ours.dtype == torch.float32
            ulp = torch.finfo(dtype).eps * float(want.abs().max())
            allowed = 2 * float((theirs.double() - want).abs().max()) + ulp
            assert float((ours.double() - want).abs().max()) <= allowed
        case.hidden = case.hidden.detach().to(dtype).requires_grad_()  # as of a linear layer
        assert torch.autograd.grad(call(case, impl)[0], case.hidden)[0].dtype == dtype
    with pytest.raises(TypeError, match=r"heads\[0\]: found torch.float32, .* like hidden"):
        call(case, impl)


# ---- as an operator ----------------------------------------------------------------------------


@pytest.mark.parametrize("impl", FAST)
def test_what_cannot_be_asked(impl):
    case = Case("three streams", torch.float32)
    loss, _ = call(case, impl)
    with pytest.raises(RuntimeError, match="no second derivative.*create_graph=True"):
        torch.autograd.grad(loss, case.hidden, create_graph=True)
    loss, _ = call(case, impl)
    (first,) = torch.autograd.grad(loss, case.hidden, retain_graph=True)
    kept = first.clone()
    with pytest.raises(RuntimeError, match="earlier backward pass.*retain_graph=True"):
        torch.autograd.grad(2 * loss, case.hidden)
    assert torch.equal(first, kept)


# ---- bad input ---------------------------------------------------------------------------------

HIDDEN, HEADS = torch.zeros(2, 5, 4), [torch.zeros(7, 4), torch.zeros(3, 4)]
TARGETS = torch.zeros(2, 5, dtype=torch.int64)
GOOD = {"hidden": HIDDEN, "heads": HEADS, "targets": TARGETS, "lengths": [3, 2]}


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"hidden": HIDDEN.long()}, TypeError, "hidden: found torch.int64, expected a floating"),
        ({"hidden": HIDDEN[0]}, ValueError, r"hidden: found \[5, 4\], expected \[batch"),
        ({"heads": [HEADS[0], HEADS[1].double()]}, TypeError, r"heads\[1\].*float64.*float32"),
        ({"heads": [HEADS[0], [1]]}, TypeError, r"heads\[1\].*list"),
        ({"heads": [HEADS[0], HEADS[1][:, :3]]}, ValueError, r"heads\[1\].*\[3, 3\].*\[voc.*4\]"),
        ({"heads": [HEADS[0][:0], HEADS[1]]}, ValueError, r"heads\[0\].*\[0, 4\]"),
        ({"heads": [HEADS[0].to("meta"), HEADS[1]]}, ValueError, "on meta, expected cpu, like"),
        ({"heads": [], "lengths": []}, ValueError, "lengths: found .*one entry.*at least 1"),
        ({"targets": TARGETS.float()}, TypeError, "targets.*float32.*int64 or int32"),
        ({"targets": TARGETS.bool()}, TypeError, "targets.*torch.bool"),
        ({"targets": TARGETS[:, :4]}, ValueError, r"targets: found \[2, 4\].*\[2, 5\]"),
        ({"lengths": [5]}, ValueError, r"found \[5\].*one entry for each of the 2 heads"),
        ({"lengths": [3, 3]}, ValueError, r"found \[3, 3\].*add up to the 5 positions"),
        ({"lengths": [6, -1]}, ValueError, r"found \[6, -1\].*>= 0"),
        ({"lengths": [3, 2.0]}, TypeError, "lengths: found float, expected an int"),
        ({"weights": [1.0]}, ValueError, r"weights: found \[1\.0\].*one entry"),
        ({"weights": [1, -1]}, ValueError, r"weights: found \[1, -1\], expected finite"),
        ({"weights": [0, 0]}, ValueError, r"found \[0, 0\].*not all 0"),
        ({"weights": [1, math.inf]}, ValueError, "found .*inf.*finite"),
        ({"weights": [1, math.nan]}, ValueError, "found .*nan.*finite"),
        ({"weights": [1, "a"]}, TypeError, "weights: found str, expected a float"),
        ({"ignored": [1]}, ValueError, r"ignored: found \[1\].*one entry"),
        ({"ignored": [1, 0.5]}, TypeError, "ignored: found float, expected an int"),
    ],
)
def test_bad_arguments(change, error, words, impl):
    with pytest.raises(error, match=words):
        ops.stream_cross_entropy(**GOOD | change, impl=impl)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_targets_out_of_range(dtype, impl):
    for position, value, words in [
        (2, 7, "targets: found 7 in row 1, position 2, expected 0..6 in stream 0"),
        (0, -1, "targets: found -1 in row 1, position 0, expected 0..6 in stream 0"),
        (
            3,
            3,
            "found 3 in row 1, position 3, expected 0..2 in stream 1, or -100, which is",
        ),
        (4, -1, "found -1 in row 1, position 4, .* stream 1"),
    ]:
        targets = TARGETS.to(dtype, copy=True)
        targets[1, position] = value
        targets[0, 4] = -100
        arguments = GOOD | {"targets": targets, "ignored": [None, -100], "impl": impl}
        with pytest.raises(ValueError, match=words):
            ops.stream_cross_entropy(**arguments)


def test_implementation_is_chosen_visibly(monkeypatch):
    with pytest.raises(ValueError, match="impl: found 'cpp', expected one of"):
        ops.stream_cross_entropy(**GOOD, impl="cpp")
    assert ops.default_impl("cpu", "stream_cross_entropy") == "chunked"
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install triton"):
        ops.stream_cross_entropy(**GOOD, impl="triton")
    assert ops.default_impl("cuda", "stream_cross_entropy") == "chunked"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert ops.default_impl("cuda", "stream_cross_entropy") == "triton"
    with pytest.raises(ValueError, match="hidden: found it on cpu, expected cuda"):
        ops.stream_cross_entropy(**GOOD, impl="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    double = {"hidden": HIDDEN.double(), "heads": [head.double() for head in HEADS]}
    with pytest.raises(
        ValueError, match="^hidden: found torch.float64, .*'triton'; impl='chunked' takes"
    ):
        ops.stream_cross_entropy(**GOOD | double, impl="triton")


# ---- Triton ------------------------------------------------------------------------------------


def test_the_reference_looks_at_every_stream():
    reference_cross_entropy.check_targets(TARGETS, [7, 3], [3, 2], [None, None])
    with pytest.raises(ValueError, match=r"expected 0\.\.6 in stream 0, or 9"):
        reference_cross_entropy.check_targets(TARGETS + 8, [7, 3], [3, 2], [9, None])
