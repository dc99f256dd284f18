"""ops.sample and the bindings under it: what they refuse and choose, and that nothing crashes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from built import IMPLS, needs_engine, needs_torch_library
from host_reads import reads
from mas_fast import ops
from mas_fast.utils import native

INF, NAN = math.inf, math.nan


# ---- bad input ---------------------------------------------------------------------------------

LOGITS = torch.zeros(2, 5)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"top_k": 0}, ValueError, "top_k: found 0, expected an integer >= 1"),
        ({"top_k": 2.0}, TypeError, "top_k.*float"),
        ({"top_p": 0.0}, ValueError, r"top_p: found 0\.0.*\(0, 1\]"),
        ({"top_p": 1.01}, ValueError, "top_p.*1.01"),
        ({"top_p": NAN}, ValueError, "top_p.*nan"),
        ({"top_p": "all"}, TypeError, "top_p.*str"),
        ({"temperature": -0.1}, ValueError, "temperature.*-0.1"),
        ({"temperature": NAN}, ValueError, "temperature.*nan"),
        ({"temperature": INF}, ValueError, "temperature.*inf"),
        ({"temperature": 1e39}, ValueError, r"temperature.*1e\+39"),
        ({"guidance": NAN, "uncond": LOGITS}, ValueError, "guidance.*nan"),
        ({"guidance": -INF, "uncond": LOGITS}, ValueError, "guidance.*-inf"),
        ({"guidance": 10**400, "uncond": LOGITS}, ValueError, "guidance"),
        ({"guidance": 2.0}, ValueError, "guidance: found 2.0 without uncond"),
        ({"uncond": torch.zeros(2, 4)}, ValueError, r"uncond: found \[2, 4\].*\[2, 5\]"),
        ({"uncond": torch.zeros(2, 5, dtype=torch.int64)}, TypeError, "uncond.*int64"),
        ({"logits": torch.zeros(2, 5, dtype=torch.int32)}, TypeError, "logits.*int32"),
        ({"logits": [[0.0]]}, TypeError, "logits.*list"),
        ({"logits": torch.zeros(5)}, ValueError, r"logits.*\[5\]"),
        ({"logits": torch.zeros(2, 0)}, ValueError, r"logits: found \[2, 0\].*1 to 4194304"),
        ({"seed": -1}, ValueError, "seed.*-1"),
        ({"seed": 1 << 64}, ValueError, "seed.*18446744073709551616"),
        ({"seed": 0.5}, TypeError, "seed.*float"),
        ({"position": -1}, ValueError, r"position: found -1, expected 0\.\.2\*\*32-1"),
        ({"position": torch.tensor([0, 1 << 32])}, ValueError, "position.*4294967296"),
        ({"position": torch.tensor([0])}, ValueError, r"position: found \[1\].*\[2\]"),
        ({"sample": torch.tensor([0.0, 1.0])}, TypeError, "sample.*float32"),
        ({"sample": 1 << 32}, ValueError, "sample.*4294967296"),
    ],
)
def test_bad_arguments(arguments, error, words, impl):
    arguments = {"logits": LOGITS, "seed": 0} | arguments
    with pytest.raises(error, match=words):
        ops.sample(arguments.pop("logits"), impl=impl, **arguments)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nan_at_any_index(impl, temperature):
    for index in range(37):
        logits = torch.zeros(3, 37)
        logits[1, index] = NAN
        with pytest.raises(ValueError, match=f"NaN .*row 1, token {index}"):
            ops.sample(logits, seed=0, temperature=temperature, impl=impl)
    with pytest.raises(ValueError, match="found NaN after guidance in row 0, token 0"):
        inf = torch.full((1, 3), INF)
        ops.sample(inf, uncond=inf, guidance=2.0, seed=0, impl=impl)


def test_implementation_is_chosen_visibly(monkeypatch):
    with pytest.raises(ValueError, match="impl.*'numpy'"):
        ops.sample(LOGITS, seed=0, impl="numpy")
    with pytest.raises(ValueError, match="logits: found them on cpu, expected cuda"):
        ops.sample(LOGITS, seed=0, impl="cuda")
    built = native.problem("_torch") is None
    assert ops.default_impl("cpu") == ("cpp" if built else "reference")

    monkeypatch.setattr(native, "TORCH_LIBRARY", Path("absent.so"))
    ops.load_library.cache_clear()
    assert ops.default_impl("cpu") == "reference"
    with pytest.raises(ImportError, match="pip install -e"):
        ops.sample(LOGITS, seed=0, impl="cpp")
    want = ops.sample(LOGITS, seed=0, impl="reference")
    assert torch.equal(ops.sample(LOGITS, seed=0), want)


# ---- the bindings ------------------------------------------------------------------------------


@needs_torch_library
def test_opcheck():
    ops.load_library()
    words = torch.arange(3)
    for uncond, top_k, top_p in [(None, None, None), (torch.ones(3, 8), 4, 0.9)]:
        arguments = (torch.zeros(3, 8), uncond, 1.0, 1.0, top_k, top_p, 7, words, words)
        torch.library.opcheck(torch.ops.mas_fast.sample.default, arguments)


@needs_torch_library
@pytest.mark.parametrize(
    "change, words",
    [
        ({0: torch.zeros(5)}, "logits"),
        ({0: torch.zeros(2, 0)}, "vocabulary"),
        ({0: torch.zeros(2, 5, dtype=torch.float64)}, "logits"),
        ({0: torch.zeros(5, 2).T}, "contiguous"),
        ({1: torch.zeros(2, 4)}, "uncond"),
        ({3: -1.0}, "temperature"),
        ({4: 0}, "top_k"),
        ({5: 2.0}, "top_p"),
        ({7: torch.zeros(3, dtype=torch.int64)}, "sample"),
        ({8: torch.zeros(2)}, "position"),
    ],
)
def test_op_checks_its_tensors(change, words):
    ops.load_library()
    zeros = torch.zeros(2, dtype=torch.int64)
    arguments = [LOGITS, None, 1.0, 1.0, None, None, 0, zeros, zeros]
    for index, value in change.items():
        arguments[index] = value
    with pytest.raises((RuntimeError, ValueError), match=words):
        torch.ops.mas_fast.sample(*arguments)


def mostly(right, wrong):
    """`right`, and one time in twelve `wrong`; so that calls with nothing wrong stay common."""
    return st.integers(0, 11).flatmap(lambda n: right if n else wrong)


def word(bits: int):
    return mostly(st.integers(0, (1 << bits) - 1), st.one_of(st.integers(), anything))


def array(shape, value: float, dtype, ramp: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        values = np.full(shape, value).astype(dtype)
    return values + np.arange(values.size).astype(dtype).reshape(shape) * dtype(ramp)


anything = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.floats(), st.integers())
shape = mostly(st.just([3, 5]), st.lists(st.integers(0, 9), max_size=3))
value = mostly(st.sampled_from([0.0, -0.0, 1.0, -3.5, -INF]), st.sampled_from([INF, NAN]))
dtype = mostly(st.just(np.float32), st.sampled_from([np.float16, np.float64, np.int32, np.bool_]))
arrays = mostly(st.builds(array, shape, value, dtype, st.integers(0, 2)), anything)
arguments_of_sample = st.fixed_dictionaries(
    {"seed": word(64)},
    optional={
        "sample": word(32),
        "position": word(32),
        "uncond": mostly(st.one_of(st.none(), arrays), anything),
        "guidance": mostly(st.sampled_from([1.0, 3, -0.5, 1e30]), anything),
        "temperature": mostly(st.sampled_from([0, 0.5, 1.0, 1e-40, 1e30]), anything),
        "top_k": mostly(st.one_of(st.none(), st.integers(1, 1 << 62)), anything),
        "top_p": mostly(st.one_of(st.none(), st.floats(0, 1, exclude_min=True)), anything),
    },
)
quick = settings(max_examples=600, deadline=None, derandomize=True)


@needs_engine
@quick
@given(arrays, arguments_of_sample)
def test_numpy_binding_survives_anything(cond, arguments):
    try:
        token, kept = native.engine().sample(cond, **arguments)
    except (ValueError, TypeError) as error:
        assert str(error)
    else:
        assert kept.shape == np.shape(cond)
        assert kept[np.arange(len(token)), token].all()


@pytest.mark.parametrize("impl", IMPLS)
@quick
@given(arrays, arguments_of_sample)
def test_ops_survive_anything(impl, logits, arguments):
    def tensor(x):
        return torch.from_numpy(x) if isinstance(x, np.ndarray) else x

    arguments = {name: tensor(value) for name, value in arguments.items()}
    try:
        token = ops.sample(tensor(logits), impl=impl, **arguments)
    except (ValueError, TypeError) as error:
        assert str(error)
    else:
        assert ((0 <= token) & (token < logits.shape[1])).all()


# ---- memory that begins at any byte -----------------------------------------------------------


def misaligned(tensor):
    """The same values at an odd byte, as torch.frombuffer and torch.from_numpy may give them."""
    memory = bytearray(tensor.nbytes + 1)
    memory[1:] = tensor.numpy().tobytes()
    found = torch.frombuffer(memory, dtype=tensor.dtype, offset=1).view(tensor.shape)
    assert found.data_ptr() % tensor.element_size()
    return found


@needs_torch_library
def test_misaligned_tensors_are_copied():
    """A build under UBSan would stop at the first number; here the results are those of copies."""
    ops.load_library()
    logits, words = torch.randn(3, 50), torch.arange(3)
    x, codebook = torch.randn(40, 9), torch.randn(7, 9)
    labels = (torch.arange(24) % 5).to(torch.uint8).view(2, 3, 4)
    weight, bias, grad = torch.randn(4, 5, 3, 3), torch.randn(4), torch.randn(2, 3, 4, 4)
    for name, tensors, rest in [
        ("sample", (logits, logits / 2), (2.0, 1.0, None, 0.9, 3, misaligned(words), words)),
        ("vq_nearest", (x, codebook), ()),
        ("label_conv", (weight, bias), (labels, None)),
        ("label_conv_backward", (grad,), (labels, None, 5)),
    ]:
        operator = getattr(torch.ops.mas_fast, name)
        pairs = operator(*map(misaligned, tensors), *rest), operator(*tensors, *rest)
        found, want = ((r,) if isinstance(r, torch.Tensor) else r for r in pairs)
        assert all(map(torch.equal, found, want)), name


# ---- looks from the host -----------------------------------------------------------------------


@needs_torch_library
def test_the_operator_looks_at_nothing_and_the_function_three_times(monkeypatch):
    """On a GPU each look is a wait, and none can be captured into a CUDA graph."""
    words, one = torch.arange(2), torch.zeros(2, 5)
    ops.load_library()
    with reads(monkeypatch) as seen:
        torch.ops.mas_fast.sample(LOGITS, one, 2.0, 1.0, 3, 0.9, 1, words, words)
    assert seen == []
    with reads(monkeypatch) as seen:
        ops.sample(LOGITS, seed=1, sample=words, position=words, uncond=one, guidance=2.0, top_k=3)
    assert seen.count("tolist") == 2
    assert seen.count("__bool__") == 1
    assert set(seen) <= {"tolist", "__bool__", "is_nonzero", "_local_scalar_dense"}
