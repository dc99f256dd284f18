"""Perceptual distances between pictures: distances of features of networks trained for other tasks.

    distance = LPIPS("weights").to(device)   # a folder; if a file is missing, the error says where
    distance(pictures, others)               # to get it; [N, 3, H, W] in [-1, 1], twice -> [N]

`LPIPS` compares VGG16's features with learned weights (Zhang et al., arXiv 1801.03924, v0.1),
`FaceDistance` those of a ResNet-50 that tells faces apart (Gafni et al., arXiv 2203.13131),
`FeatureDistance` those of a network of ours, such as segmenter.Segmenter. All are frozen: gradients
flow to the pictures alone. The networks are our own, with the parameter names of the published
files, which stay where they are: nothing is downloaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast.utils.checkpoint import read_checkpoint, state_dict
from mas_fast.utils.rust import no_panics

VGG_WIDTHS = (64, 128, 256, 512, 512)
VGG_DEPTHS = (2, 2, 3, 3, 3)
# ImageNet's mean and deviation, for pictures in [-1, 1] (LPIPS v0.1).
VGG_SHIFT, VGG_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
FACE_MEAN_BGR = (91.4953, 103.8827, 131.0912)  # VGGFace2's, for pictures in [0, 255]
# Spatial sizes 112, 56, 28, 7 and 1 for crops of 224. The paper does not give its weights.
FACE_WEIGHTS = (0.1, 0.0025, 0.025, 0.05, 0.005)


@dataclass(frozen=True)
class WeightFile:
    """A published file.

    Attributes:
        name: which may also end in .safetensors.
        source: where to get it.
    """

    name: str
    source: str

    def find(self, folder: Path) -> Path | None:
        paths = (folder / self.name, (folder / self.name).with_suffix(".safetensors"))
        return next((path for path in paths if path.is_file()), None)


VGG16_FILE = WeightFile(
    "vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth (528 MB)"
)
LPIPS_FILE = WeightFile(
    "vgg.pth",
    "https://github.com/richzhang/PerceptualSimilarity, lpips/weights/v0.1/vgg.pth (7 KB; also in "
    "the wheel that `pip download --no-deps lpips` brings, which is a zip file)",
)
FACE_FILE = WeightFile(
    "vggface2-resnet50.pth",
    "https://github.com/cydonia999/VGGFace2-pytorch, resnet50_ft_weight.pkl: a pickle of numpy "
    "arrays, which must be saved anew as a state dict of tensors",
)


def find_weights(folder: str | os.PathLike, *files: WeightFile) -> list[Path]:
    """Finds weight files.

    Args:
        folder: where they are.
        files: which to find.

    Returns:
        The path of each.

    Raises:
        ValueError: files are missing; names each with its source.
    """
    paths = {file: file.find(Path(folder)) for file in files}
    missing = [file for file, path in paths.items() if path is None]
    if missing:
        lines = [f"  {file.name} from {file.source}" for file in missing]
        raise ValueError(
            f"{folder}: found {len(files) - len(missing)} of {len(files)} weight files, expected "
            "these too, under these names or as safetensors with the suffix .safetensors:\n"
            + "\n".join(lines)
        )
    return [path for path in paths.values() if path is not None]


def read_weights(file: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Reads tensors from a .safetensors or torch file, without running code from it.

    Args:
        file: a state dict; its other tensors are ignored.
        shapes: the names and shapes of the tensors.

    Returns:
        The tensors by name, in fp32.

    Raises:
        ValueError: the file is no state dict, or tensors are missing or have another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            with no_panics():
                state = load_file(file)
        else:
            state = state_dict(file, read_checkpoint(file))
    except (SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).removeprefix(f"{file}: ").partition("\n")[0]
        raise ValueError(f"{file}: found no state dict that is safe to read: {reason}") from error
    stored_shapes = {name: tuple(getattr(state.get(name), "shape", ())) for name in shapes}
    wrong = [name for name in shapes if stored_shapes[name] != shapes[name]]
    if wrong:
        few = [f"{n} {list(stored_shapes[n]) if n in state else 'missing'}" for n in wrong[:3]]
        expected = f"{wrong[0]} {list(shapes[wrong[0]])}"
        raise ValueError(
            f"{file}: {len(wrong)} of {len(shapes)} tensors missing or of another shape: found "
            f"{', '.join(few)}, expected {expected} ..."
        )
    return {name: state[name].float() for name in shapes}


def _load(module: nn.Module, file: Path) -> None:
    state = module.state_dict()
    ignored = {name for name in state if name.endswith("num_batches_tracked")}
    shapes = {name: tuple(value.shape) for name, value in state.items() if name not in ignored}
    module.load_state_dict(read_weights(file, shapes), strict=False)


class VGG16(nn.Module):
    """The convolutions of VGG16 (Simonyan & Zisserman, arXiv 1409.1556).

    They are named as in torchvision, features.{0, 2, 5, ..., 28}. Weights are random until loaded.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for out, depth in zip(VGG_WIDTHS, VGG_DEPTHS, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU(inplace=True)]
                width = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])  # nothing here needs the last pooling

    def forward(self, x: Tensor) -> list[Tensor]:
        """Computes features.

        Args:
            x: [N, 3, H, W], normalised, H and W >= 16.

        Returns:
            relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3:
            [N, 64, H, W] ... [N, 512, H // 16, W // 16].
        """
        levels = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                levels.append(x)
            x = layer(x)
        return [*levels, x]


class _Frozen(nn.Module):
    """A network that stays in evaluation mode and never learns."""

    def _freeze(self) -> None:
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> _Frozen:
        return super().train(False)


class LPIPS(_Frozen):
    """LPIPS: d(x, y) = sum_l mean_hw sum_c w_lc (x'_lchw - y'_lchw)^2.

    x'_l is VGG16's level l of x, scaled to length 1 over the channels.

    Args:
        folder: has vgg16-397923af.pth and vgg.pth (or .safetensors).

    Raises:
        ValueError: as find_weights and read_weights.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, folder: str | os.PathLike) -> None:
        super().__init__()
        vgg_file, linear_file = find_weights(folder, VGG16_FILE, LPIPS_FILE)
        self.net = VGG16()
        _load(self.net, vgg_file)
        names = [f"lin{i}.model.1.weight" for i in range(len(VGG_WIDTHS))]
        shapes: dict[str, tuple[int, ...]] = {
            name: (1, width, 1, 1) for name, width in zip(names, VGG_WIDTHS, strict=True)
        }
        weights = read_weights(linear_file, shapes)
        for i, name in enumerate(names):
            self.register_buffer(f"weight{i}", weights[name].flatten())
        self.register_buffer("shift", torch.tensor(VGG_SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(VGG_SCALE).view(3, 1, 1))
        self._freeze()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Compares pictures.

        Args:
            x, y: floating [N, 3, H, W] in [-1, 1], H and W >= 16.

        Returns:
            [N], 0 for equal pictures.
        """
        check_pair(x, y, smallest=16)
        terms = []
        for i, (a, b) in enumerate(zip(self._levels(x), self._levels(y), strict=True)):
            square = (_unit(a) - _unit(b)).square().mean((2, 3))  # [N, C]
            terms.append((square * getattr(self, f"weight{i}")).sum(1))
        return sum(terms[1:], terms[0])

    def _levels(self, x: Tensor) -> list[Tensor]:
        return self.net((x - self.shift) / self.scale)


class Seeing(Protocol):
    """A network that says what it sees of pictures."""

    def features(self, x: Tensor, /) -> list[Tensor]: ...


class FeatureDistance(_Frozen):
    """LPIPS with another network, whose features all weigh alike: the mean over its levels of
    mean_hw sum_c (x'_lchw - y'_lchw)^2.

    Args:
        network: the network, with `features`, pictures [N, 3, H, W] in [-1, 1] -> [N, C, h, w] of
            each level.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.net = network
        self._freeze()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Compares pictures.

        Args:
            x, y: floating [N, 3, H, W] in [-1, 1], of a size that the network takes.

        Returns:
            [N], 0 for equal pictures.
        """
        check_pair(x, y)
        net = cast(Seeing, self.net)
        pairs = zip(net.features(x), net.features(y), strict=True)
        levels = [(_unit(a) - _unit(b)).square().sum(1).mean((1, 2)) for a, b in pairs]
        return torch.stack(levels).mean(0)


class FaceDistance(_Frozen):
    """A perceptual distance of faces: d(x, y) = sum_l a_l mean_chw |x_l - y_l|.

    The five levels are those of a ResNet-50 trained on VGGFace2: after the first convolution, after
    blocks 1, 2 and 4, and block 4's spatial mean.

    Args:
        folder: has vggface2-resnet50.pth (or .safetensors).

    Raises:
        ValueError: as find_weights and read_weights.
    """

    mean: Tensor

    def __init__(self, folder: str | os.PathLike) -> None:
        super().__init__()
        (file,) = find_weights(folder, FACE_FILE)
        self.net = FaceResNet50()
        _load(self.net, file)
        self.register_buffer("mean", torch.tensor(FACE_MEAN_BGR).view(3, 1, 1))
        self._freeze()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Compares faces.

        Args:
            x, y: floating [N, 3, H, W], RGB in [-1, 1], H and W >= 32: faces that fill the picture
                (the network was trained at 224 x 224).

        Returns:
            [N].
        """
        check_pair(x, y, smallest=32)
        terms = []
        for a, b, weight in zip(self._levels(x), self._levels(y), FACE_WEIGHTS, strict=True):
            terms.append(weight * (_wide(a) - _wide(b)).abs().mean((1, 2, 3)))
        return sum(terms[1:], terms[0])

    def _levels(self, x: Tensor) -> list[Tensor]:
        return self.net((x.flip(1) + 1) * 127.5 - self.mean)


class FaceResNet50(nn.Module):
    """ResNet-50 as VGGFace2's authors trained it in Caffe, with the names of VGGFace2-pytorch.

    Unlike torchvision's, a block's stride is on its first convolution, and the pooling pads at the
    end.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        width = 64
        for i, depth in enumerate((3, 4, 6, 3)):
            inner, blocks = 64 << i, []
            for j in range(depth):
                blocks.append(Bottleneck(width, inner, stride=2 if i > 0 and j == 0 else 1))
                width = 4 * inner
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Computes features.

        Args:
            x: [N, 3, 224, 224], BGR minus the mean.

        Returns:
            [N, 64, 112, 112], [N, 256, 56, 56], [N, 512, 28, 28], [N, 2048, 7, 7] and
            [N, 2048, 1, 1].
        """
        y0 = F.relu(self.bn1(self.conv1(x)))
        y1 = self.layer1(F.max_pool2d(y0, 3, stride=2, ceil_mode=True))
        y2 = self.layer2(y1)
        y4 = self.layer4(self.layer3(y2))
        return [y0, y1, y2, y4, y4.mean((2, 3), keepdim=True)]


class Bottleneck(nn.Module):
    """The block of a ResNet-50: 1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    downsample: nn.Module

    def __init__(self, width: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, inner, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * inner)
        self.downsample = nn.Identity()
        if stride != 1 or width != 4 * inner:
            shortcut = nn.Conv2d(width, 4 * inner, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * inner))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def check_pair(x: Tensor, y: Tensor, *, smallest: int = 1) -> None:
    """Checks a pair of pictures.

    Raises:
        ValueError: x and y are not [N, 3, H, W] of one shape with H, W >= smallest.
    """
    if x.shape != y.shape or x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < smallest:
        raise ValueError(
            f"pictures: found shapes {list(x.shape)} and {list(y.shape)}, expected twice the same "
            f"[N, 3, H, W] with H, W >= {smallest}"
        )


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _unit(x: Tensor) -> Tensor:
    """x / (|x| + 1e-10) over the channels. The norm has gradient 0 at 0, where that of
    sqrt(sum x^2) is NaN: one pixel at which all features are 0 would spoil the whole step."""
    x = _wide(x)
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10)
