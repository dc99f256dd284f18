"""The interface of every annotator: RGB pictures and their known layers in, more layers out."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mas_fast.scene import VOID, Layers
from mas_fast.scene.labels import COCO_THINGS

if TYPE_CHECKING:
    from torch import nn

# A picture of this colour shows the order in which red, green and blue reach a network.
PROBE_COLOR = (230, 128, 26)
PROBE_SIDE = 64


class Annotator(ABC):
    """Adds layers to the known ones of some pictures.

    A panoptic annotator comes first, since the others may look where it found people. An annotator
    is made once in each process. The result for a picture does not depend on the pictures beside it
    (except for the last bits of a network: other batch sizes round differently).

    Attributes:
        adds: fields of `Layers` that it fills.
    """

    adds: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        """Annotate pictures.

        Args:
            images: uint8 [H, W, 3] RGB, each of its own size.
            layers: known layers of each picture; None before any panoptic annotator.

        Returns:
            The layers of each picture.

        Raises:
            ValueError: for an image of another dtype or shape, and for missing layers that it
                needs.
        """


def check_pictures(
    images: Sequence[np.ndarray], layers: Sequence[Layers | None], needs_layers: bool
) -> None:
    """Check the arguments of an annotator.

    Args:
        images: uint8 [H, W, 3] RGB, each of its own size.
        layers: known layers of each picture, or None.
        needs_layers: whether None is an error.

    Raises:
        ValueError: unless the images are pictures, each with layers of its size, or None if they
            are not needed.
    """
    if len(images) != len(layers):
        raise ValueError(f"layers: found {len(layers)}, expected one for each of {len(images)}")
    for n, (image, known) in enumerate(zip(images, layers, strict=True)):
        dtype, shape = getattr(image, "dtype", type(image).__name__), np.shape(image)
        if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"image {n}: found {dtype} {list(shape)}, expected uint8 [H, W, 3]")
        if known is None and needs_layers:
            raise ValueError(f"image {n}: found no layers, expected those of a panoptic annotator")
        if known is not None and (known.height, known.width) != shape[:2]:
            raise ValueError(
                f"image {n}: found layers of {known.height} x {known.width}, "
                f"expected {shape[0]} x {shape[1]}"
            )


def batches(keys: Sequence[Hashable], size: int) -> Iterator[list[int]]:
    """Group items with equal keys into batches.

    Only pictures of one size share a batch: networks see padding, so a result would depend on the
    pictures beside it.

    Args:
        keys: key of each item, such as the shape of a picture.
        size: items per batch, at most.

    Yields:
        Indices of the items of a batch.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def segment_layers(ids: np.ndarray, labels: Mapping[int, int]) -> Layers:
    """Make panoptic layers of a map of segments. Segments of one stuff class are one, as in COCO.

    Args:
        ids: integers [H, W], the segment of each pixel.
        labels: label of each segment; its number is at least 0. Other segments are void.

    Returns:
        Layers with panoptic labels and instances.
    """
    outside = 1 + max(labels, default=-1)
    panoptic = np.full(outside + 1, VOID, np.uint8)
    instances = np.zeros(outside + 1, np.int32)
    for n, (number, label) in enumerate(labels.items(), 1):
        panoptic[number] = label
        instances[number] = n if label < COCO_THINGS else len(labels) + label
    # looked up: np.unique would sort, 180 ms for 640 x 480 instead of 1
    ids = np.where((ids >= 0) & (ids < outside), ids, outside).astype(np.intp)
    return Layers(panoptic[ids], instances[ids])


def with_panoptic(known: Layers | None, panoptic: Layers) -> Layers:
    """Replace the panoptic labels and instances of known layers.

    Args:
        known: known layers of a picture, or None.
        panoptic: layers with new panoptic labels and instances.

    Returns:
        The known layers with the new ones.
    """
    if known is None:
        return panoptic
    return replace(known, panoptic=panoptic.panoptic, instances=panoptic.instances)


def library(name: str, command: str, *needed: str) -> ModuleType:
    """Import an optional library.

    Args:
        name: name of the module.
        command: how to install it.
        needed: attributes that it has to have.

    Returns:
        The module.

    Raises:
        ValueError: if it does not import; the message has the command.
    """
    try:
        module = importlib.import_module(name)
        for attribute in needed:  # some load their parts on first use
            getattr(module, attribute)
        return module
    except (ImportError, OSError, RuntimeError) as error:  # built for another torch: any of them
        reason = " because of: ".join(str(e) for e in (error, error.__cause__) if e)
        raise ValueError(
            f"{name} does not import here ({reason}). Install it: {command}"
        ) from error


class _Arrived(BaseException):
    """Carries the input of a network out of the library that calls it."""


def check_channels(
    name: str,
    network: nn.Module,
    call: Callable[[np.ndarray], object],
    *,
    order: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Prove that RGB in reaches a network in the order that its weights expect.

    Args:
        name: name of the annotator in errors.
        network: the network, which does not run.
        call: takes a picture, uint8 [H, W, 3] of one colour, the whole way to the network.
        order: "RGB" or "BGR".
        mean: mean of each channel, in that order, of values 0..255.
        std: standard deviation of each channel, in that order, of values 0..255.

    Raises:
        ValueError: unless the middle of the picture in the first input (or in pixel_values), which
            may be padded, is (colour - mean) / std to half a grey level.
    """
    picture = np.empty((PROBE_SIDE, PROBE_SIDE, 3), np.uint8)
    picture[:] = PROBE_COLOR

    def stop(_: nn.Module, args: tuple, kwargs: dict) -> None:
        raise _Arrived(args[0] if args else kwargs["pixel_values"])

    hook = network.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        call(picture)
    except _Arrived as arrived:
        values = arrived.args[0]
    else:
        raise ValueError(f"{name}: found no input of the network, expected a picture of one colour")
    finally:
        hook.remove()
    middle = _middle(values[0].float().cpu().numpy())
    color = np.array(PROBE_COLOR if order == "RGB" else PROBE_COLOR[::-1])
    input_color = middle * np.array(std) + np.array(mean) if middle.shape == (3,) else middle
    if input_color.shape != (3,) or not np.abs(input_color - color).max() <= 0.5:
        raise ValueError(
            f"{name}: found {np.round(input_color, 1).tolist()} at the network for the colour "
            f"{PROBE_COLOR} (red, green, blue), expected {color.tolist()}: {order}, normalised by "
            f"mean {list(mean)} and deviation {list(std)}"
        )


def _middle(values: np.ndarray) -> np.ndarray:
    """Return the middle pixel of the picture in [C, H, W], whose padding may be on any side.

    Padding has the value of the last corner. Without padding, the picture has it there.
    """
    picture = (values != values[:, -1:, -1:]).any(0)
    sizes = values.shape[1:]
    extents = [np.flatnonzero(picture.any(1 - axis)) for axis in (0, 1)]
    row, column = (
        int(extent[0] + extent[-1]) // 2 if len(extent) else size // 2
        for extent, size in zip(extents, sizes, strict=True)
    )
    return values[:, row, column]


def check_order(name: str, order: str, mean: Sequence[float]) -> None:
    """Check the channel order of a configuration by its mean: ImageNet's is largest in red.

    Args:
        name: name of the annotator in errors.
        order: the order that the configuration names.
        mean: mean of each channel, in that order.

    Raises:
        ValueError: if the order is not "RGB" or "BGR", or contradicts the mean.
    """
    if order not in ("RGB", "BGR"):
        raise ValueError(f"{name}: found the channel order {order!r}, expected RGB or BGR")
    red, blue = (mean[0], mean[-1]) if order == "RGB" else (mean[-1], mean[0])
    if red < blue:
        raise ValueError(
            f"{name}: found the channel order {order} with the mean {list(mean)}, whose red is "
            "less than its blue; ImageNet's is not: expected the other order"
        )
