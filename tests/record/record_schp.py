"""Records what SCHP's published code computes: tests/fixtures/schp_tensors.txt and schp.npz.

    python tests/record/record_schp.py CHECKOUT

CHECKOUT: a clone of https://github.com/GoGoDuck912/Self-Correction-Human-Parsing, commit eb84c43.
Needs torch and OpenCV. Its in-place ABN is a CUDA extension; the class below takes its place, with
the formula of modules/src/inplace_abn_cpu.cpp. Recorded are the names and shapes of the network's
tensors, its fusion logits for random weights and a random input (every second row and column), and,
of simple_extractor.py's preprocessing and postprocessing, the warped picture and the labels for
random logits.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from weights import picture, random_state

DATA = Path(__file__).resolve().parents[1] / "fixtures"


class InPlaceABN(nn.Module):
    def __init__(self, width, affine=True, activation="leaky_relu", slope=0.01):
        super().__init__()
        self.slope = 1 if activation == "none" else slope
        for name, value in (("weight", 1.0), ("bias", 0.0)):
            setattr(self, name, nn.Parameter(torch.full((width,), value)))
        for name, value in (("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((width,), value))

    def forward(self, x):
        mean, var, weight, bias = (
            v[:, None, None] for v in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        y = (x - mean) * torch.rsqrt(var + 1e-5) * (weight.abs() + 1e-5) + bias
        return torch.where(y < 0, y * self.slope, y)


def main(checkout: str) -> None:
    sys.path.insert(0, checkout)
    modules = types.ModuleType("modules")
    modules.InPlaceABNSync = InPlaceABN
    sys.modules["modules"] = modules
    import networks
    from datasets.simple_extractor_dataset import SimpleFolderDataset
    from utils.transforms import get_affine_transform, transform_logits

    network = networks.init_model("resnet101", num_classes=20, pretrained=None).eval()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    lines = [f"{name} {' '.join(map(str, shape))}\n" for name, shape in shapes.items()]
    (DATA / "schp_tensors.txt").write_text("".join(lines))
    state = {name: torch.from_numpy(value) for name, value in random_state(shapes).items()}
    network.load_state_dict(state)
    pixels = np.random.RandomState(1).standard_normal((1, 3, 97, 129)).astype(np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels))[0][-1].numpy()

    image = picture(61, 83, 2)
    dataset = SimpleFolderDataset.__new__(SimpleFolderDataset)
    dataset.aspect_ratio, size = 1.0, np.array([473, 473])
    center, scale = dataset._box2cs([0, 0, image.shape[1] - 1, image.shape[0] - 1])
    transform = get_affine_transform(center, scale, 0, size)
    warped = cv2.warpAffine(image[:, :, ::-1], transform, (473, 473), flags=cv2.INTER_LINEAR)
    coarse = np.random.RandomState(3).standard_normal((1, 20, 12, 12)).astype(np.float32)
    options = {"mode": "bilinear", "align_corners": True}
    small = nn.functional.interpolate(torch.from_numpy(coarse), (119, 119), **options)
    large = nn.functional.interpolate(small, (473, 473), **options)[0].permute(1, 2, 0).numpy()
    height, width = image.shape[:2]
    labels = transform_logits(large, center, scale, width, height, input_size=[473, 473])
    np.savez_compressed(
        DATA / "schp.npz",
        logits=logits[0, :, ::2, ::2],
        warped=warped[::8, ::8],
        coarse=coarse,
        labels=labels.argmax(2).astype(np.uint8),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
