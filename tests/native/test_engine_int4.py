"""The C++ engine in int4 against fp64 over the weights that int4 leaves, and what it refuses."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mas_fast.bundle.quantized import matrix_dtype
from mas_fast.generation import CppEngine
from mas_fast.models.gpt import GPT
from odd_gpts import SHAPES, exact_logits, random_model, random_tokens

engine = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")
ISAS = engine.supported_isas()


def floats(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def levels_of(model: GPT) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Levels and scales of the matrices."""
    weights = {name: weight.detach().float().numpy() for name, weight in model.named_parameters()}
    kinds = {name: matrix_dtype(name) for name in weights}
    return {name: engine.quantize(weights[name], kind) for name, kind in kinds.items() if kind}


def as_int4_has_it(model: GPT) -> GPT:
    """The model with level * scale for its matrices, and embeddings in bfloat16."""
    state = dict(model.named_parameters())
    with torch.no_grad():
        for name, (levels, scales) in levels_of(model).items():
            each = floats(scales).repeat(32, 1)[:, : levels.shape[1]]
            state[name].copy_(torch.from_numpy(levels * each))
        for name, weight in state.items():
            if name.startswith("embed."):
                weight.copy_(weight.bfloat16())
    return model


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("isa", ISAS)
def test_the_error_is_that_of_the_weights_alone(shape: str, isa: str) -> None:
    config = SHAPES[shape]
    model, tokens = random_model(config), random_tokens(config, 2)
    ours = CppEngine(model, dtype="int4", kv_dtype="fp32", isa=isa).native.logits(tokens)
    for name, expected in exact_logits(as_int4_has_it(model), tokens).items():
        assert np.abs(ours[name] - expected).max() < 3e-4 * np.abs(expected).max()


@pytest.mark.parametrize("shape", SHAPES)
def test_byte_products_give_the_same_bits(shape: str) -> None:
    """As in int8: integers are exact, and floats are added in one order. (bfloat16 keys and values
    would meet another instruction.)"""
    config = SHAPES[shape]
    model, tokens = random_model(config), random_tokens(config, 2)
    isas = [isa for isa in ISAS if isa not in ("generic", "avx2")]
    for dtype in ("int8", "int4"):
        found = [
            CppEngine(model, dtype=dtype, kv_dtype="int8", isa=isa).native.logits(tokens)
            for isa in isas
        ]
        for other in found[1:]:
            for name, expected in found[0].items():
                assert np.array_equal(other[name], expected)


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.parametrize("size", [(1, 1), (33, 45), (64, 1024)], ids=str)
def test_levels_have_the_least_error_nearby(dtype: str, size: tuple[int, int]) -> None:
    weights = np.random.default_rng(1).standard_normal(size).astype(np.float32)
    levels, scales = engine.quantize(weights, dtype)
    assert (levels.dtype, levels.shape) == (np.int8, size)
    assert (scales.dtype, scales.shape) == (np.uint16, (size[0], -(-size[1] // 32)))
    each = floats(scales).repeat(32, 1)[:, : size[1]]
    off = np.abs(levels * each - weights)
    for other in np.unique(levels):  # no other level is nearer
        assert (np.abs(other * each - weights) >= off * (1 - 1e-5)).all()


def tensors(model: GPT, change: Callable[[dict], object]) -> list:
    found = dict(model.arrays()) | levels_of(model)
    change(found)
    return list(found.items())


def quantized(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    return engine.quantize(np.ones(shape, np.float32), "int8")


MATRIX, OUTER = "blocks.1.mlp.up.weight", "head.img.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[MATRIX][0].__setitem__((1, 2), 3), r"level \[1, 2\]: found 3.* one of int4"),
        (lambda t: t[OUTER][0].__setitem__((0, 1), -128), r"level \[0, 1\]: found -128"),
        (lambda t: t[MATRIX][1].__setitem__((4, 1), 0x7FC0), r"scale \[4, 1\]: found nan"),
        (lambda t: t.update({MATRIX: (t[MATRIX][0], t[OUTER][1])}), "found scales .* of levels"),
        (lambda t: t.update({MATRIX: t[MATRIX][:1]}), r"found a tuple of 1, expected \(levels, sc"),
        (
            lambda t: t.update({"norm.bias": t[MATRIX]}),
            r"norm\.bias.*: found shape \[290, 72\], expected \[72\]",
        ),
        (
            lambda t: t.update(
                {"embed.text.weight": engine.quantize(np.ones((1001, 72), "f"), "int8")}
            ),
            r"embed\.text\.weight.*: found levels, expected floats",
        ),
    ],
)
def test_levels_that_are_refused(change: Callable[[dict], object], message: str) -> None:
    config = SHAPES["d72h9"]
    model = random_model(config).float()
    engine.Engine(config.to_engine(), tensors(model, lambda t: None), dtype="int4", kv_dtype="int8")
    with pytest.raises(ValueError, match=message):
        engine.Engine(config.to_engine(), tensors(model, change), dtype="int4", kv_dtype="int8")


def test_other_dtypes_refuse_levels_or_weights() -> None:
    config = SHAPES["d72h9"]
    model = random_model(config).float()
    with pytest.raises(ValueError, match="found levels, expected floats"):
        engine.Engine(config.to_engine(), tensors(model, lambda t: None), dtype="bf16")
    with pytest.raises(ValueError, match="kv_dtype: found int4, expected one of fp32, bf16, int8"):
        CppEngine(model, dtype="int4", kv_dtype="int4")
    with pytest.raises(ValueError, match="dtype: found 'bf16', expected int8 or int4"):
        engine.quantize(np.ones((2, 2), "f"), "bf16")
    with torch.no_grad():
        dict(model.named_parameters())[MATRIX][3, 5] = float("inf")
    with pytest.raises(ValueError, match=r"weight \[3, 5\]: found inf, expected a finite"):
        CppEngine(model, dtype="int4")


def test_keys_and_values_are_int8_by_default() -> None:
    model = random_model(SHAPES["d96h3"])
    assert CppEngine(model, dtype="int4").native.kv_dtype == "int8"
    assert CppEngine(model, dtype="int4", kv_dtype="bf16").native.kv_dtype == "bf16"
    assert CppEngine(model, dtype="int8").native.kv_dtype == "bf16"
