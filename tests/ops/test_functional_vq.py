"""vq_nearest and vq_statistics: every implementation against the fp64 definition.

The Triton kernels run here under the interpreter, in a pytest of their own, since Triton reads
TRITON_INTERPRET when it is imported; and on a GPU, where there is one.
"""

import importlib.util
import math
import os

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mas_fast import ops
from mas_fast.ops import reference
from mas_fast.utils import native

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
CPP = ops.default_impl("cpu", "vq_nearest") == "cpp"
needs_cpp = pytest.mark.skipif(not CPP, reason=f"no C++ kernel: {native.problem('_torch')}")
needs_interpreter = pytest.mark.interpreted
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
FAST = [
    pytest.param("cpp", marks=needs_cpp),
    pytest.param("triton", marks=[needs_triton, needs_interpreter]),
]
IMPLS = ["reference", *FAST]
SUMMING = ["reference", FAST[1]]
SHAPES = [(0, 3, 5), (1, 1, 1), (3, 1, 7), (70, 130, 17), (33, 65, 100), (5, 97, 270)]
KINDS = [
    "normal",
    "duplicates",
    "grid",
    "near",
    "offset",
    "tiny",
    "huge",
    "far",
    "farther",
    "zeros",
]


def make(kind: str, rows: int, codes: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and codes, fp32, that are hard to tell apart in one way or another."""
    g = torch.Generator().manual_seed(rows + codes + channels)
    x, c = (torch.randn(n, channels, generator=g) for n in (rows, codes))
    match kind:
        case "duplicates":
            c = c[torch.randint(0, max(codes // 3, 1), (codes,), generator=g)]
        case "grid":  # many exact ties
            x, c = x.round(), c.round()
        case "near":  # one unit in the last place apart, rows on top of them
            c = torch.nextafter(torch.ones_like(c), c * math.inf)
            x = torch.nextafter(torch.ones_like(x), x * math.inf)
        case "offset":
            x, c = x + 1e4, c + 1e4
        case "tiny":
            x, c = x * 1e-30, c * 1e-30
        case "huge":
            x, c = x * 3e37, c * 3e37
        case "far" | "farther":  # where fp64 rounds many distances to equal ones
            x = x * (1e14 if kind == "far" else 1e20)
        case "zeros":
            x, c[: codes // 2] = torch.zeros_like(x), 0
    return x, c


def oracle(x: torch.Tensor, codebook: torch.Tensor) -> np.ndarray:
    """The definition in numpy: cumsum adds in the order of the channels."""
    x, codebook = x.double().numpy(), codebook.double().numpy()
    nearest = [np.square(row - codebook).cumsum(1)[:, -1].argmin() for row in x]
    return np.array(nearest, dtype=np.int64)


# ---- nearest ---------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("kind", KINDS)
def test_exact(kind, impl, poison_empty):
    for shape in SHAPES:
        x, codebook = make(kind, *shape)
        found = ops.vq_nearest(x, codebook, impl=impl)
        assert found.dtype == torch.int64
        np.testing.assert_array_equal(found.numpy(), oracle(x, codebook))


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_inputs(dtype, impl):
    x, codebook = (t.to(dtype) for t in make("normal", 50, 70, 33))
    for pair in ((x, codebook), (x, codebook.float()), (x.float(), codebook)):
        want = oracle(*(t.float() for t in pair))
        np.testing.assert_array_equal(ops.vq_nearest(*pair, impl=impl).numpy(), want)


@needs_cpp
@pytest.mark.parametrize("isa", native.engine().supported_isas() if CPP else [])
def test_a_hundred_thousand_vectors(isa, monkeypatch):
    monkeypatch.setenv("MAS_FAST_ISA", isa)
    for kind, rows, codes, channels in [
        ("normal", 40_000, 128, 16),
        ("duplicates", 40_000, 200, 8),
        ("grid", 20_000, 300, 5),
        ("normal", 3_000, 1024, 64),
    ]:
        x, codebook = make(kind, rows, codes, channels)
        want = wanted(kind, rows, codes, channels)
        assert torch.equal(ops.vq_nearest(x, codebook, impl="cpp"), want)


WANTED = {}


def wanted(*case) -> torch.Tensor:
    if case not in WANTED:
        WANTED[case] = reference.vq_nearest(*make(*case))
    return WANTED[case]


@needs_cpp
def test_rows_on_their_codes():
    """What training converges to: every row a code and a little noise."""
    g = torch.Generator().manual_seed(0)
    codebook = torch.randn(4096, 256, generator=g)
    ids = torch.randint(0, 4096, (3000,), generator=g)
    x = codebook[ids] + 0.1 * torch.randn(3000, 256, generator=g)
    assert torch.equal(ops.vq_nearest(x, codebook, impl="cpp"), ids)


@pytest.mark.parametrize("impl", IMPLS)
def test_strides_and_gradients(impl):
    x, codebook = make("normal", 64, 40, 48)
    want = ops.vq_nearest(x[::2, ::3].contiguous(), codebook[:, ::3].contiguous(), impl=impl)
    assert torch.equal(ops.vq_nearest(x[::2, ::3], codebook[:, ::3], impl=impl), want)
    turned = x[::2, ::3].T.contiguous().T.requires_grad_()
    found = ops.vq_nearest(turned, codebook[:, ::3].requires_grad_(), impl=impl)
    assert torch.equal(found, want)
    assert not found.requires_grad


@needs_cpp
def test_the_codebook_is_checked_without_rows():
    codebook = torch.full((3, 2), math.nan)
    for impl in ("cpp", "reference"):
        with pytest.raises(ValueError, match="codebook: found .*expected finite"):
            ops.vq_nearest(torch.empty(0, 2), codebook, impl=impl)


@needs_cpp
def test_threads_change_nothing():
    x, codebook = make("grid", 500, 300, 12)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(ops.vq_nearest(x, codebook, impl="cpp"))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("impl", IMPLS)
def test_fast_mode_is_near(impl):
    x, codebook = make("normal", 100, 60, 40)
    distance = torch.cdist(x.double(), codebook.double())
    found = ops.vq_nearest(x, codebook, exact=False, impl=impl)
    assert (distance.gather(1, found[:, None])[:, 0] <= distance.amin(1) * (1 + 1e-3)).all()


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(value, impl):
    for rows, channels in ((3, 5), (200, 37)):
        for name in ("x", "codebook"):
            x, codebook = make("normal", rows, rows + 70, channels)
            (x if name == "x" else codebook)[rows - 1, channels - 2] = value
            where = (
                f"{name}: found {value} in row {rows - 1}, channel {channels - 2}, expected finite"
            )
            with pytest.raises(ValueError, match=where):
                ops.vq_nearest(x, codebook, impl=impl)


ZEROS = torch.zeros(4, 3)


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ((ZEROS.double(), ZEROS), TypeError, "x: found .*float64.*float32"),
        ((ZEROS, [1.0]), TypeError, "codebook.*list"),
        ((ZEROS[0], ZEROS), ValueError, r"x: found \[3\], expected two dimensions"),
        ((ZEROS, ZEROS[:0]), ValueError, r"codebook: found \[0, 3\].*at least one code"),
        ((ZEROS, ZEROS[:, :0]), ValueError, r"found \[4, 0\].*at least one.*channel"),
        ((ZEROS, ZEROS[:, :2]), ValueError, r"x: found \[4, 3\].*\[N, 2\]"),
        ((ZEROS, ZEROS.to("meta")), ValueError, "on cpu.*on meta"),
    ],
)
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        ops.vq_nearest(*arguments)
    with pytest.raises(error, match=words):
        reference.vq_nearest(*arguments)


def test_implementation_is_chosen_visibly(monkeypatch):
    with pytest.raises(ValueError, match="impl: found 'cuda', expected one of"):
        ops.vq_nearest(ZEROS, ZEROS, impl="cuda")
    with pytest.raises(ValueError, match="'cpp'"):
        ops.vq_statistics(ZEROS, torch.zeros(4, dtype=torch.int64), 2, impl="cpp")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install triton"):
        ops.vq_nearest(ZEROS, ZEROS, impl="triton")
    assert ops.default_impl("cuda", "vq_nearest") == "reference"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert ops.default_impl("cuda", "vq_nearest") == "triton"
    with pytest.raises(ValueError, match="x: found it on cpu, expected cuda"):
        ops.vq_nearest(ZEROS, ZEROS, impl="triton")


@needs_cpp
def test_the_operator_checks_its_tensors():
    ops.load_library()
    torch.library.opcheck(torch.ops.mas_fast.vq_nearest.default, (ZEROS, ZEROS))


@needs_triton
@needs_interpreter
def test_opcheck_of_triton_operators():
    from mas_fast.ops import vq_triton as operators

    x, codebook = make("normal", 9, 5, 4)
    for exact in (True, False):
        torch.library.opcheck(operators.nearest, (x, codebook, exact))
    torch.library.opcheck(operators.statistics, (x, torch.arange(9) % 5, 5))
    counts, sums = operators.statistics(x, torch.arange(-4, 5) * 3, 5)  # 0 and 3 are codes
    assert counts.tolist() == [1, 0, 0, 1, 0]
    assert torch.equal(sums[[0, 3]], x[4:6])
    x[3, 1], codebook = math.nan, codebook.repeat(2, 1)
    for exact in (True, False):
        assert (operators.nearest(x, codebook, exact) < 0).nonzero()[:, 0].tolist() == [3]
    codebook[7, 2] = -math.inf
    for exact in (True, False):
        assert (operators.nearest(x, codebook, exact) == -1).all()
    for x, codebook in [
        (ZEROS[0], ZEROS),
        (ZEROS, ZEROS.double()),
        (ZEROS.T, torch.zeros(2, 4)),
        (ZEROS, torch.zeros(2, 4)),
        (ZEROS, ZEROS[:0]),
    ]:
        with pytest.raises((RuntimeError, ValueError)):
            torch.ops.mas_fast.vq_nearest(x, codebook)


# ---- statistics ------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", SUMMING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_statistics(dtype, impl, poison_empty):
    for rows, codes, channels in [(0, 4, 3), (1, 1, 1), (300, 7, 20), (50, 90, 130), (200, 1, 3)]:
        g = torch.Generator().manual_seed(rows)
        x = torch.randn(rows, channels, generator=g).to(dtype)
        ids = torch.randint(0, max(codes // 2, 1), (rows,), generator=g)
        want = np.zeros((codes, channels))
        np.add.at(want, ids.numpy(), x.double().numpy())
        counts, sums = ops.vq_statistics(x, ids, codes, impl=impl)
        assert counts.dtype == sums.dtype == torch.float32
        assert counts.tolist() == np.bincount(ids, minlength=codes).tolist()
        np.testing.assert_allclose(sums.numpy(), want, rtol=1e-6, atol=1e-12)
        again = ops.vq_statistics(x.T.contiguous().T, ids, codes, impl=impl)
        assert torch.equal(again[0], counts)
        assert torch.equal(again[1], sums)


@pytest.mark.parametrize("impl", SUMMING)
@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ((ZEROS, torch.zeros(4), 2), TypeError, "codes: found .*float32, expected an int64"),
        ((ZEROS, torch.zeros(3, dtype=torch.int64), 2), ValueError, r"codes: found \[3\].*\[4\]"),
        ((ZEROS, torch.tensor([0, 1, 2, 0]), 2), ValueError, r"codes: found 2, expected 0\.\.1"),
        ((ZEROS, torch.tensor([0, 1, -1, 0]), 2), ValueError, r"found -1, expected 0\.\.1"),
        ((ZEROS, torch.tensor([0, 0, 0, 0]), 0), ValueError, "codebook_size: found 0, expected"),
        ((ZEROS[0], torch.tensor([0, 0, 0]), 2), ValueError, "two dimensions"),
    ],
)
def test_bad_statistics(arguments, error, words, impl):
    with pytest.raises(error, match=words):
        ops.vq_statistics(*arguments, impl=impl)


# ---- Triton ----------------------------------------------------------------------------------


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="this is the pytest that it starts")
def test_triton_kernels_under_the_interpreter(run_interpreted):
    run_interpreted(__file__)


@needs_triton
@needs_interpreter
@pytest.mark.parametrize("dense", [False, True])
def test_triton_settles_open_rows_either_way(monkeypatch, dense):
    """From a list of candidates, and by blocks where the list is too short."""
    from mas_fast.kernels import vq

    def settle(x, codebook, operands, limit, least, open_rows, totals, best, sizes):
        whole(x, codebook, operands, limit, least, open_rows, totals, best, sizes)
        seen.extend(totals.tolist())

    seen, whole = [], vq.settle
    monkeypatch.setattr(vq, "settle", settle)
    # Equal codes: half of the codebook is as near as the nearest one.
    x, codebook = make("normal", 90, 70 if dense else 130, 17)
    if dense:
        codebook = codebook[:2].repeat(300, 1)
    else:
        codebook[::3] = codebook[1]
        x[::2] = codebook[1] + 0.01
        x[::4] = codebook[5]
    found = ops.vq_nearest(x, codebook, impl="triton")
    np.testing.assert_array_equal(found.numpy(), oracle(x, codebook))
    assert seen[0] >= 20
    assert seen[1] >= 20 * 40
    assert (seen[1] > vq.CANDIDATES * 90 + 1024) == dense


class Answers(TorchDispatchMode):
    """The operators whose result, or the size of it, a host would have to wait for."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        if name in ("_local_scalar_dense", "nonzero", "bincount", "masked_select", "_unique2"):
            self.names.append(name)
        return function(*args, **(kwargs or {}))


@needs_triton
@needs_interpreter
def test_triton_waits_for_nothing():
    """A graph can hold the operators; out of one, a single answer tells of values not finite, and
    one of codes out of range."""
    from mas_fast.ops import vq_triton as operators

    x, codebook = make("normal", 90, 70, 17)
    codebook[::3] = codebook[1]
    with Answers() as answers:
        for exact in (True, False):
            codes = operators.nearest(x, codebook, exact)
        operators.statistics(x, codes, 70)
    assert answers.names == []
    for function, arguments in ((ops.vq_nearest, [codebook]), (ops.vq_statistics, [codes, 70])):
        with Answers() as answers:
            function(x, *arguments, impl="triton")
        assert answers.names == ["_local_scalar_dense"]


@needs_triton
@needs_interpreter
def test_triton_is_compiled_into_one_graph():
    @torch.compile(fullgraph=True, backend="aot_eager")
    def function(x, codebook):
        codes = ops.vq_nearest(x, codebook, impl="triton")
        return codes, *ops.vq_statistics(x, codes, 70, impl="triton")

    x, codebook = make("normal", 90, 70, 17)
    codes, counts, sums = function(x, codebook)
    np.testing.assert_array_equal(codes.numpy(), oracle(x, codebook))
    want = reference.vq_statistics(x, codes, 70)
    torch.testing.assert_close((counts, sums), want, rtol=1e-6, atol=1e-12)
    x[3, 1] = math.inf
    found, counts, _ = function(x, codebook)  # without a look at the values
    assert (found < 0).nonzero().tolist() == [[3]]
    assert counts.sum() == 89


@needs_triton
@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_cuda_nearest_is_exact(dtype):
    for kind in KINDS:
        if dtype != torch.float32 and kind in ("tiny", "huge", "far", "farther"):
            continue  # out of the range of fp16
        for rows, codes, channels in [*SHAPES, (40_000, 1024, 64), (300, 2000, 513)]:
            x, codebook = (t.to(dtype).cuda() for t in make(kind, rows, codes, channels))
            want = reference.vq_nearest(x, codebook)
            assert torch.equal(ops.vq_nearest(x, codebook), want), (kind, rows, codes, channels)


@needs_triton
@needs_cuda
def test_cuda_graph():
    """Captured, it finds the codes of whatever rows are in its input."""
    x, codebook = (torch.randn(n, 64, device="cuda") for n in (5000, 700))
    ops.vq_statistics(x, ops.vq_nearest(x, codebook), 700)  # compiles the kernels
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        codes = ops.vq_nearest(x, codebook)
        statistics = ops.vq_statistics(x, codes, 700)
    for scale in (1.0, 0.1):
        x.normal_().mul_(scale)
        graph.replay()
        assert torch.equal(codes, reference.vq_nearest(x, codebook))
        for found, want in zip(statistics, reference.vq_statistics(x, codes, 700), strict=True):
            torch.testing.assert_close(found, want, rtol=1e-6, atol=1e-12)
    x[7, 3] = math.nan
    graph.replay()
    assert (codes < 0).nonzero().tolist() == [[7]]


@needs_triton
@needs_cuda
def test_cuda_memory_and_statistics():
    x, codebook = torch.randn(65536, 256, device="cuda"), torch.randn(16384, 256, device="cuda")
    for dtype in (torch.float32, torch.bfloat16):
        rows, codes = x.to(dtype), codebook.to(dtype)
        found = ops.vq_nearest(rows, codes)
        assert torch.equal(found[:300], reference.vq_nearest(rows[:300], codes))
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        ops.vq_nearest(rows, codes)
        packed = 16384 * (2 * 256 + 12)
        extra = torch.cuda.max_memory_allocated() - before - packed
        assert extra <= 0.01 * 4 * len(x) * len(codes)
    want = reference.vq_statistics(x.cpu(), found.cpu(), 16384)
    first, second = (ops.vq_statistics(x, found, 16384) for _ in range(2))
    assert torch.equal(first[1], second[1])
    assert torch.equal(first[0].cpu(), want[0])
    torch.testing.assert_close(first[1].cpu(), want[1], rtol=1e-6, atol=1e-12)
