"""mas_fast._engine takes anything: what it refuses is a ValueError or TypeError that says why."""

import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

native = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")

from small_engine import CONFIG, FORCED, NULL, RNG, SETTINGS, WEIGHTS, make  # noqa: E402

GRIDS = [CONFIG["streams"][0], {**CONFIG["streams"][1], "grid": [2, 2]}]


def without(values: dict, key: str) -> dict:
    return {name: value for name, value in values.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 0}, "'dim'.*: found 0, expected 1 to"),
        ({"dim": 2**40}, "found 1099511627776, expected"),
        ({"dim": 9}, "heads: found 2, expected divisors of dim .9."),
        ({"heads": 3}, "heads: found 3, expected divisors of dim .8."),
        ({"dim": "8"}, "found '8', expected an int"),
        ({"norm_eps": 0.0}, "norm_eps: found 0.0.*expected between"),
        ({"streams": []}, "found 0 streams, expected 1 to 64"),
        ({"streams": [{"name": "a", "length": 3}]}, "found no 'vocab'"),
        ({"streams": [{"name": "a", "length": -3, "vocab": 5}]}, "found -3, expected 1 to"),
        ({"streams": CONFIG["streams"][:1] * 2}, "found 'a', expected a name that is not"),
        ({"colour": "red"}, "unknown key 'colour', expected dim, layers"),
        ({"attention": "row"}, "attention: found 'row', expected a list"),
        ({"attention": ["full"]}, "found 'full', expected one of causal, row, column, conv"),
        ({"attention": ["row", "row"]}, "attention: found 2 masks, expected 1, one a layer"),
        ({"attention": ["row"]}, "the last stream: found one without a grid, .* for 'row'"),
        ({"attention": ["conv"], "streams": GRIDS[::-1]}, "'a' after a grid: found one without"),
        ({"conv_kernel": 2}, "conv_kernel: found 2, expected odd numbers up to"),
        ({"streams": [GRIDS[0], {**GRIDS[1], "grid": [4]}]}, "grid: found 1 sizes, expected"),
        (
            {"streams": [GRIDS[0], {**GRIDS[1], "grid": [3, 2]}]},
            "found 3 x 2, expected height x width",
        ),
        ({"streams": [GRIDS[0], {**GRIDS[1], "grid": [-2, -2]}]}, "height: found -2, expected 1"),
    ],
)
def test_bad_config(change: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make({**CONFIG, **change})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (without(WEIGHTS, "norm.bias"), "found none for norm.bias"),
        ({}, "and 12 more"),
        ({**WEIGHTS, "extra": np.zeros(3, np.float32)}, "weights: found 'extra', expected none"),
        ({**WEIGHTS, "norm.bias": np.zeros(9, np.float32)}, r"shape \[9\], expected \[8\]"),
        ({**WEIGHTS, "norm.bias": np.zeros(8)}, "dtype float64, expected float32, or uint16"),
        ({**WEIGHTS, "norm.bias": [0.0] * 8}, "found .*list.*, expected a numpy array"),
        ({**WEIGHTS, "norm.bias": np.full(8, np.nan, np.float32)}, "nan, expected a finite"),
        (
            {**WEIGHTS, "head.b.weight": np.full((7, 8), np.inf, np.float32)},
            r"'head.b.weight': weight \[0, 0\]: found inf",
        ),
    ],
)
def test_bad_weights(weights: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make(weights=weights)


def test_a_weight_given_twice() -> None:
    with pytest.raises(ValueError, match="'norm.bias': found twice"):
        native.Engine(CONFIG, [*WEIGHTS.items(), ("norm.bias", WEIGHTS["norm.bias"])])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "fp16"}, "dtype: found 'fp16', expected one of fp32, bf16, int8"),
        ({"kv_dtype": ""}, "dtype: found '', expected"),
        ({"threads": -1}, "threads: found -1, expected 0 to 1024"),
        ({"isa": "mmx"}, "isa: found 'mmx', expected one of generic"),
    ],
)
def test_bad_engine_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forced": FORCED.astype(np.int64)}, "forced: found dtype int64, expected int32"),
        ({"forced": FORCED[0]}, r"forced: found shape \[7\], expected \[prompts, length\]"),
        ({"forced": FORCED[:, :6]}, r"shape \[1, 6\], expected \[prompts, 7\]"),
        (
            {"forced": FORCED[:0], "null": NULL[:0]},
            "number of prompts: found 0, expected 1 or more",
        ),
        ({"forced": FORCED * 0 - 1}, "prompt 0's first token: found -1, expected 0 to 4"),
        ({"forced": FORCED + 9}, r"position 0 \(stream 'a'\): found 10, expected 0 to 4, or -1"),
        ({"forced": FORCED - 5}, "found -4, expected 0 to 4"),
        ({"null": None}, "null: found no caption, expected one"),
        ({"null": NULL + 5}, r"null caption's token at position 0 .*: found 5, expected 0 to 4"),
        ({"null": np.zeros((1, 4), np.int32)}, r"null: found shape \[1, 4\], expected \[1, 3\]"),
        ({"null": np.zeros((2, 3), np.int32)}, r"null: found shape \[2, 3\], expected \[1, 3\]"),
        ({"samples": 0}, "samples: found 0, expected"),
        ({"samples": 1 << 20}, "prompts x samples: found 1048576, expected at most 16384"),
        ({"first_sample": 2**32}, "first_sample: found 4294967296, expected"),
        ({"first_sample": 2**32 - 1, "samples": 2}, "at most 2.32"),
        ({"seed": -1}, "seed: found -1, expected 0 to 18446744073709551615"),
        ({"seed": 2**64}, "seed: found 18446744073709551616, expected"),
        ({"seed": 1.5}, "seed: found 1.5, expected an int"),
        ({"stop": 8}, "stop: found 8, expected 1 to 7"),
        ({"window": -1}, "window: found -1, expected 0 to 32"),
        ({"window": 33}, "window: found 33, expected 0 to 32"),
        ({"window": 1.5}, "window: found 1.5, expected an int"),
        ({"window": None}, "window: found None, expected an int"),
        ({"guidance": np.ones(2)}, "guidance: found 2 entries, expected 7, one a position"),
        ({"guidance": [1.0] * 7}, "guidance: found .*, expected a numpy array"),
        ({"guidance": np.full(7, np.nan)}, "guidance"),
        ({"temperature": [1.0, -1.0]}, "temperature"),
        ({"top_k": [0, None]}, "top_k"),
        ({"top_p": [None, 0.0]}, "top_p"),
        ({"top_p": [None, 1.5]}, "top_p"),
    ],
)
def test_bad_start(engine, change: dict, message: str) -> None:
    arguments = {"forced": FORCED, "null": NULL, **SETTINGS, **change}
    with pytest.raises((ValueError, TypeError), match=message):
        engine.start(**arguments)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (FORCED, "position 3 .*: found -1, expected 0 to 6"),
        (np.zeros((1, 8), np.int32), "expected a length of 1 to 7"),
        (np.zeros((1, 0), np.int32), "expected a length of 1 to 7"),
        (np.zeros(7, np.int32), "expected .batch, length"),
        (np.zeros((1, 7), np.float32), "expected int32"),
        ("words", "expected a numpy array"),
    ],
)
def test_bad_tokens(engine, tokens, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        engine.logits(tokens)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("kv_dtype", ["fp32", "bf16", "int8"])
def test_overflow_inside_ends_in_an_error(dtype: str, kv_dtype: str) -> None:
    """A residual stream that becomes infinite must not come out as plausible tokens."""
    bias = np.full(8, 3e38, np.float32)
    names = ("blocks.0.attention.proj.bias", "blocks.0.mlp.down.bias")
    made = make(weights={**WEIGHTS, **dict.fromkeys(names, bias)}, dtype=dtype, kv_dtype=kv_dtype)
    with pytest.raises(ValueError, match="the logit of token 0: found NaN"):
        made.start(FORCED, NULL, **SETTINGS).advance()


QKV = "blocks.0.attention.qkv."
SIGNS = np.repeat(np.array([3e30, -3e30, 1], np.float32), 8)  # all queries * all keys: -infinite


@pytest.mark.parametrize(
    "changed",
    [
        {QKV + "weight": WEIGHTS[QKV + "weight"] * np.float32(1e30)},
        {QKV + "bias": SIGNS},
        {"embed.a.weight": WEIGHTS["embed.a.weight"] * np.float32(1e30)},
        {"blocks.0.mlp.down.weight": WEIGHTS["blocks.0.mlp.down.weight"] * np.float32(1e30)},
    ],
    ids=["scores", "scores below all", "first norm", "last norm"],
)
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("kv_dtype", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("isa", native.supported_isas())
def test_overflow_of_scores_and_variances_ends_in_an_error(
    changed: dict, dtype: str, kv_dtype: str, isa: str
) -> None:
    made = make(weights={**WEIGHTS, **changed}, dtype=dtype, kv_dtype=kv_dtype, isa=isa)
    with pytest.raises(ValueError, match="the logit of token 0: found NaN"):
        made.start(FORCED, NULL, **SETTINGS).advance()


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-30, 1e30])
def test_int8_of_extreme_weights(size: float) -> None:
    """Zeros and denormals vanish, huge weights keep their precision."""
    weight = (WEIGHTS["head.b.weight"] * size).astype(np.float32)
    tokens = np.ones((1, 7), np.int32)
    exact = make(weights={**WEIGHTS, "head.b.weight": weight}).logits(tokens)["b"]
    made = make(weights={**WEIGHTS, "head.b.weight": weight}, dtype="int8").logits(tokens)["b"]
    assert np.abs(made - exact).max() <= 0.1 * np.abs(exact).max() + 1e-30


def test_logits_that_become_nan_are_named() -> None:
    huge = {
        name: np.full(a.shape, 3e38, np.float32) if "head" in name else a
        for name, a in WEIGHTS.items()
    }
    run = make(weights=huge).start(FORCED, NULL, **SETTINGS)
    for _ in range(2):  # and stay an error
        with pytest.raises(ValueError, match="position 3: the logit of token 0: found NaN"):
            run.advance()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_thread_reads_a_share(threads) -> None:
    memory = native.Bandwidth(1 << 26, threads)
    assert all(memory.read() > 1e6 for _ in range(3))


def test_progress_sees_every_position_and_its_error_stops(engine) -> None:
    seen = []
    run = engine.start(FORCED, NULL, window=1, **SETTINGS)
    run.advance(progress=lambda position, stop: seen.append((position, stop)))
    assert seen[-4:] == [(4, 7), (5, 7), (6, 7), (7, 7)]
    assert run.passes == 4

    def refuse(position, stop):
        if position == 5:
            raise KeyError("enough")

    run = engine.start(FORCED, NULL, window=1, **SETTINGS)
    with pytest.raises(KeyError, match="enough"):
        run.advance(progress=refuse)
    assert run.position == 5
    assert run.advance() == 7  # and it can go on
    again = engine.start(FORCED, NULL, **SETTINGS)
    again.advance()
    assert np.array_equal(run.tokens, again.tokens)


@pytest.mark.parametrize("window", [0, 2, 3, 32])
def test_windows_give_the_tokens_of_single_positions(engine, window: int) -> None:
    """Progress ascends to the end, in a call for each pass that drew."""
    one = engine.start(FORCED, NULL, window=1, **SETTINGS)
    one.advance()
    seen = []
    run = engine.start(FORCED, NULL, window=window, **SETTINGS)
    assert run.passes == 0
    run.advance(progress=lambda position, stop: seen.append(position))
    drawn = [position for position in seen if position > 3]
    assert drawn == sorted(set(drawn))
    assert drawn[-1] == 7
    assert run.passes == len(drawn) <= 4
    assert np.array_equal(run.tokens, one.tokens)


def test_a_call_from_its_own_progress_is_refused(engine) -> None:
    run = engine.start(FORCED, NULL, **SETTINGS)
    with pytest.raises(RuntimeError, match="in use by the call that called back"):
        run.advance(progress=lambda *_: engine.logits(np.zeros((1, 7), np.int32)))


def test_other_threads_run_meanwhile_and_wait_for_their_turn(engine) -> None:
    runs, alone = (
        [
            engine.start(np.repeat(FORCED, 8, 0), NULL.repeat(8, 0), seed=i, **SETTINGS)
            for i in range(16)
        ]
        for _ in range(2)
    )
    threads = [threading.Thread(target=run.advance) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for run, single in zip(runs, alone, strict=True):
        assert single.advance() == run.position == 7
        assert np.array_equal(run.tokens, single.tokens)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_the_engine_says_so(engine) -> None:
    if (child := os.fork()) == 0:
        try:
            engine.logits(np.zeros((1, 7), np.int32))
            os._exit(1)
        except RuntimeError as error:
            os._exit(0 if "forked" in str(error) else 2)
        except BaseException:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def core_seconds(process: int) -> float:
    """Those that another process has used; see clock_getcpuclockid(3)."""
    return time.clock_gettime((~process << 3) | 2) if sys.platform == "linux" else -math.inf


@pytest.mark.parametrize("call", ["run.advance()", "engine.logits(np.zeros((1, 20000), np.int32))"])
def test_ctrl_c_stops_promptly(call: str) -> None:
    script = """
import signal, sys, time, numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from mas_fast import _engine
from mas_fast.models.gpt_config import preset
config = preset("tiny").to_engine() | {"dim": 512, "mlp": 4096, "layers": 2}
config["streams"] = [{"name": "a", "length": 20000, "vocab": 2048}]
rng = np.random.default_rng(0)
def weights():
    d, m = config["dim"], config["mlp"]
    for i in range(config["layers"]):
        sizes = {"norm1": (d,), "attention.qkv": (3 * d, d), "attention.proj": (d, d)}
        sizes |= {"norm2": (d,), "mlp.up": (m, d), "mlp.down": (d, m)}
        for name, shape in sizes.items():
            yield f"blocks.{i}.{name}.weight", rng.random(shape, np.float32)
            yield f"blocks.{i}.{name}.bias", rng.random(shape[:1], np.float32)
    yield from ((f"norm.{part}", rng.random(d, np.float32)) for part in ("weight", "bias"))
    yield "position.a.weight", rng.random((20000, d), np.float32)
    for part in ("embed", "head"):
        yield f"{part}.a.weight", rng.random((2048, d), np.float32)
engine = _engine.Engine(config, weights(), dtype="int8")
forced = np.full((1, 20000), -1, np.int32); forced[0, 0] = 1
run = engine.start(forced, guidance=np.ones(20000), temperature=[1.0], top_k=[None], top_p=[None])
print("running", flush=True)
try:
    CALL
except KeyboardInterrupt:
    print("stopped", run.position, time.process_time(), flush=True)
    assert engine.logits(np.zeros((1, 3), np.int32))["a"].shape == (1, 3, 2048)
"""
    command = [sys.executable, "-c", script.replace("CALL", call)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "running\n"
    time.sleep(0.3)
    # Promptly by a clock or, where others keep it waiting, by the seconds of a core that it took.
    start, before = time.monotonic(), core_seconds(process.pid)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert out.startswith("stopped")
    _, position, used = out.split()
    assert 1 <= int(position) < 20000
    assert process.returncode == 0
    assert min(time.monotonic() - start, float(used) - before) < 3


def misaligned(array: np.ndarray) -> np.ndarray:
    """The same values in memory that begins at an odd byte."""
    memory = np.empty(array.nbytes + 1, np.uint8)
    found = memory[1:].view(array.dtype).reshape(array.shape)
    found[:] = array
    assert not found.flags.aligned
    return found


def test_misaligned_arrays_are_copied() -> None:
    """A build under UBSan would stop at the first number; here the results are those of copies."""
    logits = RNG.standard_normal((3, 50)).astype(np.float32)
    settings = {"uncond": logits[::-1].copy(), "seed": 1, "guidance": 2.0, "top_p": 0.9}
    want = native.sample(logits, **settings)
    settings["uncond"] = misaligned(settings["uncond"])
    for one, other in zip(native.sample(misaligned(logits), **settings), want, strict=True):
        np.testing.assert_array_equal(one, other)
    plain = native.Engine(CONFIG, WEIGHTS.items(), threads=1)
    odd = native.Engine(CONFIG, [(n, misaligned(w)) for n, w in WEIGHTS.items()], threads=1)
    tokens = np.ones((2, 7), np.int32)
    for name, values in plain.logits(tokens).items():
        np.testing.assert_array_equal(odd.logits(misaligned(tokens))[name], values)
    runs = [
        plain.start(convert(FORCED), convert(NULL), **SETTINGS) for convert in (np.copy, misaligned)
    ]
    for run in runs:
        run.advance()
    np.testing.assert_array_equal(runs[0].tokens, runs[1].tokens)
