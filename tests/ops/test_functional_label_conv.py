"""label_conv: every implementation against the convolution over one-hot channels in fp64."""

import pytest
import torch

from label_conv_cases import convolved, make
from mas_fast import ops
from mas_fast.ops.reference import label_conv as reference_label_conv
from mas_fast.utils import native

CPP = ops.default_impl("cpu", "label_conv") == "cpp"
needs_cpp = pytest.mark.skipif(not CPP, reason=f"no C++ kernel: {native.problem('_torch')}")
IMPLS = ["reference", "bag", pytest.param("cpp", marks=needs_cpp)]
# rows, size, labels, edges, outputs
CASES = [
    (2, (7, 13), 158, True, 32),
    (1, (1, 1), 3, True, 5),
    (3, (1, 9), 255, False, 16),
    (1, (9, 1), 255, True, 70),
    (2, (4, 5), 1, False, 1),
    (1, (3, 4), 2, True, 131),
    (0, (3, 4), 2, True, 8),
]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case, dtype, impl, poison_empty):
    x = make(*case, dtype)
    found = ops.label_conv(*x, impl=impl)
    want = convolved(*x)
    assert found.dtype == dtype
    assert found.shape == want.shape
    assert found.is_contiguous(memory_format=torch.channels_last) or not found.numel()
    rtol = torch.finfo(dtype).eps if dtype != torch.float32 else 1e-6
    torch.testing.assert_close(found.double(), want, rtol=rtol, atol=5e-6)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients(case, impl, poison_empty):
    labels, edges, weight, bias = make(*case)
    shape = convolved(labels, edges, weight, bias).shape
    cotangent = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    gradients = []
    for function, w, b in [
        (convolved, weight.double(), bias.double()),
        (lambda *x: ops.label_conv(*x, impl=impl), weight.clone(), bias.clone()),
    ]:
        w.requires_grad_(), b.requires_grad_()
        y = function(labels, edges, w, b)
        gradients.append(torch.autograd.grad((y * cotangent.to(y.dtype)).sum(), (w, b)))
    for want, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found.double(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("impl", ["reference", "bag", None])
def test_gradcheck(impl):
    labels, edges, weight, bias = make(2, (3, 4), 5, True, 3, torch.float64)
    weight.requires_grad_(), bias.requires_grad_()
    torch.autograd.gradcheck(
        lambda w, b: ops.label_conv(labels, edges, w, b, impl=impl), (weight, bias)
    )


@needs_cpp
@pytest.mark.parametrize("isa", native.engine().supported_isas() if CPP else [])
def test_every_instruction_set_gives_the_same_bits(isa, monkeypatch):
    x = make(2, (19, 33), 40, True, 131)
    want = ops.label_conv(*x, impl="cpp")
    monkeypatch.setenv("MAS_FAST_ISA", isa)
    assert torch.equal(ops.label_conv(*x, impl="cpp"), want)


@needs_cpp
def test_threads_and_strides_change_nothing():
    labels, edges, weight, bias = make(2, (37, 20), 40, True, 48)
    cotangent = torch.randn(2, 48, 37, 20)
    cases = [
        (1, labels, edges, weight, cotangent),
        (2, labels, edges, weight.contiguous(memory_format=torch.channels_last), cotangent),
        (5, labels.mT.contiguous().mT, edges.mT.contiguous().mT, weight.mT.contiguous().mT,
         cotangent.contiguous(memory_format=torch.channels_last)),
    ]  # fmt: skip
    threads, found = torch.get_num_threads(), []
    try:
        for count, ids, bits, w, c in cases:
            torch.set_num_threads(count)
            w, b = w.detach().requires_grad_(), bias.clone().requires_grad_()
            y = ops.label_conv(ids, bits, w, b, impl="cpp")
            found.append((y.detach(), *torch.autograd.grad(y, (w, b), c)))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@needs_cpp
def test_many_pixels_of_one_label_lose_nothing():
    """A quarter of a million equal terms: a sum in fp32 would stop growing evenly."""
    labels = torch.zeros(1, 512, 512, dtype=torch.uint8)
    weight = torch.zeros(8, 1, 3, 3, requires_grad=True)
    bias = torch.zeros(8, requires_grad=True)
    y = ops.label_conv(labels, None, weight, bias, impl="cpp")
    got = torch.autograd.grad(y, (weight, bias), torch.full_like(y, 0.1))
    tenth = float(torch.tensor(0.1))
    assert got[1].tolist() == pytest.approx([512 * 512 * tenth] * 8, rel=1e-7)
    assert got[0][0, 0, 0, 0].item() == pytest.approx(511 * 511 * tenth, rel=1e-7)


LABELS, WEIGHT, BIAS = (
    torch.zeros(1, 2, 2, dtype=torch.uint8),
    torch.zeros(4, 3, 3, 3),
    torch.zeros(4),
)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            (LABELS.int(), None, WEIGHT, BIAS),
            TypeError,
            "labels: found .*int32.*uint8",
        ),
        (
            (LABELS, LABELS, WEIGHT, BIAS),
            TypeError,
            "edges: found .*uint8.*bool",
        ),
        (
            (LABELS[0], None, WEIGHT, BIAS),
            ValueError,
            r"found \[2, 2\] and None, .* \[B, H, W\]",
        ),
        ((LABELS, LABELS.bool()[:, :1], WEIGHT, BIAS), ValueError, r"\[1, 2, 2\] and \[1, 1, 2\]"),
        ((LABELS, None, WEIGHT.int(), BIAS), TypeError, "one floating dtype"),
        ((LABELS, None, WEIGHT, BIAS.double()), TypeError, "float32 and torch.float64"),
        ((LABELS, None, WEIGHT[..., :2], BIAS), ValueError, r"\[4, 3, 3, 2\].*\[O, C, 3, 3\]"),
        ((LABELS, None, WEIGHT, BIAS[:3]), ValueError, r"bias: found .*\[3\].*\[O\]"),
        ((LABELS, None, torch.zeros(4, 256, 3, 3), BIAS), ValueError, "1 to 255 channels"),
        ((LABELS, None, WEIGHT.to("meta"), BIAS.to("meta")), ValueError, "one device"),
    ],
)
def test_bad_arguments(arguments, error, words, impl):
    with pytest.raises(error, match=words):
        ops.label_conv(*arguments, impl=impl)
    with pytest.raises(error, match=words):
        reference_label_conv.label_conv(*arguments)


def test_implementation_is_chosen_visibly():
    with pytest.raises(ValueError, match="impl: found 'triton', expected one of"):
        ops.label_conv(LABELS, None, WEIGHT, BIAS, impl="triton")
    with pytest.raises(ValueError, match="weight: found torch.float64 on cpu, expected"):
        ops.label_conv(LABELS, None, WEIGHT.double(), BIAS.double(), impl="cpp")
    assert ops.default_impl("cuda", "label_conv") == "bag"


@needs_cpp
def test_the_operators_check_their_tensors():
    ops.load_library()
    op, back = torch.ops.mas_fast.label_conv, torch.ops.mas_fast.label_conv_backward
    edges = LABELS.bool()
    weight, bias = torch.randn(4, 3, 3, 3, requires_grad=True), torch.zeros(4, requires_grad=True)
    torch.library.opcheck(op.default, (weight, bias, LABELS, edges))
    torch.library.opcheck(back.default, (torch.zeros(1, 2, 2, 4), LABELS, edges, 3))
    wide = torch.zeros(1, 2, 4, dtype=torch.uint8)
    for arguments in [
        (WEIGHT.double(), BIAS, LABELS, None),
        (WEIGHT[0], BIAS, LABELS, None),
        (WEIGHT[:, :, :2], BIAS, LABELS, None),
        (WEIGHT, BIAS[:3], LABELS, None),
        (WEIGHT, BIAS, LABELS[0], None),
        (WEIGHT, BIAS, wide[..., ::2], None),
        (WEIGHT, BIAS, LABELS.int(), None),
        (WEIGHT, BIAS, LABELS, LABELS),
        (WEIGHT, BIAS, LABELS, edges[:, :1]),
        (WEIGHT[:, :0], BIAS, LABELS, edges),
        (torch.zeros(4, 256, 3, 3), BIAS, LABELS, None),
    ]:
        with pytest.raises((RuntimeError, ValueError)):
            op(*arguments)
    grad = torch.zeros(1, 2, 2, 4)
    for arguments in [
        (grad[0], LABELS, None, 3),
        (grad.double(), LABELS, None, 3),
        (grad[:, :1], LABELS, None, 3),
        (torch.zeros(1, 2, 4, 2).mT, LABELS, None, 3),
        (grad, LABELS, None, -1),
        (grad, LABELS, None, 256),
    ]:
        with pytest.raises((RuntimeError, ValueError)):
            back(*arguments)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees():
    for case in CASES:
        x = make(*case)
        y = ops.label_conv(*(None if t is None else t.cuda() for t in x))
        torch.testing.assert_close(y.cpu().double(), convolved(*x), rtol=1e-5, atol=1e-5)


@needs_cpp
def test_any_byte_but_zero_is_an_edge():
    """Bools of another library's buffer, such as Pillow's, may be 255."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (2, 6, 7), dtype=torch.uint8, generator=generator)
    edges = torch.randint(2, (2, 6, 7), dtype=torch.uint8, generator=generator)
    weight, bias = torch.randn(8, 6, 3, 3, generator=generator), torch.zeros(8)
    expected = ops.label_conv(labels, edges.bool(), weight, bias, impl="cpp")
    found = ops.label_conv(labels, (255 * edges).view(torch.bool), weight, bias, impl="cpp")
    assert torch.equal(found, expected)
