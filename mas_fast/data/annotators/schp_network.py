"""SCHP's network (Li et al., Self-Correction for Human Parsing, arXiv 1910.09777), for inference.

ResNet-101 with a dilated last stage, pyramid pooling (PSP), an edge branch, a decoder, and the
fusion of both, whose logits are the result. Modules are named as in the published checkpoints. The
layers that only training uses (decoder.conv4, edge.conv4 and edge.conv5) are here too, so that a
checkpoint is checked in full, but they do not run.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-5
SLOPE = 0.01  # of the leaky ReLU


class ABN(nn.Module):
    """In-place ABN at inference: (x - mean) / sqrt(var + eps) * (|w| + eps) + b, then leaky ReLU.

    The scale is |w| + eps. Read as a plain batch norm, a checkpoint with negative weights gives
    wrong parts without an error.

    Args:
        width: number of channels.
        slope: slope of the leaky ReLU; 1 for none.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, slope: float = SLOPE) -> None:
        super().__init__()
        self.slope = slope
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight.abs() + EPS
        x = F.batch_norm(x, self.running_mean, self.running_var, scale, self.bias, eps=EPS)
        return x if self.slope == 1 else F.leaky_relu(x, self.slope, inplace=True)


def conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """Make a convolution without bias that keeps height and width, except for the stride."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)


def conv_abn(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    """Make a convolution followed by ABN."""
    return nn.Sequential(conv(inputs, outputs, kernel), ABN(outputs))


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Resize a tensor [N, C, H, W] to the height and width of another."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


class Bottleneck(nn.Module):
    """A block of ResNet-101: three convolutions beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = conv(inputs, width), ABN(width, 1)
        self.conv2, self.bn2 = conv(width, width, 3, stride, dilation), ABN(width, 1)
        self.conv3, self.bn3 = conv(width, outputs), ABN(outputs, 1)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), ABN(outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class PSP(nn.Module):
    """Pyramid pooling (Zhao et al., arXiv 1612.01105)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), conv(inputs, outputs), ABN(outputs))
            for side in (1, 2, 3, 6)
        )
        self.bottleneck = conv_abn(inputs + 4 * outputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bottleneck(torch.cat([*(resize(stage(x), x) for stage in self.stages), x], 1))


class Edge(nn.Module):
    """The edge branch: features of three stages, [N, 768, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (conv_abn(n, 256) for n in (256, 512, 1024))
        self.conv4, self.conv5 = nn.Conv2d(256, 2, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x2: Tensor, x3: Tensor, x4: Tensor) -> Tensor:
        levels = self.conv1(x2), self.conv2(x3), self.conv3(x4)
        return torch.cat([resize(level, x2) for level in levels], 1)


class Decoder(nn.Module):
    """The decoder: context and features of the first stage, [N, 256, h, w]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv_abn(512, 256), conv_abn(256, 48)
        self.conv3 = nn.Sequential(*conv_abn(304, 256), *conv_abn(256, 256))
        self.conv4 = nn.Conv2d(256, classes, 1)

    def forward(self, context: Tensor, x2: Tensor) -> Tensor:
        return self.conv3(torch.cat([resize(self.conv1(context), x2), self.conv2(x2)], 1))


class SCHP(nn.Module):
    """The network. Weights are random until they are loaded.

    It maps [N, 3, H, W], BGR, normalised (see `schp.MEAN`), to logits [N, classes, h, w] with
    h = ceil(ceil(H / 2) / 2): 119 for 473.

    Args:
        classes: number of parts.
        blocks: number of blocks of each stage.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, classes: int = 20, blocks: tuple[int, ...] = (3, 4, 23, 3)) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 3, 2), ABN(64, 1)
        self.conv2, self.bn2 = conv(64, 64, 3), ABN(64, 1)
        self.conv3, self.bn3 = conv(64, 128, 3), ABN(128, 1)
        inputs = 128
        for n, count in enumerate(blocks, 1):
            width, stride, dilation = 64 << n - 1, 2 if n in (2, 3) else 1, 2 if n == 4 else 1
            stage = [Bottleneck(inputs, width, stride, dilation)]
            stage += [Bottleneck(4 * width, width, 1, dilation) for _ in range(count - 1)]
            setattr(self, f"layer{n}", nn.Sequential(*stage))
            inputs = 4 * width
        self.context_encoding = PSP(2048, 512)
        self.edge = Edge()
        self.decoder = Decoder(classes)
        # the published name; number 2 is the dropout
        fusion = [*conv_abn(1024, 256), nn.Identity(), nn.Conv2d(256, classes, 1)]
        self.fushion = nn.Sequential(*fusion)

    def forward(self, x: Tensor) -> Tensor:
        for n in (1, 2, 3):
            x = F.relu(getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(x)), inplace=True)
        x2 = self.layer1(F.max_pool2d(x, 3, 2, 1))
        x3 = self.layer2(x2)
        x4 = self.layer3(x3)
        context = self.context_encoding(self.layer4(x4))
        return self.fushion(torch.cat([self.decoder(context, x2), self.edge(x2, x3, x4)], 1))
