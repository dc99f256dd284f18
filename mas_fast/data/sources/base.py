"""One sample: picture, captions, annotation; one reject: why there is none; and a list of both.

The files of a sample share a key and differ in their suffix: an image (names.IMAGES, or another
suffix or none and the first bytes of one; of an animation or several pages the first);
`txt`, one caption a line; `json`, whose "captions" or else "caption", unless it is empty, take the
place of the txt, and whose "object_boxes" and "face_boxes" list [x0, y0, x1, y1] in pixels of the
upright picture; and the annotation: a clean scene is `seg.png` with `edge.png` (Scene.to_pngs), raw
layers are COCO's panoptic PNG as `seg.png`, with "segments_info" in the json. A json of img2dataset
whose "status" is not "success" makes a reject.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from mas_fast.data.boxes import Boxes
from mas_fast.data.photos.photo import Jpeg, Photo, cut, open_photo
from mas_fast.data.sources.names import (
    HEAD,
    IMAGES,
    SUFFIXES,
    UNREAD,
    check_name,
    encodable,
    is_picture,
    kind_of,
    printable,
    read_head,
)
from mas_fast.scene import Layers, Scene, read_coco_panoptic
from mas_fast.utils import documents
from mas_fast.utils.validate import check_int


@dataclass(frozen=True)
class Reject:
    """A sample that could not be read. key: which, or the file and row; reason: for people."""

    key: str
    reason: str


@dataclass(frozen=True, eq=False)
class Sample:
    """photo: a JPEG that is not decoded yet, or pixels, or an RGB picture, which becomes pixels:
    uint8 [H, W, 3], RGB. captions: perhaps none. annotation: of the same size: raw layers, or a
    scene that was cleaned before, or None. info: what the source says about it. boxes: of objects
    and faces, where the source gives some. file: the encoded image, as long as the pixels are all
    its own. ValueError for other pixels, and for an annotation of another size.

    crop, resize, flip and square act on photo, annotation and boxes together. Layers become a scene
    only when `scene` is asked for: geometry first, then the rules. A JPEG is decoded when its
    pixels are asked for, no larger than needed; ValueError if it is damaged.
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
        found = self.annotation
        if found is not None and (found.height, found.width) != (self.height, self.width):
            raise ValueError(
                f"found an image of {self.height} x {self.width} "
                f"and a scene of {found.height} x {found.width}, expected the same"
            )

    @property
    def height(self) -> int:
        return self.photo.height if isinstance(self.photo, Jpeg) else self.photo.shape[0]

    @property
    def width(self) -> int:
        return self.photo.width if isinstance(self.photo, Jpeg) else self.photo.shape[1]

    @cached_property
    def pixels(self) -> np.ndarray:
        """The photo, decoded: uint8 [H, W, 3]."""
        return self.photo.decode() if isinstance(self.photo, Jpeg) else self.photo

    @property
    def image(self) -> Image.Image:
        """The same as a picture."""
        return Image.fromarray(self.pixels)

    @property
    def layers(self) -> Layers | None:
        """What annotators said, where the rules have not been applied yet."""
        return self.annotation if isinstance(self.annotation, Layers) else None

    @cached_property
    def scene(self) -> Scene | None:
        """The clean scene at the size that the sample has now. Layers are cleaned with the rules'
        defaults: `layers.clean(...)` takes others."""
        return self.annotation.clean() if isinstance(self.annotation, Layers) else self.annotation

    def crop(self, top: int, left: int, height: int, width: int) -> Sample:
        """That part of it. ValueError unless it lies within the image."""
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
        """Cubic for the photo, with antialiasing; the annotation as its own `resize`."""
        check_int("height", height, 1)
        check_int("width", width, 1)
        return self._cut(0, 0, self.height, self.width, height, width)

    def flip(self) -> Sample:
        """Left and right exchanged."""
        pixels = np.ascontiguousarray(self.pixels[:, ::-1])
        annotation = self.annotation and self.annotation.flip()
        boxes = self.boxes.flip(self.width)
        return replace(self, photo=pixels, annotation=annotation, boxes=boxes, file=None)

    def square(self, size: int, generator: np.random.Generator | None = None) -> Sample:
        """The largest square, resized to size x size: the middle one, or with a generator one
        anywhere and flipped half the time."""
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
        """The same with its pixels at hand. ValueError if the photo is damaged."""
        return replace(self, photo=self.pixels)

    def _cut(
        self, top: int, left: int, height: int, width: int, to_height: int, to_width: int
    ) -> Sample:
        """A part, resized."""
        photo = cut(self.photo, top, left, height, width, to_height, to_width)
        part = self.annotation and self.annotation.crop(top, left, height, width)
        annotation = part and part.resize(to_height, to_width)
        boxes = self.boxes.crop(top, left, height, width)
        boxes = boxes.scale(to_height / height, to_width / width)
        return replace(self, photo=photo, annotation=annotation, boxes=boxes, file=None)


class Source(ABC):
    """A list of samples and rejects: `source[n]`, `len(source)`, `for item in source`; and
    `source.changed(n, change)`, which decodes a JPEG no larger than the change needs.

    Reading an item never raises for what is in the data: a broken sample is a Reject. Nothing is
    kept open, so that a source may be used by several threads and in forked or spawned workers.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, index: int) -> str:
        """How a reject calls item `index`."""

    @abstractmethod
    def read(self, index: int) -> Sample | Reject:
        """Item `index`, perhaps not decoded; ValueError or OSError says why there is none."""

    def __getitem__(self, index: int) -> Sample | Reject:
        return self.changed(index, lambda sample: sample)

    def changed(self, index: int, change: Callable[[Sample], Sample]) -> Sample | Reject:
        """What `change` makes of item `index`, decoded; a reject where that raises ValueError."""
        if not 0 <= index < len(self):
            raise IndexError(f"source: found index {index}, expected 0..{len(self) - 1}")
        item = None
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
        """Part `index` of `count`: the items index, index + count, ... The parts hold every item
        once, and their sizes differ by one at most."""
        check_int("count", count, 1)
        check_int("index", index, 0, count - 1)
        return _Part(self, range(index, len(self), count))

    def head(self, count: int) -> Source:
        """The first `count` items, or all where there are no more."""
        check_int("count", count, 1)
        return _Part(self, range(min(count, len(self))))


@dataclass(frozen=True)
class _Part(Source):
    source: Source
    indices: range

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        return self.source.key(self.indices[index])

    def read(self, index: int) -> Sample | Reject:
        return self.source.read(self.indices[index])


def assemble(
    key: str, files: Iterable[tuple[str, Path | bytes]], captions: Iterable[str] = ()
) -> Sample:
    """The sample of (suffix, path or content) pairs. Of other suffixes, and of none, it takes a
    picture where there is no other, and nothing else. captions: taken if there are any, before
    those of the files. ValueError says what is wrong with them."""
    parts: dict[str, Path | bytes] = {}
    for suffix, content in files:
        if suffix in parts:
            raise ValueError(f"found two files with the suffix {suffix}")
        parts[suffix] = content
    check_name(key)
    info = parse_json(_content(parts["json"]), "json", dict) if "json" in parts else {}
    if isinstance(info.get("status"), str) and info["status"] != "success":  # img2dataset's
        reason = f" ({info['error_message']})" if info.get("error_message") else ""
        raise ValueError(f"json: found status {info['status']!r}{reason}, expected 'success'")
    suffix = _image(parts)
    file = parts[suffix]
    try:
        photo = open_photo(file, suffix)
    except ValueError as error:
        kind = None if isinstance(file, Path) and not file.is_file() else kind_of(_head(file))
        if kind not in UNREAD:
            raise
        found = f"found a {kind} picture, which is not read"
        raise ValueError(f"{found}; convert it to JPEG or PNG") from error
    found = captions or _captions(parts, info)
    annotation = _annotation(parts, info)
    boxes = Boxes.of(info)
    return Sample(key, photo, clean_captions(found), annotation, info, boxes, file)


def _image(parts: Mapping[str, Path | bytes]) -> str:
    """The suffix of the one picture."""
    images = [suffix for suffix in IMAGES if suffix in parts]
    others = {suffix: file for suffix, file in parts.items() if suffix not in SUFFIXES}
    if not images:
        images = [suffix for suffix, file in others.items() if is_picture(suffix, _head(file))]
    if len(images) == 1:
        return images[0]
    if images:
        found = " and ".join(suffix or "one without a suffix" for suffix in images)
        raise ValueError(f"found {found}, expected one image")
    beside = f" but {', '.join(parts)}" if others else ""
    raise ValueError(f"found no image{beside}, expected one of {', '.join(IMAGES)}")


def _head(file: Path | bytes) -> bytes:
    return file[:HEAD] if isinstance(file, bytes) else read_head(file)


def _captions(parts: Mapping[str, Path | bytes], info: dict) -> list[str]:
    one = info.get("caption")
    for found in (info.get("captions"), None if one is None else [one]):
        if found is not None and (captions := clean_captions(found)):
            return captions
    if "txt" not in parts:
        return []
    try:
        text = _content(parts["txt"]).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"txt: found bytes that are not UTF-8 ({error})") from error
    return list(io.StringIO(text, newline=None))  # Unicode has more separators; captions hold some


def _annotation(parts: Mapping[str, Path | bytes], info: dict) -> Scene | Layers | None:
    if "edge.png" in parts and "seg.png" in parts:
        return Scene.from_pngs(parts["seg.png"], parts["edge.png"])
    if "edge.png" in parts:
        raise ValueError("found edge.png without seg.png, expected both")
    if "seg.png" not in parts:
        return None
    if "segments_info" not in info:
        raise ValueError("found seg.png, expected edge.png or segments_info in the json beside it")
    return Layers(*read_coco_panoptic(parts["seg.png"], info["segments_info"]))


def clean_captions(captions: object) -> list[str]:
    """The captions without white space around them and without empty ones. ValueError unless they
    are a list of valid strings."""
    if not isinstance(captions, list | tuple):
        raise ValueError(f"captions: found {type(captions).__name__}, expected a list of strings")
    for caption in captions:
        if not isinstance(caption, str):
            raise ValueError(f"caption: found {type(caption).__name__}, expected a string")
        if not encodable(caption):
            raise ValueError(f"caption: found {caption[:50]!r}, expected valid Unicode")
    return [stripped for caption in captions if (stripped := caption.strip())]


def parse_json(content: bytes | str, what: str, kind: type) -> object:
    """The value of a JSON text of others'. ValueError if it is broken or not of that kind."""
    return documents.parse_json(content, what, kind, strict=False)


def _content(file: Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()
