"""attention: the masks pair by pair, every implementation against fp64, the tiles that are skipped.

The Triton kernels run here under the interpreter, in a pytest of their own, since Triton reads
TRITON_INTERPRET when it is imported; and on a GPU, where there is one.
"""

import dataclasses
import importlib.util
import itertools
import math
import os

import pytest
import torch
from mas_fast.kernels import launch, tiles

from mas_fast import ops
from mas_fast.models import gpt
from mas_fast.ops import attention_cpu
from mas_fast.ops import attention_triton as operators
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.ops.reference.attention import MASKS, visible, visiting_order

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_interpreter = pytest.mark.interpreted
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
PAPER = {"text": 64, "grids": [(16, 16), (16, 16)]}  # 576 positions
SMALL = {"text": 5, "grids": [(3, 7), (6, 5)], "kernel": 3}  # 56 positions
LENGTHS = [1, 63, 127, 575, 576, 577]


def inputs(batch, heads, length, channels, dtype=torch.float64, device="cpu"):
    """q, k, v and the gradient of the output."""
    g = torch.Generator().manual_seed(length + channels)
    draw = [torch.randn(batch, heads, length, channels, generator=g) for _ in range(4)]
    return [x.to(dtype).to(device) for x in draw]


def results(impl, q, k, v, do, **options):
    """The output and the three gradients."""
    leaves = [x.detach().clone().requires_grad_() for x in (q, k, v)]
    out = ops.attention(*leaves, impl=impl, **options)
    out.backward(do)
    return [out.detach(), *(x.grad for x in leaves)]


def check_against_fp64(tensors, impl="triton", **options):
    """At most twice the error of PyTorch at that dtype and one unit of the largest value (of any
    of the four: with one position dq and dk are 0, as differences of what is not)."""
    dtype = tensors[0].dtype
    exact = results("reference", *(x.double() for x in tensors), **options)
    usual = results("sdpa", *tensors, **options)
    found = results(impl, *tensors, **options)
    largest = max(float(want.abs().max()) for want in exact)
    unit = torch.finfo(dtype).eps * 2 ** math.floor(math.log2(largest))
    for name, want, peer, got in zip(("o", "dq", "dk", "dv"), exact, usual, found, strict=True):
        assert got.dtype == dtype and got.shape == want.shape
        allowed = 2 * (peer.double() - want).abs().max() + unit
        assert (got.double() - want).abs().max() <= allowed, (name, tensors[0].shape, options)
    return found


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


@pytest.mark.parametrize("shape", [(0, 2, 5, 8), (1, 0, 5, 8), (1, 2, 0, 8)])
def test_blocks_of_nothing(shape):
    x = torch.ones(shape, dtype=torch.bfloat16, requires_grad=True)
    ops.attention(x, x, x, impl="blocks").sum().backward()
    assert x.grad.shape == shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 2, 95, 96, 97, 193, 351, 576])
def test_blocks(length, dtype):
    """Queries and keys of an RMSNorm, as in training, through views of one tensor."""
    g = torch.Generator().manual_seed(length)
    qkv = torch.randn(2, length, 3, 3, 40, generator=g)
    qkv[:, :, :2] *= 40**0.5 / qkv[:, :, :2].norm(dim=-1, keepdim=True)
    do = torch.randn(2, length, 3, 40, generator=g).to(dtype).transpose(1, 2)
    q, k, v = qkv.to(dtype).permute(2, 0, 3, 1, 4)
    check_against_fp64([q, k, v, do], "blocks")


@pytest.mark.parametrize("mask", ["row", "column", "conv"])
@pytest.mark.parametrize("layout, length", [(SMALL, 56), (PAPER, 576), (PAPER, 575), (PAPER, 200)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_under_masks(mask, layout, length, dtype):
    check_against_fp64(inputs(1, 2, length, 16, dtype), "blocks", mask=mask, **layout)


@pytest.mark.parametrize("gain", [0.0, 4.0, 1e4])
def test_blocks_of_weak_and_of_strong_scores(gain):
    q, k, v, do = inputs(2, 2, 130, 16, torch.bfloat16)
    found = check_against_fp64([q * gain, k, v, do], "blocks")
    assert all(x.isfinite().all() for x in found)


OFFSETS = [(who, offset) for who in ("q", "k", "v", "qkv", "qkvd") for offset in (3, 30, 300)]


def shifted(tensors, who, offset):
    """The inputs with the offset added to q, k, v or the output's gradient (d), rounded again."""
    pairs = zip("qkvd", tensors, strict=True)
    return [(x.float() + offset).to(x.dtype) if name in who else x for name, x in pairs]


@pytest.mark.parametrize(
    "who, offset, length",
    [("", 0, 95), *[(*o, 95) for o in OFFSETS], ("", 0, 351), ("v", 30, 351), ("qkvd", 30, 351)],
)
def test_blocks_of_what_shares_an_offset(who, offset, length):
    """Neither the largest error of a gradient nor the root of all is over twice PyTorch's, but for
    what fp32 loses: dq and dk are differences of what an offset makes large."""
    tensors = shifted(inputs(1, 2, length, 64, torch.bfloat16), who, offset)
    exact = results("reference", *(x.double() for x in tensors))
    usual, found = results("sdpa", *tensors), results("blocks", *tensors)
    q, k, v, do = (float(x.abs().max()) for x in tensors)
    lost = torch.finfo(torch.float32).eps * max(q, k) * v * do * 64**0.5
    for name, want, peer, got in zip(
        ("dq", "dk", "dv"), exact[1:], usual[1:], found[1:], strict=True
    ):
        for error in (torch.linalg.vector_norm, lambda x: x.abs().max()):
            assert error(got.double() - want) <= 2 * error(peer.double() - want) + lost, name


@pytest.mark.parametrize("sign, offset", [(1, 0), (1, 30), (-1, -30), (-1, 30)])
def test_blocks_never_read_what_is_later(sign, offset):
    """Poisoned keys and values after a position change neither output nor gradients before it,
    whether or not the keys have an offset that is taken out."""
    q, k, v, do = inputs(1, 2, 200, 8, torch.float32)
    k += offset
    clean = results("blocks", *(x[:, :, :150] for x in (q, k, v, do)))
    poisoned = [x.clone() for x in (q, k, v)]
    for x in poisoned[1:]:
        x[:, :, 150:] = sign * 1e30
    leaves = [x.requires_grad_() for x in poisoned]
    out = ops.attention(*leaves, impl="blocks")[:, :, :150]
    out.backward(do[:, :, :150])
    for got, want in zip((out.detach(), *(x.grad[:, :, :150] for x in leaves)), clean, strict=True):
        torch.testing.assert_close(got, want)


def test_blocks_are_what_a_cpu_trains_with(monkeypatch):
    called = []
    monkeypatch.setattr(attention_cpu, "attention", lambda *tensors: called.append(1) or tensors[0])
    q, k, v, _ = inputs(1, 1, 3, 8, torch.float32)
    ops.attention(q, k, v)
    ops.attention(q.double(), k.double(), v.double())
    assert not called
    ops.attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        ops.attention(q, k, v)
        ops.attention(q, k, v, mask="row", grids=[(2, 3)])
    assert len(called) == 3


def test_blocks_have_no_second_derivative():
    q = torch.randn(1, 1, 4, 8, requires_grad=True)
    out = ops.attention(q, q, q, impl="blocks").square().sum()
    (first,) = torch.autograd.grad(out, q, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


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


# ---- tiles -----------------------------------------------------------------------------------


def paper_pattern(mask):
    shown = visible(mask, 576, **PAPER)
    return tiles.Pattern(shown, visiting_order(mask, 576, PAPER["text"], PAPER["grids"]))


@pytest.mark.parametrize(
    "mask, executed", [("causal", 45), ("row", 39), ("column", 33), ("conv", 43)]
)
def test_tiles_that_are_computed(mask, executed):
    for by_key in (False, True):
        table = paper_pattern(mask).table(64, 64, by_key=by_key)
        assert (len(table.entries), table.total) == (executed, 81)
    without_order = tiles.Pattern(visible(mask, 576, **PAPER)).table(64, 64)
    assert len(without_order.entries) == (45 if mask == "column" else executed)


def rebuilt(table, rows, columns):
    """The mask that a table stands for, over all its tiles."""
    down, across = len(table.starts) - 1, table.total // (len(table.starts) - 1)
    mask = torch.zeros(down * rows, across * columns, dtype=torch.bool)
    for tile in range(down):
        for entry in table.entries[table.starts[tile] : table.starts[tile + 1]].tolist():
            at, number = entry & tiles.COLUMN, entry // (tiles.COLUMN + 1) - 1
            block = mask[tile * rows :, at * columns :][:rows, :columns]
            if number < 0:
                block[:] = True
            for j in range(columns if number >= 0 else 0):
                block[:, j] = (table.bits[number, j // 32] >> (j % 32)) & 1 > 0
    return mask


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("length", [1, 37, 56])
@pytest.mark.parametrize("rows, columns", [(16, 8), (8, 64), (32, 32), (64, 16)])
def test_tables_hold_the_mask(mask, length, rows, columns):
    order = visiting_order(mask, length, SMALL["text"], SMALL["grids"])
    shown = visible(mask, length, **SMALL)
    pattern = tiles.Pattern(shown, order)
    if order is not None:
        shown = shown[order][:, order]
    for by_key in (False, True):
        block = columns if by_key else rows
        first = length - -(-length // block) * block
        table = pattern.table(rows, columns, first=first, by_key=by_key)
        held = rebuilt(table, rows, columns)
        queries, keys = (held.T, held) if by_key else (held, held.T)
        assert torch.equal(queries[-first : length - first, :length], shown)
        beyond = held[:, -first + length if by_key else length :]  # columns that do not exist
        inside = held[: len(shown) if by_key else None]
        assert not beyond[: len(inside)].any()
        assert len(table.entries) <= table.total


@needs_triton
def test_rows_beyond_32_bits_are_copied():
    from mas_fast.kernels.attention import unit_stride

    for stride, copied in ((64, False), (1 << 28, False), (1 << 29, True)):
        x = torch.empty_strided((1, 1, 4, 8), (8, 8, stride, 1), device="meta")
        assert (unit_stride(x) is not x) == copied
    assert unit_stride(torch.empty(1, 1, 4, 8).mT).stride(-1) == 1


def test_what_is_kept_per_row_has_room_for_every_tile():
    for kind in ("", "_pattern", "_128", "_fp32"):
        for capability in (80, 90):
            forward, queries, keys = (
                launch.tile(f"attention_{name}{kind}", capability)
                for name in ("forward", "queries", "keys")
            )
            assert tiles.PAD % forward.rows == 0 == tiles.PAD % queries.rows
            # No tile of queries reads a row that the kernels before it did not write.
            assert forward.rows % queries.rows == 0 or queries.rows % forward.rows == 0
            assert forward.rows % keys.columns == 0 == queries.rows % keys.columns
            assert max(forward.columns, queries.columns, keys.columns) <= tiles.WIDTH


# ---- Triton, under the interpreter -----------------------------------------------------------


@pytest.fixture
def hopper(monkeypatch):
    """Large tiles, in fp32 too: the interpreter's time goes with their number."""
    monkeypatch.setattr(launch, "capability", lambda tensor: 90)
    wide = launch.TILES["attention_forward"]
    for name, kind in itertools.product(("forward", "queries", "keys"), ("", "_fp32")):
        monkeypatch.setitem(launch.TILES, f"attention_{name}{kind}", wide)


triton_here = pytest.mark.usefixtures("poison_empty")


@needs_triton
@needs_interpreter
@triton_here
@pytest.mark.parametrize("length", LENGTHS)
def test_triton_causal_lengths(length, hopper):
    check_against_fp64(inputs(1, 1, length, 64, torch.float16))


@needs_triton
@needs_interpreter
@triton_here
@pytest.mark.parametrize(
    "shape, dtype",
    [
        ((2, 2, 1, 1), torch.float32),
        ((1, 2, 65, 33), torch.float32),
        ((2, 1, 130, 40), torch.float32),
        ((1, 1, 129, 128), torch.float32),
        ((2, 2, 70, 96), torch.float16),
        ((1, 1, 67, 17), torch.float16),
    ],
)
def test_triton_head_sizes(shape, dtype, hopper):
    check_against_fp64(inputs(*shape, dtype))


@needs_triton
@needs_interpreter
@triton_here
@pytest.mark.parametrize("who, offset", [("k", 30), ("v", 3), ("v", 300), ("d", 30)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_triton_of_what_shares_an_offset(who, offset, dtype, hopper):
    check_against_fp64(shifted(inputs(1, 2, 70, 16, dtype), who, offset))


@needs_triton
@needs_interpreter
@triton_here
@pytest.mark.parametrize("mask", ["row", "column", "conv"])
@pytest.mark.parametrize("text", [0, 21])
def test_triton_masks(mask, text, hopper):
    options = {"mask": mask, "text": text, "grids": [(8, 12), (9, 8)], "kernel": 5}
    dtype, length = (torch.float16, 187) if text else (torch.float32, 160)
    check_against_fp64(inputs(1, 2, length, 16, dtype), **options)


@needs_triton
@needs_interpreter
@triton_here
def test_triton_own_fp32_tiles_and_sm_80():
    for mask, dtype in itertools.product(("causal", "column"), (torch.float32, torch.float16)):
        check_against_fp64(inputs(1, 1, 50, 20, dtype), mask=mask, **SMALL)


@needs_triton
@needs_interpreter
def test_triton_refuses_bf16_here():
    q, k, v, _ = inputs(1, 1, 9, 8, torch.float32)
    words = "q: found torch.bfloat16, expected float32 or float16 for impl='triton' under"
    with pytest.raises(ValueError, match=words):
        ops.attention(*(x.bfloat16() for x in (q, k, v)), impl="triton")
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match=words):
        ops.attention(q, k, v, impl="triton")


@needs_triton
@needs_interpreter
def test_triton_is_deterministic_and_takes_views(hopper):
    q, k, v, do = inputs(1, 2, 70, 24, torch.float16)

    def view(x, shape, *order):  # the same values in a larger memory of another layout
        memory = torch.full(shape, 42.0, dtype=x.dtype)
        inner = memory.permute(*order)[:, :, 1:71, :24]
        return memory, inner.copy_(x)

    packed, q_view = view(q, (1, 80, 2, 31), 0, 2, 1, 3)
    memory, k_view = view(k, (24, 2, 75, 1), 3, 1, 2, 0)
    broadcast = do[:, :, :1].expand_as(do)
    found = results("triton", q_view, k_view, v, broadcast)
    want = results("triton", q, k, v, broadcast.contiguous())
    assert all(map(torch.equal, want, found))  # and so, twice the same
    assert packed[:, 0].eq(42).all() and packed[:, 71:].eq(42).all()
    assert memory[:, :, 71:].eq(42).all()


@needs_triton
@needs_interpreter
def test_triton_large_scores_and_empty_batches(hopper):
    q, k, v, do = inputs(1, 1, 66, 16, torch.float32)
    # Integers, whose products have no rounding: one weight is 1, and no near tie is decided by it.
    q, k = ((4 * x).round() * 75 for x in (q, k))
    check_against_fp64([q, k, v, do])
    for shape in ((0, 2, 5, 16), (2, 0, 5, 16), (2, 2, 0, 16)):
        tensors = [torch.zeros(shape)] * 4
        assert [x.shape for x in results("triton", *tensors)] == [torch.Size(shape)] * 4


@needs_triton
@needs_interpreter
def test_triton_operators_are_registered_whole(hopper):
    options = ("column", 3, [2, 5], 3)
    q, k, v, do = inputs(1, 1, 12, 8, torch.float32)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    torch.library.opcheck(operators.forward, (*leaves, *options))
    for length in (63, 65, 130):  # what is kept for each row has room for 128 or 256
        zeros = [torch.zeros(1, 1, length, 8).requires_grad_() for _ in range(3)]
        torch.library.opcheck(operators.forward, (*zeros, "causal", 0, [], 11))
    o, lse = operators.forward(q, k, v, *options)
    assert not lse.requires_grad
    saved = [x.detach() for x in (q, k, v, o, lse)]
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(operators.backward, (*saved, do, *options), test_utils=checks)
    o.sum().backward()
    with pytest.raises(RuntimeError, match="no autograd|not.*differentiable|does not require"):
        grad = torch.autograd.grad(
            operators.forward(*leaves, *options)[0].square().sum(), q, create_graph=True
        )
        grad[0].sum().backward()


@needs_triton
@needs_interpreter
def test_triton_refuses_what_it_cannot_do():
    for tensors, words in (
        (inputs(1, 1, 3, 8), "float64 and 8"),
        (inputs(1, 1, 3, 129, torch.float32), "float32 and 129"),
    ):
        with pytest.raises(ValueError, match=words):
            ops.attention(*tensors[:3], impl="triton")


@needs_triton
@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is the pytest that it starts")
def test_triton_kernels_under_the_interpreter(run_interpreted):
    run_interpreted(__file__, "test_triton")


# ---- Triton, on a GPU ------------------------------------------------------------------------

KINDS = [torch.bfloat16, torch.float16, torch.float32]
needs_gpu = [needs_triton, needs_cuda, pytest.mark.skipif(INTERPRETED, reason="on a GPU alone")]


def on_gpu(test):
    for mark in needs_gpu:
        test = mark(test)
    return test


@on_gpu
@pytest.mark.parametrize("dtype", KINDS)
def test_cuda_lengths_and_head_sizes(dtype, poison_empty):
    for length, channels in itertools.product([*LENGTHS, 1344], (8, 33, 64, 80, 128)):
        check_against_fp64(inputs(2, 3, length, channels, dtype, "cuda"))


@on_gpu
@pytest.mark.parametrize("mask", ["row", "column", "conv"])
@pytest.mark.parametrize("dtype", KINDS)
def test_cuda_masks(mask, dtype, poison_empty):
    wide = {"text": 64, "grids": [(16, 16), (32, 32)]}
    odd = {"text": 21, "grids": [(8, 12), (9, 8)], "kernel": 5}
    bare = {"text": 0, "grids": [(24, 24)]}
    cases = [(576, PAPER), (575, PAPER), (1343, wide), (187, odd), (576, bare)]
    for (length, options), channels in itertools.product(cases, (64, 128)):
        check_against_fp64(inputs(2, 2, length, channels, dtype, "cuda"), mask=mask, **options)


@on_gpu
@pytest.mark.parametrize("mask", MASKS)
def test_cuda_is_deterministic_at_the_size_of_training(mask):
    g = torch.Generator("cuda").manual_seed(0)
    qkv = torch.randn(64, 575, 3, 16, 64, device="cuda", generator=g).bfloat16()
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    do = torch.randn(64, 575, 16, 64, device="cuda", generator=g).bfloat16().transpose(1, 2)
    first, second = (results("triton", q, k, v, do, mask=mask, **PAPER) for _ in range(2))
    assert all(map(torch.equal, first, second))


@on_gpu
def test_cuda_compiles_into_a_graph_with_the_operators():
    q, k, v, do = inputs(2, 4, 575, 64, torch.bfloat16, "cuda")
    want = results("triton", q, k, v, do)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    out = torch.compile(ops.attention, fullgraph=True)(*leaves)
    out.backward(do)
    assert all(map(torch.equal, want, [out.detach(), *(x.grad for x in leaves)]))
    torch.library.opcheck(operators.forward, (*leaves, "causal", 0, [], 11))
