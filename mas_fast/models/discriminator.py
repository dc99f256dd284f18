"""PatchGAN: judges every patch of a picture, not the picture.

The network of pix2pix (Isola et al., arXiv 1611.07004) in the names that taming-transformers gives
it (`main.0.weight` ...), so that a discriminator trained there goes on here.
"""

from __future__ import annotations

from torch import Tensor, nn


class Discriminator(nn.Module):
    """channels: of the pictures; width: of the first convolution, doubled by each further one up
    to 8 times; layers: how many of them halve the picture. The default sees 70 x 70 patches.
    smallest: the sides of the smallest picture that has a whole patch.

    Convolutions start at N(0, 0.02), normalisations at N(1, 0.02), drawn from torch's generator.
    """

    def __init__(self, channels: int = 3, *, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.layers, self.smallest = layers, 3 << layers
        # A bias before a normalisation would be taken out again by its mean.
        main: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        before = width
        for i in range(1, layers + 1):
            after = width * min(2**i, 8)
            stride = 2 if i < layers else 1
            main.append(nn.Conv2d(before, after, 4, stride, 1, bias=False))
            main += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]
            before = after
        self.main = nn.Sequential(*main, nn.Conv2d(before, 1, 4, 1, 1))
        self.apply(_init)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, channels, H, W] in [-1, 1] -> logits [B, 1, h, w], h = H / 2^layers - 2: positive
        where a patch looks real. ValueError for a picture that has no whole patch."""
        if x.ndim != 4 or min(x.shape[2:]) < self.smallest:
            raise ValueError(
                f"pictures: found shape {list(x.shape)}, expected [B, C, H, W] with "
                f"H, W >= {self.smallest} for {self.layers} layers"
            )
        return self.main(x)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
