"""Panoptic segmentation by models of Hugging Face's transformers.

These are Mask2Former, MaskFormer, DETR and OneFormer, trained on COCO.

    panoptic = Transformers.load("facebook/mask2former-swin-tiny-coco-panoptic", device="cuda")

`pip install transformers` is enough, except for OneFormer, whose post-processing also needs
torchvision.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from mas_fast.data.annotators.base import (
    Annotator,
    batches,
    check_channels,
    check_order,
    check_pictures,
    library,
    segment_layers,
    with_panoptic,
)
from mas_fast.scene import COCO_NAMES, Layers

INSTALL = "pip install 'transformers>=4.50'"
MODELS = (
    "https://huggingface.co/models, such as facebook/mask2former-swin-tiny-coco-panoptic, "
    "shi-labs/oneformer_coco_swin_large or facebook/detr-resnet-50-panoptic"
)
PLACEHOLDER = re.compile(r"(label_?\d+|n/?a|)", re.IGNORECASE)  # names of numbers without a class


class Transformers(Annotator):
    """Panoptic segmentation by a model of transformers.

    Args:
        model: a ...ForUniversalSegmentation or DetrForSegmentation, whose config.id2label names
            COCO's classes.
        processor: its image processor; for OneFormer the OneFormerProcessor.
        batch_size: pictures per batch, at most.

    Raises:
        ValueError: for other names than COCO's, and if red, green and blue do not arrive in the
            order of the processor.
    """

    adds = ("panoptic", "instances")

    def __init__(self, model: Any, processor: Any, batch_size: int = 8) -> None:
        self.model, self.processor, self.batch_size = model.eval(), processor, batch_size
        self.labels = coco_labels_by_name(model.config.id2label)
        self.images = getattr(processor, "image_processor", processor)
        self.tasks = model.config.model_type == "oneformer"
        if self.tasks:
            library("torchvision", "pip install torchvision, of the release that fits your torch")
        # processors of transformers convert to RGB: BGR weights come with a mean in that order
        scale = self.images.rescale_factor if self.images.do_rescale else 1
        normalise = self.images.do_normalize
        mean = [m / scale for m in self.images.image_mean] if normalise else [0.0] * 3
        std = [s / scale for s in self.images.image_std] if normalise else [1 / scale] * 3
        check_order("transformers", "RGB", mean)
        check_channels(
            "transformers",
            self.model,
            lambda picture: self([picture], [None]),
            order="RGB",
            mean=mean,
            std=std,
        )

    @classmethod
    def load(
        cls, model: str | os.PathLike, device: str = "cpu", batch_size: int = 8
    ) -> Transformers:
        """Load a model.

        Args:
            model: a folder, or a name on the Hugging Face hub, from which it is downloaded.
            device: device of the model.
            batch_size: pictures per batch, at most.

        Returns:
            The annotator.

        Raises:
            ValueError: if transformers or the model is missing, and for a model of other classes
                than COCO's.
        """
        loaders = ("AutoConfig", "AutoImageProcessor", "AutoModelForUniversalSegmentation")
        hub = library("transformers", INSTALL, "AutoProcessor", *loaders)
        try:
            config = hub.AutoConfig.from_pretrained(model)
            oneformer = config.model_type == "oneformer"
            loader = hub.AutoProcessor if oneformer else hub.AutoImageProcessor
            processor = loader.from_pretrained(model)
            network = hub.AutoModelForUniversalSegmentation.from_pretrained(model)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"{model}: found no panoptic model that loads: {reason}. Expected a folder with "
                f"one, or a name from {MODELS}"
            ) from error
        return cls(network.to(device), processor, batch_size)

    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        check_pictures(images, layers, needs_layers=False)
        results: dict[int, Layers] = {}
        for batch in batches([image.shape for image in images], self.batch_size):
            # As PIL images: in an array [3, W, 3] a processor could not tell the axis of colours
            pictures = [Image.fromarray(np.ascontiguousarray(images[i])) for i in batch]
            tasks = {"task_inputs": ["panoptic"] * len(batch)} if self.tasks else {}
            inputs = self.processor(images=pictures, return_tensors="pt", **tasks)
            with torch.no_grad():
                outputs = self.model(**inputs.to(self.model.device))
            segmentations = self.images.post_process_panoptic_segmentation(
                outputs,
                label_ids_to_fuse=set(),  # it gives fused segments numbers of others; see base
                target_sizes=[images[i].shape[:2] for i in batch],
            )
            for i, segmentation in zip(batch, segmentations, strict=True):
                results[i] = with_panoptic(layers[i], self._layers(segmentation))
        return [results[i] for i in range(len(images))]

    def _layers(self, segmentation: dict) -> Layers:
        """Make layers of {segmentation, segments_info}.

        Numbers without a segment are void, and so are segments whose class is a placeholder.
        """
        labels = {
            segment["id"]: self.labels[segment["label_id"]]
            for segment in segmentation["segments_info"]
            if segment["label_id"] in self.labels
        }
        return segment_layers(segmentation["segmentation"].cpu().numpy(), labels)


def coco_labels_by_name(id2label: Mapping[int, str]) -> dict[int, int]:
    """Map class ids to labels, by the names of COCO in any spelling.

    "wall-other-merged" may also be "wall other" or "Wall". Placeholders ("LABEL_12", "N/A") have no
    label.

    Args:
        id2label: name of each class id.

    Returns:
        The label 0..132 of each class id.

    Raises:
        ValueError: lists all other names; also for names without "person".
    """
    known = {_plain(name): label for label, name in enumerate(COCO_NAMES)}
    names = {int(i): name for i, name in id2label.items() if not PLACEHOLDER.fullmatch(name)}
    unmatched = [name for name in names.values() if _plain(name) not in known]
    if unmatched:
        raise ValueError(
            f"id2label: found {unmatched} ({len(unmatched)} of {len(names)} names), expected those "
            "of COCO's 133 panoptic classes"
        )
    labels = {i: known[_plain(name)] for i, name in names.items()}
    if 0 not in labels.values():
        raise ValueError(
            f"id2label: found no 'person' among {len(names)} names, expected COCO's 133"
        )
    return labels


def _plain(name: str) -> str:
    words = re.split(r"[\s_-]+", name.strip().lower())
    while len(words) > 1 and words[-1] in ("merged", "other", "stuff"):
        words.pop()
    return " ".join(words)
