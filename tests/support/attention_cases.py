"""What attention is computed of here, and how near to fp64 it has to come."""

import math

import torch

from mas_fast import ops

PAPER = {"text": 64, "grids": [(16, 16), (16, 16)]}  # 576 positions
SMALL = {"text": 5, "grids": [(3, 7), (6, 5)], "kernel": 3}  # 56 positions


def inputs(batch, heads, length, channels, dtype=torch.float64, device="cpu"):
    """q, k, v and the gradient of the output."""
    g = torch.Generator().manual_seed(length + channels)
    draw = [torch.randn(batch, heads, length, channels, generator=g) for _ in range(4)]
    return [x.to(dtype).to(device) for x in draw]


def results(impl, q, k, v, do, **options):
    """The output and the three gradients."""
    leaves = [x.detach().clone().requires_grad_() for x in (q, k, v)]
    out = ops.attention(*leaves, impl=impl, **options)
    out.backward(do)
    return [out.detach(), *(x.grad for x in leaves)]


def check_against_fp64(tensors, impl="triton", **options):
    """At most twice the error of PyTorch at that dtype and one unit of the largest value (of any
    of the four: with one position dq and dk are 0, as differences of what is not)."""
    dtype = tensors[0].dtype
    exact = results("reference", *(x.double() for x in tensors), **options)
    usual = results("sdpa", *tensors, **options)
    found = results(impl, *tensors, **options)
    largest = max(float(want.abs().max()) for want in exact)
    unit = torch.finfo(dtype).eps * 2 ** math.floor(math.log2(largest))
    for name, want, peer, got in zip(("o", "dq", "dk", "dv"), exact, usual, found, strict=True):
        assert got.dtype == dtype
        assert got.shape == want.shape
        allowed = 2 * (peer.double() - want).abs().max() + unit
        assert (got.double() - want).abs().max() <= allowed, (name, tensors[0].shape, options)
    return found


def shifted(tensors, who, offset):
    """The inputs with the offset added to q, k, v or the output's gradient (d), rounded again."""
    pairs = zip("qkvd", tensors, strict=True)
    return [(x.float() + offset).to(x.dtype) if name in who else x for name, x in pairs]
