"""What every annotator is: RGB pictures and what is known of them in, more layers out."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import ClassVar

import numpy as np

from mas_fast.scene import VOID, Layers
from mas_fast.scene.labels import COCO_THINGS

# A picture of this colour shows in which order red, green and blue reach a network.
PROBE_COLOR = (230, 128, 26)
PROBE_SIDE = 64


class Annotator(ABC):
    """Adds layers to those that are known of some pictures.

    A panoptic annotator comes first, since the others may look where it found people. An annotator
    is made once in each process; a picture's result does not depend on the pictures beside it
    (a network's last bits may: other batch sizes round otherwise).
    """

    adds: ClassVar[tuple[str, ...]]  # fields of Layers that it fills

    @abstractmethod
    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        """images: uint8 [H, W, 3], RGB, each of its own size. layers: what is known of each, None
        before any panoptic annotator. ValueError for an image of another dtype or shape, and for
        missing layers that it needs."""


def check_pictures(
    images: Sequence[np.ndarray], layers: Sequence[Layers | None], needs_layers: bool
) -> None:
    """ValueError unless the images are pictures, each with layers of its size or, if they are not
    needed, None."""
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
    """The indices of `keys`, at most `size` at a time, those of equal keys together.

    Only pictures of one size share a batch: padding, which networks see, would make a result
    depend on the pictures beside it.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def segment_layers(ids: np.ndarray, labels: Mapping[int, int]) -> Layers:
    """The panoptic layers of a map of segments: whole numbers [H, W], and the label of each number,
    which is at least 0; what has none is void. Segments of one stuff class are one, as in COCO."""
    outside = 1 + max(labels, default=-1)
    panoptic = np.full(outside + 1, VOID, np.uint8)
    instances = np.zeros(outside + 1, np.int32)
    for n, (number, label) in enumerate(labels.items(), 1):
        panoptic[number] = label
        instances[number] = n if label < COCO_THINGS else len(labels) + label
    # looked up: np.unique would sort, 180 ms for 640 x 480 instead of 1
    ids = np.where((ids >= 0) & (ids < outside), ids, outside).astype(np.intp)
    return Layers(panoptic[ids], instances[ids])


def with_panoptic(known: Layers | None, found: Layers) -> Layers:
    """What is known, with the panoptic layers found."""
    if known is None:
        return found
    return replace(known, panoptic=found.panoptic, instances=found.instances)


def library(name: str, command: str, *needed: str) -> ModuleType:
    """The module `name`, which has what is needed of it. ValueError with the command that installs
    it where it does not import."""
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
    """Carries a network's input out of the library that calls it."""


def check_channels(
    who: str,
    network,
    call: Callable[[np.ndarray], object],
    *,
    order: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Prove that RGB in reaches a network in the order that its weights expect.

    call: takes a picture of one colour the whole way to `network`, a torch module, which does not
    run. order: RGB or BGR; mean and std: three each, in that order, of values 0..255. ValueError
    unless the middle of the picture in the first input (or in pixel_values), which may be padded,
    is (colour - mean) / std to half a grey level.
    """
    picture = np.empty((PROBE_SIDE, PROBE_SIDE, 3), np.uint8)
    picture[:] = PROBE_COLOR

    def stop(_, args, kwargs) -> None:
        raise _Arrived(args[0] if args else kwargs["pixel_values"])

    hook = network.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        call(picture)
    except _Arrived as arrived:
        values = arrived.args[0]
    else:
        raise ValueError(f"{who}: the channel-order test did not reach the network")
    finally:
        hook.remove()
    middle = _middle(values[0].float().cpu().numpy())
    color = np.array(PROBE_COLOR if order == "RGB" else PROBE_COLOR[::-1])
    found = middle * np.array(std) + np.array(mean) if middle.shape == (3,) else middle
    if found.shape != (3,) or not np.abs(found - color).max() <= 0.5:
        raise ValueError(
            f"{who}: of the colour {PROBE_COLOR} (red, green, blue) the network gets "
            f"{np.round(found, 1).tolist()}, expected {color.tolist()}: {order}, "
            f"normalised by mean {list(mean)} and deviation {list(std)}"
        )


def _middle(values: np.ndarray) -> np.ndarray:
    """Of the picture in [C, H, W]: padding, wherever it is, has the value of the last corner, as
    the picture has where there is none."""
    picture = (values != values[:, -1:, -1:]).any(0)
    sizes = values.shape[1:]
    places = [np.flatnonzero(picture.any(1 - axis)) for axis in (0, 1)]
    row, column = (
        int(found[0] + found[-1]) // 2 if len(found) else size // 2
        for found, size in zip(places, sizes, strict=True)
    )
    return values[:, row, column]


def check_order(who: str, order: str, mean: Sequence[float]) -> None:
    """ValueError if the order that a configuration names contradicts its mean: ImageNet's is
    largest in red."""
    if order not in ("RGB", "BGR"):
        raise ValueError(f"{who}: found the channel order {order!r}, expected RGB or BGR")
    red, blue = (mean[0], mean[-1]) if order == "RGB" else (mean[-1], mean[0])
    if red < blue:
        raise ValueError(
            f"{who}: found the channel order {order} with the mean {list(mean)}, whose red is less "
            "than its blue; ImageNet's is not: expected the other order"
        )
