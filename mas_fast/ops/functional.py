"""The public functional ops, each with several implementations.

`impl=None` takes the fastest one that this machine has for the device of the inputs
(`default_impl` says which); a name forces one and fails if it is missing. All implementations give
bitwise the same result, except for the sums of `vq_statistics`, for `attention` and for
`stream_cross_entropy`. `mas_fast.ops.reference` defines every op in plain PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mas_fast.ops import attention_cpu, cross_entropy_chunked, label_conv_table, vq_triton
from mas_fast.ops.attention_masks import KERNEL
from mas_fast.ops.dispatch import (
    autocasts,
    check_products,
    chosen,
    chosen_sampler,
    default_impl,
    exporting,
    require,
)
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.ops.reference import cross_entropy as reference_cross_entropy
from mas_fast.ops.reference import label_conv as reference_label_conv
from mas_fast.ops.reference import sampling as reference_sampling
from mas_fast.ops.reference import vq as reference_vq
from mas_fast.ops.reference.checks import check_finite, has_values
from mas_fast.utils.validate import check_choice

VQ_IMPLEMENTATIONS = ("triton", "cpp", "reference")
STATISTICS_IMPLEMENTATIONS = ("triton", "reference")
CROSS_ENTROPY_IMPLEMENTATIONS = ("triton", "chunked", "reference")
ATTENTION_IMPLEMENTATIONS = ("triton", "blocks", "sdpa", "reference")
LABEL_IMPLEMENTATIONS = ("cpp", "bag", "reference")


def sample(
    logits: Tensor,
    *,
    seed: int,
    sample: int | Tensor = 0,
    position: int | Tensor = 0,
    uncond: Tensor | None = None,
    guidance: float = 1.0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    impl: str | None = None,
) -> Tensor:
    """Draws a token for each row of logits, with classifier-free guidance (CFG).

    A pure function of its arguments: top-k and top-p are applied to
    l = (u + guidance (c - u)) / temperature, where c are the logits and u the unconditional ones,
    and the token with the largest l + Gumbel noise is drawn. `reference.sampling` defines it.

    It looks at the values of `sample` and `position` and at the tokens, so that on a GPU a call
    waits up to three times. torch.ops.mas_fast.sample looks at nothing, and a CUDA graph can hold
    it.

    Args:
        logits: floating [B, V], rounded to fp32.
        seed: 0 to 2^64 - 1.
        sample: int, or int64 [B], within 32 bits: which sample this is.
        position: like `sample`: the index in the whole sequence of the token being drawn.
        uncond: floating [B, V] on the device of the logits, rounded to fp32, the unconditional
            logits of CFG; None for no guidance.
        guidance: the scale of CFG; 1 is no guidance.
        temperature: 0 takes the largest logit.
        top_k: how many of the largest logits are kept; None keeps all.
        top_p: the share of the probability that is kept; None skips the step, and 1 drops weights
            of 0.
        impl: None, "cpp", "cuda" or "reference".

    Returns:
        int64 [B]. A compiled graph and torch.ops.mas_fast.sample do not look for NaN: they give
        -1 - i where token i is the first NaN.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape, device or value, or a logit is NaN.
        ImportError: `impl` is not built; names the command that fixes it.
    """
    samples, positions = reference_sampling.check_sampling(
        logits, seed, sample, position, uncond, guidance, temperature, top_k, top_p
    )
    impl = chosen_sampler("sample", impl, logits)
    if impl == "reference":
        return reference_sampling.sample(
            logits, seed=seed, sample=samples, position=positions, uncond=uncond,
            guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p,
        )  # fmt: skip
    token, _ = torch.ops.mas_fast.sample(
        logits.float().contiguous(),
        None if uncond is None else uncond.float().contiguous(),
        float(guidance),
        float(temperature),
        None if top_k is None else min(top_k, logits.shape[1]),
        None if top_p is None else float(top_p),
        seed if seed < 1 << 63 else seed - (1 << 64),
        samples,
        positions,
    )
    if has_values(token) and (token < 0).any():
        row = int((token < 0).nonzero()[0])
        raise reference_sampling.nan_error(row, -1 - int(token[row]))
    return token


@torch.no_grad()
def vq_nearest(
    x: Tensor, codebook: Tensor, *, exact: bool = True, impl: str | None = None
) -> Tensor:
    """Finds the nearest code of each row: argmin over k of |x - codebook[k]|^2.

    The N x K distances are never stored. `reference.vq` defines it.

    Args:
        x: [N, D], fp32, fp16 or bf16, of any strides.
        codebook: [K, D], fp32, fp16 or bf16, of any strides, on the device of x.
        exact: return the argmin of the distances in fp64, ties to the lowest id: differences,
            squares and their sum over channels 0, 1, ..., D - 1, each operation rounded once. If
            false, "triton" and "reference" return what their fast arithmetic finds, that of
            |codebook[k]|^2 - 2 x . codebook[k]; "cpp" is always exact.
        impl: None, "triton", "cpp" or "reference".

    Returns:
        int64 [N]. A graph of "triton" or "cpp", compiled or captured, does not look for values that
        are not finite: it gives -1 for such rows.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape or device, or is not finite.
        ImportError: `impl` is missing; names the command that fixes it.
    """
    reference_vq.check_vq(x, codebook)
    impl = chosen("vq_nearest", impl, VQ_IMPLEMENTATIONS, x)
    if impl == "reference":
        return reference_vq.vq_nearest(x, codebook, exact=exact)
    if impl == "triton":
        codes = vq_triton.nearest(x, codebook, exact)
    else:
        require("vq_nearest")
        codes = torch.ops.mas_fast.vq_nearest(x.float().contiguous(), codebook.float().contiguous())
    # Both return -1 for values that are not finite; without rows they cannot tell.
    if has_values(codes) and (not len(codes) or (codes < 0).any()):
        check_finite("codebook", codebook)
        check_finite("x", x)
    return codes


@torch.no_grad()
def vq_statistics(
    x: Tensor, codes: Tensor, codebook_size: int, *, impl: str | None = None
) -> tuple[Tensor, Tensor]:
    """Counts the rows of each code, and sums them.

    Args:
        x: [N, D], fp32, fp16 or bf16.
        codes: int64 [N], in 0..K-1. A graph, compiled or captured, does not look at them; that of
            "triton" counts no others.
        codebook_size: K.
        impl: None, "triton" or "reference".

    Returns:
        The number of rows with each code, fp32 [K], and the sum of those rows, fp32 [K, D]. Sums
        are formed in fp64 in a fixed order and rounded once: equal input gives equal bits in one
        implementation, and two of them differ by at most the rounding to fp32.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape or device, or a code is out of range.
        ImportError: `impl` is missing; names the command that fixes it.
    """
    reference_vq.check_vq_statistics(x, codes, codebook_size)
    impl = chosen("vq_statistics", impl, STATISTICS_IMPLEMENTATIONS, x)
    if impl == "reference":
        return reference_vq.vq_statistics(x, codes, codebook_size)
    return vq_triton.statistics(x, codes, codebook_size)


def stream_cross_entropy(
    hidden: Tensor,
    heads: Sequence[Tensor],
    targets: Tensor,
    lengths: Sequence[int],
    *,
    weights: Sequence[float] | None = None,
    ignored: Sequence[int | None] | None = None,
    impl: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Computes the weighted mean over streams of the mean cross-entropy of each, in nats.

    loss = sum_s w_s loss_s / sum_s w_s, where loss_s is the mean over positions t of
    logsumexp(l_t) - l_t[target_t] with l_t = hidden_t . heads[s].

        loss, losses = stream_cross_entropy(
            x, [model.head[s.name].weight for s in streams], tokens[:, 1:], [63, 256, 256],
            weights=[s.loss_weight for s in streams], ignored=[s.pad for s in streams])

    Implementations other than "reference" hold the logits of some rows at a time and form the
    gradients in the forward pass, for hidden and heads that require them; the gradients can be had
    once. Under torch.autocast the products are in its dtype, sums and loss in fp32, gradients in
    the dtypes of the inputs.

    Args:
        hidden: floating [B, T, D].
        heads: the weight [V, D] of each stream's head, of the dtype of hidden (of any dtype under
            torch.autocast).
        targets: int64 or int32 [B, T], the token that each position predicts.
        lengths: how many of the T positions, in order, predict each stream.
        weights: w, one per stream, 1 by default.
        ignored: per stream, the target that counts for nothing, or None. A stream without counted
            targets has loss 0 and keeps its weight.
        impl: None, "triton", "chunked" (PyTorch alone, any device) or "reference".

    Returns:
        The loss, a scalar, and the mean of each stream without gradient, [streams]; fp32, or fp64
        for fp64 inputs.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape, device or value. Targets on a GPU are not looked
            at, since that would wait for it: with "triton" the loss is NaN if one is no id of its
            stream.
        RuntimeError: on a second backward pass over the same forward pass, or one through the
            gradients.
    """
    impl = chosen("stream_cross_entropy", impl, CROSS_ENTROPY_IMPLEMENTATIONS, hidden, "hidden")
    if impl == "reference":
        return reference_cross_entropy.stream_cross_entropy(
            hidden, heads, targets, lengths, weights=weights, ignored=ignored
        )
    stream_weights, ignored_ids = reference_cross_entropy.check_stream_cross_entropy(
        hidden, heads, targets, lengths, weights, ignored
    )
    return cross_entropy_chunked.run(
        hidden,
        heads,
        targets,
        lengths,
        weights=stream_weights,
        ignored=ignored_ids,
        use_triton=impl == "triton",
    )


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: str = "causal",
    text: int = 0,
    grids: Sequence[tuple[int, int]] = (),
    kernel: int = KERNEL,
    impl: str | None = None,
) -> Tensor:
    """Computes softmax(q k^T / sqrt(D)) v under a mask.

    Args:
        q: queries, [B, H, T, D], floating, of any strides; under torch.autocast cast to its dtype.
        k: keys, as q.
        v: values, as q.
        mask: "causal", "row", "column" or "conv", the masks of DALL-E (arXiv 2102.12092, figure
            11), which `reference.attention` describes.
        text: the number of positions before the first grid. "causal" ignores it and what follows.
        grids: (height, width) of each grid.
        kernel: the odd side of the square that "conv" shows.
        impl: None is "triton" for fp16 and bf16 on a GPU, "blocks" for bf16 on a CPU, "reference"
            within torch.export, otherwise "sdpa".

            * "triton" takes fp16, bf16 and fp32 (which is slow) of up to 128 channels, of which a
              multiple of 8 is fast. It skips what a mask hides in tiles of 64 x 64. Its gradients
              are bitwise equal from run to run.
            * "blocks" (attention_cpu.py, any device) skips the keys that no query of a block sees.
              Under a mask other than "causal" it cannot be part of a compiled graph.
            * "sdpa" is PyTorch's scaled_dot_product_attention, which computes what a mask hides.
            * "reference" is the definition.

            "triton" and "blocks" have no second derivatives.

    Returns:
        [B, H, T, D], of the dtype of q.

    Raises:
        TypeError: q, k or v is no floating tensor.
        ValueError: shapes, dtypes or devices differ or are unfit, the mask is unknown, its options
            do not describe the sequence, or `impl` does not take the inputs.
        ImportError: `impl` is missing; names the command that fixes it.
    """
    kind = q.device.type if isinstance(q, Tensor) else "meta"
    if autocasts(kind) and torch.is_autocast_enabled(kind):
        q, k, v = (x.to(torch.get_autocast_dtype(kind)) for x in (q, k, v))
    reference_attention.check_attention(q, k, v, mask, text, grids, kernel)
    if impl is None:
        is_16_bit = q.dtype in (torch.float16, torch.bfloat16) and q.shape[3] <= 128
        impl = default_impl(q.device, "attention") if is_16_bit else "sdpa"
        if kind == "cpu" and q.dtype == torch.bfloat16:
            # Under other masks, the keys that a block needs are looked up while it runs.
            impl = "blocks" if mask == "causal" or has_values(q) else "sdpa"
        if exporting():
            impl = "reference"
    impl = chosen("attention", impl, ATTENTION_IMPLEMENTATIONS, q, "q")
    if impl == "reference":
        return reference_attention.attention(
            q, k, v, mask=mask, text=text, grids=grids, kernel=kernel
        )
    if impl in ("blocks", "sdpa"):
        shown = None
        if mask != "causal":
            shown = reference_attention.visible(
                mask, q.shape[2], text=text, grids=grids, kernel=kernel, device=q.device
            )
        if impl == "blocks":
            return attention_cpu.attention(q, k, v, shown)
        if shown is None:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=shown)
    if q.dtype == torch.float64 or q.shape[3] > 128:
        raise ValueError(
            f"q: found {q.dtype} and {q.shape[3]} channels, expected at most 32 bits "
            "and 128 channels for impl='triton'"
        )
    check_products("q", q.dtype)
    from mas_fast.ops import attention_triton

    sizes = [size for grid in grids for size in grid]
    return attention_triton.forward(q, k, v, mask, text, sizes, kernel)[0]


def label_conv(
    labels: Tensor,
    edges: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    *,
    impl: str | None = None,
) -> Tensor:
    """Convolves the one-hot channels of label maps with a 3x3 kernel, zero outside, without
    building them.

    A pixel is the sum of ten rows of a table made of the weights (label_conv_table.py), in fp32 at
    least. Weight and bias get gradients. `reference.label_conv` defines it.

    Args:
        labels: uint8 [B, H, W]. A label without a channel, such as 255, adds nothing.
        edges: bool [B, H, W], the last channel; None for a layout without edges.
        weight: [O, C, 3, 3].
        bias: [O], of the dtype of the weight.
        impl: None, "cpp" (on a CPU; fp32 arithmetic), "bag" (torch's embedding_bag, anywhere) or
            "reference".

    Returns:
        [B, O, H, W], channels-last, of the weight's dtype.

    Raises:
        TypeError: an argument has a wrong dtype.
        ValueError: an argument has a wrong shape or device.
        ImportError: `impl` is not built; names the command that fixes it.
    """
    reference_label_conv.check_label_conv(labels, edges, weight, bias)
    if impl is None:
        is_double = weight.dtype == torch.float64
        impl = "bag" if is_double else default_impl(labels.device, "label_conv")
    check_choice("impl", impl, LABEL_IMPLEMENTATIONS)
    if impl == "reference":
        return reference_label_conv.label_conv(labels, edges, weight, bias)
    if impl == "cpp":
        if labels.device.type != "cpu" or weight.dtype == torch.float64:
            dtype_and_device = f"found {weight.dtype} on {labels.device}"
            raise ValueError(
                f"weight: {dtype_and_device}, expected at most 32 bits on cpu for impl='cpp'"
            )
        require("label_conv")
    dtype = weight.dtype
    accumulated = torch.promote_types(dtype, torch.float32)
    weight, bias = weight.to(accumulated), bias.to(accumulated)
    if impl == "cpp":
        edges = None if edges is None else edges.contiguous()
        y = torch.ops.mas_fast.label_conv(weight, bias.contiguous(), labels.contiguous(), edges)
    else:
        with torch.autocast(labels.device.type, enabled=False):
            y = label_conv_table.bag(labels, edges, weight, bias)
    return y.permute(0, 3, 1, 2).to(dtype)
