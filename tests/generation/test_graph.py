"""graph.py: tokens are the eager engine's, in any window and company.

On a CPU the kernels run under Triton's interpreter, in a pytest of their own."""

import importlib.util
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mas_fast.generation import graph
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.engine import Engine
from mas_fast.generation.graph import GraphEngine
from mas_fast.generation.request import request
from step_gpts import GUIDED, LENGTH, PARTS, PROMPT, STREAMS, small

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.usefixtures("poison_empty")
slow = pytest.mark.slow

HOW = {
    "plain": {},
    "greedy": {"temperature": 0.0},
    "guided": {"num_samples": 2, "seed": 2**64 - 1, "first_sample": 7, **GUIDED},
    "schedule": {
        "guidance": {"seg": [6.0, 1.0, 3.0], "img": [4.0, -2.0]},
        "null": [[4, 5], [9]],
        "top_k": {"seg": 3, "img": 99},
    },
    "guided picture": {"guidance": {"img": 3.0}, "temperature": {"seg": 0.5}},
    "forced": {"forced": PARTS, "num_samples": 2, **GUIDED},
    "stopped": {"forced": PARTS, "stop": 10, "top_p": 0.5},
}
MODELS = {
    "plain": {},
    "masks": {"attention": ("row", "column", "conv"), "conv_kernel": 3, "layers": 3},
    "norms": {"qk_norm": True, "positions": "grid"},
}


def drawn(engine, prompt=PROMPT, **how):
    run = engine.start(request(engine.streams, prompt, **how))
    assert run.advance() == run.stop
    return run.tokens


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def engine(model):
    return GraphEngine(model)


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("changes", "how", "speculate"),
    [
        ("plain", "plain", 1),
        ("plain", "schedule", 3),
        ("masks", "guided picture", 8),
        ("norms", "stopped", 2),
        *(pytest.param("plain", how, n, marks=slow) for how in HOW for n in (2, 8)),
        *(pytest.param("masks", how, 5, marks=slow) for how in ("guided", "forced")),
        *(pytest.param("norms", how, "auto", marks=slow) for how in ("schedule", "forced")),
    ],
)
def test_tokens_are_the_eager_engines(changes, how, speculate) -> None:
    model = small(**MODELS[changes])
    found = drawn(GraphEngine(model), speculate=speculate, **HOW[how])
    assert found.dtype == torch.int64
    assert torch.equal(found, drawn(EagerEngine(model), **HOW[how]))


@slow
@pytest.mark.interpreted
def test_any_number_of_rows(engine, model) -> None:
    prompt = np.concatenate([PROMPT, PROMPT[:1], [[1, 0, 0], [2, 10, 0]]])
    assert torch.equal(drawn(engine, prompt, **GUIDED), drawn(EagerEngine(model), prompt, **GUIDED))


@pytest.mark.interpreted
def test_a_run_may_pause_anywhere(engine, model) -> None:
    expected = drawn(EagerEngine(model), **GUIDED)
    run = engine.start(request(engine.streams, PROMPT, speculate=5, **GUIDED))
    assert (run.position, run.stop) == (3, LENGTH)
    steps = []
    for count in (1, 3, 2, 4, 9):
        reached = min(run.position + count, LENGTH)
        assert run.advance(count, lambda *step: steps.append(step)) == reached == run.position
        assert torch.equal(run.tokens[:, :reached], expected[:, :reached])
        assert (run.tokens[:, reached:] == -1).all()
    assert [stop for _, stop in steps] == [LENGTH] * len(steps)
    positions = [position for position, _ in steps]
    assert {4, 7, 9, 13} <= set(positions)
    assert positions == sorted(set(positions))
    assert run.advance() == LENGTH
    with pytest.raises(ValueError, match="count: found -1, expected "):
        run.advance(-1)


@pytest.mark.interpreted
def test_what_began_in_inference_mode_goes_on_outside_of_it(model) -> None:
    with torch.inference_mode():
        engine = GraphEngine(model)
        run = engine.start(request(engine.streams, PROMPT, speculate=4))
        run.advance(3)
    assert run.advance() == LENGTH
    assert torch.equal(run.tokens, drawn(EagerEngine(model)))
    assert torch.equal(drawn(engine, speculate=4), run.tokens)


@slow
@pytest.mark.interpreted
def test_runs_take_turns(engine, model) -> None:
    """Each has buffers of its own; those of one that is done are the next one's."""
    hows = [{"seed": seed, "speculate": 2} for seed in range(2)]
    runs = [engine.start(request(engine.streams, PROMPT, **how)) for how in hows]
    while any(run.position < run.stop for run in runs):
        for run in runs:
            run.advance(4)
    for run, how in zip(runs, hows, strict=True):
        assert torch.equal(run.tokens, drawn(EagerEngine(model), **how))
    assert torch.equal(drawn(engine, seed=1, speculate=2), runs[1].tokens)


@pytest.mark.interpreted
@pytest.mark.parametrize("speculate", [4, pytest.param(1, marks=slow)])
def test_rows_that_are_kept_and_how_likely_their_forced_tokens_are(engine, model, speculate):
    how = {"forced": PARTS, "num_samples": 2, "null": [[4], [9]], "score_forced": True, **GUIDED}
    eager = EagerEngine(model).start(request(engine.streams, PROMPT, **how))
    run = engine.start(request(engine.streams, PROMPT, speculate=speculate, **how))
    kept = [*range(4)]
    for count, rows in ((0, [3, 0, 1]), (4, [2, 1]), (3, [1])):
        if count:
            run.advance(count)
            eager.advance(count)
        assert run.forced_log_likelihood.dtype == torch.float64
        likelihood = eager.forced_log_likelihood.tolist()
        assert run.forced_log_likelihood.tolist() == pytest.approx(likelihood, abs=1e-5)
        for each in (run, eager):
            each.keep(rows)
        kept = [kept[row] for row in rows]
        assert torch.equal(run.tokens, eager.tokens)
    assert run.advance() == eager.advance()
    assert torch.equal(run.tokens, eager.tokens)
    assert run.forced_log_likelihood.tolist() == pytest.approx(
        eager.forced_log_likelihood.tolist(), abs=1e-5
    )
    whole = drawn(engine, speculate=speculate, **how)
    assert torch.equal(run.tokens, whole[kept])
    run.keep([0])
    with pytest.raises(ValueError, match="rows: found 1, expected integers in 0..0"):
        run.keep([1])


@pytest.mark.interpreted
def test_runs_share_passes(engine, model) -> None:
    """They come and go, and draw what each would draw alone."""
    hows = [
        {"seed": 1, **GUIDED},
        {"forced": PARTS, "guidance": 2.0, "score_forced": True, "speculate": 3},
        {"guidance": {"img": 3.0}, "stop": 9},
        {"seed": 3, "temperature": 0.5, "stop": 8},
    ]
    runs = [engine.start(request(engine.streams, PROMPT[:1], **hows[0]))]
    assert engine.advance(runs, 2) == 1  # a window over what is left of the scene
    runs += [engine.start(request(engine.streams, PROMPT, **how)) for how in hows[1:]]
    assert engine.advance(runs) == 1
    assert runs[1].captured is runs[2].captured is not runs[3].captured
    runs[1].advance(1)
    runs[2].keep([1])
    while any(run.position < run.stop for run in runs):
        assert 1 <= engine.advance(runs, 3) <= 3
    assert engine.advance(runs) == 0
    for run, how, rows in zip(runs, hows, ([0], [0, 1], [1], [0, 1]), strict=True):
        eager = EagerEngine(model).start(request(engine.streams, PROMPT, **how))
        eager.advance()
        assert torch.equal(run.tokens, eager.tokens[rows])
        likelihood = eager.forced_log_likelihood[rows].tolist()
        assert run.forced_log_likelihood.tolist() == pytest.approx(likelihood, abs=1e-5)


@slow
@pytest.mark.interpreted
def test_a_nan_ends_the_run_that_it_is_in() -> None:
    model = small()
    with torch.no_grad():
        model.embed["img"].weight[0] = torch.nan
        model.head["img"].weight[0] = 0.0
    engine, forced = GraphEngine(model), np.full((1, LENGTH), -1)
    forced[:, 7] = 0
    how = {"temperature": 0.5, "top_k": 4}
    runs = [
        engine.start(request(engine.streams, PROMPT, stop=10, **how, **more))
        for more in ({"forced": forced}, {})
    ]
    while engine.advance(runs, 4):
        pass
    assert runs[0].error is not None
    assert runs[0].error.startswith("logits: found NaN after guidance in row 0, token 0")
    assert (runs[0].position, runs[1].position, runs[1].error) == (8, 10, None)
    assert torch.equal(runs[1].tokens, drawn(EagerEngine(model), stop=10, **how))


@pytest.mark.interpreted
def test_what_is_forced_to_the_end_takes_no_pass(engine) -> None:
    forced = np.full((2, LENGTH), 1)
    forced[:, :3] = PROMPT
    run = engine.start(request(engine.streams, PROMPT, forced=forced, stop=7))
    assert (run.position, run.advance()) == (7, 7)
    assert run.tokens.tolist() == [[*row, 1, 1, 1, 1, *[-1] * 6] for row in PROMPT.tolist()]
    run.keep([1])
    assert run.tokens[:, :3].tolist() == PROMPT[1:].tolist()


@pytest.mark.interpreted
@pytest.mark.parametrize("speculate", [6, pytest.param(1, marks=slow)])
def test_a_wrong_guess_may_have_no_numbers_and_a_right_one_is_an_error(speculate) -> None:
    """The first guess of a picture is token 0, which makes NaN of all that follows it."""
    model = small()
    with torch.no_grad():
        model.embed["img"].weight[0] = torch.nan
        model.head["img"].weight[0] = 0.0
    engine = GraphEngine(model)
    how = {"temperature": 0.5, "top_k": 4}
    expected = drawn(EagerEngine(model), **how)
    assert (expected[:, 7:] > 0).all()
    assert torch.equal(drawn(engine, speculate=speculate, **how), expected)
    forced = np.full((1, LENGTH), -1)
    forced[:, 9] = 0
    run = engine.start(request(engine.streams, PROMPT, forced=forced, speculate=speculate))
    for _ in range(2):
        with pytest.raises(ValueError, match="logits: found NaN after guidance in row 0, token 0"):
            run.advance()
        assert run.position == 10


@pytest.mark.interpreted
def test_logits_are_those_of_the_model(engine, model) -> None:
    tokens = torch.cat([torch.randint(0, s.vocab, (5, s.length)) for s in STREAMS], 1)
    for length in (1, 5, LENGTH):
        found = engine.logits(tokens[:, :length].int().numpy())
        with torch.no_grad():
            expected = model(tokens[:, :length])
        assert list(found) == ["text", "seg", "img"]
        for name, logits in expected.items():
            assert found[name].dtype == np.float32
            assert found[name].shape == logits.shape
            assert np.allclose(found[name], logits.numpy(), atol=1e-5)


@pytest.mark.interpreted
@pytest.mark.parametrize("dtype", ["fp16", "int8", "fp8", "int4"])
def test_other_dtypes_are_near(dtype, model) -> None:
    tokens = torch.cat([torch.randint(0, s.vocab, (2, s.length)) for s in STREAMS], 1)
    exact, near = GraphEngine(model).logits(tokens), GraphEngine(model, dtype=dtype).logits(tokens)
    limit = {"fp16": 0.01, "int8": 0.03, "fp8": 0.1, "int4": 0.2}[dtype]
    for name, logits in exact.items():
        error = np.linalg.norm(near[name] - logits) / np.linalg.norm(logits)
        assert 0 < error < limit, name


@pytest.mark.interpreted
def test_what_is_an_engine(engine) -> None:
    assert isinstance(engine, Engine)


@pytest.mark.interpreted
def test_bf16_is_refused_by_the_interpreter(model) -> None:
    with pytest.raises(ValueError, match="dtype: found 'bf16', expected another one under"):
        GraphEngine(model, dtype="bf16")


@pytest.mark.skipif(INTERPRETED, reason="the interpreter runs on a CPU")
def test_without_the_interpreter_it_needs_a_gpu() -> None:
    with pytest.raises(ValueError, match="device: found cpu, expected a CUDA device for"):
        GraphEngine(small())


def test_dtypes_that_there_are_not(monkeypatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(ValueError, match="dtype: found a GPT of torch.float64, expected "):
        GraphEngine(small(torch.float64))
    with pytest.raises(ValueError, match="dtype: found 'int2', expected one of .*'fp8'"):
        GraphEngine(small(), dtype="int2")


def test_few_steps_are_kept_for_later() -> None:
    engine = SimpleNamespace(_idle=graph.OrderedDict(), weights=None)
    made = [
        SimpleNamespace(step=SimpleNamespace(count=n, guided=False, window=1)) for n in range(9)
    ]
    for each in made:
        GraphEngine.give_back(engine, each)
    assert [*engine._idle.values()] == made[-graph.IDLE :]
    assert GraphEngine.take(engine, 7, guided=False, window=1) is made[7]
    assert made[7] not in engine._idle.values()


@pytest.mark.skipif(INTERPRETED, reason="it starts this pytest")
def test_under_the_interpreter(run_interpreted) -> None:
    run_interpreted(__file__, "interpreted")


on_gpu = pytest.mark.skipif(not torch.cuda.is_available() or INTERPRETED, reason="no CUDA device")


@on_gpu
@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
def test_cuda_tokens_are_the_eager_engines(changes, how) -> None:
    model = small(**changes).cuda()
    engine, expected = GraphEngine(model), drawn(EagerEngine(model), **how)
    for speculate in (1, 3, 16, "auto"):
        for _ in range(2):  # captured, then replayed
            assert torch.equal(drawn(engine, speculate=speculate, **how), expected)


@on_gpu
@pytest.mark.parametrize("dtype", ["bf16", "fp16", "int8", "fp8", "int4"])
def test_cuda_tokens_are_the_same_in_any_company(dtype) -> None:
    engine = GraphEngine(small(dim=256, heads=4, mlp=1024, layers=4).cuda(), dtype=dtype)
    one = drawn(engine, PROMPT[:1], speculate=1, **GUIDED)
    for samples, speculate in ((1, 8), (8, 1), (64, 1)):
        found = drawn(engine, PROMPT[:1], num_samples=samples, speculate=speculate, **GUIDED)
        assert torch.equal(found[:1], one)
