"""The definition of attention and of its masks in plain PyTorch: any device.

A sequence is `text` positions, then one or more grids of height x width positions in raster order
(seg, then img), and may stop anywhere. No position sees a later one. Under each mask a position
sees itself and

    causal   all positions before it
    row      in its own grid, the `width` positions before it, which reach the one right above
    column   in its own grid, the positions above it in the same column
    conv     in its own grid, the earlier positions in the kernel x kernel square around it

and under the last three also everything before its own grid: image tokens see the whole text and
the whole scene, scene tokens the whole text; text is causal. So the masks are those of DALL-E
(arXiv 2102.12092, figure 11), where everything that precedes the picture is its condition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mas_fast.ops.attention_masks import KERNEL, MASKS
from mas_fast.utils.validate import check_choice


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: str = "causal",
    text: int = 0,
    grids: Sequence[tuple[int, int]] = (),
    kernel: int = KERNEL,
) -> Tensor:
    """Defines `ops.attention`. Computed in at least fp32."""
    check_attention(q, k, v, mask, text, grids, kernel)
    wide = torch.promote_types(q.dtype, torch.float32)
    shown = visible(mask, q.shape[2], text=text, grids=grids, kernel=kernel, device=q.device)
    scores = q.to(wide) @ k.to(wide).transpose(2, 3) * q.shape[3] ** -0.5
    weights = scores.masked_fill(~shown, -math.inf).softmax(3)
    return (weights @ v.to(wide)).to(q.dtype)


def check_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: str,
    text: int,
    grids: Sequence[tuple[int, int]],
    kernel: int,
) -> None:
    """Checks the arguments of `ops.attention`.

    Raises:
        TypeError: q, k or v is no floating tensor.
        ValueError: shapes, dtypes or devices differ or are unfit, the mask is unknown, or text,
            grids or kernel do not describe the sequence.
    """
    for name, x in (("q", q), ("k", k), ("v", v)):
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{name}: found {kind}, expected a floating-point tensor")
        if x.ndim != 4 or x.shape[3] == 0:
            raise ValueError(f"{name}: found {list(x.shape)}, expected [B, H, T, D] with D >= 1")
        if (x.shape, x.dtype, x.device) != (q.shape, q.dtype, q.device):
            raise ValueError(
                f"{name}: found {list(x.shape)} {x.dtype} on {x.device}, "
                f"expected {list(q.shape)} {q.dtype} on {q.device}, like q"
            )
    check_choice("mask", mask, MASKS)
    if mask == "causal":
        return
    if not isinstance(text, int) or text < 0:
        raise ValueError(f"text: found {text!r}, expected a number of positions")
    if mask == "conv" and (not isinstance(kernel, int) or kernel < 1 or kernel % 2 == 0):
        raise ValueError(f"kernel: found {kernel!r}, expected an odd number")
    if not grids or any(len(grid) != 2 or min(grid) < 1 for grid in grids):
        raise ValueError(
            f"grids: found {list(grids)!r}, expected (height, width) of each for the mask {mask!r}"
        )
    room = text + sum(height * width for height, width in grids)
    if q.shape[2] > room:
        raise ValueError(
            f"q: found {q.shape[2]} positions, expected at most text + grids = {room} "
            f"of text={text}, grids={[tuple(grid) for grid in grids]}"
        )


def visible(
    mask: str,
    length: int,
    *,
    text: int = 0,
    grids: Sequence[tuple[int, int]] = (),
    kernel: int = KERNEL,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Lists which keys each query sees under a mask.

    Args:
        mask: one of MASKS.
        length: T.
        text: as for `ops.attention`.
        grids: as for `ops.attention`.
        kernel: as for `ops.attention`.
        device: of the result.

    Returns:
        bool [T, T], of (query, key).
    """
    earlier = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    if mask == "causal":
        return earlier
    part, index, row, column, width = layout(length, text, grids, device)

    def difference(x: Tensor) -> Tensor:
        return x[:, None] - x[None, :]

    if mask == "row":
        near = difference(index) <= width[:, None]
    elif mask == "column":
        near = difference(column) == 0
    else:
        reach = kernel // 2
        near = (difference(row) <= reach) & (difference(column).abs() <= reach)
    condition = (difference(part) > 0) | (part == 0)[:, None]
    return earlier & (condition | near)


def visiting_order(
    mask: str, length: int, text: int, grids: Sequence[tuple[int, int]]
) -> Tensor | None:
    """The order in which positions that see each other lie together.

    Returns:
        int64 [T] for "column": text as it is, then each grid column by column. None for the other
        masks, which take positions as they are.
    """
    if mask != "column":
        return None
    part, _, row, column, _ = layout(length, text, grids, "cpu")
    key = torch.where(part > 0, column * length + row, torch.arange(length))
    return (part * length**2 + key).argsort()


def layout(
    length: int, text: int, grids: Sequence[tuple[int, int]], device: torch.device | str
) -> tuple[Tensor, ...]:
    """Describes every position of a sequence.

    Returns:
        int64 [T] each: its part (0 text, 1 the first grid, ...), its index in the part, its row and
        column in the grid, and the width of the grid.
    """
    shapes = [(1, text), *grids]
    columns = []
    for part, (height, width) in enumerate(shapes):
        index = torch.arange(height * width, device=device)
        row = torch.div(index, max(width, 1), rounding_mode="floor")
        parts, widths = torch.full_like(index, part), torch.full_like(index, width)
        columns.append(torch.stack([parts, index, row, index - row * width, widths]))
    return tuple(torch.cat(columns, 1)[:, :length])
