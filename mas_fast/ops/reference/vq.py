"""The definition of the nearest codes and of their statistics in plain PyTorch: any device.

The nearest code is a pure function: the argmin over codes c of |x - c|^2, summed in fp64 in the
order of the channels. Every exact implementation returns the same indices.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mas_fast.ops.reference.checks import check_finite, has_values, to_integer
from mas_fast.ops.reference.sampling import first_set

VQ_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_DISTANCES = 1 << 20  # that vq_nearest holds at once


@torch.no_grad()
def vq_nearest(x: Tensor, codebook: Tensor, *, exact: bool = True) -> Tensor:
    """Defines `ops.vq_nearest`."""
    check_vq(x, codebook)
    check_finite("x", x)
    check_finite("codebook", codebook)
    rows = max(1, _DISTANCES // len(codebook))  # at once, so that N x K distances never exist
    nearest = _nearest_exact if exact else _nearest_fast
    parts = [nearest(part, codebook) for part in x.split(rows)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64, device=x.device)


@torch.no_grad()
def vq_statistics(x: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """Defines `ops.vq_statistics`."""
    check_vq_statistics(x, codes, codebook_size)
    counts = codes.new_zeros(codebook_size).index_add_(0, codes, torch.ones_like(codes))
    if not x.numel():
        return counts.float(), x.new_zeros((codebook_size, x.shape[1]), dtype=torch.float32)
    sorted_rows = x.double()[codes.argsort(stable=True)]
    sums = torch.segment_reduce(sorted_rows, "sum", lengths=counts, axis=0, initial=0)
    return counts.float(), sums.float()


def check_vq(x: Tensor, codebook: Tensor) -> None:
    """Checks the arguments of `ops.vq_nearest`.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape or device.
    """
    for name, tensor in (("x", x), ("codebook", codebook)):
        _check_matrix(name, tensor)
    if codebook.shape[0] < 1 or codebook.shape[1] < 1:
        raise ValueError(
            f"codebook: found {list(codebook.shape)}, expected at least one code and one channel"
        )
    if x.shape[1] != codebook.shape[1] or x.device != codebook.device:
        raise ValueError(
            f"x: found {list(x.shape)} on {x.device}, "
            f"expected [N, {codebook.shape[1]}] on {codebook.device}, like the codebook"
        )


def check_vq_statistics(x: Tensor, codes: Tensor, codebook_size: int) -> None:
    """Checks the arguments of `ops.vq_statistics`, and every code if they have values.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape or device, or a code is out of range.
    """
    _check_matrix("x", x)
    if not isinstance(codes, Tensor) or codes.dtype != torch.int64:
        kind = codes.dtype if isinstance(codes, Tensor) else type(codes).__name__
        raise TypeError(f"codes: found {kind}, expected an int64 tensor")
    if codes.shape != x.shape[:1] or codes.device != x.device:
        raise ValueError(
            f"codes: found {list(codes.shape)} on {codes.device}, "
            f"expected [{x.shape[0]}] on {x.device}"
        )
    if to_integer("codebook_size", codebook_size) < 1:
        raise ValueError(f"codebook_size: found {codebook_size}, expected an integer >= 1")
    check_codes(codes, codebook_size)


def check_codes(codes: Tensor, codebook_size: int) -> None:
    """Checks codes, if they have values.

    Raises:
        ValueError: a code is not in 0..codebook_size - 1.
    """
    if has_values(codes) and codes.numel():
        least, most = codes.aminmax()
        if (least < 0) | (most >= codebook_size):  # one answer to wait for
            bad_code = int(least if least < 0 else most)
            raise ValueError(f"codes: found {bad_code}, expected 0..{codebook_size - 1}")


def _nearest_exact(x: Tensor, codebook: Tensor) -> Tensor:
    x, codebook = x.double(), codebook.double()
    distance = torch.zeros(len(x), len(codebook), dtype=torch.float64, device=x.device)
    for channel in range(x.shape[1]):
        difference = x[:, channel, None] - codebook[:, channel]
        distance += difference.square_()
    return first_set(distance == distance.amin(1, keepdim=True))


def _nearest_fast(x: Tensor, codebook: Tensor) -> Tensor:
    codebook = codebook.float()
    return torch.addmm(codebook.square().sum(1), x.float(), codebook.T, alpha=-2).argmin(1)


def _check_matrix(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor) or tensor.dtype not in VQ_DTYPES:
        kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        allowed = ", ".join(str(dtype) for dtype in VQ_DTYPES)
        raise TypeError(f"{name}: found {kind}, expected a tensor of {allowed}")
    if tensor.dim() != 2:
        raise ValueError(f"{name}: found {list(tensor.shape)}, expected two dimensions")
