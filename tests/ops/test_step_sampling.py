"""step_sampling.py: what each row of a decode step draws, and that all implementations agree."""

import numpy as np
import pytest
import torch

from built import IMPLS, needs_torch_library
from mas_fast import ops

NAN, INF = float("nan"), float("inf")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
each = pytest.mark.parametrize("impl", IMPLS)


def logits_of(rng: np.random.Generator, rows: int, vocab: int) -> torch.Tensor:
    """fp32 [rows, vocab], each row of one kind: normal, ties, infinities, one-hot, an ulp apart,
    signed zeros, huge, denormal, flat, weights that are powers of two, NaN."""
    x = rng.standard_normal((rows, vocab)).astype(np.float32)
    whole = rng.integers(0, 4, x.shape)
    kinds = [
        3 * x,
        whole,
        np.where(whole == 0, -np.inf, x),
        np.where(whole == 0, np.inf, x),
        np.where(np.arange(vocab) == rng.integers(0, vocab, (rows, 1)), 0, -np.inf),
        1 + whole * 2.0**-23,
        np.where(whole < 2, 0.0, -0.0),
        x * np.float32(1e30),
        whole * 2.0**-149,
        np.full(x.shape, -np.inf),
        np.log(2) * -rng.integers(0, 60, x.shape),
        np.where(rng.integers(0, vocab, x.shape) == 0, np.nan, x),
        3 * x,
    ]
    kind = rng.integers(0, len(kinds), rows)
    return torch.from_numpy(np.stack(kinds)[kind, np.arange(rows)].astype(np.float32))


def step_of(rng: np.random.Generator, vocab: int, *, window=3, sequences=40, guided=True) -> dict:
    """Arguments of sample_step on a CPU: every setting is a mixture over the sequences, some
    positions are forced, and some lie beyond the end."""
    positions, rows = 24, sequences * window

    def mixed(values, dtype, size=sequences):
        return torch.from_numpy(rng.choice(np.array(values, dtype), size))

    table = (sequences, positions)
    forced = np.where(rng.random(table) < 0.1, rng.integers(0, vocab, table), -1)
    return {
        "logits": logits_of(rng, rows, vocab),
        "uncond": logits_of(rng, rows, vocab) if guided else None,
        "first": torch.from_numpy(rng.integers(0, positions - 2, sequences).astype(np.int32)),
        "forced": torch.from_numpy(forced.astype(np.int32)),
        "guidance": mixed([1, 1, 3, 0, -1.5], np.float32, table),
        "temperature": mixed([1, 1, 0, 0.7, 30, 1e-3], np.float32),
        "top_k": mixed([0, 0, 1, 2, vocab, vocab + 1, (vocab + 1) // 2], np.int32),
        "top_p": mixed([0, 0, 1, 0.5, 0.9, 1e-9, 5e-324, 1 - 2.0**-53], np.float64),
        "seed": torch.from_numpy(rng.integers(-(1 << 63), 1 << 63, sequences)),
        "sample": torch.from_numpy(rng.integers(0, 1 << 32, sequences)),
        "drawn": torch.full((sequences, window), 12345, dtype=torch.int32),
        "window": window,
        "end": positions - 3,
    }


def drawn_by(impl: str, step: dict) -> torch.Tensor:
    drawn = torch.full_like(step["drawn"], 12345)
    ops.sample_step(**step | {"drawn": drawn}, impl=impl)
    return drawn


def plain(logits: torch.Tensor, window: int = 1, **changes) -> dict:
    """A step that draws from `logits` with no settings, apart from the changes."""
    sequences, positions = len(logits) // window, 8
    table = (sequences, positions)
    return {
        "logits": logits,
        "uncond": None,
        "first": torch.zeros(sequences, dtype=torch.int32),
        "forced": torch.full(table, -1, dtype=torch.int32),
        "guidance": torch.ones(table),
        "temperature": torch.ones(sequences),
        "top_k": torch.zeros(sequences, dtype=torch.int32),
        "top_p": torch.zeros(sequences, dtype=torch.float64),
        "seed": torch.full((sequences,), 5),
        "sample": torch.arange(sequences),
        "drawn": torch.full((sequences, window), 12345, dtype=torch.int32),
        "window": window,
        "end": positions,
    } | changes


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


# ---- what a row draws --------------------------------------------------------------------------


@each
def test_a_row_draws_what_sample_draws(impl):
    """With the settings of its sequence, and the guidance of its position."""
    settings = [
        {},
        {"temperature": 0.0},
        {"top_k": 3, "seed": (1 << 64) - 7},
        {"top_p": 0.6, "sample": (1 << 32) - 1},
        {"guidance": 2.5, "temperature": 0.75, "top_k": 9, "top_p": 0.875},
    ]
    window, positions = 3, 8
    cond, uncond = normal(len(settings) * window, 33), normal(len(settings) * window, 33).flip(1)
    step = plain(cond, window, uncond=uncond)
    step["first"] = torch.tensor([0, 1, 2, 3, 4], dtype=torch.int32)
    step["seed"][2] = -7
    step["sample"] = torch.tensor([0, 0, 0, (1 << 32) - 1, 0])
    for b, setting in enumerate(settings):
        for name in ("temperature", "top_k", "top_p"):
            step[name][b] = setting.get(name, step[name][b])
        step["guidance"][b] = setting.get("guidance", 1.0)
    step["guidance"][4, 6] = -1.0
    found = drawn_by(impl, step)
    for row in range(len(cond)):
        b, position = row // window, int(step["first"][row // window]) + 1 + row % window
        setting = {"seed": 5} | settings[b]
        if "guidance" in setting:
            setting |= {"uncond": uncond[row : row + 1]}
            setting["guidance"] = -1.0 if position == 6 else setting["guidance"]
        want = ops.sample(cond[row : row + 1], position=position, impl="reference", **setting)
        assert position < positions
        assert found[b, row % window] == want


@each
def test_rows_of_a_window_are_those_of_single_steps(impl):
    logits = normal(12, 50)
    together = drawn_by(impl, plain(logits, 4))
    for offset in range(4):
        alone = plain(logits[offset::4].contiguous())
        alone["first"] += offset
        assert torch.equal(drawn_by(impl, alone)[:, 0], together[:, offset])


@each
def test_forced_tokens_are_taken_whatever_the_logits(impl):
    step = plain(torch.full((3, 6), NAN))
    step["forced"][:, 1] = torch.tensor([4, 0, -9])
    assert drawn_by(impl, step).flatten().tolist() == [4, 0, -2]


@each
def test_rows_idle_outside_of_the_stream(impl):
    step = plain(normal(3, 6), 3, end=4)
    step["forced"][0, 3] = 5
    step["first"][0] = 2
    assert drawn_by(impl, step).tolist() == [[5, -1, -1]]
    step["first"][0] = -2  # positions -1, 0 and 1
    assert drawn_by(impl, step)[0, 0] == -1
    assert (drawn_by(impl, step | {"end": 0}) == -1).all()


@each
def test_the_first_nan_after_guidance_is_named(impl):
    logits = torch.tensor([[0.0, NAN, NAN], [0.0, 1.0, INF], [0.0, 1.0, INF], [0.0, 1.0, 2.0]])
    uncond = torch.tensor([[0.0, 0.0, 0.0], [NAN, NAN, NAN], [0.0, 0.0, INF], [0.0, 0.0, 0.0]])
    step = plain(logits, uncond=uncond)
    step["guidance"][2:] = 2.0
    step["temperature"][0] = 0
    found = drawn_by(impl, step).flatten()
    assert found[[0, 2]].tolist() == [-3, -4]  # inf - inf
    assert found[1] == 2
    assert found[3] in (0, 1, 2)


@each
def test_without_uncond_there_is_no_guidance(impl):
    step = plain(normal(5, 40))
    want = drawn_by(impl, step)
    step["guidance"].fill_(7.0)
    assert torch.equal(drawn_by(impl, step), want)


@each
def test_only_drawn_is_written(impl):
    step = step_of(np.random.default_rng(2), 17, sequences=4)
    before = {name: x.clone() for name, x in step.items() if isinstance(x, torch.Tensor)}
    buffer = torch.full((3, *step["drawn"].shape), 42, dtype=torch.int32)
    ops.sample_step(**step | {"drawn": buffer[1]}, impl=impl)
    assert (buffer[[0, 2]] == 42).all()
    for name, tensor in before.items():
        torch.testing.assert_close(step[name], tensor, rtol=0, atol=0, equal_nan=True)


@each
def test_no_rows(impl):
    step = plain(torch.zeros(0, 5), drawn=torch.zeros(0, 1, dtype=torch.int32))
    assert drawn_by(impl, step).shape == (0, 1)


# ---- all implementations -----------------------------------------------------------------------


@needs_torch_library
@pytest.mark.parametrize("vocab", [1, 2, 5, 64, 1027])
@pytest.mark.parametrize("window", [1, 3])
def test_cpp_equals_reference(vocab, window):
    rng = np.random.default_rng(10 * vocab + window)
    for guided in (True, False):
        step = step_of(rng, vocab, window=window, sequences=60, guided=guided)
        want = drawn_by("reference", step)
        assert torch.equal(drawn_by("cpp", step), want)
        assert vocab < 5 or (want == -1).any() and (want < -1).any() and (want >= 0).any()


@needs_torch_library
def test_under_torch_compile():
    """The operator writes `drawn` within a graph too."""
    step = step_of(np.random.default_rng(4), 9, sequences=5)
    want = drawn_by("cpp", step)
    torch.compiler.reset()
    compiled = torch.compile(ops.sample_step, fullgraph=True, backend="aot_eager")
    compiled(**step)
    assert torch.equal(step["drawn"], want)


def on_gpu(step: dict) -> dict:
    return {name: x.cuda() if isinstance(x, torch.Tensor) else x for name, x in step.items()}


@needs_cuda
@pytest.mark.parametrize("vocab", [1, 3, 64, 1027, 8192, 8193, 16384, 70001, 150_000])
@pytest.mark.parametrize("window", [1, 4])
def test_cuda_equals_cpp(vocab, window):
    """Over 12,000 rows in all; at odd addresses too, where the vocabulary is odd, and beyond the
    shared memory of a cluster."""
    assert ops.default_impl("cuda", "sample_step") == "cuda"
    rng = np.random.default_rng(10 * vocab + window)
    rows = 120 if vocab <= 16384 else 8
    for guided in (True, False) if vocab > 2000 else (True, False) * 6:
        step = step_of(rng, vocab, window=window, sequences=rows // window, guided=guided)
        assert torch.equal(drawn_by("cuda", on_gpu(step)).cpu(), drawn_by("cpp", step))


@needs_cuda
def test_cuda_rows_are_independent_of_the_batch():
    step = on_gpu(step_of(np.random.default_rng(6), 16384, window=1, sequences=128))
    together = drawn_by("cuda", step)
    for count in (1, 7):
        part = {
            name: x[:count].contiguous() if isinstance(x, torch.Tensor) else x
            for name, x in step.items()
        }
        assert torch.equal(drawn_by("cuda", part), together[:count])


@needs_cuda
def test_cuda_graph_replays_with_other_settings():
    """One capture, without a wait for the GPU and without memory, then steps with other logits,
    settings, forced tokens and positions; `first` is beyond the end in some."""
    rng = np.random.default_rng(8)
    step = on_gpu(step_of(rng, 1024))
    ops.sample_step(**step)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    torch.cuda.set_sync_debug_mode("error")
    allocated = torch.cuda.memory_stats()["allocation.all.allocated"]
    try:
        with torch.cuda.graph(graph):
            ops.sample_step(**step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == allocated
    for _ in range(20):
        other = step_of(rng, 1024)
        for name, tensor in other.items():
            if isinstance(tensor, torch.Tensor):
                step[name].copy_(tensor)
        graph.replay()
        assert torch.equal(step["drawn"].cpu(), drawn_by("cpp", other))


# ---- arguments ---------------------------------------------------------------------------------

WRONG = [
    ("logits", torch.zeros(4, 7, dtype=torch.float64), TypeError, "logits: found torch.float64"),
    ("logits", torch.zeros(5, 7), ValueError, r"logits: found \[5, 7\] .* expected \[4, 7\]"),
    ("logits", torch.zeros(4), ValueError, r"logits: found \[4\], expected \[rows, vocabulary\]"),
    ("logits", torch.zeros(4, 0), ValueError, "1 to 4194304 tokens"),
    ("logits", torch.zeros(7, 4).T, ValueError, "logits: found strides .* contiguous"),
    ("logits", None, TypeError, "logits: found NoneType, expected torch.float32"),
    ("uncond", torch.zeros(4, 6), ValueError, r"uncond: found \[4, 6\] .* expected \[4, 7\]"),
    ("first", torch.zeros(2, dtype=torch.int64), TypeError, "first: .* expected torch.int32"),
    ("first", torch.zeros(4, dtype=torch.int32), ValueError, r"first: .* expected \[2\] on cpu"),
    ("forced", torch.zeros(2, dtype=torch.int32), ValueError, r"forced: found \[2\], expected"),
    ("guidance", torch.zeros(2, 7), ValueError, r"guidance: found \[2, 7\] .* expected \[2, 8\]"),
    ("temperature", torch.zeros(2, device="meta"), ValueError, "temperature: .* on meta"),
    ("top_k", torch.zeros(2, dtype=torch.int64), TypeError, "top_k: found torch.int64"),
    ("top_p", torch.zeros(2), TypeError, "top_p: found torch.float32, expected torch.float64"),
    ("seed", torch.zeros(2, dtype=torch.int32), TypeError, "seed: found torch.int32"),
    ("sample", torch.zeros(2, 1, dtype=torch.int64), ValueError, r"sample: found \[2, 1\]"),
    ("drawn", torch.zeros(4, dtype=torch.int32), ValueError, r"drawn: .* expected \[2, 2\]"),
    ("window", 0, ValueError, "window: found 0, expected an integer >= 1"),
    ("window", 1.0, TypeError, "window: found float, expected an int"),
    ("end", 9, ValueError, r"end: found 9, expected an integer in 0\.\.8"),
    ("end", -1, ValueError, "end: found -1"),
    ("impl", "numpy", ValueError, "impl: found 'numpy', expected one of"),
    ("impl", "cuda", ValueError, "logits: found them on cpu, expected cuda for impl='cuda'"),
]


@pytest.mark.parametrize("name, value, kind, text", WRONG)
def test_arguments_that_cannot_be(name, value, kind, text):
    with pytest.raises(kind, match=text):
        ops.sample_step(**plain(torch.zeros(4, 7), 2) | {name: value})


@needs_torch_library
@pytest.mark.parametrize(
    "name, value",
    [
        (name, value)
        for name, value, *_ in WRONG
        if isinstance(value, torch.Tensor) and value.device.type == "cpu"
    ]
    + [("window", 0), ("window", 3), ("end", 9), ("end", -1)],
)
def test_the_operator_reads_nothing_outside_of_its_tensors(name, value):
    ops.load_library()
    step = plain(torch.zeros(4, 7), 2) | {name: value}
    with pytest.raises((RuntimeError, ValueError, NotImplementedError)):
        torch.ops.mas_fast.sample_step(*step.values())
