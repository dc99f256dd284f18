"""Samples (picture, captions, annotation), rejects (why there is no sample), and lists of both.

The files of a sample share a key and differ in their suffix:

* An image: a suffix in names.IMAGES, or another or no suffix and the first bytes of an image. Of an
  animation or of several pages it is the first one.
* `txt`: one caption per line.
* `json`: its "captions", or else its "caption", replace the txt unless they are empty. Its
  "object_boxes" and "face_boxes" list [x0, y0, x1, y1] in pixels of the upright picture. A json of
  img2dataset whose "status" is not "success" makes a reject.
* The annotation: a clean scene is `seg.png` with `edge.png` (Scene.to_pngs); raw layers are COCO's
  panoptic PNG as `seg.png`, with "segments_info" in the json.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from PIL import Image

from mas_fast.data.boxes import Boxes
from mas_fast.data.photos.photo import Jpeg, Photo, cut
from mas_fast.data.sources.names import (
    encodable,
    printable,
)
from mas_fast.scene import Layers, Scene
from mas_fast.utils import documents
from mas_fast.utils.validate import check_int

T = TypeVar("T")


@dataclass(frozen=True)
class Reject:
    """A sample that could not be read.

    Attributes:
        key: key of the sample, or the file and row.
        reason: why, for people.
    """

    key: str
    reason: str


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture with its captions and its annotation.

    `crop`, `resize`, `flip` and `square` act on photo, annotation and boxes together. Layers become
    a scene only when `scene` is asked for: geometry first, then the rules. A JPEG is decoded when
    its pixels are asked for, no larger than needed.

    Attributes:
        key: name of the sample in its source.
        photo: uint8 [H, W, 3] RGB pixels, or a JPEG that is not decoded yet. An RGB picture becomes
            pixels.
        captions: any number of captions.
        annotation: raw layers, or a scene that was cleaned before, of the size of the photo; or
            None.
        info: the source's own information about the sample.
        boxes: boxes of objects and faces, if the source has some.
        file: the encoded image, as long as it holds the same pixels.

    Raises:
        ValueError: for pixels of another dtype or shape, and for an annotation of another size;
            when its pixels are asked for, for a damaged JPEG.
    """

    key: str
    photo: Photo | Image.Image
    captions: list[str] = field(default_factory=list)
    annotation: Scene | Layers | None = None
    info: dict = field(default_factory=dict)
    boxes: Boxes = Boxes()
    file: Path | bytes | None = None

    def __post_init__(self) -> None:
        if isinstance(self.photo, Image.Image):
            object.__setattr__(self, "photo", np.asarray(self.photo))
        if isinstance(self.photo, np.ndarray):
            shape, dtype = self.photo.shape, self.photo.dtype
            if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
                raise ValueError(f"photo: found {dtype} {list(shape)}, expected uint8 [H, W, 3]")
        annotation = self.annotation
        if annotation is not None and (annotation.height, annotation.width) != (
            self.height,
            self.width,
        ):
            raise ValueError(
                f"found an image of {self.height} x {self.width} "
                f"and a scene of {annotation.height} x {annotation.width}, expected the same"
            )

    @property
    def height(self) -> int:
        """Height of the photo in pixels."""
        return self._photo.height if isinstance(self._photo, Jpeg) else self._photo.shape[0]

    @property
    def width(self) -> int:
        """Width of the photo in pixels."""
        return self._photo.width if isinstance(self._photo, Jpeg) else self._photo.shape[1]

    @cached_property
    def pixels(self) -> np.ndarray:
        """The decoded photo, uint8 [H, W, 3]."""
        return self._photo.decode() if isinstance(self._photo, Jpeg) else self._photo

    @property
    def image(self) -> Image.Image:
        """The decoded photo as a picture."""
        return Image.fromarray(self.pixels)

    @property
    def layers(self) -> Layers | None:
        """The layers of the annotators, as long as the rules have not been applied; else None."""
        return self.annotation if isinstance(self.annotation, Layers) else None

    @cached_property
    def scene(self) -> Scene | None:
        """The clean scene at the current size of the sample, None without an annotation.

        Layers are cleaned with the defaults of the rules; `layers.clean(...)` takes others.
        """
        return self.annotation.clean() if isinstance(self.annotation, Layers) else self.annotation

    def crop(self, top: int, left: int, height: int, width: int) -> Sample:
        """Cut out a part.

        Args:
            top: first row.
            left: first column.
            height: number of rows.
            width: number of columns.

        Returns:
            The part.

        Raises:
            ValueError: unless it lies within the image.
        """
        if not (0 <= top < top + height <= self.height and 0 <= left < left + width <= self.width):
            raise ValueError(
                f"crop: found rows {top}..{top + height}, columns {left}..{left + width}, "
                f"expected some within {self.height} x {self.width}"
            )
        pixels = self.pixels[top : top + height, left : left + width].copy()
        annotation = self.annotation and self.annotation.crop(top, left, height, width)
        boxes = self.boxes.crop(top, left, height, width)
        return replace(self, photo=pixels, annotation=annotation, boxes=boxes, file=None)

    def resize(self, height: int, width: int) -> Sample:
        """Resize the photo (cubic, with antialiasing) and the annotation (by its own `resize`).

        Args:
            height: new height in pixels.
            width: new width in pixels.

        Returns:
            The resized sample.
        """
        check_int("height", height, 1)
        check_int("width", width, 1)
        return self._cut(0, 0, self.height, self.width, height, width)

    def flip(self) -> Sample:
        """Exchange left and right."""
        pixels = np.ascontiguousarray(self.pixels[:, ::-1])
        annotation = self.annotation and self.annotation.flip()
        boxes = self.boxes.flip(self.width)
        return replace(self, photo=pixels, annotation=annotation, boxes=boxes, file=None)

    def square(self, size: int, generator: np.random.Generator | None = None) -> Sample:
        """Cut out the largest square and resize it.

        Args:
            size: new height and width in pixels.
            generator: draws a square anywhere, flipped half the time; None takes the middle.

        Returns:
            The square.
        """
        check_int("size", size, 1)
        height, width = self.height, self.width
        side = min(height, width)
        top, left, flip = (height - side) // 2, (width - side) // 2, False
        if generator is not None:
            top = int(generator.integers(height - side + 1))
            left = int(generator.integers(width - side + 1))
            flip = bool(generator.integers(2))
        sample = self._cut(top, left, side, side, size, size)
        return sample.flip() if flip else sample

    def decoded(self) -> Sample:
        """Decode the photo.

        Returns:
            The same sample with pixels as its photo.

        Raises:
            ValueError: if the photo is damaged.
        """
        return replace(self, photo=self.pixels)

    @property
    def _photo(self) -> Photo:
        """The photo as __post_init__ leaves it."""
        return cast(Photo, self.photo)

    def _cut(
        self, top: int, left: int, height: int, width: int, to_height: int, to_width: int
    ) -> Sample:
        """Cut out a part and resize it."""
        photo = cut(self._photo, top, left, height, width, to_height, to_width)
        part = self.annotation and self.annotation.crop(top, left, height, width)
        annotation = part and part.resize(to_height, to_width)
        boxes = self.boxes.crop(top, left, height, width)
        boxes = boxes.scale(to_height / height, to_width / width)
        return replace(self, photo=photo, annotation=annotation, boxes=boxes, file=None)


class Source(ABC):
    """A list of samples and rejects: `source[n]`, `len(source)`, `for item in source`.

    `source.changed(n, change)` decodes a JPEG no larger than the change needs. Reading an item
    never raises because of the data: a broken sample is a Reject. Nothing is kept open, so several
    threads, and forked or spawned workers, may use a source.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, index: int) -> str:
        """Return the name of item `index` in a reject."""

    @abstractmethod
    def read(self, index: int) -> Sample | Reject:
        """Read an item.

        Args:
            index: which item.

        Returns:
            The item; a photo may not be decoded yet.

        Raises:
            ValueError: says why there is none.
            OSError: says why there is none.
        """

    def __getitem__(self, index: int) -> Sample | Reject:
        return self.changed(index, lambda sample: sample)

    def changed(self, index: int, change: Callable[[Sample], Sample]) -> Sample | Reject:
        """Read an item, change it and decode it.

        Args:
            index: which item.
            change: what to do to a sample. A ValueError makes it a reject.

        Returns:
            The changed sample, decoded, or a reject.

        Raises:
            IndexError: if there is no such item.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"source: found index {index}, expected 0..{len(self) - 1}")
        item: Sample | Reject | None = None
        try:
            item = self.read(index)
            return change(item).decoded() if isinstance(item, Sample) else item
        except (ValueError, OSError) as error:
            key = self.key(index) if item is None else item.key
            return Reject(printable(key), printable(str(error)))

    def __iter__(self) -> Iterator[Sample | Reject]:
        for index in range(len(self)):
            yield self[index]

    def shard(self, index: int, count: int) -> Source:
        """Return one of several parts, which together hold every item once.

        Args:
            index: which part, 0..count - 1.
            count: number of parts; their sizes differ by one at most.

        Returns:
            The items index, index + count, ...
        """
        check_int("count", count, 1)
        check_int("index", index, 0, count - 1)
        return _Part(self, range(index, len(self), count))

    def head(self, count: int) -> Source:
        """Return the first `count` items, or all if there are no more."""
        check_int("count", count, 1)
        return _Part(self, range(min(count, len(self))))


@dataclass(frozen=True)
class _Part(Source):
    """Some items of a source."""

    source: Source
    indices: range

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        return self.source.key(self.indices[index])

    def read(self, index: int) -> Sample | Reject:
        return self.source.read(self.indices[index])


def clean_captions(captions: object) -> list[str]:
    """Strip captions and leave out empty ones.

    Args:
        captions: a list of texts, or whatever a file holds instead.

    Returns:
        The captions that are not empty, without white space around them.

    Raises:
        ValueError: unless they are a list of valid strings.
    """
    if not isinstance(captions, list | tuple):
        raise ValueError(f"captions: found {type(captions).__name__}, expected a list of strings")
    for caption in captions:
        if not isinstance(caption, str):
            raise ValueError(f"caption: found {type(caption).__name__}, expected a string")
        if not encodable(caption):
            raise ValueError(f"caption: found {caption[:50]!r}, expected valid Unicode")
    return [stripped for caption in captions if (stripped := caption.strip())]


def parse_json(content: bytes | str, name: str, kind: type[T]) -> T:
    """Parse a JSON text that somebody else wrote.

    Args:
        content: the text.
        name: name of the text in errors.
        kind: type of the value.

    Returns:
        The value.

    Raises:
        ValueError: if the text is broken, or if its value is not of that kind.
    """
    return cast(T, documents.parse_json(content, name, kind, strict=False))  # it checks the kind
