"""PatchGAN: a discriminator that judges every patch of a picture instead of the picture.

The network of pix2pix (Isola et al., arXiv 1611.07004) with the parameter names of
taming-transformers (`main.0.weight` ...), so that a discriminator trained there can be trained on.
"""

from __future__ import annotations

from torch import Tensor, nn


class Discriminator(nn.Module):
    """A PatchGAN; the default sees 70 x 70 patches.

    Convolutions are initialised with N(0, 0.02), normalisations with N(1, 0.02), drawn from torch's
    generator.

    Args:
        channels: of the pictures.
        width: of the first convolution; every further one doubles it, up to 8 times the first.
        layers: the number of convolutions that halve the picture.

    Attributes:
        smallest: the side of the smallest picture that has a whole patch.
    """

    def __init__(self, channels: int = 3, *, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.layers, self.smallest = layers, 3 << layers
        # No bias before a normalisation, which would subtract it again.
        main: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        inputs = width
        for i in range(1, layers + 1):
            outputs = width * min(2**i, 8)
            stride = 2 if i < layers else 1
            main.append(nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False))
            main += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, True)]
            inputs = outputs
        self.main = nn.Sequential(*main, nn.Conv2d(inputs, 1, 4, 1, 1))
        self.apply(_init)

    def forward(self, x: Tensor) -> Tensor:
        """Judges the patches of pictures.

        Args:
            x: [B, channels, H, W] in [-1, 1].

        Returns:
            Logits [B, 1, h, w] with h = H / 2^layers - 2, positive where a patch looks real.

        Raises:
            ValueError: the pictures have no whole patch.
        """
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
