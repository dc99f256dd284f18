"""Human parts by SCHP (arXiv 1910.09777): each person of the panoptic layer, cut out and parsed.

    human = Schp.load("exp-schp-201908261155-lip.pth", device="cuda")

The network parses one person who fills the picture. On a whole scene it squeezes everyone into 473
pixels. If there is nobody, it finds parts all the same, so pictures without people are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast.data.annotators.base import Annotator, check_channels, check_pictures
from mas_fast.data.annotators.schp_network import SCHP
from mas_fast.scene import LIP_NAMES, PERSON, Layers
from mas_fast.utils.checkpoint import read_checkpoint, state_dict
from mas_fast.utils.validate import check_choice

SIDE = 473
MEAN, STD = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)  # blue, green, red, of values 0..1
MARGIN = 0.1  # of a box, on each side, since panoptic segments cut something off
MIN_SIDE = 16  # pixels; parts of people who are smaller would be guesses
CROPS = ("people", "image")
SOURCE = (
    "https://github.com/GoGoDuck912/Self-Correction-Human-Parsing (its README links to "
    "exp-schp-201908261155-lip.pth, https://drive.google.com/uc?id="
    "1k4dllHpu0bdx38J7H28rVVLpU-kOHmnH, 267 MB)"
)


@dataclass(frozen=True)
class Job:
    """One crop.

    Attributes:
        picture: index of the picture.
        left: middle of the leftmost pixels, which may lie outside the picture.
        top: middle of the topmost pixels, likewise.
        right: middle of the rightmost pixels, likewise.
        bottom: middle of the lowest pixels, likewise.
        person: an instance of the picture, or None for all.
    """

    picture: int
    left: float
    top: float
    right: float
    bottom: float
    person: int | None = None

    @property
    def center(self) -> tuple[float, float]:
        """Its centre, (x, y) in pixels."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def side(self) -> float:
        """Its longer side in pixels, at least 1."""
        return max(self.right - self.left, self.bottom - self.top, 1.0)


class Schp(Annotator):
    """Human parts by SCHP.

    The parts of a person go anywhere in its box except onto another person. If two people overlap,
    the parts of the smaller one stay.

    Args:
        network: maps [N, 3, 473, 473], BGR, normalised, to logits [N, 20, h, w].
        crops: "people", one crop for each person instance of at least MIN_SIDE pixels, or "image",
            the whole picture at once. Pictures without known instances are always taken whole.
        batch_size: crops per batch, at most.

    Raises:
        ValueError: if red, green and blue do not arrive as BGR.
    """

    adds = ("human",)

    def __init__(self, network: nn.Module, crops: str = "people", batch_size: int = 8) -> None:
        check_choice("crops", crops, CROPS)
        self.network, self.crops, self.batch_size = network.eval(), crops, batch_size
        self.device = next(iter(network.parameters()), torch.empty(0)).device
        check_channels(
            "schp",
            network,
            lambda picture: self([picture], [Layers(np.full(picture.shape[:2], PERSON, np.uint8))]),
            order="BGR",
            mean=[255 * m for m in MEAN],
            std=[255 * s for s in STD],
        )

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike,
        device: str = "cpu",
        crops: str = "people",
        batch_size: int = 8,
    ) -> Schp:
        """Load the network.

        Args:
            weights: the published checkpoint for LIP.
            device: device of the network.
            crops: as for `Schp`.
            batch_size: as for `Schp`.

        Returns:
            The annotator.

        Raises:
            ValueError: if the checkpoint is missing or another one.
        """
        return cls(load_network(weights).to(device), crops, batch_size)

    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        check_pictures(images, layers, needs_layers=True)
        layers = cast(Sequence[Layers], layers)  # none is None: they were checked
        human = [np.zeros(image.shape[:2], np.uint8) for image in images]
        jobs = [job for i, known in enumerate(layers) for job in self._jobs(i, known)]
        for start in range(0, len(jobs), self.batch_size):
            batch = jobs[start : start + self.batch_size]
            with torch.no_grad():
                crops = torch.cat([warp(self._tensor(images[job.picture]), job) for job in batch])
                logits = self.network(normalise(crops))
                for job, crop_logits in zip(batch, logits, strict=True):
                    paste(human[job.picture], crop_logits[None], job, layers[job.picture])
        return [replace(known, human=h) for known, h in zip(layers, human, strict=True)]

    def _tensor(self, image: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1)[None]

    def _jobs(self, picture: int, known: Layers) -> Iterator[Job]:
        """Yield the crops of a picture, largest first, so that smaller people are pasted later."""
        people = known.panoptic == PERSON
        if not people.any():
            return
        if self.crops == "image" or known.instances is None:
            yield Job(picture, 0, 0, known.width - 1, known.height - 1)
            return
        numbers, areas = np.unique(known.instances[people], return_counts=True)
        for number in numbers[np.argsort(-areas, kind="stable")].tolist():
            mask = people & (known.instances == number)
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            high, wide = rows[-1] - rows[0], columns[-1] - columns[0]
            if max(high, wide) + 1 < MIN_SIDE:
                continue
            top, bottom = rows[0] - MARGIN * high, rows[-1] + MARGIN * high
            left, right = columns[0] - MARGIN * wide, columns[-1] + MARGIN * wide
            yield Job(picture, float(left), float(top), float(right), float(bottom), number)


def warp(image: Tensor, job: Job) -> Tensor:
    """Cut out a crop and resize it; bilinear, black outside the picture.

    Args:
        image: uint8 [1, 3, H, W].
        job: the crop. Its longer side fills the square, the other is centred.

    Returns:
        fp32 [1, 3, 473, 473], whole numbers.
    """
    height, width = image.shape[2:]
    steps = torch.linspace(-job.side / 2, job.side / 2, SIDE, device=image.device)
    x, y = ((c + steps) for c in job.center)
    x, y = (2 * v / max(size - 1, 1) - 1 for v, size in ((x, width), (y, height)))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None]
    return F.grid_sample(image.float(), grid, "bilinear", "zeros", align_corners=True).round()


def normalise(crops: Tensor) -> Tensor:
    """Convert crops to the input of the network.

    Args:
        crops: RGB 0..255 [N, 3, h, w].

    Returns:
        BGR, normalised, of the same shape.
    """
    mean, std = (torch.tensor(v, device=crops.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (crops.flip(1) / 255 - mean) / std


def paste(human: np.ndarray, logits: Tensor, job: Job, known: Layers) -> None:
    """Write the parts of one crop into a map.

    The published code enlarges the logits to 473 and warps them to the picture. Sampling once, at
    the pixels of the picture, is the same except for the second interpolation.

    Args:
        human: the map, uint8 [H, W].
        logits: logits of the crop, [1, 20, h, w].
        job: the crop.
        known: layers of the picture.
    """
    height, width = human.shape
    top, left = max(0, int(np.ceil(job.top))), max(0, int(np.ceil(job.left)))
    bottom, right = min(height - 1, int(job.bottom)), min(width - 1, int(job.right))
    x = torch.arange(left, right + 1, device=logits.device) - job.center[0]
    y = torch.arange(top, bottom + 1, device=logits.device) - job.center[1]
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None] * (2 / job.side)
    sampled = F.grid_sample(logits, grid, "bilinear", "border", align_corners=True)
    parts = sampled.argmax(1)[0].to(torch.uint8).cpu().numpy()
    box = np.s_[top : bottom + 1, left : right + 1]
    mask = parts > 0
    if job.person is not None:
        instances = cast(np.ndarray, known.instances)  # the person is one of them
        mask &= (known.panoptic[box] != PERSON) | (instances[box] == job.person)
    human[box][mask] = parts[mask]


def load_network(weights: str | os.PathLike) -> SCHP:
    """Load the network from a published checkpoint. No code in it runs.

    Args:
        weights: the checkpoint, {"state_dict": {"module.*"}}.

    Returns:
        The network, in fp32, for inference.

    Raises:
        ValueError: if the file is missing, is no checkpoint, or belongs to another network.
    """
    path = Path(weights)
    if not path.is_file():
        raise ValueError(f"{path}: found no such weights of SCHP. They are at {SOURCE}")
    try:
        state = state_dict(path, read_checkpoint(path))
    except ValueError as error:
        raise ValueError(
            f"{error}; found no checkpoint of SCHP that is safe to read, expected "
            f"{{'state_dict': {{'module.*'}}}} from {SOURCE}"
        ) from error
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    with torch.device("meta"):
        network = SCHP(len(LIP_NAMES))
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{path}: found other tensors than those of SCHP for LIP: {reason}. "
            f"Expected exp-schp-201908261155-lip.pth from {SOURCE}"
        ) from error
    return network.float().eval()
