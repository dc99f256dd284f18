"""Pictures and scenes as a request brings them and as an answer takes them: bytes, and Base64."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
from PIL import Image

from mas_fast.pipelines.png_tokens import Painted
from mas_fast.scene import Scene, is_words, scene_from_words, square
from mas_fast.scene.png import open_image, png_text
from mas_fast.scene.rules import find_edges
from mas_fast.scene.scene import TEXT_KEY, read_labels
from mas_fast.scene.semantic import SPACES

FORMATS = ("png", "jpeg", "webp")


def encode(image: Image.Image, form: str, quality: int, painted: Painted | None = None) -> bytes:
    """Make a file of a picture.

    Args:
        image: RGB.
        form: one of FORMATS.
        quality: 0 to 100, of jpeg and webp.
        painted: goes into a PNG, so that it can be edited.

    Returns:
        The file.
    """
    file = io.BytesIO()
    if form == "png":
        image.save(file, "PNG", **({"pnginfo": painted.text()} if painted else {}))
    else:
        image.save(file, form.upper(), quality=quality)
    return file.getvalue()


def encode_scene(scene: Scene) -> bytes:
    """The PNG of a scene, as `Scene.save` writes it."""
    file = io.BytesIO()
    scene.save(file)  # type: ignore[arg-type]  # Pillow takes either
    return file.getvalue()


def text_of(file: bytes) -> str:
    """Base64 of a file."""
    return base64.b64encode(file).decode()


def bytes_of(text: str, name: str) -> bytes:
    """The file of a Base64 text, with or without the head of a data URL.

    Raises:
        ValueError: if it is none.
    """
    _, _, content = text.rpartition(",") if text.startswith("data:") else ("", "", text)
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{name}: found no Base64 ({error})") from error


def scene_of(given: str, labels: str | None, size: int, side: int) -> Scene:
    """Read the scene of a request. No path is opened.

    Args:
        given: words and boxes, as `scene_from_words` takes them, or a PNG in Base64.
        labels: the label space of a PNG that does not say its own, one of SPACES.
        size: of the model's scenes, in pixels.
        side: of its pictures, in which boxes are.

    Returns:
        The scene, in the model's size.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    if is_words(given) and not given.startswith("data:"):
        if labels is not None:
            raise ValueError(f"scene_labels: found {labels!r} with words, expected it with a PNG")
        return square(scene_from_words(given, side, side), size)
    return scene_of_png(bytes_of(given, "scene"), labels, size)


def scene_of_png(file: bytes, labels: str | None, size: int) -> Scene:
    """As `scene_of`, of a PNG's content."""
    if labels is not None and labels not in SPACES:
        raise ValueError(f"scene_labels: found {labels!r}, expected one of {sorted(SPACES)}")
    image = open_image(file, "scene")
    entry = png_text(image).get(TEXT_KEY, "") if image.format == "PNG" else ""
    if entry.startswith("labels "):
        known, layout = read_labels(file)
        small = square(Scene(known, np.zeros(known.shape, bool), layout), size).labels
        return Scene(small, find_edges(small), layout)
    if entry:
        return square(Scene.load(file), size)
    if labels is None:
        raise ValueError(
            "scene: found a PNG that does not say which classes its values are, expected one that "
            f"mas_fast saved, or scene_labels, one of {sorted(SPACES)}"
        )
    return square(SPACES[labels].read(file, "scene"), size).clean()
