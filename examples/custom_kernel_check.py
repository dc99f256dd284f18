"""How an implementation of an operator is judged here: an attention and a search of your own.

    python examples/custom_kernel_check.py

Put yours in place of `my_attention` and `my_nearest`. Errors are measured against fp64, and may be
at most twice what PyTorch itself loses in that dtype; what is discrete has to be exact.
"""

import torch
import torch.nn.functional as F

from mas_fast import ops


def my_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Causal attention as it is in textbooks."""
    score = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    hidden = torch.ones(score.shape[-2:], dtype=torch.bool).triu(1)
    return score.masked_fill(hidden, float("-inf")).softmax(-1) @ v


def my_nearest(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """The nearest code, in fp32."""
    return torch.cdist(x, codebook).argmin(1)


def attention() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 63, 60, generator=generator).bfloat16()  # odd on purpose
    exact = ops.attention(q.double(), k.double(), v.double(), impl="reference")
    allowed = (F.scaled_dot_product_attention(q, k, v, is_causal=True) - exact).abs().max()
    for name, out in (("yours", my_attention(q, k, v)), ("blocks", ops.attention(q, k, v))):
        error = (out - exact).abs().max()
        verdict = "passed" if error <= 2 * allowed else "FAILED"
        print(f"attention in bf16, {name}: {error / allowed:.2f} of PyTorch's error, {verdict}")


def nearest() -> None:
    generator = torch.Generator().manual_seed(0)
    codebook = torch.randn(512, 32, generator=generator)
    between = (codebook[:256] + codebook[256:]) / 2  # as near to one code as to the other
    exact = ops.vq_nearest(between, codebook, impl="reference")
    for name, ids in (("yours", my_nearest(between, codebook)), ("ours", None)):
        wrong = int(((ops.vq_nearest(between, codebook) if ids is None else ids) != exact).sum())
        print(f"nearest code, {name}: {wrong} of {len(exact)} rows differ from the fp64 argmin")


attention()
nearest()
