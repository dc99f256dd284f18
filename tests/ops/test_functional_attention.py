"""attention: the masks pair by pair, the definition, and which implementation runs."""

import dataclasses
import importlib.util
import itertools
import math

import pytest
import torch

from attention_cases import SMALL, inputs, results
from mas_fast import ops
from mas_fast.models import gpt
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.ops.reference.attention import MASKS, visible, visiting_order

# ---- masks and the definition ----------------------------------------------------------------


def sees(mask, i, j, text, grids, kernel):
    """The words of the definition, for one pair."""

    def place(p):
        if p < text:
            return 0, 0, 0, 0
        p -= text
        for part, (height, width) in enumerate(grids):
            if p < height * width:
                return part + 1, p, p // width, p % width
            p -= height * width

    part, at, row, column = place(i)
    other, before, above, beside = place(j)
    if j > i:
        return False
    if mask == "causal" or part == 0 or other < part:
        return True
    if mask == "row":
        return at - before <= grids[part - 1][1]
    if mask == "column":
        return column == beside
    return row - above <= kernel // 2 and abs(column - beside) <= kernel // 2


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("length", [1, 4, 30, 56])
def test_masks_pair_by_pair(mask, length):
    shown = visible(mask, length, **SMALL)
    want = [[sees(mask, i, j, **SMALL) for j in range(length)] for i in range(length)]
    assert shown.tolist() == want


def test_column_order_is_a_permutation_that_keeps_columns_together():
    assert all(visiting_order(m, 56, 5, SMALL["grids"]) is None for m in MASKS if m != "column")
    order = visiting_order("column", 56, 5, SMALL["grids"])
    assert order[:5].tolist() == [0, 1, 2, 3, 4]
    assert order[5:11].tolist() == [5, 12, 19, 6, 13, 20]  # a grid of width 7
    assert order[26:33].tolist() == [26, 31, 36, 41, 46, 51, 27]
    cut = visiting_order("column", 50, 5, SMALL["grids"])
    assert sorted(cut.tolist()) == list(range(50))


@pytest.mark.parametrize("mask", MASKS)
def test_definition_is_softmax_over_what_is_visible(mask):
    q, k, v, _ = inputs(2, 1, 56, 3)
    found = ops.attention(q, k, v, mask=mask, impl="reference", **SMALL)
    for b, i in itertools.product(range(2), range(56)):
        seen = [j for j in range(56) if sees(mask, i, j, **SMALL)]
        weights = [math.exp(float(q[b, 0, i] @ k[b, 0, j]) / math.sqrt(3)) for j in seen]
        mean = sum(w * v[b, 0, j] for w, j in zip(weights, seen, strict=True)) / sum(weights)
        torch.testing.assert_close(found[b, 0, i], mean)


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_of_the_definition(mask):
    options = {"text": 2, "grids": [(2, 3)], "kernel": 3, "mask": mask}
    leaves = [x.requires_grad_() for x in inputs(1, 2, 8, 4)[:3]]
    assert torch.autograd.gradcheck(
        lambda *x: ops.attention(*x, impl="reference", **options), leaves
    )


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_sdpa_is_the_definition(mask, dtype):
    tensors = inputs(2, 3, 50, 24, dtype)
    exact = results("reference", *(x.double() for x in tensors), mask=mask, **SMALL)
    for got, want in zip(results("sdpa", *tensors, mask=mask, **SMALL), exact, strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), want, rtol=0, atol=40 * torch.finfo(dtype).eps)


# ---- blocks, for CPUs ------------------------------------------------------------------------


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
