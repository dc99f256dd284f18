"""The nearest code, distance and argmin fused, and the sums of the rows of each code.

`nearest` multiplies in fp16 on tensor cores whatever the inputs are. Every row and the whole
codebook are first divided by powers of two, so that neither overflows; a product of bf16 or fp16
inputs then is the product of their values, and one of fp32 inputs has an error that is measured:
with x = X + R and c = C + r, where X and C are fp16,

    |x . c - X . C| <= |X| |r| + |R| |c|

so each score |c|^2 / 2 - x . c is known within a bound. The fast mode returns the least score. The
exact mode also keeps the second least of each row: where the two are further apart than twice the
bound, the first is the nearest code. The other rows (one in twenty for normal fp32 data of 256
channels) are multiplied again, now to list their codes within the bound; of those the fp64
distances of mas_fast/ops/reference/vq.py are computed, bit for bit, and the least chosen.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
import triton.language as tl
from torch import Tensor

from .vq_pack import pack_codes, pack_rows

CANDIDATES = 4  # per row, on average, that the list has room for
PROGRAMS = tl.constexpr(256)  # that fill a GPU, each with products
THREADS = 2048  # programs that do, with a distance a thread
LARGEST, LOWER = tl.constexpr(2**63 - 1), tl.constexpr(2**32 - 1)
WHOLE, CHUNK = 256, 64  # up to 256 channels are one product; more are products of 64


def nearest(x: Tensor, codebook: Tensor, *, exact: bool = True) -> Tensor:
    """The nearest code of each row. The host waits for nothing.

    Besides the packed codebook it needs 2 D + 8 bytes per row, and 80 more if it is exact.

    Args:
        x: [N, D].
        codebook: [K, D].
        exact: whether the nearest code is that of the definition, bit for bit.

    Returns:
        int64 [N]: -1 for a row with a value that is not finite, and for all if a code has one.
    """
    rows, channels = x.shape
    best = torch.empty(rows, dtype=torch.int64, device=x.device)
    if rows == 0:
        return best
    tile = launch.tile("nearest", launch.capability(x))
    block_d = CHUNK if channels > WHOLE else max(16, triton.next_power_of_2(channels))
    sizes = {"CHUNKS": triton.cdiv(channels, block_d), "BLOCK_D": block_d}
    with launch.guard(x):
        codes, half_square, norms, largest = pack_codes(codebook, tile.columns, sizes)
        packed, ratio, bound = pack_rows(x, norms, largest, sizes)
        operands = (packed, ratio, codes, half_square)
        limit, least = (
            torch.empty(rows if exact else 0, dtype=dtype, device=x.device)
            for dtype in (torch.float32, torch.int64)
        )
        open_rows = torch.empty(len(limit), dtype=torch.int32, device=x.device)
        totals = torch.zeros(2, dtype=torch.int32, device=x.device)  # open rows, listed pairs
        nearest_kernel[(triton.cdiv(rows, tile.rows),)](
            *operands, bound, best, limit, least, open_rows, totals, rows=rows, padded=len(codes),
            EXACT=exact, BLOCK_N=tile.rows, BLOCK_K=tile.columns, **sizes, **tile.options,
        )  # fmt: skip
        if exact:
            settle(x, codebook, operands, limit, least, open_rows, totals, best, sizes)
    return best


def settle(
    x: Tensor,
    codebook: Tensor,
    operands: tuple[Tensor, ...],
    limit: Tensor,
    least: Tensor,
    open_rows: Tensor,
    totals: Tensor,
    best: Tensor,
    sizes: dict[str, int],
) -> None:
    """Decides open rows in fp64. Their candidates, two or three per row, are listed first, so that
    a distance is one thread's work; if the list has no room for all of them, as with a codebook of
    equal codes, blocks of distances are computed instead. How many rows and candidates there are is
    known on the device alone, so every kernel is started, and those that have nothing to do end."""
    (rows, channels), codes, capability = x.shape, operands[2], launch.capability(x)
    counts = {"count": len(codebook), "padded": len(codes)}
    strides = {"stride_n": x.stride(0), "stride_d": x.stride(1)}
    strides |= {"stride_k": codebook.stride(0), "stride_c": codebook.stride(1)}
    capacity = CANDIDATES * rows + 1024
    # Rows in the upper halves, codes in the lower ones; and their distances.
    pairs, distances = torch.empty(2, capacity, dtype=torch.int64, device=x.device)
    tile = launch.tile("nearest_list", capability)
    blocks, tiles = triton.cdiv(rows, tile.rows), len(codes) // tile.columns
    list_kernel[(min(blocks + PROGRAMS.value, blocks * tiles),)](
        *operands, open_rows, totals, limit, pairs, **counts, capacity=capacity,
        BLOCK_N=tile.rows, BLOCK_K=tile.columns, **sizes, **tile.options,
    )  # fmt: skip
    tile = launch.tile("vq_rescore", capability)
    rescore_kernel[(min(PROGRAMS.value, triton.cdiv(rows, tile.rows)),)](
        *operands, x, codebook, open_rows, totals, limit, best, channels=channels,
        count=len(codebook), capacity=capacity, **strides,
        BLOCK_N=tile.rows, BLOCK_K=tile.columns, **sizes, enable_fp_fusion=False, **tile.options,
    )  # fmt: skip
    tile = launch.tile("vq_pairs", capability)
    grid = (min(THREADS, triton.cdiv(capacity, tile.rows)),)
    distance_kernel[grid](
        x, codebook, totals, pairs, distances, least, capacity=capacity, channels=channels,
        **strides, BLOCK_N=tile.rows, enable_fp_fusion=False, **tile.options,
    )  # fmt: skip
    choose_kernel[grid](
        totals, pairs, distances, least, best, capacity=capacity, BLOCK_N=tile.rows, **tile.options,
    )  # fmt: skip


def statistics(x: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """The number of rows with each code, fp32 [K], and the sum of those rows, fp32 [K, D].

    Args:
        x: [N, D], copied if its channels are not adjacent in memory: the kernel reads whole rows.
        codes: int64 [N]. A row whose code is not in 0..codebook_size - 1 counts for nothing.
    """
    channels = x.shape[1]
    x = x if x.stride(1) == 1 else x.contiguous()
    sums = torch.empty(codebook_size, channels, dtype=torch.float32, device=x.device)
    found, order = codes.sort(stable=True)
    edges = torch.searchsorted(found, torch.arange(codebook_size + 1, device=x.device))
    tile = launch.tile("vq_statistics", launch.capability(x))
    if channels:
        with launch.guard(x):
            statistics_kernel[(codebook_size, triton.cdiv(channels, tile.columns))](
                x, order, edges, sums, channels=channels, stride_n=x.stride(0),
                BLOCK_N=tile.rows, BLOCK_D=tile.columns, **tile.options,
            )  # fmt: skip
    return edges.diff().float(), sums


@triton.jit
def load_rows(
    packed, n, known, chunk, CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr
):
    """fp16 [BLOCK_N, BLOCK_D]: a chunk of packed rows n, zeros where they are not known."""
    d = chunk * BLOCK_D + tl.arange(0, BLOCK_D)
    return tl.load(packed + n[:, None] * (CHUNKS * BLOCK_D) + d, mask=known[:, None], other=0.0)


@triton.jit
def scores(
    packed, n, known, rows, ratio, codes, half_square, start,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """fp32 [BLOCK_N, BLOCK_K]: |c|^2 / 2 - x . c of codes start, start + 1, ..., in units of each
    row. `rows` is the first chunk of rows n, loaded before the loop over codes: a load in it would
    be copied to shared memory again at every turn, 64 KB."""
    k = start + tl.arange(0, BLOCK_K)
    d = tl.arange(0, BLOCK_D)
    code = codes + k[None, :].to(tl.int64) * (CHUNKS * BLOCK_D) + d[:, None]  # [BLOCK_D, BLOCK_K]
    halves = tl.load(half_square + k)  # [BLOCK_K]; on its way while the tensor cores work
    if CHUNKS == 1:
        dot = tl.dot(rows, tl.load(code))  # [BLOCK_N, BLOCK_K]
    else:
        dot = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
        for chunk in range(CHUNKS):
            part = load_rows(packed, n, known, chunk, CHUNKS, BLOCK_N, BLOCK_D)
            dot = tl.dot(part, tl.load(code + chunk * BLOCK_D), dot)
    return ratio[:, None] * halves[None, :] - dot


@triton.jit
def nearest_kernel(
    packed, ratio, codes, half_square, bound, best, limit, least_bits, open_rows, totals, rows,
    padded,
    EXACT: tl.constexpr, CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    known = n < rows
    row_ratio = tl.load(ratio + n, mask=known, other=1.0)  # [BLOCK_N]
    row_tile = load_rows(packed, n, known, 0, CHUNKS, BLOCK_N, BLOCK_D)  # [BLOCK_N, BLOCK_D]
    least = tl.full((BLOCK_N,), float("inf"), tl.float32)
    second = tl.full((BLOCK_N,), float("inf"), tl.float32)
    index = tl.zeros((BLOCK_N,), tl.int32)
    column = tl.arange(0, BLOCK_K)
    for start in range(0, padded, BLOCK_K):
        score = scores(
            packed, n, known, row_tile, row_ratio, codes, half_square, start,
            CHUNKS, BLOCK_N, BLOCK_K, BLOCK_D,
        )  # fmt: skip
        # Which of equal codes is found does not matter: in exact mode such a row stays open.
        low, argmin = tl.min(score, 1, return_indices=True, return_indices_tie_break_left=False)
        if EXACT:
            others = tl.where(column[None, :] == argmin[:, None], float("inf"), score)
            second = tl.minimum(second, tl.minimum(tl.min(others, 1), tl.maximum(least, low)))
        index = tl.where(low < least, start + argmin, index)
        least = tl.minimum(least, low)
    row_bound = tl.load(bound + n, mask=known, other=0.0)
    finite = row_bound < float("inf")
    code = tl.where(finite, index, -1).to(tl.int64)
    if EXACT:  # what is above twice the bound (and room for this line's own rounding) is not near
        reach = least + 2.5 * row_bound
        is_open = known & finite & (second <= reach)
        tl.store(limit + n, reach, mask=is_open)
        tl.store(least_bits + n, tl.full((BLOCK_N,), LARGEST, tl.int64), mask=is_open)
        at = tl.atomic_add(totals + tl.zeros_like(index), 1, mask=is_open, sem="relaxed")
        tl.store(open_rows + at, n.to(tl.int32), mask=is_open)
        code = tl.where(is_open, LARGEST, code)
    tl.store(best + n, code, mask=known)


@triton.jit
def list_kernel(
    packed, ratio, codes, half_square, open_rows, totals, limit, pairs, count, padded, capacity,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Lists the codes within the limit of each open row, in any order, until there is no more room:
    then the second total is above the capacity. A program takes a block of rows, and as few codes
    as keep PROGRAMS busy."""
    rows = tl.load(totals)
    blocks, tiles = tl.cdiv(rows, BLOCK_N), padded // BLOCK_K
    parts = tl.minimum(tl.cdiv(PROGRAMS, tl.maximum(blocks, 1)), tiles)
    span = tl.cdiv(tiles, parts) * BLOCK_K
    block, first = tl.program_id(0) // parts, (tl.program_id(0) % parts) * span
    if block >= blocks:
        return
    slot = block * BLOCK_N + tl.arange(0, BLOCK_N)
    known = slot < rows
    n = tl.load(open_rows + slot, mask=known, other=0).to(tl.int64)
    reach = tl.load(limit + n, mask=known, other=float("-inf"))
    row_ratio = tl.load(ratio + n, mask=known, other=1.0)  # [BLOCK_N]
    row_tile = load_rows(packed, n, known, 0, CHUNKS, BLOCK_N, BLOCK_D)  # [BLOCK_N, BLOCK_D]
    for start in range(first, tl.minimum(first + span, padded), BLOCK_K):
        score = scores(
            packed, n, known, row_tile, row_ratio, codes, half_square, start,
            CHUNKS, BLOCK_N, BLOCK_K, BLOCK_D,
        )  # fmt: skip
        k = start + tl.arange(0, BLOCK_K)
        near = known[:, None] & (k < count)[None, :] & (score <= reach[:, None])
        # Without a look at the total, N x K equal distances would count beyond 31 bits.
        if tl.max(near.to(tl.int32)) > 0 and tl.load(totals + 1, volatile=True) <= capacity:
            total = totals + tl.full((BLOCK_N, BLOCK_K), 1, tl.int32)
            at = tl.atomic_add(total, 1, mask=near, sem="relaxed")
            tl.store(pairs + at, (n << 32)[:, None] + k[None, :], mask=near & (at < capacity))


@triton.jit
def listed(totals, capacity):
    """How many pairs there are; 0 if the list had no room for all."""
    count = tl.load(totals + 1)
    return tl.where(count > capacity, 0, count)


@triton.jit
def distance_kernel(
    x, codebook, totals, pairs, distances, least, capacity, channels,
    stride_n, stride_d, stride_k, stride_c, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """The fp64 distance of each pair, as an integer of the same order, and the least of a row."""
    count = listed(totals, capacity)
    for start in range(tl.program_id(0) * BLOCK_N, count, tl.num_programs(0) * BLOCK_N):
        pair = start + tl.arange(0, BLOCK_N)
        known = pair < count
        both = tl.load(pairs + pair, mask=known, other=0)
        n, k = both >> 32, both & LOWER
        row, code = x + n * stride_n, codebook + k * stride_k
        distance = tl.zeros((BLOCK_N,), tl.float64)
        for d in range(channels):
            a = tl.load(row + d * stride_d, mask=known, other=0.0).to(tl.float32).to(tl.float64)
            b = tl.load(code + d * stride_c, mask=known, other=0.0).to(tl.float32).to(tl.float64)
            difference = a - b
            distance += difference * difference
        bits = distance.to(tl.int64, bitcast=True)  # no distance is negative
        tl.store(distances + pair, bits, mask=known)
        tl.atomic_min(least + n, bits, mask=known, sem="relaxed")


@triton.jit
def choose_kernel(
    totals, pairs, distances, least, best, capacity, BLOCK_N: tl.constexpr
):  # fmt: skip
    """The lowest id of the codes at the least distance of each row."""
    count = listed(totals, capacity)
    for start in range(tl.program_id(0) * BLOCK_N, count, tl.num_programs(0) * BLOCK_N):
        pair = start + tl.arange(0, BLOCK_N)
        known = pair < count
        both = tl.load(pairs + pair, mask=known, other=0)
        n, k = both >> 32, both & LOWER
        distance = tl.load(distances + pair, mask=known, other=0)
        wanted = known & (distance == tl.load(least + n, mask=known, other=-1))
        tl.atomic_min(best + n, k, mask=wanted, sem="relaxed")


@triton.jit
def rescore_kernel(
    packed, ratio, codes, half_square, x, codebook, open_rows, totals, limit, best, channels, count,
    capacity, stride_n, stride_d, stride_k, stride_c,
    CHUNKS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Where the list had no room: fp64 distances of every block with a code within the limit."""
    rows = tl.where(tl.load(totals + 1) > capacity, tl.load(totals), 0)
    for block in range(tl.program_id(0), tl.cdiv(rows, BLOCK_N), tl.num_programs(0)):
        slot = block * BLOCK_N + tl.arange(0, BLOCK_N)
        known = slot < rows
        n = tl.load(open_rows + slot, mask=known, other=0).to(tl.int64)
        reach = tl.load(limit + n, mask=known, other=float("-inf"))
        row_ratio = tl.load(ratio + n, mask=known, other=1.0)  # [BLOCK_N]
        row_tile = load_rows(packed, n, known, 0, CHUNKS, BLOCK_N, BLOCK_D)  # [BLOCK_N, BLOCK_D]
        least = tl.full((BLOCK_N,), float("inf"), tl.float64)
        index = tl.zeros((BLOCK_N,), tl.int32)
        for start in range(0, count, BLOCK_K):
            score = scores(
                packed, n, known, row_tile, row_ratio, codes, half_square, start,
                CHUNKS, BLOCK_N, BLOCK_K, BLOCK_D,
            )  # fmt: skip
            k = start + tl.arange(0, BLOCK_K).to(tl.int64)
            near = known[:, None] & (k < count)[None, :] & (score <= reach[:, None])
            if tl.max(near.to(tl.int32)) > 0:
                distance = tl.zeros((BLOCK_N, BLOCK_K), tl.float64)
                for d in range(channels):
                    a = tl.load(x + n * stride_n + d * stride_d, mask=known, other=0.0)
                    b = tl.load(codebook + k * stride_k + d * stride_c, mask=k < count, other=0.0)
                    a, b = a.to(tl.float32).to(tl.float64), b.to(tl.float32).to(tl.float64)
                    difference = a[:, None] - b[None, :]
                    distance += difference * difference
                distance = tl.where(near, distance, float("inf"))
                low, argmin = tl.min(distance, 1, return_indices=True)
                index = tl.where(low < least, start + argmin, index)
                least = tl.minimum(least, low)
        tl.store(best + n, index.to(tl.int64), mask=known)


@triton.jit
def statistics_kernel(
    x, order, edges, sums, channels, stride_n,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    code = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    end = tl.load(edges + code + 1)
    total = tl.zeros((BLOCK_D,), tl.float64)
    for start in range(tl.load(edges + code), end, BLOCK_N):
        slot = start + tl.arange(0, BLOCK_N)
        n = tl.load(order + slot, mask=slot < end, other=0)
        at = x + n[:, None] * stride_n + d[None, :]
        inside = (slot < end)[:, None] & (d < channels)[None, :]
        total += tl.sum(tl.load(at, mask=inside, other=0.0).to(tl.float64), 0)
    tl.store(sums + code * channels + d, total.to(tl.float32), mask=d < channels)
