"""The public functional ops, each with the implementations that this machine has.

`impl=None` takes the fast one for the device of the inputs (`default_impl` says which); a name
forces one and fails where it is missing. Every implementation gives the same result to the bit,
but for the sums of `vq_statistics`, for `attention` and for `stream_cross_entropy`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mas_fast.ops import (
    attention_cpu,
    cross_entropy_chunked,
    label_conv_table,
    reference,
    vq_triton,
)
from mas_fast.ops.dispatch import (
    autocasts,
    check_products,
    check_triton,
    chosen,
    default_impl,
    loaded,
    require,
)
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.ops.reference import cross_entropy as reference_cross_entropy
from mas_fast.ops.reference import label_conv as reference_label_conv
from mas_fast.utils.validate import check_choice

IMPLEMENTATIONS = ("cpp", "cuda", "reference")
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
    """The token drawn for each row, int64 [B], as `reference.sample` defines it.

    logits, uncond: floating [B, V] on one device; sample, position: int or int64 [B].
    impl: None, "cpp", "cuda" or "reference". Raises ValueError or TypeError for arguments as
    `reference.check_sampling`, ValueError for NaN logits (on a GPU this waits for the kernel; a
    compiled graph and torch.ops.mas_fast.sample do not: they give -1 - i where token i is the first
    NaN), and ImportError, with the command that fixes it, where `impl` is not built.
    """
    settings = {
        "uncond": uncond,
        "guidance": guidance,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
    }
    sample, position = reference.check_sampling(
        logits, seed=seed, sample=sample, position=position, **settings
    )
    if impl is None:
        impl = default_impl(logits.device)
    check_choice("impl", impl, IMPLEMENTATIONS)
    if impl == "reference":
        return reference.sample(logits, seed=seed, sample=sample, position=position, **settings)

    device = "cpu" if impl == "cpp" else "cuda"
    if logits.device.type != device:
        raise ValueError(f"logits: found them on {logits.device}, expected {device} for {impl=}")
    if not loaded(device, "sample"):
        raise ImportError(
            "mas_fast was built without CUDA code. With nvcc and a CUDA torch installed, run: "
            "MAS_FAST_CUDA=1 pip install --no-build-isolation -e ."
        )
    token, _ = torch.ops.mas_fast.sample(
        logits.float().contiguous(),
        None if uncond is None else uncond.float().contiguous(),
        float(guidance),
        float(temperature),
        None if top_k is None else min(top_k, logits.shape[1]),
        None if top_p is None else float(top_p),
        seed if seed < 1 << 63 else seed - (1 << 64),
        sample,
        position,
    )
    if reference.has_values(token) and (token < 0).any():
        row = int((token < 0).nonzero()[0])
        raise reference.nan_error(row, -1 - int(token[row]))
    return token


@torch.no_grad()
def vq_nearest(
    x: Tensor, codebook: Tensor, *, exact: bool = True, impl: str | None = None
) -> Tensor:
    """The id of the nearest code of each row, int64 [N], as `reference.vq_nearest` defines it.

    x: [N, D], codebook: [K, D], both fp32, fp16 or bf16, of any strides, on one device. The N x K
    distances never exist. exact: equal to the argmin of the fp64 distances, ties to the lowest id,
    in every implementation; without it "triton" and "reference" stop at what their fast arithmetic
    finds ("cpp" is exact anyway). impl: None, "triton", "cpp" or "reference". Raises TypeError and
    ValueError as `reference.check_vq`, ValueError for values that are not finite (a compiled graph
    of "cpp" does not look, and gives -1 for such rows), and ImportError, with the command that
    fixes it, where `impl` is missing.
    """
    reference.check_vq(x, codebook)
    impl = chosen("vq_nearest", impl, VQ_IMPLEMENTATIONS, x)
    if impl == "reference":
        return reference.vq_nearest(x, codebook, exact=exact)
    if impl == "triton":
        return vq_triton.nearest(x, codebook, exact)
    require("vq_nearest")
    codes = torch.ops.mas_fast.vq_nearest(x.float().contiguous(), codebook.float().contiguous())
    # The kernel returns -1 for values that are not finite; without rows it cannot tell.
    if reference.has_values(codes) and (not len(codes) or (codes < 0).any()):
        reference.check_finite("codebook", codebook)
        reference.check_finite("x", x)
    return codes


@torch.no_grad()
def vq_statistics(
    x: Tensor, codes: Tensor, codebook_size: int, *, impl: str | None = None
) -> tuple[Tensor, Tensor]:
    """How many rows have each code, fp32 [K], and the sum of those rows, fp32 [K, D].

    x: [N, D] fp32, fp16 or bf16; codes: int64 [N] in 0..K-1. Sums are formed in fp64 in a fixed
    order: equal input gives equal bits in one implementation, and two of them differ by at most the
    rounding to fp32. impl: None, "triton" or "reference". Raises TypeError and ValueError as
    `reference.check_vq_statistics`, and ImportError where `impl` is missing.
    """
    reference.check_vq_statistics(x, codes, codebook_size)
    impl = chosen("vq_statistics", impl, STATISTICS_IMPLEMENTATIONS, x)
    if impl == "reference":
        return reference.vq_statistics(x, codes, codebook_size)
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
    """The weighted mean over streams of the mean cross-entropy of each, and those means without
    gradient, [streams], as `reference_cross_entropy` defines them.

    hidden: [B, T, D]; heads: the weight [V, D] of each stream's head; targets: int64 or int32
    [B, T], what each position predicts; lengths: how many positions predict each stream; weights:
    of the streams, 1 by default; ignored: the target of each that counts for nothing, or None.

        loss, losses = stream_cross_entropy(
            x, [model.head[s.name].weight for s in streams], tokens[:, 1:], [63, 256, 256],
            weights=[s.loss_weight for s in streams], ignored=[s.pad for s in streams])

    impl: None, "triton", "chunked" (PyTorch alone, any device) or "reference". The first two hold
    the logits of some rows at a time and form the gradients in the forward pass, for hidden and
    heads that require them; they can be had once (RuntimeError for a second backward pass over the
    same forward pass, or through the gradients). Under torch.autocast the products are in its
    dtype, sums and loss in fp32, gradients in the dtypes of the inputs. Raises TypeError and
    ValueError as the reference; on a GPU, where nobody waits to look at the targets, "triton" gives
    a loss of NaN where one is no id of its stream.
    """
    if impl is None:
        impl = default_impl(hidden.device, "stream_cross_entropy")
    check_choice("impl", impl, CROSS_ENTROPY_IMPLEMENTATIONS)
    if impl == "reference":
        return reference_cross_entropy.stream_cross_entropy(
            hidden, heads, targets, lengths, weights=weights, ignored=ignored
        )
    weights, ignored = reference_cross_entropy.check_stream_cross_entropy(
        hidden, heads, targets, lengths, weights, ignored
    )
    device = hidden.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else hidden.dtype
    if impl == "triton":
        check_triton("hidden", hidden)
        check_products("hidden", dtype)
        if dtype == torch.float64:
            raise ValueError("impl='triton' knows no float64; impl='chunked' does")
    tensors = [hidden, *heads]
    loss, losses, *_ = cross_entropy_chunked.stream_cross_entropy(
        hidden,
        list(heads),
        targets,
        list(lengths),
        weights,
        [cross_entropy_chunked.NOTHING if i is None else i for i in ignored],
        dtype,
        [torch.is_grad_enabled() and tensor.requires_grad for tensor in tensors],
        impl == "triton",
    )
    return loss, losses


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: str = "causal",
    text: int = 0,
    grids: Sequence[tuple[int, int]] = (),
    kernel: int = reference_attention.KERNEL,
    impl: str | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt(D)) v under a mask, [B, H, T, D], as `reference_attention.attention`
    defines it, where the masks "causal", "row", "column" and "conv" are described.

    q, k, v: [B, H, T, D] of one floating dtype, any strides; under autocast they are cast to its
    dtype first. impl: None, "triton", "blocks" (attention_cpu.py, any device), "sdpa" (PyTorch's
    scaled_dot_product_attention) or "reference". "triton" takes fp16, bf16 and fp32 (which is slow)
    of up to 128 channels, a multiple of 8 being fast; it skips what a mask hides by tiles of 64 x
    64, where "sdpa" computes it; its gradients are equal bit for bit from run to run. "blocks"
    skips the keys that no query of a block sees; under a mask other than "causal" it is no part of
    a compiled graph. Neither has second derivatives. None is "triton" for fp16 and bf16 on a GPU,
    "blocks" for bf16 on a CPU, "reference" within torch.export, otherwise "sdpa".
    Raises as `check_attention`, and as `vq_nearest` for `impl`; ValueError for what an
    implementation does not take.
    """
    options = {"mask": mask, "text": text, "grids": grids, "kernel": kernel}
    kind = q.device.type if isinstance(q, Tensor) else "meta"
    if autocasts(kind) and torch.is_autocast_enabled(kind):
        q, k, v = (x.to(torch.get_autocast_dtype(kind)) for x in (q, k, v))
    reference_attention.check_attention(q, k, v, **options)
    if impl is None:
        half = q.dtype in (torch.float16, torch.bfloat16) and q.shape[3] <= 128
        impl = default_impl(q.device, "attention") if half else "sdpa"
        if kind == "cpu" and q.dtype == torch.bfloat16:
            # Which keys a block needs under another mask is looked up while it runs.
            impl = "blocks" if mask == "causal" or reference.has_values(q) else "sdpa"
        if torch.compiler.is_exporting():
            impl = "reference"
    impl = chosen("attention", impl, ATTENTION_IMPLEMENTATIONS, q, "q")
    if impl == "reference":
        return reference_attention.attention(q, k, v, **options)
    if impl in ("blocks", "sdpa"):
        shown = None
        if mask != "causal":
            shown = reference_attention.visible(length=q.shape[2], device=q.device, **options)
        if impl == "blocks":
            return attention_cpu.attention(q, k, v, shown)
        if shown is None:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=shown)
    if q.dtype == torch.float64 or q.shape[3] > 128:
        raise ValueError(
            "impl='triton' needs float16, bfloat16 or float32 and at most 128 channels, "
            f"found {q.dtype} and {q.shape[3]}"
        )
    check_products("q", q.dtype)
    from mas_fast.ops import attention_triton as operators

    flat = [size for grid in grids for size in grid]
    return operators.forward(q, k, v, mask, text, flat, kernel)[0]


def label_conv(
    labels: Tensor,
    edges: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    *,
    impl: str | None = None,
) -> Tensor:
    """A 3x3 convolution over the one-hot channels of label maps, which are never built: [B, O, H,
    W], channels-last, of the weight's dtype, as `reference_label_conv.label_conv` defines it.

    labels: uint8 [B, H, W]; edges: bool [B, H, W], the last channel, or None for a layout without;
    weight: [O, C, 3, 3]; bias: [O]. A pixel is the sum of ten rows of a table made of the weights
    (label_conv_table.py), in fp32 at least. Weight and bias get gradients. impl: None, "cpp" (on a
    CPU; fp32 arithmetic), "bag" (torch's embedding_bag, anywhere) or "reference". Raises TypeError
    and ValueError as its `check_label_conv`, and ImportError, with the command that fixes it,
    where `impl` is not built.
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
            found = f"found {weight.dtype} on {labels.device}"
            raise ValueError(f"weight: {found}, expected at most 32 bits on cpu for impl='cpp'")
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
