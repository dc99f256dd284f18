"""Square crops of a source as batches for a tokenizer: a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from mas_fast.data.regions import face_boxes, object_boxes
from mas_fast.data.sources.base import Reject, Sample, Source
from mas_fast.models.vqvae_config import VQConfig

TRIES = 1000  # rejects in a row after which nothing good is expected


class Crops(Dataset):
    """What a tokenizer of this config trains on: images, or scenes in its layout.

    augment: crops anywhere and flips, drawn from (seed, epoch, index); else centre crops. boxes:
    which of "object_boxes" and "face_boxes" come along: those of the data, else those that the
    scene shows, else none. A sample that cannot be read gives its place to the next one.
    ValueError, when it comes to that, for too many rejects in a row.
    """

    def __init__(
        self,
        source: Source,
        config: VQConfig,
        seed: int = 0,
        augment: bool = False,
        boxes: Collection[str] = (),
    ) -> None:
        self.source, self.config, self.seed, self.augment = source, config, seed, augment
        self.boxes = boxes

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, place: tuple[int, int]) -> tuple[Sample, list[tuple[str, str]]]:
        """(the crop, rejects met on the way to it as (key, reason)) of (epoch, index)."""
        epoch, index = place
        rejects = []
        for offset in range(min(TRIES, len(self))):
            generator = np.random.default_rng((self.seed, epoch, index)) if self.augment else None
            item = self.square((index + offset) % len(self), generator)
            if isinstance(item, Sample):
                return item, rejects
            rejects.append((item.key, item.reason))
        raise ValueError(
            f"data: found {len(rejects)} unreadable samples in a row, expected some to train on; "
            f"{rejects[0][0]}: {rejects[0][1]}"
        )

    def square(self, index: int, generator: np.random.Generator | None = None) -> Sample | Reject:
        """The crop of item `index` of the source: the middle, or one that the generator draws. A
        reject too where a scene is needed and missing."""

        def change(sample: Sample) -> Sample:
            if self.config.input == "labels" and sample.annotation is None:
                raise ValueError("found no scene, expected one beside the image")
            return sample.square(self.config.resolution, generator)

        return self.source.changed(index, change)

    def collate(self, items: Sequence[tuple[Sample, list[tuple[str, str]]]]) -> dict:
        """A batch: "keys", "rejects", and "image" float [B, 3, H, W] in [-1, 1], or "labels" uint8
        and "edges" bool [B, H, W]; and, under the names of the boxes, a list for each sample of any
        number of [x0, y0, x1, y1] in pixels of the crop."""
        samples = [sample for sample, _ in items]
        batch = {
            "keys": [sample.key for sample in samples],
            "rejects": [reject for _, rejects in items for reject in rejects],
        }
        for name in self.boxes:
            batch[name] = [_boxes(name, sample) for sample in samples]
        if self.config.input == "image":
            pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
            return batch | {"image": pixels.permute(0, 3, 1, 2).float() / 127.5 - 1}
        scenes = [sample.scene.to(self.config.layout) for sample in samples]
        return batch | {
            "labels": torch.from_numpy(np.stack([scene.labels for scene in scenes])),
            "edges": torch.from_numpy(np.stack([scene.edges for scene in scenes])),
        }


def _boxes(name: str, sample: Sample) -> list[list[float]]:
    given = {"object_boxes": sample.boxes.objects, "face_boxes": sample.boxes.faces}[name]
    if given is None and sample.annotation is not None:
        objects = name == "object_boxes"
        given = object_boxes(sample.annotation) if objects else face_boxes(sample.scene)
    return [] if given is None else given.tolist()
