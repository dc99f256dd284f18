"""The cross-entropy of many streams in chunks, a torch operator. Call `ops.stream_cross_entropy`.

A chunk is some rows of one stream. One matrix product writes its logits into a buffer, where their
gradient replaces them; from that, two more products form the gradient of the hidden states and a
part of the gradient of the head. So the forward pass leaves the finished gradients, no logits
outlive a chunk, and the products are those of the plain formula, 6 N V D operations in all.

The reasons, for 36,864 tokens of mini-270m in bf16 (2.2 TFLOP; 3.3 ms at 650 TFLOP/s): a kernel
that stores no logits must form them again, 8 to 10 N V D, and the gradient of 128 rows of width
1024 does not fit into the registers of a multiprocessor. Besides its products, a chunk costs a read
and a write of the sum of the head's gradient: at V = 16384 and 24 bits per value 100 MB, or 23 us
at 4.3 TB/s, while the products of 768 rows take 119 us. So chunks must not be small; to save
memory, they must not be large either. 28 MiB are 768 rows (six tiles of 128, which leave 3% of the
last wave of 132 multiprocessors empty). With 8 bits per value beside the gradient that is 44 MB,
1.8% of the 2.49 GB of bf16 logits over one vocabulary of 33,792.

Hundreds of launches can cost a CPU more than those 3.3 ms, so there are five a chunk: the buffer of
its hidden states takes their gradient when they are needed no more, and one kernel stores that
where it belongs and loads the next states. Targets and losses are counted once a stream.

A loss scale arrives when the gradients are already formed, so in fp16 they must not need one:
logits become their gradient times a power of two that brings its largest near 1 (less if so many
rows add up that a sum could overflow), and what is kept for the backward pass is fp32.
"""

from __future__ import annotations

import collections
import math
import types
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mas_fast.ops.dispatch import check_products
from mas_fast.ops.reference.cross_entropy import check_targets

NOTHING = -(1 << 63)  # stands for no ignored id: no target is that low
# The logits, hidden states and gradients of a chunk, by kind of device.
CHUNK_BYTES = collections.defaultdict(lambda: 64 << 20, cuda=28 << 20)
SLICE = 64  # rows of logits that stay in a CPU's cache


def run(
    hidden: Tensor,
    heads: Sequence[Tensor],
    targets: Tensor,
    lengths: Sequence[int],
    *,
    weights: Sequence[float],
    ignored: Sequence[int | None],
    use_triton: bool,
) -> tuple[Tensor, Tensor]:
    """`ops.stream_cross_entropy` for arguments already checked.

    Args:
        use_triton: form the gradients with kernels/cross_entropy.py.

    Raises:
        ValueError: Triton does not take the dtype of the products.
    """
    device = hidden.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else hidden.dtype
    if use_triton:
        check_products("hidden", dtype)
        if dtype == torch.float64:
            raise ValueError(
                "hidden: found torch.float64, expected at most 32 bits for impl='triton'; "
                "impl='chunked' takes it"
            )
    loss, losses, *_ = stream_cross_entropy(
        hidden=hidden,
        heads=list(heads),
        targets=targets,
        lengths=list(lengths),
        weights=weights,
        ignored=[NOTHING if i is None else i for i in ignored],
        dtype=dtype,
        wanted=[torch.is_grad_enabled() and x.requires_grad for x in (hidden, *heads)],
        triton=use_triton,
    )
    return loss, losses


@torch.library.custom_op("mas_fast::stream_cross_entropy", mutates_args=())
def stream_cross_entropy(
    hidden: Tensor,
    heads: Sequence[Tensor],
    targets: Tensor,
    lengths: Sequence[int],
    weights: Sequence[float],
    ignored: Sequence[int],
    dtype: torch.dtype,
    wanted: Sequence[bool],
    triton: bool,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """The operator; `ops.stream_cross_entropy` describes the other arguments.

    Args:
        ignored: with NOTHING for a stream that ignores no id.
        dtype: of the products.
        wanted: whether to form the gradient of hidden, and of each head.
        triton: whether to form the gradients with kernels/cross_entropy.py.

    Returns:
        The loss, the loss of each stream, the gradient of hidden and that of each head. Gradients
        of fp16 tensors are fp32; those not wanted have no elements.
    """
    known = [None if i == NOTHING else i for i in ignored]
    check_targets(targets, [len(head) for head in heads], lengths, known)
    with torch.autocast(hidden.device.type, enabled=False):
        return _forward(
            hidden, heads, targets, lengths, weights, ignored, dtype, wanted, _kernels(triton)
        )


@stream_cross_entropy.register_fake
def _(hidden, heads, targets, lengths, weights, ignored, dtype, wanted, triton):
    precise = _precise(dtype)
    return (
        hidden.new_empty((), dtype=precise),
        hidden.new_empty(len(heads), dtype=precise),
        _gradient(hidden, wanted[0]),
        [_gradient(head, want) for head, want in zip(heads, wanted[1:], strict=True)],
    )


def _setup_context(ctx, inputs, output) -> None:
    _, losses, d_hidden, d_heads = output
    ctx.dtypes = [tensor.dtype for tensor in (inputs[0], *inputs[1])]
    ctx.mark_non_differentiable(losses, d_hidden, *d_heads)
    ctx.set_materialize_grads(False)  # they would be zeros as large as the gradients
    ctx.save_for_backward(d_hidden, *d_heads)
    ctx.wanted, ctx.used = inputs[-2], False


def _backward(ctx, d_loss, *_):
    if torch.is_grad_enabled():
        raise RuntimeError(
            "stream_cross_entropy has no second derivative (backward was called with "
            'create_graph=True); impl="reference" has one'
        )
    if ctx.used:
        raise RuntimeError(
            "stream_cross_entropy gave its gradients to an earlier backward pass and kept no copy "
            '(backward was called with retain_graph=True); impl="reference" can be asked again'
        )
    ctx.used = True
    # In place, to save memory. Tracers have tensors of another type, and plan memory themselves.
    scale = torch.Tensor.mul_ if type(d_loss) is torch.Tensor else torch.mul
    d_hidden, *d_heads = (
        scale(saved, d_loss).to(dtype) if want and d_loss is not None else None
        for saved, want, dtype in zip(ctx.saved_tensors, ctx.wanted, ctx.dtypes, strict=True)
    )
    return (d_hidden, d_heads, *[None] * 7)


stream_cross_entropy.register_autograd(_backward, setup_context=_setup_context)


def _forward(
    hidden: Tensor,
    heads: Sequence[Tensor],
    targets: Tensor,
    lengths: Sequence[int],
    weights: Sequence[float],
    ignored: Sequence[int],
    dtype: torch.dtype,
    wanted: Sequence[bool],
    kernels: types.ModuleType | type[_Torch],
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    batch, _, width = hidden.shape
    device, precise = hidden.device.type, _precise(dtype)
    d_hidden = _gradient(hidden, wanted[0])
    d_heads = [_gradient(head, want) for head, want in zip(heads, wanted[1:], strict=True)]
    counts, scales = _counts_and_scales(targets, lengths, weights, ignored)
    factors = scales.to(precise)
    nats = targets.new_empty(targets.shape, dtype=precise)
    stop = 0
    for i, (head, d_head, length) in enumerate(zip(heads, d_heads, lengths, strict=True)):
        start, stop, vocab = stop, stop + length, len(head)
        rows = max(1, CHUNK_BYTES[device] // (dtype.itemsize * (vocab + width)))
        chunks = list(_chunks(batch, start, stop, rows))
        rows = min(rows, batch * length)
        weight = head.to(dtype).contiguous()
        logits = head.new_empty(rows, vocab, dtype=dtype)
        states = hidden.new_empty(rows, width, dtype=dtype)
        scale, unit = factors[i], None
        if dtype == torch.float16:
            scale, unit = _unit(scale, rows)
        scratch = kernels.new_scratch(d_head) if wanted[1 + i] and len(chunks) > 1 else None
        if not chunks:
            d_head.zero_()
        formed = None  # where the gradient belongs that is in `states`
        for number, (b, t) in enumerate(chunks):
            kernels.exchange(states, formed, hidden[b, t], unit)
            x, g = (buffer[: targets[b, t].numel()] for buffer in (states, logits))
            torch.mm(x, weight.T, out=g)
            kernels.softmax_gradient(
                g, targets[b, t], scale, ignored[i], nats[b, t], gradient=any(wanted)
            )
            if wanted[1 + i]:
                first, last = number == 0, number == len(chunks) - 1
                if d_head.dtype == dtype and (dtype.itemsize > 2 or scratch is None):
                    torch.addmm(d_head, g.T, x, beta=0 if first else 1, out=d_head)
                else:
                    kernels.add_weight_gradient(d_head, scratch, g, x, first, last)
            if wanted[0]:
                torch.mm(g, weight, out=x)
                formed = d_hidden[b, t]
        if formed is not None:
            kernels.exchange(states, formed, None, unit)
        if unit is not None and wanted[1 + i]:
            d_head.mul_(unit)
    sums = torch.empty_like(counts)
    for i, part in enumerate(nats.split(lengths, 1)):
        torch.sum(part, dim=(0, 1), dtype=torch.float64, out=sums[i])
    loss, losses = torch.dot(sums, scales), sums / counts
    return loss.to(precise), losses.to(precise), d_hidden, d_heads


def _counts_and_scales(
    targets: Tensor, lengths: Sequence[int], weights: Sequence[float], ignored: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """How many targets of each stream count, at least 1, and the weight that each of them has in
    the loss, both fp64 [streams]."""
    counts = targets.new_empty(len(lengths), dtype=torch.float64)
    scales = torch.empty_like(counts)
    for i, part in enumerate(targets.split(lengths, 1)):
        scales[i].fill_(weights[i] / sum(weights))
        if ignored[i] == NOTHING:
            counts[i].fill_(part.numel())
        else:
            torch.sum(part.long() != ignored[i], dim=(0, 1), dtype=torch.float64, out=counts[i])
    counts.clamp_(min=1)
    return counts, scales.div_(counts)


def _chunks(batch: int, start: int, stop: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Sequences and positions of chunks of at most `rows` rows: whole sequences or part of one."""
    if start == stop:
        return
    together = max(1, rows // (stop - start))
    for b in range(0, batch, together):
        for t in range(start, stop, rows):
            yield slice(b, b + together), slice(t, min(t + rows, stop))


def _unit(scale: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Factors (a, b) of scale >= 0, where b is a power of two and a is at most 1, so that a sum of
    `rows` of them stays far below the largest fp16 number, 65504."""
    a, exponent = torch.frexp(scale)
    most = min(1.0, 2.0 ** (10 - math.ceil(math.log2(max(1, rows)))))
    return a * most, torch.ldexp(torch.ones_like(scale), exponent) / most


def _gradient(tensor: Tensor, wanted: bool) -> Tensor:
    """Room for the gradient of a tensor, in fp32 if that is fp16: no loss scale has reached it."""
    dtype = torch.float32 if tensor.dtype == torch.float16 else tensor.dtype
    return tensor.new_empty(tensor.shape if wanted else 0, dtype=dtype)


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _kernels(triton: bool) -> types.ModuleType | type[_Torch]:
    if triton:
        from mas_fast.kernels import cross_entropy

        return cross_entropy
    return _Torch


class _Torch:
    """kernels/cross_entropy.py in PyTorch: for any device, and also for fp64."""

    @staticmethod
    def exchange(rows: Tensor, old: Tensor | None, new: Tensor | None, unit: Tensor | None) -> None:
        if old is not None:
            values = rows[: old[..., 0].numel()].view_as(old)
            old.copy_(values if unit is None else values.to(unit.dtype) * unit)
        if new is not None:
            rows[: new[..., 0].numel()].view_as(new).copy_(new)

    @staticmethod
    def softmax_gradient(
        logits: Tensor, targets: Tensor, scale: Tensor, ignored: int, nats: Tensor, gradient: bool
    ) -> None:
        targets = targets.long().flatten()
        counted = targets != ignored
        kept = targets.masked_fill(~counted, 0)[:, None]
        factor = (scale * counted)[:, None]
        losses = torch.empty(len(targets), dtype=scale.dtype, device=logits.device)
        for start in range(0, len(targets), SLICE):
            r = slice(start, start + SLICE)
            x = logits[r].to(scale.dtype)  # fp32 and fp64 logits are not copied
            target_logit = x.gather(1, kept[r])
            largest = x.amax(1, keepdim=True)
            total = x.sub_(largest).exp_().sum(1, keepdim=True)
            losses[r] = (largest + total.log() - target_logit)[:, 0]
            if gradient:
                x.mul_(factor[r] / total).scatter_add_(1, kept[r], -factor[r])
                if logits.dtype != scale.dtype:
                    logits[r] = x
        nats.copy_(losses.masked_fill_(~counted, 0).view_as(nats))

    @staticmethod
    def new_scratch(result: Tensor) -> Tensor | None:
        return None if result.dtype.itemsize > 2 else torch.empty_like(result, dtype=torch.float32)

    @staticmethod
    def add_weight_gradient(
        result: Tensor, scratch: Tensor | None, g: Tensor, x: Tensor, first: bool, last: bool
    ) -> None:
        total = result if scratch is None else scratch
        step = 16 * SLICE
        for v in range(0, len(result), step):
            part = torch.mm(g[:, v : v + step].T, x)
            if first:
                total[v : v + step] = part
            else:
                total[v : v + step] += part.to(total.dtype)  # a mixed sum is ten times slower
            if last and scratch is not None:
                result[v : v + step] = total[v : v + step]
