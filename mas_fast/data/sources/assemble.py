"""Samples out of their files: pictures, captions and annotations that share a key.

The docstring of `base` says which files a sample has.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from mas_fast.data.boxes import Boxes
from mas_fast.data.photos.photo import open_photo
from mas_fast.data.sources.base import Sample, clean_captions, parse_json
from mas_fast.data.sources.names import (
    HEAD,
    IMAGES,
    SUFFIXES,
    UNREAD,
    check_name,
    is_picture,
    kind_of,
    read_head,
)
from mas_fast.scene import Layers, Scene, read_coco_panoptic


def assemble(
    key: str, files: Iterable[tuple[str, Path | bytes]], captions: Iterable[str] = ()
) -> Sample:
    """Make a sample of its files.

    Args:
        key: name of the sample.
        files: suffix, and path or content, of each file. A file with an unknown suffix, or without
            one, counts only if it is a picture and there is no other.
        captions: captions that replace those of the files, if there are any.

    Returns:
        The sample; its photo may not be decoded yet.

    Raises:
        ValueError: says what is wrong with the files.
    """
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
        problem = f"found a {kind} picture, which is not read"
        raise ValueError(f"{problem}; convert it to JPEG or PNG") from error
    texts = captions or _captions(parts, info)
    annotation = _annotation(parts, info)
    boxes = Boxes.of(info)
    return Sample(key, photo, clean_captions(texts), annotation, info, boxes, file)


def _image(parts: Mapping[str, Path | bytes]) -> str:
    """Return the suffix of the one picture."""
    images = [suffix for suffix in IMAGES if suffix in parts]
    others = {suffix: file for suffix, file in parts.items() if suffix not in SUFFIXES}
    if not images:
        images = [suffix for suffix, file in others.items() if is_picture(suffix, _head(file))]
    if len(images) == 1:
        return images[0]
    if images:
        names = " and ".join(suffix or "one without a suffix" for suffix in images)
        raise ValueError(f"found {names}, expected one image")
    beside = f" but {', '.join(parts)}" if others else ""
    raise ValueError(f"found no image{beside}, expected one of {', '.join(IMAGES)}")


def _head(file: Path | bytes) -> bytes:
    return file[:HEAD] if isinstance(file, bytes) else read_head(file)


def _captions(parts: Mapping[str, Path | bytes], info: dict) -> list[str]:
    caption = info.get("caption")
    for texts in (info.get("captions"), None if caption is None else [caption]):
        if texts is not None and (captions := clean_captions(texts)):
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


def _content(file: Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()
