"""The definition of `ops.label_conv` in plain PyTorch: any device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def label_conv(labels: Tensor, edges: Tensor | None, weight: Tensor, bias: Tensor) -> Tensor:
    """Defines `ops.label_conv`. Computed in at least fp32."""
    check_label_conv(labels, edges, weight, bias)
    ids = torch.arange(weight.shape[1] - (edges is not None), device=labels.device)
    planes = labels[..., None] == ids
    if edges is not None:
        planes = torch.cat([planes, edges[..., None]], -1)
    dtype = torch.promote_types(weight.dtype, torch.float32)
    with torch.autocast(labels.device.type, enabled=False):
        y = F.conv2d(
            planes.to(dtype).permute(0, 3, 1, 2), weight.to(dtype), bias.to(dtype), padding=1
        )
    return y.contiguous(memory_format=torch.channels_last).to(weight.dtype)


def check_label_conv(labels: Tensor, edges: Tensor | None, weight: Tensor, bias: Tensor) -> None:
    """Checks the arguments of `ops.label_conv`.

    Raises:
        TypeError: an argument has a wrong dtype.
        ValueError: an argument has a wrong shape or device.
    """
    if labels.dtype != torch.uint8:
        raise TypeError(f"labels: found {labels.dtype}, expected a torch.uint8 tensor")
    if edges is not None and edges.dtype != torch.bool:
        raise TypeError(f"edges: found {edges.dtype}, expected a torch.bool tensor")
    if labels.dim() != 3 or (edges is not None and edges.shape != labels.shape):
        edges_shape = "None" if edges is None else list(edges.shape)
        raise ValueError(
            f"labels, edges: found {list(labels.shape)} and {edges_shape}, "
            "expected [B, H, W] of both"
        )
    if not weight.is_floating_point() or weight.dtype != bias.dtype:
        raise TypeError(
            f"weight, bias: found {weight.dtype} and {bias.dtype}, expected one floating dtype"
        )
    least = 1 + (edges is not None)
    if (
        weight.dim() != 4
        or not least <= weight.shape[1] <= 255 + (edges is not None)
        or weight.shape[2:] != (3, 3)
        or bias.shape != weight.shape[:1]
    ):
        raise ValueError(
            f"weight, bias: found {list(weight.shape)} and {list(bias.shape)}, "
            f"expected [O, C, 3, 3] with {least} to {254 + least} channels, and [O]"
        )
    devices = {str(t.device) for t in (labels, edges, weight, bias) if t is not None}
    if len(devices) > 1:
        raise ValueError(
            f"labels, edges, weight, bias: found them on {sorted(devices)}, expected one device"
        )
