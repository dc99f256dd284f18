"""kernels/linear.py against fp64: under the interpreter, in a pytest of its own, since Triton reads
TRITON_INTERPRET when it is imported; and on a GPU, where there is one."""

import os
from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")

from linear_cases import DTYPES, EPILOGUES, Case, assert_near, inside, margins, weights_of
from mas_fast.kernels.linear import linear, plan
from mas_fast.kernels.packed_weight import PackedWeight, pack

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
needs_interpreter = pytest.mark.interpreted
needs_cuda = pytest.mark.skipif(
    INTERPRETED or not torch.cuda.is_available(), reason="no CUDA device"
)
ROWS = [1, 2, 16, 17, 128]
SHAPES = [
    (1, 256, 48),
    (2, 1000, 40),
    (3, 31, 1),
    (5, 257, 33),
    (16, 1, 7),
    (17, 512, 16),
    (128, 320, 65),
]
QUANTIZED = ["int8", "int4", "fp8"]


def run(case, packed=None, dtype=None):
    """What `linear` makes of a case, and nothing beside it."""
    packed = packed or pack(case.w, {v: k for k, v in DTYPES.items()}[case.w.dtype])
    out = case.empty(dtype)
    assert linear(case.x, packed, out, **case.arguments) is out
    assert margins(out).isnan().all()
    return out


def surrounded(packed):
    """The same weights amid NaN, or other levels."""
    scales = packed.scales if packed.scales is None else inside(packed.scales)
    return replace(packed, values=inside(packed.values), scales=scales)


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is the pytest that it starts")
def test_kernels_under_the_interpreter(run_interpreted):
    run_interpreted(__file__, "interpreted")


def check_near(shape, dtype, epilogue, device="cpu"):
    case = Case(*shape, dtype, device=device, **EPILOGUES[epilogue])
    assert_near(run(case), case.torch(dtype=torch.float64), case.torch())


def check_quantized(shape, name, dtype, device="cpu"):
    """Nothing is lost but what sums in fp32 lose: without a norm 16-bit rows are exact, too."""
    case = Case(*shape, dtype, device=device, **EPILOGUES["all" if dtype == "fp32" else "residual"])
    packed = surrounded(pack(case.w, name))
    weights = weights_of(packed)
    exact, peer = case.torch(weights, torch.float64), case.torch(weights, torch.float32)
    assert_near(run(case, packed, torch.float32), exact, peer)


def check_rows(dtype, weight_dtype, device="cpu"):
    """A row has the bits that it has alone, whatever its place and whatever rows are beside it."""
    case = Case(128, 1000, 40, dtype, device=device, **EPILOGUES["all"])
    packed = pack(case.w, weight_dtype)
    whole = run(case, packed, torch.float32)
    for rows in ROWS:
        part = Case(rows, 1000, 40, dtype, device=device)
        part.norm, part.bias, part.gelu = case.norm, case.bias, case.gelu
        part.x, part.residual = inside(case.x[-rows:]), inside(case.residual[-rows:])
        assert torch.equal(run(part, packed, torch.float32), whole[-rows:]), rows


@needs_interpreter
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_near_fp64(shape, dtype, epilogue):
    check_near(shape, dtype, epilogue)


@needs_interpreter
@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
@pytest.mark.parametrize("name", QUANTIZED)
@pytest.mark.parametrize("shape", SHAPES)
def test_quantized_weights_are_what_they_stand_for(shape, name, dtype):
    check_quantized(shape, name, dtype)


@pytest.fixture
def ordered(monkeypatch):
    """Products go on from the sum so far, one input after the other, as in tensor cores. The
    interpreter's add up a step first, in an order that BLAS finds for its size."""
    from triton.runtime import interpreter

    def create_dot(builder, a, b, d, *precision):
        a, b, acc = (each.data.astype(d.data.dtype) for each in (a, b, d))
        for k in range(a.shape[2]):
            acc = acc + a[:, :, k, None] * b[:, k, None]
        return interpreter.TensorHandle(acc, d.dtype.scalar)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)


@needs_interpreter
@pytest.mark.parametrize(("dtype", "name"), [("fp32", "fp32"), ("fp16", "fp16")]
                         + [("fp32", name) for name in QUANTIZED])  # fmt: skip
def test_a_row_does_not_depend_on_others(dtype, name, ordered):
    check_rows(dtype, name)


@needs_interpreter
def test_the_residual_may_be_the_result():
    case = Case(3, 300, 40, "fp32", bias=True, residual=True)
    want = run(case)
    linear(case.x, pack(case.w, "fp32"), case.residual, **case.arguments)
    assert torch.equal(case.residual, want)


@needs_interpreter
@pytest.mark.parametrize("name", ["fp16", *QUANTIZED])
def test_logits_may_be_fp32(name):
    case = Case(2, 300, 70, "fp16", norm=True)
    packed = pack(case.w, name)
    found, narrow = run(case, packed, torch.float32), run(case, packed)
    assert torch.equal(found.half(), narrow)
    assert not torch.equal(found, narrow.float())


@needs_interpreter
def test_rows_far_from_zero_keep_their_digits():
    """The variance is not the difference of two large numbers."""
    case = Case(4, 600, 40, "fp32", norm=True)
    case.x += 3000
    assert_near(run(case), case.torch(dtype=torch.float64), case.torch())


@pytest.mark.parametrize("capability", [80, 90, 120])
@pytest.mark.parametrize("inputs", [1, 256, 1000, 1536, 4096])
@pytest.mark.parametrize("name", [*DTYPES, *QUANTIZED])
def test_what_slices_have_does_not_depend_on_rows(name, inputs, capability):
    weight = PackedWeight(name, inputs, torch.empty(4096, inputs, device="meta"))
    plans = [plan(weight, rows, capability)[0] for rows in range(1, 129)]
    assert len({blocks["SPAN"] for blocks in plans}) == 1
    assert len({(blocks["STEP"], blocks["ROWS"]) for blocks in plans}) > 1
    assert all(blocks["SPAN"] % blocks["STEP"] == 0 for blocks in plans)


def test_what_does_not_fit_is_named():
    x, w, out = torch.zeros(2, 64), pack(torch.zeros(48, 64), "fp32"), torch.zeros(2, 48)
    vector = torch.zeros(64)
    for words, arguments, options in (
        ("x: found \\[2, 32\\]", (torch.zeros(2, 32), w, out), {}),
        ("x: found .* strides \\[1, 2\\], expected", (torch.zeros(64, 2).T, w, out), {}),
        ("out: found \\[2, 47\\]", (x, w, out[:, :47].contiguous()), {}),
        ("bias: found \\[64\\]", (x, w, out), {"bias": vector}),
        ("norm\\[1\\]: found \\[48\\]", (x, w, out), {"norm": (vector, vector[:48])}),
        ("weight: found torch.float32, expected torch.float16", (x.half(), w, out), {}),
        ("residual: found \\[2, 64\\]", (x, w, out), {"residual": x}),
        ("pdl: found compute capability 8", (x, w, out), {"pdl": True}),
    ):
        with pytest.raises(ValueError, match=words):
            linear(*arguments, **options)


# ---- on a GPU ----------------------------------------------------------------------------------


@needs_cuda
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 1024, 3072), (2, 4096, 1024)])
def test_cuda_near_fp64(shape, dtype, epilogue):
    check_near(shape, dtype, epilogue, "cuda")


@needs_cuda
@pytest.mark.parametrize("name", QUANTIZED)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 1024, 3072), (2, 4096, 1024)])
def test_cuda_quantized_weights_are_what_they_stand_for(shape, name):
    check_quantized(shape, name, "bf16", "cuda")


@needs_cuda
@pytest.mark.parametrize("name", [*DTYPES, *QUANTIZED])
def test_cuda_a_row_does_not_depend_on_others(name):
    check_rows(name if name in DTYPES else "bf16", name, "cuda")


@needs_cuda
@pytest.mark.skipif(
    torch.cuda.is_available() and torch.cuda.get_device_capability() < (9, 0), reason="no sm_90"
)
def test_cuda_launched_early_a_chain_gives_the_same():
    """Each of many layers begins while the one before it runs."""
    case = Case(2, 1024, 1024, "bf16", device="cuda", norm=True, bias=True, residual=True)
    packed = pack(case.w, "bf16")
    found = []
    for pdl in (False, True):
        x, y = case.x.clone(), torch.empty_like(case.x)
        for _ in range(50):
            linear(x, packed, y, **(case.arguments | {"residual": x}), pdl=pdl)
            x, y = y, x
        found.append(x)
    assert torch.equal(*found)
