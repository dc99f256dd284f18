"""stream_cross_entropy: every implementation against the fp64 definition.

The Triton kernels run here under the interpreter, in a pytest of their own, since Triton reads
TRITON_INTERPRET when it is imported; and on a GPU, where there is one.
"""

import importlib.util
import math
import os

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mas_fast import ops
from mas_fast.models.gpt import GPT, preset
from mas_fast.ops import cross_entropy_chunked
from mas_fast.ops.reference import cross_entropy as reference_cross_entropy

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
needs_interpreter = pytest.mark.interpreted
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
TRITON = pytest.param("triton", marks=[needs_triton, needs_interpreter])
FAST = ["chunked", TRITON]
IMPLS = ["reference", *FAST]
# Of the interpreter's dtypes bf16 is left out: its tl.dot of bf16 is silently wrong.
DTYPES = [torch.float32, torch.float16, *([] if INTERPRETED else [torch.bfloat16])]
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
        assert not losses.requires_grad and loss.shape == ()
        wanted = torch.promote_types(self.hidden.dtype, torch.float32)
        assert loss.dtype == losses.dtype == wanted and losses.shape == (len(self.heads),)
        return [loss.detach(), losses, *torch.autograd.grad(loss * upstream, self.tensors)]


def assert_near(found, case, upstream=1.0):
    """At most twice the error of PyTorch in the dtype of the case, and 1 ulp of the largest."""
    exact = case.double().run("reference", upstream)
    peer = case.run("reference", upstream)
    for ours, theirs, want in zip(found, peer, exact, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == want.shape
        if not want.numel():
            continue
        ulp = torch.finfo(ours.dtype).eps * float(want.abs().max())
        allowed = 2 * float((theirs.double() - want).abs().max()) + ulp
        assert float((ours.double() - want).abs().max()) <= allowed


BUDGETS = {"one chunk": None, "some chunks": 40_000} | ({} if INTERPRETED else {"rows": 1})


@pytest.fixture(params=BUDGETS.values(), ids=BUDGETS)
def chunk_bytes(request, monkeypatch):
    if request.param:
        monkeypatch.setitem(cross_entropy_chunked.CHUNK_BYTES, "cpu", request.param)


# ---- the definition ----------------------------------------------------------------------------


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


def test_fp16_sums_of_many_equal_rows_are_finite():
    hidden = torch.full((1, 9000, 4), 30.0, dtype=torch.float16, requires_grad=True)
    head = torch.tensor([[0.1], [-0.1]]).expand(2, 4).half().requires_grad_()
    targets = torch.ones(1, 9000, dtype=torch.int64)
    loss, _ = ops.stream_cross_entropy(hidden, [head], targets, [9000], impl="chunked")
    loss.backward()
    torch.testing.assert_close(head.grad, torch.tensor([[30.0], [-30.0]]).expand(2, 4).half())


@pytest.mark.parametrize("impl", FAST)
def test_only_what_is_wanted(impl):
    case = Case("three streams", torch.float32)
    loss, _, *whole = case.run(impl)
    for which in range(4):
        for i, tensor in enumerate(case.tensors):
            tensor.requires_grad_(i == which)
        found, _ = call(case, impl)
        (grad,) = torch.autograd.grad(found, case.tensors[which])
        assert torch.equal(found, loss) and torch.equal(grad, whole[which])
    with torch.no_grad():
        found, losses = call(case, impl)
    assert torch.equal(found, loss) and not found.requires_grad


def test_without_gradients_there_are_none():
    case = Case("three streams", torch.float32)
    arguments = list(arguments_of(case))
    arguments[7] = [False, True, False, False]
    _, _, d_hidden, d_heads = cross_entropy_chunked.stream_cross_entropy(*arguments)
    assert d_hidden.numel() == 0
    assert [d.shape for d in d_heads] == [case.heads[0].shape, (0,), (0,)]


def call(case, impl):
    return ops.stream_cross_entropy(
        case.hidden, case.heads, case.targets, case.lengths,
        weights=case.weights, ignored=case.ignored, impl=impl,
    )  # fmt: skip


def arguments_of(case):
    """Those of the operator, all gradients wanted."""
    ignored = [cross_entropy_chunked.NOTHING if i is None else i for i in case.ignored]
    wanted = [True] * len(case.tensors)
    return (
        case.hidden, case.heads, case.targets, case.lengths, case.weights, ignored,
        case.hidden.dtype, wanted, INTERPRETED,
    )  # fmt: skip


@pytest.mark.parametrize("impl", IMPLS)
def test_a_stream_that_is_all_padding(impl):
    case = Case("three streams", torch.float32)
    case.targets[:, :5] = 7
    loss, losses, d_hidden, d_head, *_ = case.run(impl)
    assert losses[0] == 0 and (losses[1:] > 0).all()
    torch.testing.assert_close(loss, (losses[1] + 7 * losses[2]) / 9)
    assert not d_hidden[:, :5].any() and not d_head.any() and d_hidden.isfinite().all()
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


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 12, 13, 100])
def test_chunks_cover_every_row_once(rows):
    seen = torch.zeros(5, 9, dtype=torch.int64)
    for b, t in cross_entropy_chunked._chunks(5, 2, 8, rows):
        seen[b, t] += 1
        assert 0 < seen[b, t].numel() <= rows
    assert (seen[:, 2:8] == 1).all() and seen.sum() == 30


def test_logits_are_never_whole():
    """No tensor inside is larger than a gradient or a chunk, and no chunk than its budget."""
    rows, width, vocab = 512, 64, 4096
    hidden, head = torch.randn(4, rows // 4, width), torch.randn(vocab, width)
    targets = torch.randint(vocab, (4, rows // 4))

    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, list | tuple) else [out]:
                if isinstance(tensor, torch.Tensor):
                    self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
            return out

    budget = 16 * 4 * (vocab + 2 * width)
    before = cross_entropy_chunked.CHUNK_BYTES["cpu"]
    cross_entropy_chunked.CHUNK_BYTES["cpu"] = budget
    try:
        with Largest() as largest:
            cross_entropy_chunked._forward(
                hidden, [head], targets, [rows // 4], [1.0], [-1], torch.float32, [True, True],
                cross_entropy_chunked._Torch,
            )  # fmt: skip
    finally:
        cross_entropy_chunked.CHUNK_BYTES["cpu"] = before
    assert head.nbytes <= largest.bytes <= max(head.nbytes, budget) < rows * vocab * 4 / 6


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


@pytest.mark.skipif(INTERPRETED, reason="of PyTorch alone")
@pytest.mark.parametrize("name", ["small", "empty streams"])
def test_opcheck(name):
    case = Case(name, torch.float32)
    torch.library.opcheck(cross_entropy_chunked.stream_cross_entropy, arguments_of(case))
    case.heads[1].requires_grad_(False)
    arguments = list(arguments_of(case))
    arguments[7] = [t.requires_grad for t in case.tensors]
    torch.library.opcheck(cross_entropy_chunked.stream_cross_entropy, arguments)


@pytest.mark.skipif(INTERPRETED, reason="of PyTorch alone")
def test_compiled():
    case = Case("three streams", torch.float32)
    want = case.run("chunked", 3.0)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def function(hidden, heads, targets):
        loss, losses = ops.stream_cross_entropy(
            hidden * 1, heads, targets, case.lengths, weights=case.weights, ignored=case.ignored
        )
        return 3 * loss, losses

    loss, losses = function(case.hidden, case.heads, case.targets)
    grads = torch.autograd.grad(loss, case.tensors)
    for found, other in zip([loss / 3, losses, *grads], want, strict=True):
        torch.testing.assert_close(found, other)


@pytest.mark.skipif(INTERPRETED, reason="of PyTorch alone")
@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_distributed(kind, tmp_path):
    """A model that calls it inside forward, wrapped: the gradients of the plain one."""
    from torch import distributed
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Linear(8, 8)
            self.heads = torch.nn.ModuleList(torch.nn.Linear(8, v, bias=False) for v in (11, 6))

        def forward(self, x, targets):
            weights = [head.weight for head in self.heads]
            return ops.stream_cross_entropy(self.body(x), weights, targets, [3, 2])[0]

    torch.manual_seed(0)
    model = Model()
    x, targets = torch.randn(4, 5, 8), torch.randint(6, (4, 5))
    model(x, targets).backward()
    want = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        wrapped = DistributedDataParallel(model) if kind == "ddp" else fully_shard(model)
        wrapped(x, targets).backward()
        for parameter, grad in zip(model.parameters(), want, strict=True):
            found = parameter.grad if kind == "ddp" else parameter.grad.full_tensor()
            assert torch.equal(found, grad)
    finally:
        distributed.destroy_process_group()


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
    with pytest.raises(ValueError, match="'triton' knows no float64; impl='chunked' does"):
        ops.stream_cross_entropy(**GOOD | double, impl="triton")


# ---- Triton ------------------------------------------------------------------------------------


@needs_triton
@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is the pytest that it starts")
def test_triton_kernels_under_the_interpreter(run_interpreted):
    run_interpreted(__file__)


@needs_triton
@needs_interpreter
@pytest.mark.parametrize("vocab", [5, 1000, 3000])
def test_triton_softmax_reads_long_rows_twice(vocab, monkeypatch):
    from mas_fast.kernels import cross_entropy as kernels
    from mas_fast.kernels import launch

    monkeypatch.setattr(kernels, "WHOLE", 512)
    monkeypatch.setitem(launch.TILES, "cross_entropy", {80: launch.Tile(1, 512, 1, 1)})
    logits = torch.randn(6, vocab) * 5
    targets = torch.tensor([0, vocab - 1, 3, 4, -1, vocab])
    scale = torch.tensor(0.25)
    want, found, exact = logits.clone(), logits.clone(), logits.double()
    nats = cross_entropy_chunked._Torch.softmax_gradient(want[:4], targets[:4], scale, 3, True)
    cross_entropy_chunked._Torch.softmax_gradient(exact[:4], targets[:4], scale.double(), 3, True)
    ours = kernels.softmax_gradient(found, targets, scale, 3, True)
    torch.testing.assert_close(ours[:4], nats)
    assert ours[4:].isnan().all()  # what is no id
    # Where the target is almost certain its gradient is the little that p - 1 leaves: an ulp of 1.
    ulp = torch.finfo(torch.float32).eps * float(scale)
    allowed = 2 * float((want - exact)[:4].abs().max()) + ulp
    assert float((found - exact)[:4].abs().max()) <= allowed
    again = logits.clone()
    assert torch.equal(kernels.softmax_gradient(again, targets, scale, 3, False)[:4], ours[:4])
    assert torch.equal(again, logits)


def sum_of_chunks(chunks, dtype, last):
    """What add_weight_gradient makes of pairs (g, x); `last`: whether the last one is told so."""
    from mas_fast.kernels import cross_entropy as kernels

    result = torch.empty(chunks[0][0].shape[1], chunks[0][1].shape[1], dtype=dtype)
    rest = kernels.new_rest(result)
    for i, (g, x) in enumerate(chunks):
        kernels.add_weight_gradient(result, rest, g, x, i == 0, last and i == len(chunks) - 1)
    if rest is None or last:
        return result
    bits = (result.view(torch.int16).int() << 16) | (rest.int() << 8)
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


def test_the_reference_looks_at_every_stream():
    reference_cross_entropy.check_targets(TARGETS, [7, 3], [3, 2], [None, None])
    with pytest.raises(ValueError, match=r"in 0\.\.6, or 9"):
        reference_cross_entropy.check_targets(TARGETS + 8, [7, 3], [3, 2], [9, None])
