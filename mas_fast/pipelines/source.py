"""What an edit starts from: the caption and the tokens of a picture. No torch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import numpy as np

from mas_fast.models.codec import Codec
from mas_fast.pipelines.given import read_picture, scene_codes
from mas_fast.pipelines.options import Options
from mas_fast.pipelines.output import Generation, files_of
from mas_fast.pipelines.png_tokens import Painted, alike
from mas_fast.scene.png import open_image
from mas_fast.streams import Streams
from mas_fast.utils.validate import check_int


def read_source(
    source: Generation | str | os.PathLike | bytes,
    index: int,
    options: Options,
    streams: Streams,
    seg: Codec | None,
    img: Codec,
    encoder: Callable[[], Codec],
) -> Painted:
    """Find the caption and the tokens of a picture.

    Args:
        source: as in `Painter.edit`.
        index: which picture of a Generation.
        options: of `Painter.edit`.
        streams: of the GPT.
        seg: the Codec of scenes; None where the GPT has no scenes.
        img: the Codec of pictures.
        encoder: returns the Codec that encodes pictures.

    Returns:
        Them; the caption is empty where nothing says it, and tokens of the caption, and of a void
        in the scene, are -1.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    for name in ("image", "image_rows"):
        if options.get(name) is not None:
            raise ValueError(f"{name}: found one, expected None: the source is the picture")
    if isinstance(source, Generation):
        check_int("index", index, 0, len(source.images) - 1)
        known = Painted(source.captions[index], source.tokens[index])
        if not _fits(known, streams):
            expected = f"expected {streams.length}, of the streams {list(streams.names)}"
            raise ValueError(
                f"source: found {len(known.tokens)} tokens of another model, {expected}"
            )
        return _own(known, options)
    if not isinstance(source, str | os.PathLike | bytes):
        kind = type(source).__name__
        raise ValueError(f"source: found {kind}, expected a Generation or the path of a picture")
    check_int("index", index, 0, 0)
    name = "image" if isinstance(source, bytes) else str(source)
    opened = open_image(source)
    said = Painted.of(opened, name)
    pixels, _ = read_picture(opened if isinstance(source, bytes) else source, img.config.resolution)
    if said is not None:
        if _fits(said, streams) and alike(_decoded(said, streams, img), pixels, img.grid):
            return _own(said, options)
        problem = "its tokens are of another model, or it was changed since"
        warnings.warn(f"{name}: {problem}: it is encoded anew", stacklevel=2)
    tokens = np.full(streams.length, -1, np.int64)
    tokens[streams.slice("img")] = encoder().encode([pixels]).reshape(-1)
    if seg is not None:
        scene, labels = options.get("scene"), options.get("scene_labels")
        beside = None if isinstance(source, bytes) else files_of(source, 0, 1)[1]
        if scene is None and not (beside and beside.is_file()):
            looked = f", and no {beside}" if beside else ""
            raise ValueError(
                f"scene: found none{looked}, expected that of {name}: all of it, or in part: what "
                "is void is drawn"
            )
        found = beside if scene is None else scene
        codes = scene_codes(seg, found, labels, 1, img.config.resolution)
        tokens[streams.slice("seg")] = codes[0]
    return Painted("" if said is None else said.caption, tokens)


def _own(known: Painted, options: Options) -> Painted:
    for name in ("scene", "scene_labels"):
        if options.get(name) is not None:
            raise ValueError(f"{name}: found one, expected None: the source has its own tokens")
    return known


def _fits(known: Painted, streams: Streams) -> bool:
    """Whether the tokens may be of these streams."""
    return len(known.tokens) == streams.length and all(
        0 <= part.min() and part.max() < stream.vocab
        for stream in streams
        for part in [known.tokens[streams.slice(stream.name)]]
    )


def _decoded(known: Painted, streams: Streams, img: Codec) -> np.ndarray:
    (picture,) = img.decode(known.tokens[streams.slice("img")].reshape(1, *img.grid))
    assert isinstance(picture, np.ndarray)  # no scene
    return picture
