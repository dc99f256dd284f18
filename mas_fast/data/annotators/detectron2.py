"""Panoptic segmentation by Detectron2's models for COCO.

These are Panoptic-FPN, Panoptic-DeepLab and other models with the same output formats.

    panoptic = Detectron2.load("panoptic_fpn_R_101_3x.yaml", "model_final_cafdb1.pkl", "cuda")

Detectron2 is not on PyPI; INSTALL below is the command. The model itself is called, with all
pictures of one size at once: DefaultPredictor takes a single picture, and always in BGR.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import nn

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
from mas_fast.scene import COCO_IDS, COCO_NAMES, Layers
from mas_fast.scene.labels import COCO_THINGS
from mas_fast.utils.documents import short
from mas_fast.utils.pickle_values import array
from mas_fast.utils.pickles import read_pickle
from mas_fast.utils.torch_files import read_torch
from mas_fast.utils.validate import check_choice

INSTALL = (
    "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2 "
    "(Panoptic-DeepLab also needs git+https://github.com/cocodataset/panopticapi)"
)
MODELS = (
    "https://github.com/facebookresearch/detectron2, MODEL_ZOO.md (COCO Panoptic Segmentation) and "
    "projects/Panoptic-DeepLab/README.md"
)
STUFF_OFFSETS = {"standard": 0, "separated": 79}  # from a stuff category to its label
BANNER = 92  # the first stuff class, as COCO numbers it

# Buffers that older versions save and newer ones compute.
_COMPUTED = re.compile(r"(pixel_mean|pixel_std|num_batches_tracked|cell_anchors\.\d+)$")


class Detectron2(Annotator):
    """Panoptic segmentation by a model of Detectron2.

    Args:
        model: a Detectron2 meta-architecture, which has `backbone`, `pixel_mean` and `pixel_std`
            and maps [{image, height, width}] to [{panoptic_seg}].
        channel_order: cfg.INPUT.FORMAT, "RGB" or "BGR".
        min_side: cfg.INPUT.MIN_SIZE_TEST, in pixels; 0: no resizing.
        max_side: cfg.INPUT.MAX_SIZE_TEST, in pixels.
        metadata: numbering of the categories, "standard" (0..132) or "separated" (things 0..79,
            stuff 1..53).
        label_divisor: a segment without segments_info is category * label_divisor + instance.
        batch_size: pictures per batch, at most.

    Raises:
        ValueError: if red, green and blue do not arrive in the channel order.
    """

    adds = ("panoptic", "instances")

    def __init__(
        self,
        model: nn.Module,
        *,
        channel_order: str,
        min_side: int,
        max_side: int,
        metadata: str,
        label_divisor: int = 1000,
        batch_size: int = 8,
    ) -> None:
        check_choice("metadata", metadata, STUFF_OFFSETS)
        self.model = model.eval()
        self.channel_order = channel_order
        self.min_side, self.max_side = min_side, max_side
        self.metadata, self.label_divisor, self.batch_size = metadata, label_divisor, batch_size
        buffers = (cast(torch.Tensor, model.pixel_mean), cast(torch.Tensor, model.pixel_std))
        mean, std = (values.flatten().tolist() for values in buffers)
        check_order("detectron2", channel_order, mean)
        check_channels(
            "detectron2",
            cast(nn.Module, model.backbone),
            lambda picture: self([picture], [None]),
            order=channel_order,
            mean=mean,
            std=std,
        )

    @classmethod
    def load(
        cls,
        config: str | os.PathLike,
        weights: str | os.PathLike,
        device: str = "cpu",
        batch_size: int = 8,
    ) -> Detectron2:
        """Load a model. Neither file is trusted: no code in them runs.

        Args:
            config: a YAML file of Detectron2, or the name of one in its model zoo.
            weights: the .pkl or .pth of that model.
            device: device of the model.
            batch_size: pictures per batch, at most.

        Returns:
            The annotator.

        Raises:
            ValueError: if Detectron2 or a file is missing, and for other classes than COCO's 133.
        """
        library("detectron2", INSTALL)
        from detectron2.config import get_cfg
        from detectron2.data import MetadataCatalog
        from detectron2.modeling import build_model

        values = read_config(config)
        cfg = get_cfg()
        if "PANOPTIC_DEEPLAB" in values.get("MODEL", {}):
            name = "detectron2.projects.panoptic_deeplab"
            library(name, INSTALL).add_panoptic_deeplab_config(cfg)
        try:
            cfg.merge_from_other_cfg(type(cfg)(values))
        except (KeyError, ValueError, AssertionError) as error:
            raise ValueError(f"{config}: found what this Detectron2 has not: {error}") from error
        cfg.MODEL.DEVICE = device
        state = read_weights(weights)
        names = [*cfg.DATASETS.TEST, *cfg.DATASETS.TRAIN]
        if not names:
            raise ValueError(f"{config}: found no DATASETS, expected COCO's panoptic ones")
        metadata = metadata_form(names[0], MetadataCatalog.get(names[0]))
        model = build_model(cfg)
        _fill(model, state, weights)
        return cls(
            model,
            channel_order=cfg.INPUT.FORMAT,
            min_side=cfg.INPUT.MIN_SIZE_TEST,
            max_side=cfg.INPUT.MAX_SIZE_TEST,
            metadata=metadata,
            label_divisor=getattr(MetadataCatalog.get(names[0]), "label_divisor", 1000),
            batch_size=batch_size,
        )

    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        check_pictures(images, layers, needs_layers=False)
        results: dict[int, Layers] = {}
        for batch in batches([image.shape for image in images], self.batch_size):
            with torch.no_grad():
                outputs = self.model([self._input(images[i]) for i in batch])
            for i, output in zip(batch, outputs, strict=True):
                panoptic = panoptic_layers(
                    *output["panoptic_seg"],
                    metadata=self.metadata,
                    label_divisor=self.label_divisor,
                )
                results[i] = with_panoptic(layers[i], panoptic)
        return [results[i] for i in range(len(images))]

    def _input(self, image: np.ndarray) -> dict:
        """Return an input of the model: image float32 [3, h, w], 0..255, and the output size."""
        height, width = image.shape[:2]
        ordered = image if self.channel_order == "RGB" else image[:, :, ::-1]
        size = resized(height, width, self.min_side, self.max_side)
        picture = Image.fromarray(np.ascontiguousarray(ordered))
        pixels = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR), np.float32)
        tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        return {"image": tensor, "height": height, "width": width}


def resized(height: int, width: int, min_side: int, max_side: int) -> tuple[int, int]:
    """Compute the size after Detectron2's ResizeShortestEdge, in pixels; halves round up.

    Args:
        height: height of the picture.
        width: width of the picture.
        min_side: new length of the shorter side; 0: no resizing.
        max_side: limit of the longer side, which becomes its length if it would be exceeded.

    Returns:
        The new height and width.
    """
    if min_side == 0:
        return height, width
    scale = min_side / min(height, width)
    high, wide = (min_side, scale * width) if height < width else (scale * height, min_side)
    if max(high, wide) > max_side:
        scale = max_side / max(high, wide)
        high, wide = high * scale, wide * scale
    return int(high + 0.5), int(wide + 0.5)


def panoptic_layers(
    segments: torch.Tensor,
    segments_info: list[dict] | None,
    *,
    metadata: str,
    label_divisor: int = 1000,
) -> Layers:
    """Make layers of a `panoptic_seg`.

    Args:
        segments: integers [H, W]: ids of segments, void for 0 and for ids that are not in the list;
            or, without a list, category * label_divisor + instance, and -1 for void.
        segments_info: the list of segments, or None.
        metadata: numbering of the categories, as for `Detectron2`.
        label_divisor: as for `Detectron2`.

    Returns:
        The layers.

    Raises:
        ValueError: for a category that is not one of COCO's 133.
    """
    ids = segments.cpu().numpy()
    things: dict[int, int] = {}
    stuff: dict[int, int] = {}
    if segments_info is None:
        if metadata != "standard":
            raise ValueError(
                "panoptic_seg: found no segments_info, expected some: separated metadata number "
                "things and stuff alike"
            )
        for value in np.flatnonzero(np.bincount(ids[ids >= 0])).tolist():
            label = value // label_divisor
            (things if label < COCO_THINGS else stuff)[value] = label
    else:
        for segment in segments_info:
            number, label = int(segment["id"]), int(segment["category_id"])
            if segment["isthing"]:
                things[number] = label
            elif metadata == "standard" or label > 0:  # 0 of separated stuff: some thing
                stuff[number] = label + STUFF_OFFSETS[metadata]
    wrong = [label for label in things.values() if not 0 <= label < COCO_THINGS]
    wrong += [label for label in stuff.values() if not COCO_THINGS <= label < len(COCO_NAMES)]
    if wrong:
        raise ValueError(
            f"panoptic_seg: found the labels {wrong[:5]} with {metadata} metadata, expected things "
            f"in 0..{COCO_THINGS - 1} and stuff in {COCO_THINGS}..{len(COCO_NAMES) - 1}"
        )
    return segment_layers(ids, things | stuff)


def metadata_form(name: str, metadata: object) -> str:
    """Find the numbering of categories in the metadata of a data set.

    Args:
        name: name of the data set in errors.
        metadata: Detectron2's metadata.

    Returns:
        A key of STUFF_OFFSETS.

    Raises:
        ValueError: if it is none of them.
    """
    things = getattr(metadata, "thing_dataset_id_to_contiguous_id", {})
    stuff = getattr(metadata, "stuff_dataset_id_to_contiguous_id", {})
    for form, offset in STUFF_OFFSETS.items():
        if all(things.get(COCO_IDS[i]) == i for i in range(80)) and all(
            stuff.get(COCO_IDS[i]) == i - offset for i in range(80, len(COCO_IDS))
        ):
            return form
    raise ValueError(
        f"{name}: found a data set of other categories, expected COCO's 80 things and 53 stuff "
        "classes (coco_2017_val_panoptic or coco_2017_val_panoptic_separated)"
    )


MOST_BASES = 16  # files, each the _BASE_ of the one before


def read_config(path: str | os.PathLike, above: tuple[Path, ...] = ()) -> dict:
    """Read a YAML file of Detectron2, over the values of its _BASE_.

    Python expressions, in some training options, are left out and never evaluated.

    Args:
        path: the file, or the name of one in the model zoo.
        above: files whose _BASE_ led here.

    Returns:
        The values.

    Raises:
        ValueError: if a file is missing or broken.
    """
    from mas_fast.utils.yaml_documents import PlainLoader, read_yaml

    class Loader(PlainLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)
    path = Path(path)
    if not path.is_file():
        from detectron2 import model_zoo

        try:
            path = Path(model_zoo.get_config_file(str(path)))
        except RuntimeError:
            raise ValueError(
                f"{path}: found no such file, nor a config of that name in the model zoo. "
                f"Configs are in {MODELS}"
            ) from None
    values = read_yaml(path, Loader)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: found {type(values).__name__}, expected a config of Detectron2")
    base = values.pop("_BASE_", None)
    if base is None:
        return _over({}, values)
    if not isinstance(base, str) or len(above) == MOST_BASES:
        problem = f"found {short(base)} below {len(above)} others"
        raise ValueError(f"{path}: _BASE_: {problem}, expected a file, at most {MOST_BASES} deep")
    return _over(read_config(path.parent / base, (*above, path)), values)


def _over(base: dict, values: dict) -> dict:
    merged = dict(base)
    for key, value in values.items():
        if isinstance(value, dict):
            under = base.get(key)
            merged[key] = _over(under if isinstance(under, dict) else {}, value)
        elif value is not None:
            merged[key] = value
    return merged


def read_weights(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """Read a checkpoint of Detectron2. Nothing in it is run.

    Args:
        path: a .pkl of numpy arrays, or a .pth; its "model" has the tensors.

    Returns:
        The tensors by name.

    Raises:
        ValueError: for another file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: found no such weights. Those of COCO are listed in {MODELS}")
    try:
        if path.suffix == ".pkl":
            with open(path, "rb") as file:
                content = read_pickle(file)
        else:
            content = read_torch(path)
        if not isinstance(content, dict):
            raise ValueError(f"found {type(content).__name__}, expected a dict with a model")
        state = content.get("model", content)
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise ValueError("found a model without names, expected a dict of arrays")
        return {name: _tensor(name, value) for name, value in state.items()}
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: found no weights that are safe to read: {error}") from error


def _tensor(name: str, value: object) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    values = array(value)
    if values is None:
        raise ValueError(f"{name[:80]}: found neither an array nor a tensor")
    return torch.from_numpy(values)


def _fill(model: nn.Module, state: dict[str, torch.Tensor], path: str | os.PathLike) -> None:
    try:
        mismatch = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        raise ValueError(f"{path}: found weights of another model: {error}") from error
    wrong = {
        relation: [name for name in names if not _COMPUTED.search(name)]
        for relation, names in (
            ("lacks", mismatch.missing_keys),
            ("has also", mismatch.unexpected_keys),
        )
    }
    if any(wrong.values()):
        examples = "; ".join(
            f"{relation} {names[:3]}" for relation, names in wrong.items() if names
        )
        raise ValueError(f"{path}: found weights of another model than the config's: {examples}")
