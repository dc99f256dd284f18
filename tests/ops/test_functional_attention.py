"""ops.attention: PyTorch's implementation against the definition, and which one runs."""

import dataclasses
import importlib.util

import pytest
import torch

from attention_cases import SMALL, inputs, results
from mas_fast import ops
from mas_fast.models import gpt
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.ops.reference.attention import MASKS


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_sdpa_is_the_definition(mask, dtype):
    tensors = inputs(2, 3, 50, 24, dtype)
    exact = results("reference", *(x.double() for x in tensors), mask=mask, **SMALL)
    for got, want in zip(results("sdpa", *tensors, mask=mask, **SMALL), exact, strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), want, rtol=0, atol=40 * torch.finfo(dtype).eps)


def test_autocast_casts_as_for_pytorch():
    q, k, v, _ = inputs(1, 2, 9, 8, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = ops.attention(q, k.bfloat16(), v)  # as after a normalisation of q in fp32
    assert found.dtype == torch.bfloat16


def test_implementation_is_chosen_visibly(monkeypatch):
    q, k, v, _ = inputs(1, 1, 3, 8, torch.float32)
    with pytest.raises(ValueError, match="impl: found 'cpp', expected one of .*'sdpa'"):
        ops.attention(q, k, v, impl="cpp")
    assert ops.default_impl("cpu", "attention") == "sdpa"
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert ops.default_impl("cuda", "attention") == "sdpa"
    with pytest.raises(ImportError, match="pip install triton"):
        ops.attention(q, k, v, impl="triton")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert ops.default_impl("cuda", "attention") == "triton"
    with pytest.raises(ValueError, match="q: found it on cpu, expected cuda"):
        ops.attention(q, k, v, impl="triton")


def test_exported_models_hold_the_definition():
    class Model(torch.nn.Module):
        def forward(self, q, k, v):
            return ops.attention(q, k, v)

    tensors = tuple(inputs(1, 2, 6, 8, torch.float32)[:3])
    exported = torch.export.export(Model(), tensors)
    calls = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert any("softmax" in name for name in calls)
    assert not any("scaled_dot_product" in name or "mas_fast" in name for name in calls)


def test_the_gpt_trains_through_it(monkeypatch):
    seen = []
    plain = ops.attention
    monkeypatch.setattr(ops, "attention", lambda *a, **o: seen.append(o) or plain(*a, **o))
    config = dataclasses.replace(gpt.preset("tiny"), attention=("row", "causal"))
    model = gpt.GPT.create(config)
    model.loss(torch.zeros(1, model.streams.length, dtype=torch.int64))
    layout = {"text": 8, "grids": ((4, 4), (4, 4)), "kernel": 11}
    assert seen == [{"mask": mask, **layout} for mask in ("row", "causal")]


X = torch.zeros(1, 2, 6, 4)
GRID = {"mask": "row", "grids": [(2, 3)]}


@pytest.mark.parametrize(
    "tensors, options, error, words",
    [
        ((X.long(), X, X), {}, TypeError, "q: found torch.int64, expected a floating"),
        ((X, [1.0], X), {}, TypeError, "k: found list, expected a floating"),
        ((X[0], X, X), {}, ValueError, r"q: found \[2, 6, 4\], expected \[B, H, T, D\]"),
        ((X[..., :0],) * 3, {}, ValueError, r"found \[1, 2, 6, 0\].*D >= 1"),
        ((X, X[:, :, :5], X), {}, ValueError, r"k: found \[1, 2, 5, 4\].*\[1, 2, 6, 4\].*like q"),
        ((X, X, X.double()), {}, ValueError, "v: found .*float64.*like q"),
        ((X,) * 3, {"mask": "full"}, ValueError, "mask: found 'full', expected one of"),
        ((X,) * 3, {"mask": "row"}, ValueError, r"grids: found \[\], expected"),
        ((X,) * 3, GRID | {"grids": [(0, 3)]}, ValueError, r"grids: found \[\(0, 3\)\]"),
        ((X,) * 3, GRID | {"text": -1}, ValueError, "text: found -1"),
        ((X,) * 3, GRID | {"grids": [(1, 2), (1, 3)]}, ValueError, "6 positions.*at most.* = 5"),
        (
            (X,) * 3,
            GRID | {"mask": "conv", "kernel": 4},
            ValueError,
            "kernel: found 4",
        ),
    ],
)
def test_bad_arguments(tensors, options, error, words):
    with pytest.raises(error, match=words):
        ops.attention(*tensors, **options)
    with pytest.raises(error, match=words):
        reference_attention.attention(*tensors, **options)
