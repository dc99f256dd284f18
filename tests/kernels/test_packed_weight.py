"""kernels/packed_weight.py: weights for a GPU are quantized as those of a bundle are."""

import numpy as np
import pytest
import torch

from linear_cases import weights_of
from mas_fast.bundle.quantized import LEVELS, Quantized, store_int4
from mas_fast.kernels import packed_weight
from mas_fast.kernels.packed_weight import pack, pack_levels


def bits(scales):
    """bfloat16 as numpy has it."""
    return scales.view(torch.int16).numpy().view(np.uint16)


def weights(scale=1.0):
    """300 inputs, which fill no group, with a group of zeros, and outliers."""
    w = torch.randn(40, 300) * scale
    w[3, 64:96] = 0
    w[5, ::50] *= 20
    return w


def test_the_levels_of_int4_are_those_of_bundles():
    assert list(packed_weight.LEVELS) == LEVELS.tolist()


@pytest.mark.parametrize("inputs", [1, 31, 64, 97])
def test_int4_has_the_bytes_of_a_bundle(inputs):
    levels = np.random.default_rng(inputs).choice(LEVELS, (5, inputs))
    scales = torch.rand(5, -(-inputs // 32)).bfloat16()
    packed = pack_levels(torch.from_numpy(levels), scales, "int4")
    stored = packed.values.numpy()
    used = -(-inputs // 2)
    last = 15 if inputs % 2 else 255  # indices beyond the inputs mean nothing
    want = store_int4(levels)
    assert stored.shape == want.shape
    assert np.array_equal(stored[:, : used - 1], want[:, : used - 1])
    assert np.array_equal(stored[:, used - 1] & last, want[:, used - 1] & last)
    matrix = Quantized("name", stored, bits(scales), inputs)
    assert np.array_equal(weights_of(packed).float().numpy(), matrix.floats())


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-36, 1e30])
@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_no_error_is_larger_than_the_cpp_engines(dtype, scale):
    engine = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")
    w = weights(scale)
    levels, scales = engine.quantize(w.numpy(), dtype)
    theirs = pack_levels(torch.from_numpy(levels), torch.from_numpy(scales).view(torch.bfloat16),
                         dtype)  # fmt: skip
    ours = pack(w, dtype)
    assert ours.scales.isfinite().all()
    errors = [(weights_of(p) - w).div(scale).square().sum(1) for p in (ours, theirs)]
    assert (errors[0] <= errors[1] * (1 + 1e-5)).all()
    if scale == 1:  # its fp32 squares neither vanish nor overflow
        assert (weights_of(ours) == weights_of(theirs)).double().mean() > 0.99


def test_fp8_rounds_to_nearest():
    w = weights()
    packed = pack(w, "fp8")
    assert packed.values.dtype == torch.float8_e4m3fn
    assert packed.scales.shape == (40,)
    largest = w.abs().amax(1, keepdim=True).double()
    # Three bits after the point; below 2^-6 of e4m3, whose largest is 448, steps are 2^-9.
    allowed = torch.maximum(w.abs().double() / 16, largest / 448 * 2.0**-10)
    assert ((weights_of(packed) - w).abs() <= allowed * (1 + 1e-6)).all()
    torch.testing.assert_close(weights_of(packed).abs().amax(1), largest[:, 0])


def test_zeros_are_zeros():
    for dtype in packed_weight.DTYPES:
        assert not weights_of(pack(torch.zeros(3, 40), dtype)).any()


def test_floats_are_not_copied():
    w = torch.randn(4, 6).bfloat16()
    assert pack(w, "bf16").values.data_ptr() == w.data_ptr()
    assert pack(w, "fp32").values.dtype == torch.float32
    assert pack(w.T, "bf16").values.is_contiguous()


def test_an_unknown_dtype_is_named():
    with pytest.raises(ValueError, match="dtype: found 'fp4', expected one of"):
        pack(torch.zeros(1, 1), "fp4")
