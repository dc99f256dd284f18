"""bundle/quantized.py: what an int4 bundle stores of a matrix, and what its bytes mean."""

import numpy as np
import pytest

from mas_fast.bundle.quantized import (
    LEVELS,
    Quantized,
    matrix_dtype,
    store_int4,
    stored_tensors,
)
from mas_fast.models.gpt_config import preset


def test_the_first_block_and_the_heads_are_int8() -> None:
    found = {name: matrix_dtype(name) for name in preset("tiny").weight_shapes()}
    for name, dtype in found.items():
        first, index, *_ = name.split(".")
        is_matrix = name.endswith(("qkv.weight", "proj.weight", "up.weight", "down.weight"))
        if first == "head" or (is_matrix and index == "0"):
            assert dtype == "int8", name
        else:
            assert dtype == ("int4" if is_matrix else None), name
    assert set(found.values()) == {"int4", "int8", None}


def test_shapes_of_what_is_stored() -> None:
    tensors = stored_tensors(preset("tiny"))  # 32 wide, 128 in its MLP
    assert tensors["blocks.1.mlp.down.weight"] == ("U8", (32, 64))
    assert tensors["blocks.1.mlp.down.weight.scale"] == ("BF16", (32, 4))
    assert tensors["blocks.0.mlp.down.weight"] == ("I8", (32, 128))
    assert tensors["blocks.1.mlp.down.bias"] == (None, (32,))
    assert not any(name.startswith("embed.") and name.endswith(".scale") for name in tensors)


@pytest.mark.parametrize("inputs", [1, 31, 32, 45, 64, 97])
def test_levels_come_back(inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    levels = rng.choice(LEVELS, (3, inputs))
    groups = -(-inputs // 32)
    scales = rng.integers(0x3C00, 0x3D00, (3, groups)).astype(np.uint16)
    stored = store_int4(levels)
    assert (stored.dtype, stored.shape) == (np.uint8, (3, groups * 16))
    matrix = Quantized("file: name", stored, scales, inputs)
    found = matrix.pair()
    assert np.array_equal(found[0], levels)
    assert found[0].dtype == np.int8
    assert found[1] is scales
    weights = matrix.floats()
    assert weights.dtype == np.float32
    for row, column in np.ndindex(weights.shape):
        scale = np.uint32(scales[row, column // 32]) << 16
        assert weights[row, column] == levels[row, column] * scale.view(np.float32)


def test_a_byte_has_the_earlier_level_in_its_lower_half() -> None:
    assert store_int4(LEVELS[None, [3, 12]])[0, 0] == 3 + 16 * 12


def test_int8_levels_are_stored_as_they_are() -> None:
    levels = np.array([[-127, 0, 127]], np.int8)
    matrix = Quantized("file: name", levels, np.array([[0x3F80]], np.uint16), 3)
    assert matrix.pair()[0] is levels
    assert matrix.floats().tolist() == [[-127, 0, 127]]


@pytest.mark.parametrize("scale", [0x7F80, 0xFF80, 0x7FC0, 0xFFFF])
def test_a_scale_that_is_not_finite_is_named(scale: int) -> None:
    stored = store_int4(LEVELS[None])
    matrix = Quantized("file: name", stored, np.array([[scale]], np.uint16), 16)
    for read in (matrix.pair, matrix.floats):
        with pytest.raises(ValueError, match="file: name: found a scale that is not finite"):
            read()


def test_a_level_of_minus_128_is_named() -> None:
    levels = np.array([[5, -128]], np.int8)
    matrix = Quantized("file: name", levels, np.array([[0x3F80]], np.uint16), 2)
    with pytest.raises(ValueError, match="file: name: found the level -128"):
        matrix.pair()
