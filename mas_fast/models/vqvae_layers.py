"""The layers of a VQVAE, channels-last throughout. vqvae.py says whose names they have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast import ops
from mas_fast.models.vqvae_config import GROUPS, NORM_EPS, VQConfig


class Norm(nn.GroupNorm):
    """GroupNorm in at least fp32: its sums over a group are where bfloat16 fails first."""

    def __init__(self, width: int) -> None:
        super().__init__(GROUPS, width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)
        weight, bias = self.weight.to(dtype), self.bias.to(dtype)
        return F.group_norm(x.to(dtype), GROUPS, weight, bias, NORM_EPS).to(x.dtype)


class LabelConv2d(nn.Conv2d):
    """A 3x3 convolution, zero outside, over the one-hot channels of a label map.

    The channels are never built (ops.label_conv). Void has no channel and adds nothing.
    """

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config.channels, config.ch, 3, padding=1)
        self.bias: nn.Parameter  # there always is one
        self.labels = config.channels - config.has_edges
        self.has_edges = config.has_edges

    def forward(self, labels: Tensor, edges: Tensor | None = None) -> Tensor:
        """Convolves label maps.

        Args:
            labels: uint8 [B, H, W], below self.labels or 255.
            edges: bool [B, H, W]; None for a layout without edges.

        Returns:
            [B, O, H, W], channels-last.
        """
        y = ops.label_conv(labels, edges, self.weight, self.bias)
        device = self.weight.device.type
        return y.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else y


class Patches2d(nn.Conv2d):
    """A 3x3 convolution over the patches of a picture, whose pixels become channels."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config.channels * config.patch**2, config.ch, 3, padding=1)
        self.patch = config.patch

    def forward(self, x: Tensor) -> Tensor:
        if self.patch > 1:
            x = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)
        return super().forward(x)


class ResnetBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = Norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = Norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """Single-head self-attention over all positions of the grid, scale 1 / sqrt(width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        # [B, C, H, W] -> [B, 1, H W, C]: a view, because channels are last.
        q, k, v = (part(y).flatten(2).transpose(1, 2)[:, None] for part in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        return x + self.proj_out(y.unflatten(2, x.shape[2:]))


class Level(nn.Module):
    """Blocks at one size, each followed by attention if the level has it."""

    downsample: Downsample  # of the encoder's levels, but the last
    upsample: Upsample  # of the decoder's levels, but the first

    def __init__(self, inputs: int, width: int, blocks: int, attends: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResnetBlock(width if j else inputs, width) for j in range(blocks)
        )
        self.attn = nn.ModuleList(Attention(width) for _ in range(blocks if attends else 0))

    def forward(self, x: Tensor) -> Tensor:
        for j, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[j](x)
        return x


class Downsample(nn.Module):
    """A convolution of stride 2, padded on the right and at the bottom only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Every pixel becomes 2 x 2, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    """The blocks of the coarsest grid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = ResnetBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """From pictures or label maps to the vectors that are quantized."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = config.widths
        labels = config.input == "labels"
        self.conv_in = LabelConv2d(config) if labels else Patches2d(config)
        self.down = nn.ModuleList()
        for i, (inputs, width) in enumerate(zip((config.ch, *widths), widths, strict=False)):
            level = Level(inputs, width, config.num_res_blocks, config.attends(i))
            if i + 1 != len(widths):
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1])
        self.norm_out = Norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.z_channels, 3, padding=1)

    def forward(self, *x: Tensor | None) -> Tensor:
        """An image, or labels and edges -> [B, z_channels, H / f, W / f]."""
        y = self.conv_in(*x)
        for level in cast(Iterable[Level], self.down):
            y = level(y)
            if hasattr(level, "downsample"):
                y = level.downsample(y)
        return self.conv_out(F.silu(self.norm_out(self.mid(y))))


class Decoder(nn.Module):
    """Its levels are numbered like the encoder's, so the last one runs first."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList()
        for i, (width, inputs) in enumerate(zip(widths, (*widths[1:], widths[-1]), strict=True)):
            level = Level(inputs, width, config.num_res_blocks + 1, config.attends(i))
            if i != 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = Norm(widths[0])
        self.patch = config.patch
        self.conv_out = nn.Conv2d(widths[0], config.channels * self.patch**2, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        y = self.mid(self.conv_in(z))
        for level in cast(Iterable[Level], reversed(self.up)):
            y = level(y)
            if hasattr(level, "upsample"):
                y = level.upsample(y)
        y = self.conv_out(F.silu(self.norm_out(y)))
        return y if self.patch == 1 else F.pixel_shuffle(y, self.patch)
