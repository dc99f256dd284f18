"""attention_triton.py and kernels/: the tiles that are skipped, and the kernels against fp64.

They run here under the interpreter, in a pytest of their own, since Triton reads TRITON_INTERPRET
when it is imported; and on a GPU, where there is one.
"""

import importlib.util
import itertools
import os
from types import SimpleNamespace

import pytest
import torch

from attention_cases import PAPER, SMALL, check_against_fp64, inputs, results, shifted
from mas_fast import ops
from mas_fast.kernels import launch, tiles
from mas_fast.ops import attention_triton as operators
from mas_fast.ops.reference.attention import MASKS, visible, visiting_order

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_interpreter = pytest.mark.interpreted
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
LENGTHS = [1, 63, 127, 575, 576, 577]


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


def test_the_first_call_of_a_mask_is_not_captured(monkeypatch):
    """It copies the mask's table to the GPU: within a capture that is an error of CUDA, of few
    words. The tables of a backward pass are others, and so are those of another dtype."""

    def call(name="forward", dtype=torch.bfloat16, device="cuda", mask="row"):
        q = SimpleNamespace(shape=(1, 1, 31, 8), device=torch.device(device), dtype=dtype)
        return operators.shown(name, q, mask, 6, [5, 5], 3)

    capturing = False
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    before = call()
    capturing = True
    assert call() is before
    assert call(mask="causal") is None
    assert call(device="cpu") is before
    for other in ({"name": "backward"}, {"dtype": torch.float16}, {"device": "cuda:1"}):
        with pytest.raises(RuntimeError, match="first call under the mask 'row' within the cap"):
            call(**other)
        capturing = False
        call(**other)
        capturing = True
        call(**other)


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
        for capability in (80, 86, 90, 100, 120):
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
    wide = {80: launch.Tile(128, 64, 8, 3)}
    for name, kind in itertools.product(("forward", "queries", "keys"), ("", "_fp32")):
        monkeypatch.setitem(launch.TILES, f"attention_{name}{kind}", wide)


@pytest.fixture(params=[80, 90], ids="sm_{}".format)
def each_kernel(request, hopper, monkeypatch):
    """Large tiles, and the scores masked as on mma.sync (sm_80) and as on wgmma (sm_90)."""
    monkeypatch.setattr(launch, "capability", lambda tensor: request.param)


triton_here = pytest.mark.usefixtures("poison_empty")


@needs_triton
@needs_interpreter
@triton_here
@pytest.mark.parametrize("length", LENGTHS)
def test_triton_causal_lengths(length, each_kernel):
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
def test_triton_head_sizes(shape, dtype, each_kernel):
    check_against_fp64(inputs(*shape, dtype))


@needs_triton
@needs_interpreter
@triton_here
@pytest.mark.parametrize("who, offset", [("k", 30), ("v", 3), ("v", 300), ("d", 30)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_triton_of_what_shares_an_offset(who, offset, dtype, each_kernel):
    check_against_fp64(shifted(inputs(1, 2, 70, 16, dtype), who, offset))


@needs_triton
@needs_interpreter
@triton_here
@pytest.mark.parametrize("mask", ["row", "column", "conv"])
@pytest.mark.parametrize("text", [0, 21])
def test_triton_masks(mask, text, each_kernel):
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
def test_triton_is_deterministic_and_takes_views(each_kernel):
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
    assert packed[:, 0].eq(42).all()
    assert packed[:, 71:].eq(42).all()
    assert memory[:, :, 71:].eq(42).all()


@needs_triton
@needs_interpreter
def test_triton_large_scores_and_empty_batches(each_kernel):
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
