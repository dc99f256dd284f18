"""A small segmenter of pictures, a U-Net that reads 2 x 2 pixels at a time.

evaluation/segmenter.py trains it on the storybook; its features are also a measure of how alike two
pictures are (perceptual.FeatureDistance).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (24, 48, 96, 128)  # at 1/2, 1/4, 1/8 and 1/16 of the picture
HEAD = 32


class Block(nn.Sequential):
    """A convolution, batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Segmenter(nn.Module):
    """The network (140M multiplications for 128 x 128 pixels).

    Args:
        classes: the classes of COCO that it tells apart: with all 133, softmax is two thirds of a
            training step.
    """

    classes: Tensor

    def __init__(self, classes: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("classes", torch.tensor(classes, dtype=torch.uint8))
        *widths, deep = WIDTHS
        self.down = nn.ModuleList(
            Block(inputs, outputs, stride=1 if i == 0 else 2)
            for i, (inputs, outputs) in enumerate(zip((12, *widths), WIDTHS, strict=True))
        )
        self.middle = nn.Sequential(Block(deep, deep), Block(deep, deep))
        above = list(zip(WIDTHS[1:], widths, strict=True))[::-1]
        self.across = nn.ModuleList(nn.Conv2d(below, width, 1) for below, width in above)
        self.up = nn.ModuleList(
            Block(width, HEAD if width == widths[0] else width) for _, width in above
        )
        self.head = nn.Conv2d(HEAD, len(classes), 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch has it

    def features(self, x: Tensor) -> list[Tensor]:
        """What it sees of pictures on its way down.

        Args:
            x: [B, 3, H, W] in [-1, 1], H and W multiples of 16.

        Returns:
            [B, C, H / 2, W / 2], ..., [B, C, H / 16, W / 16], C as in WIDTHS.
        """
        y = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        kept = []
        for block in self.down:
            y = block(y)
            kept.append(y)
        return [*kept[:-1], y + self.middle(y)]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pictures.

        Args:
            x: as in `features`.

        Returns:
            [B, classes, H / 2, W / 2].
        """
        *kept, y = self.features(x)
        for across, up, skip in zip(self.across, self.up, reversed(kept), strict=True):
            y = up(F.interpolate(across(y), scale_factor=2.0) + skip)
        return self.head(y)

    @torch.no_grad()
    def segment(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The class of each pixel, one picture at a time: no result depends on its neighbours.

        Args:
            pictures: uint8 [H, W, 3] each, H and W multiples of 16.

        Returns:
            uint8 [H / 2, W / 2] each, as faithfulness.class_map.
        """
        logits = (self(to_tensor(picture[None])) for picture in pictures)
        return [self.classes[x.argmax(1)[0]].numpy() for x in logits]

    @torch.no_grad()
    def means(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """The mean of each channel of each of `features`, one picture at a time: for a Frechet
        distance.

        Args:
            pictures: uint8 [H, W, 3] each, H and W multiples of 16.

        Returns:
            fp32 [N, sum of WIDTHS].
        """
        found = (self.features(to_tensor(picture[None])) for picture in pictures)
        return torch.cat([torch.cat([y.mean((2, 3)) for y in scales], 1) for scales in found])


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> [B, 3, H, W] in [-1, 1]."""
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
