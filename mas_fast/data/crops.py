"""Square crops of a source as batches for a tokenizer: a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import Dataset

from mas_fast.data.regions import face_boxes, object_boxes
from mas_fast.data.sources.base import Reject, Sample, Source
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.scene import Scene

TRIES = 1000  # rejects in a row after which nothing good is expected


class Crops(Dataset):
    """The training data of a tokenizer: images, or scenes in its layout.

    A sample that cannot be read is replaced by the next one.

    Args:
        source: where the samples come from.
        config: config of the tokenizer.
        seed: seed of the crops and flips.
        augment: crops anywhere and flips, drawn from (seed, epoch, index); else centre crops.
        boxes: which of "object_boxes" and "face_boxes" come along: those of the data, else those
            that the scene shows, else none.

    Raises:
        ValueError: for too many rejects in a row, when they are reached.
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

    def __getitem__(self, position: tuple[int, int]) -> tuple[Sample, list[tuple[str, str]]]:
        """Return a crop.

        Args:
            position: epoch, and index of the sample.

        Returns:
            The crop, and the (key, reason) of each reject met on the way to it.

        Raises:
            ValueError: if there are too many rejects in a row.
        """
        epoch, index = position
        rejects: list[tuple[str, str]] = []
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
        """Crop an item of the source.

        Args:
            index: which item.
            generator: draws the crop; None takes the middle.

        Returns:
            The crop, or a reject, also if a scene is needed and missing.
        """

        def change(sample: Sample) -> Sample:
            if self.config.input == "labels" and sample.annotation is None:
                raise ValueError("found no scene, expected one beside the image")
            return sample.square(self.config.resolution, generator)

        return self.source.changed(index, change)

    def collate(self, items: Sequence[tuple[Sample, list[tuple[str, str]]]]) -> dict:
        """Put crops together to a batch.

        Args:
            items: B crops with their rejects, from `__getitem__`.

        Returns:
            "keys", "rejects", and "image", float [B, 3, H, W] in [-1, 1], or "labels", uint8, and
            "edges", bool, [B, H, W]. Under the names of the boxes there is a list for each sample,
            with any number of [x0, y0, x1, y1] in pixels of the crop.
        """
        samples = [sample for sample, _ in items]
        batch: dict[str, Any] = {
            "keys": [sample.key for sample in samples],
            "rejects": [reject for _, rejects in items for reject in rejects],
        }
        for name in self.boxes:
            batch[name] = [_boxes(name, sample) for sample in samples]
        if self.config.input == "image":
            pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
            return batch | {"image": pixels.permute(0, 3, 1, 2).float() / 127.5 - 1}
        # `square` rejects samples without a scene, and a config for labels has a layout
        layout = cast(str, self.config.layout)
        scenes = [cast(Scene, sample.scene).to(layout) for sample in samples]
        return batch | {
            "labels": torch.from_numpy(np.stack([scene.labels for scene in scenes])),
            "edges": torch.from_numpy(np.stack([scene.edges for scene in scenes])),
        }


def _boxes(name: str, sample: Sample) -> list[list[float]]:
    given = {"object_boxes": sample.boxes.objects, "face_boxes": sample.boxes.faces}[name]
    if given is None and sample.annotation is not None:
        objects = name == "object_boxes"
        scene = cast(Scene, sample.scene)  # there is one where there is an annotation
        given = object_boxes(sample.annotation) if objects else face_boxes(scene)
    return [] if given is None else given.tolist()
