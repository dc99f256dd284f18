"""step_weights.py: what is packed, in which dtype, and the bits of masks."""

import importlib.util

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from built import needs_engine
from mas_fast.bundle import export_int4, load_gpt, read_weights, save_gpt
from mas_fast.generation.step_weights import DTYPES, mask_bits, pack_weights
from mas_fast.kernels.packed_weight import PackedWeight
from mas_fast.ops.reference.attention import visible
from step_gpts import LENGTH, STREAMS, small


def test_bits_of_a_mask() -> None:
    for length in (1, 31, 32, 33, 100):
        shown = torch.rand(length, length) < 0.5
        bits = mask_bits(shown)
        assert bits.dtype == torch.int32
        assert bits.shape == (length, -(-length // 32))
        for p, n in ((0, 0), (length // 2, length - 1), (length - 1, length // 3)):
            assert (int(bits[p, n // 32]) >> (n % 32)) & 1 == shown[p, n]
        words = [[(int(word) >> i) & 1 for word in row for i in range(32)] for row in bits]
        assert torch.equal(torch.tensor(words)[:, :length].bool(), shown)


def test_tables_hold_all_streams() -> None:
    model = small(positions="grid")
    weights = pack_weights(model, "fp32")
    assert weights.offset.tolist() == [0] * 3 + [11] * 4 + [18] * 6
    tokens = torch.cat([torch.arange(s.length) for s in STREAMS])[None]
    found = weights.embedding[weights.offset + tokens[0]] + weights.position
    assert torch.equal(found, model._embed(tokens, 0)[0])


def test_each_layer_has_its_mask_and_its_norms() -> None:
    model = small(attention=("row", "causal", "conv"), layers=3, conv_kernel=3, qk_norm=True)
    row, causal, conv = pack_weights(model, "fp32").layers
    layout = model.config.mask_layout
    assert torch.equal(row.visible, mask_bits(visible("row", LENGTH, **layout)))
    assert torch.equal(conv.visible, mask_bits(visible("conv", LENGTH, **layout)))
    assert causal.visible is None
    attention = model.blocks[1].attention
    assert torch.equal(causal.gains[0], attention.q_norm.weight)
    assert torch.equal(causal.gains[1], attention.k_norm.weight)
    assert pack_weights(small(), "fp32").layers[0].gains is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_matrices_have_the_dtype_and_the_rest_does_not(dtype) -> None:
    weights = pack_weights(small(layers=2), dtype)
    kinds = {
        name: [getattr(layer, name).weight.dtype for layer in weights.layers]
        for name in ("qkv", "proj", "up", "down")
    }
    first = "int8" if dtype == "int4" else dtype  # as a bundle stores it
    assert kinds == dict.fromkeys(kinds, [first, dtype])
    assert {head.weight.dtype for head in weights.heads.values()} == {first}
    assert {head.bias for head in weights.heads.values()} == {None}
    plain = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(dtype, torch.float32)
    layer = weights.layers[0]
    rest = [weights.embedding, weights.position, layer.qkv.bias, layer.norm1[0], weights.norm[1]]
    assert {tensor.dtype for tensor in rest} == {plain}


@needs_engine
def test_an_int4_bundle_gives_what_its_original_gives(tmp_path) -> None:
    save_gpt(tmp_path / "whole", small(layers=2))
    export_int4(tmp_path / "whole", tmp_path / "small")
    whole = pack_weights(load_gpt(tmp_path / "whole"), "int4")
    stored = read_weights(tmp_path / "small", levels=True)
    levels = {name: part for name, part in stored if isinstance(part, tuple)}
    assert len(levels) == 2 * 4 + 3
    found = pack_weights(load_gpt(tmp_path / "small"), "int4", levels)
    for one, other in zip(whole.layers, found.layers, strict=True):
        for name in ("qkv", "proj", "up", "down"):
            same(getattr(one, name).weight, getattr(other, name).weight)
    for name, head in whole.heads.items():
        same(head.weight, found.heads[name].weight)


def same(one: PackedWeight, other: PackedWeight) -> None:
    assert (one.dtype, one.inputs) == (other.dtype, other.inputs)
    assert torch.equal(one.values, other.values)
    assert torch.equal(one.scales, other.scales)
