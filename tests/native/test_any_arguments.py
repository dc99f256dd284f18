"""mas_fast._engine under arguments of any kind: a result, or an error that says why."""

import operator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

native = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")

from small_engine import CONFIG, FORCED, NULL, SETTINGS, WEIGHTS, make  # noqa: E402

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.one_of(st.none(), st.floats(), st.integers(-2, 9)), max_size=3),
    arrays.arrays(
        st.sampled_from([np.int32, np.int64, np.float32, np.uint16, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=8),
    ),
    st.just(np.asfortranarray(FORCED)),
    st.just(NULL),
)
tokens = arrays.arrays(np.int32, (2, 7), elements=st.integers(-1, 7))
many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def mostly(good) -> st.SearchStrategy:
    return st.one_of(st.just(good), st.just(good), anything)


@many
@given(
    forced=st.one_of(tokens, anything),
    null=mostly(NULL),
    options=st.fixed_dictionaries(
        {name: mostly(value) for name, value in SETTINGS.items()},
        optional={name: anything for name in ("samples", "first_sample", "seed", "stop", "window")},
    ),
    count=st.one_of(st.integers(0, 9), anything),
    progress=st.one_of(st.none(), anything),
)
def test_any_arguments_to_start_and_advance(engine, forced, null, options, count, progress) -> None:
    if isinstance(options.get("samples"), int) and options["samples"] > 64:
        options["samples"] = 64  # allowed, but slow
    try:
        run = engine.start(forced, null, **options)
        run.advance(count, progress)
    except (ValueError, TypeError):
        return
    made = run.tokens
    assert made.shape[1] == 7
    assert (made[:, : run.position] >= 0).all()
    assert (made[:, run.stop :] == -1).all()


@many
@given(tokens=st.one_of(tokens, anything))
def test_any_arguments_to_logits(engine, tokens) -> None:
    try:
        made = engine.logits(tokens)
    except (ValueError, TypeError):
        return
    assert all(np.isfinite(part).all() for part in made.values())


@many
@given(
    key=st.sampled_from(
        [*CONFIG, "attention", "conv_kernel", "name", "length", "vocab", "grid"]
        + ["isa", "dtype", "threads", "weight"]
    ),
    value=anything,
)
def test_any_arguments_to_the_constructor(key, value) -> None:
    config, weights, options = dict(CONFIG), dict(WEIGHTS), {}
    if key in (*config, "attention", "conv_kernel"):
        config[key] = value
    elif key in ("name", "length", "vocab", "grid"):
        config["streams"] = [{**CONFIG["streams"][0], key: value}, CONFIG["streams"][1]]
    elif key == "weight":
        weights["norm.bias"] = value
    else:
        options[key] = value
    try:
        make(config, weights, **options)
    except (ValueError, TypeError, MemoryError):
        pass


@many
@given(
    cond=st.one_of(arrays.arrays(np.float32, (2, 9)), anything),
    uncond=st.one_of(st.none(), arrays.arrays(np.float32, (2, 9)), anything),
    options=st.fixed_dictionaries(
        {"seed": mostly(1)},
        optional={
            name: anything
            for name in ("sample", "position", "guidance", "temperature", "top_k", "top_p", "isa")
        },
    ),
)
def test_any_arguments_to_sample(cond, uncond, options) -> None:
    try:
        token, kept = native.sample(cond, uncond, **options)
    except (ValueError, TypeError):
        return
    assert (np.take_along_axis(kept, token[:, None].astype(np.int64), 1) == 1).all()


def few_bytes(size):
    """`size`, or 16 MB for what Bandwidth allows but a machine may lack: it writes to all that it
    asks for, and Linux, which promises more memory than there is, would kill this process."""
    try:
        return 1 << 24 if 1 << 24 < operator.index(size) <= 1 << 40 else size
    except TypeError:
        return size


@many
@given(position=anything, rows=anything, threads=anything)
def test_any_arguments_to_the_rest(engine, position, rows, threads) -> None:
    for call in (
        lambda: engine.step_bytes(position, rows),
        lambda: native.Bandwidth(few_bytes(rows), threads),
    ):
        try:
            call()
        except (ValueError, TypeError, MemoryError):
            pass
