"""decode_attention.py under the interpreter, against attention in fp64 over a copied cache."""

import importlib.util
import os

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mas_fast.generation.step_weights import mask_bits
from mas_fast.kernels.decode_attention import Partial, decode_attention
from mas_fast.ops.reference.attention import visible

HEADS = 2
EPS = 1e-6
FP32 = torch.float32


def case(first, window, *, positions=20, channels=8, dtype=FP32):
    """Rows, and a cache that holds NaN where nothing was written yet."""
    generator = torch.Generator().manual_seed(0)
    rows, shape = len(first) * window, (len(first), HEADS, positions, channels)
    qkv = torch.randn(rows, 3, HEADS, channels, generator=generator).to(dtype)
    cache = [torch.randn(shape, generator=generator).to(dtype) for _ in range(2)]
    for b, known in enumerate(first):
        for part in cache:
            part[b, :, known:] = torch.nan
    return qkv, *cache


def attended(qkv, keys, values, first, window, **options):
    """The rows, and the cache."""
    keys, values = keys.clone(), values.clone()
    sequences, heads, positions, channels = keys.shape
    partial = Partial.empty(sequences, window, heads, positions, channels, device="cpu")
    partial.out.fill_(torch.nan)
    partial.lse.fill_(torch.nan)
    out = torch.full_like(qkv[:, 0], torch.nan)
    first = torch.tensor(first, dtype=torch.int32)
    decode_attention(qkv, keys, values, first, out, partial, window=window, **options)
    assert (partial.done == 0).all()
    return out, keys, values


def norm(x, gain):
    return x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt() * gain.double()


def defined(qkv, keys, values, first, window, shown=None, gains=None, owner=None, shared=None):
    """The definition in fp64."""
    keys, values, rows = keys.double(), values.double(), []
    positions = keys.shape[2]
    shown = torch.ones(positions, positions, dtype=torch.bool).tril() if shown is None else shown
    for b, known in enumerate(first):
        for i in range(window):
            q, k, v = qkv[b * window + i].double()
            if gains is not None:
                q, k = norm(q, gains[0]), norm(k, gains[1])
            p = known + i
            if p >= positions:
                rows.append(None)
                continue
            keys[b, :, p], values[b, :, p] = k, v
            ks, vs = keys[b].clone(), values[b].clone()
            if owner is not None:
                below = int(shared[b])
                ks[:, :below], vs[:, :below] = (
                    keys[owner[b], :, :below],
                    values[owner[b], :, :below],
                )
            index = shown[p].nonzero()[:, 0]
            score = (q[:, None] * ks[:, index]).sum(2) * q.shape[1] ** -0.5
            rows.append((score.softmax(1)[..., None] * vs[:, index]).sum(1))
    return rows, keys, values


def check(found, expected, first, window, tolerance=2e-6):
    rows, keys, values = expected
    for got, want in zip(found[0], rows, strict=True):
        if want is not None:
            assert (got.double() - want).abs().max() <= tolerance * want.abs().max().clamp(min=1)
    for got, want in zip(found[1:], (keys, values), strict=True):
        assert torch.equal(got.isnan(), want.isnan())  # nothing else was written
        assert (got.double() - want).nan_to_num().abs().max() <= tolerance


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("first", "window"),
    [([0], 1), ([19, 5], 1), ([0, 7], 3), ([18], 3), ([2], 16), ([126, 128, 255, 140], 4)],
    ids=str,
)
def test_rows_attend_and_are_appended(first, window) -> None:
    """At the beginning, over its end, across splits."""
    made = case(first, window, positions=20 if max(first) < 20 else 270)
    check(attended(*made, first, window), defined(*made, first, window), first, window)


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("channels", "dtype", "tolerance"),
    [(24, FP32, 2e-6), (64, torch.float16, 2e-3), (1, FP32, 2e-6)],
)
def test_head_sizes_and_halves(channels, dtype, tolerance) -> None:
    made = case([9, 3], 2, channels=channels, dtype=dtype)
    found, expected = attended(*made, [9, 3], 2), defined(*made, [9, 3], 2)
    check(found, expected, [9, 3], 2, tolerance)


@pytest.mark.interpreted
@pytest.mark.parametrize("mask", ["row", "column", "conv"])
def test_masks(mask) -> None:
    layout = {"text": 5, "grids": [(3, 5), (13, 11)], "kernel": 3}
    first, positions = [4, 18, 125, 150], 163
    shown = visible(mask, positions, **layout)
    made = case(first, 3, positions=positions)
    found = attended(*made, first, 3, visible=mask_bits(shown))
    check(found, defined(*made, first, 3, shown), first, 3)


@pytest.mark.interpreted
def test_of_a_split_that_a_mask_hides_nothing_is_read() -> None:
    """It may hold anything; and rows are appended even where they see nothing of their split."""
    positions, first = 300, [290]
    shown = torch.zeros(positions, positions, dtype=torch.bool)
    shown[290:292, 3] = True
    made = case(first, 2, positions=positions)
    for part in made[1:]:
        part[:, :, 64:256] = torch.inf
    found = attended(*made, first, 2, visible=mask_bits(shown))
    check(found, defined(*made, first, 2, shown), first, 2)


@pytest.mark.interpreted
def test_queries_and_keys_are_normalized() -> None:
    made = case([4, 0], 3)
    gains = torch.linspace(0.5, 2, 8), torch.linspace(-1, 1, 8)
    found = attended(*made, [4, 0], 3, gains=gains, eps=EPS)
    check(found, defined(*made, [4, 0], 3, gains=gains), [4, 0], 3)


@pytest.mark.interpreted
def test_a_beginning_is_read_from_its_owner() -> None:
    """Sequence 1 has the first 6 positions of sequence 0, and 2 its own 3 and none of others."""
    first, owner, shared = [6, 8, 3], [0, 0, 2], [0, 6, 0]
    made = case(first, 2)
    for part in made[1:]:
        part[1, :, :6] = torch.nan
    tensors = {"owner": torch.tensor(owner).int(), "shared": torch.tensor(shared).int()}
    found = attended(*made, first, 2, **tensors)
    check(found, defined(*made, first, 2, owner=owner, shared=shared), first, 2)


@pytest.mark.interpreted
def test_a_row_has_the_same_bits_anywhere(rows_apart) -> None:
    """One position a pass, in windows, and beside other sequences."""
    start, window, positions = 121, 16, 150
    qkv, keys, values = case([start], window, positions=positions)
    whole, keys_after, values_after = attended(qkv, keys, values, [start], window)
    for width in (1, 2, 8):
        k, v, rows = keys, values, []
        for at in range(0, window, width):
            other = torch.randn_like(qkv[:width])
            both = torch.cat([other, qkv[at : at + width]])
            k2, v2 = torch.cat([torch.randn_like(k), k]), torch.cat([torch.randn_like(v), v])
            out, k2, v2 = attended(both, k2, v2, [3, start + at], width)
            rows.append(out[width:])
            k, v = k2[1:], v2[1:]
        assert torch.equal(torch.cat(rows), whole)
        assert torch.equal(k[:, :, : start + window], keys_after[:, :, : start + window])
        assert torch.equal(v[:, :, : start + window], values_after[:, :, : start + window])


@pytest.mark.interpreted
@pytest.mark.parametrize("worst", [torch.inf, -torch.inf, torch.nan])
def test_a_guess_without_numbers_harms_none_before_it(worst) -> None:
    first, window = [5], 4
    qkv, keys, values = case(first, window)
    clean, *_ = attended(qkv, keys, values, first, window)
    broken = qkv.clone()
    broken[2, 2] = worst  # the value of the third row
    found, k, v = attended(broken, keys, values, first, window)
    assert torch.equal(found[:2], clean[:2])
    assert found[2:].isnan().all()
    later, *_ = attended(qkv[:1], k, v, [9], 1)  # it stays in the cache, and is seen there
    assert later.isnan().all()
    again, *_ = attended(qkv[2:], k, v, [7], 2)  # until another takes its place
    assert torch.equal(again, clean[2:])


@pytest.mark.parametrize("window", [0, 17])
def test_windows_have_bounds(window) -> None:
    qkv, keys, values = case([0], 1)
    partial = Partial.empty(1, 1, HEADS, 20, 8, device="cpu")
    with pytest.raises(ValueError, match=rf"window: found {window}, expected 1\.\.16"):
        decode_attention(qkv, keys, values, torch.zeros(1), qkv[:, 0], partial, window=window)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="it starts this pytest")
def test_under_the_interpreter(run_interpreted) -> None:
    run_interpreted(__file__, "interpreted")
