"""Fused attention, forward and backward: causal, or any pattern of tiles.

Launches the kernels of attention_kernels.py on tensors, and chooses how they run.
"""

from __future__ import annotations

from . import launch  # isort: skip  (pins Triton's settings before it is imported)

import torch
import triton
from torch import Tensor

from . import tiles
from .attention_kernels import forward_kernel, key_kernel, query_kernel
from .tiles import Pattern


def forward(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern | None) -> tuple[Tensor, Tensor]:
    """Attention and what its backward pass needs.

    Args:
        q, k, v: [B, H, T, D], D <= 128.
        pattern: what each query sees; None is causal.

    Returns:
        o [B, H, T, D], in memory [B, T, H, D], and lse, fp32 [B, H, T']: log2 of the sum of each
        row, laid out as `per_row` says.
    """
    q, k, v = map(unit_stride, (q, k, v))
    o = empty_rows(q)
    shape, rows = tiles.padded_shape(*q.shape[:3]), tile_of("forward", q, pattern).rows
    # What no tile covers is never read, but equal input shall give equal output there too.
    covered = triton.cdiv(q.shape[2], rows) * rows == shape[2]
    lse = (torch.empty if covered else torch.zeros)(shape, dtype=torch.float32, device=q.device)
    if q.numel():
        with launch.guard(q):
            run(forward_kernel, "forward", pattern, {"q": q, "k": k, "v": v, "o": o}, lse=lse)
    return o, lse


def backward(
    q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, do: Tensor, pattern: Pattern | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `forward`.

    Args:
        q, k, v, pattern: what `forward` was given.
        o, lse: what it returned.
        do: the gradient of o, [B, H, T, D].

    Returns:
        dq, dk, dv [B, H, T, D], in memory [B, T, H, D].
    """
    q, k, v, o, do = map(unit_stride, (q, k, v, o, do))
    dq, dk, dv = (empty_rows(q) for _ in range(3))
    pairs = lse.new_empty(*lse.shape, 2)
    if q.numel():
        with launch.guard(q):
            shared = {"q": q, "k": k, "v": v, "do": do}
            queries = shared | {"o": o, "dq": dq}
            run(query_kernel, "queries", pattern, queries, lse=lse, lse_delta=pairs)
            run(key_kernel, "keys", pattern, shared | {"dk": dk, "dv": dv}, lse_delta=pairs)
    return dq, dk, dv


def run(
    kernel, name: str, pattern: Pattern | None, tensors: dict[str, Tensor], **per_row: Tensor
) -> None:
    """Launches a kernel.

    Args:
        kernel: one of the three of attention_kernels.py.
        name: of its tile, see `tile_of`.
        pattern: what each query sees; None is causal.
        tensors: [B, H, T, D] with unit last stride, by the name of the kernel's argument.
        per_row: fp32 [B, H, T'] or [B, H, T', 2], likewise.
    """
    q = tensors["q"]
    batch, heads, length, channels = q.shape
    tile = tile_of(name, q, pattern)
    by_key = name == "keys"
    block = tile.columns if by_key else tile.rows  # of queries: the last one ends with the sequence
    first = length - triton.cdiv(length, block) * block
    table: tuple[Tensor | None, ...] = (None,) * 4
    if pattern is not None:
        table = pattern.on(
            q.device, rows=tile.rows, columns=tile.columns, first=first, by_key=by_key
        )
    order, starts, entries, bits = table
    strides = {
        f"{x}_{axis}": stride
        for x, tensor in tensors.items()
        for axis, stride in zip("bht", tensor.stride()[:3], strict=True)
    }
    kernel[(batch * heads * triton.cdiv(length, tile.rows),)](
        **tensors, **per_row, **strides, order=order, starts=starts, entries=entries, bits=bits,
        first=first, length=length, heads=heads, scale=channels**-0.5,
        D=channels, BLOCK_D=max(16, triton.next_power_of_2(channels)),
        ROWS=tile.rows, COLUMNS=tile.columns, BIAS=bias(launch.capability(q)), **tile.options,
    )  # fmt: skip


def tile_of(name: str, q: Tensor, pattern: Pattern | None) -> launch.Tile:
    """The tile of a kernel. Under a pattern it is smaller, so that more tiles can be skipped."""
    kind = "" if pattern is None else "_pattern"
    if q.shape[3] > 64:
        kind = "_128"
    if q.element_size() > 2:
        kind = "_fp32"
    return launch.tile(f"attention_{name}{kind}", launch.capability(q))


def bias(capability: int) -> bool:
    """Whether `scores` starts from what hides: where tensor cores are fed from registers."""
    return capability // 10 not in (9, 10)


def unit_stride(x: Tensor) -> Tensor:
    """x, copied if its channels are not adjacent in memory, or if its positions are so far apart
    that offsets within a head do not fit 32 bits."""
    fits = x.stride(-1) == 1 and x.shape[2] * x.stride(2) < 1 << 31
    return x if fits else x.contiguous()


def empty_rows(like: Tensor) -> Tensor:
    """[B, H, T, D], in memory [B, T, H, D], as the projection that follows reads it."""
    batch, heads, length, channels = like.shape
    return like.new_empty(batch, length, heads, channels).transpose(1, 2)
