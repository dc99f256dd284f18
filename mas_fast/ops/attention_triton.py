"""The operators of fused attention, mas_fast::attention_forward and mas_fast::attention_backward,
with what torch.compile, DTensor and autograd need to know of them. Call `ops.attention`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from mas_fast.kernels import tiles
from mas_fast.ops.reference.attention import visible, visiting_order


@functools.lru_cache(maxsize=64)
def pattern(
    mask: str, length: int, text: int, grids: tuple[int, ...], kernel: int
) -> tiles.Pattern | None:
    """The mask in the form that the kernels take.

    Args:
        grids: height, width, height, width, ...

    Returns:
        None for the causal mask, which the kernels know.
    """
    if mask == "causal":
        return None
    pairs = list(zip(grids[::2], grids[1::2], strict=True))
    seen = visible(mask, length, text=text, grids=pairs, kernel=kernel)
    return tiles.Pattern(seen, visiting_order(mask, length, text, pairs))


@functools.lru_cache(maxsize=64)
def _calls(*mask: object) -> set:
    """The calls under a mask so far, as `shown` notes them."""
    return set()


def shown(
    name: str, q: Tensor, mask: str, text: int, grids: Sequence[int], kernel: int
) -> tiles.Pattern | None:
    """The pattern for a call.

    Args:
        name: of the operator.
        q: its queries.

    Raises:
        RuntimeError: the call is captured into a CUDA graph, and is the first of its kind, which
            copies the table of the mask to the GPU.
    """
    arguments = mask, q.shape[2], text, tuple(grids), kernel
    found = pattern(*arguments)
    if found is None or q.device.type != "cuda":
        return found
    calls, call = _calls(*arguments), (name, q.device, q.dtype, q.shape[3])
    if torch.cuda.is_current_stream_capturing() and call not in calls:
        raise RuntimeError(
            f"{name}: found the first call under the mask {mask!r} within the capture of a CUDA "
            "graph, expected one before, which copies the table of the mask to the GPU"
        )
    calls.add(call)
    return found


@torch.library.custom_op("mas_fast::attention_forward", mutates_args=())
def forward(
    q: Tensor, k: Tensor, v: Tensor, mask: str, text: int, grids: list[int], kernel: int
) -> tuple[Tensor, Tensor]:
    from mas_fast.kernels import attention

    return attention.forward(q, k, v, shown("attention_forward", q, mask, text, grids, kernel))


@torch.library.custom_op("mas_fast::attention_backward", mutates_args=())
def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    do: Tensor,
    mask: str,
    text: int,
    grids: list[int],
    kernel: int,
) -> tuple[Tensor, Tensor, Tensor]:
    from mas_fast.kernels import attention

    found = shown("attention_backward", q, mask, text, grids, kernel)
    return attention.backward(q, k, v, o, lse, do, found)


@forward.register_fake
def _forward_fake(q, k, v, mask, text, grids, kernel):
    lse = q.new_empty(tiles.padded_shape(*q.shape[:3]), dtype=torch.float32)
    return _empty_rows(q), lse


@backward.register_fake
def _backward_fake(q, k, v, o, lse, do, mask, text, grids, kernel):
    return _empty_rows(q), _empty_rows(q), _empty_rows(q)


def _empty_rows(like: Tensor) -> Tensor:
    batch, heads, length, channels = like.shape
    return like.new_empty(batch, length, heads, channels).transpose(1, 2)


def _save(ctx, inputs, output) -> None:
    q, k, v, *ctx.mask = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(q, k, v, *output)


def _gradients(ctx, do, _):
    return *backward(*ctx.saved_tensors, do, *ctx.mask), None, None, None, None


forward.register_autograd(_gradients, setup_context=_save)
