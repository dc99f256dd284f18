"""A scene: one label and one edge bit for each pixel.

A saved scene is one PNG, 8-bit RGB. Red is the label (255 void), green is 255 for an edge, else 0,
and blue is 0. Its text entry "mas_fast" is "scene 1 LAYOUT". In shards, labels and edges are two
PNGs: an 8-bit palette image whose indices are the labels and whose palette has the colours of the
layout, with the text entry "mas_fast" = "labels 1 LAYOUT", and a 1-bit image.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mas_fast.scene import render
from mas_fast.scene.labels import MINI158, Layout, layout_named
from mas_fast.scene.png import open_image, png_array, png_text

FORMAT = 1
TEXT_KEY = "mas_fast"


@dataclass(frozen=True, eq=False)
class Scene:
    """A clean scene. Scenes are values: every method returns a new one.

    Attributes:
        labels: uint8 [H, W], channels of the layout that may be labels, or 255 (void).
        edges: bool [H, W].
        layout: a `Layout`; its name is accepted too.

    Raises:
        ValueError: if one of them is unfit.
    """

    labels: np.ndarray
    edges: np.ndarray
    layout: Layout = MINI158

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", layout_named(self.layout))
        for name, dtype in (("labels", np.uint8), ("edges", np.bool_)):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 2:
                description = getattr(array, "dtype", type(array).__name__), np.shape(array)
                raise ValueError(f"{name}: found {description}, expected {np.dtype(dtype)} [H, W]")
        if self.labels.size == 0 or self.labels.shape != self.edges.shape:
            raise ValueError(
                f"scene: found labels {self.labels.shape} and edges {self.edges.shape}, "
                "expected the same shape, at least one pixel"
            )
        wrong = ~self.layout.allowed[self.labels]
        if wrong.any():
            raise ValueError(
                f"labels: found {np.unique(self.labels[wrong]).tolist()}, expected void (255) or "
                f"a channel of {self.layout.name} that is a label"
            )

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.labels.shape[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.labels.shape[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scene):
            return NotImplemented
        return (
            self.layout == other.layout
            and np.array_equal(self.labels, other.labels)
            and np.array_equal(self.edges, other.edges)
        )

    __hash__ = None  # type: ignore[assignment]  # Python's own way to say: not hashable

    def to(self, layout: Layout | str) -> Scene:
        """Convert the scene to another layout.

        Args:
            layout: the layout, or its name.

        Returns:
            The same scene. Nothing is lost: both layouts have all labels.
        """
        other = layout_named(layout)
        return Scene(self.layout.table(other)[self.labels], self.edges, other)

    def crop(self, top: int, left: int, height: int, width: int) -> Scene:
        """Cut out a part.

        Args:
            top: first row.
            left: first column.
            height: number of rows.
            width: number of columns.

        Returns:
            The part.

        Raises:
            ValueError: unless it lies within the scene.
        """
        if not (0 <= top < top + height <= self.height and 0 <= left < left + width <= self.width):
            raise ValueError(
                f"crop: found rows {top}..{top + height}, columns {left}..{left + width}, "
                f"expected some within {self.height} x {self.width}"
            )
        part = np.s_[top : top + height, left : left + width]
        return Scene(self.labels[part].copy(), self.edges[part].copy(), self.layout)

    def resize(self, height: int, width: int) -> Scene:
        """Resize the scene, labels by their nearest pixels.

        If edges shrink, a pixel is an edge if any pixel that it replaces is one, so that thin lines
        neither break nor grow. If they grow, the nearest pixel counts.

        Args:
            height: new height in pixels.
            width: new width in pixels.

        Returns:
            The resized scene.

        Raises:
            ValueError: if a side is less than 1.
        """
        if height < 1 or width < 1:
            raise ValueError(f"resize: found {height} x {width}, expected at least 1 x 1")
        rows, columns = nearest(self.height, height), nearest(self.width, width)
        labels = self.labels[rows[:, None], columns]
        edges = _resize_edges(_resize_edges(self.edges, height, 0), width, 1)
        return Scene(labels, edges, self.layout)

    def flip(self) -> Scene:
        """Exchange left and right, also in the names of arms, legs and shoes."""
        labels = self.layout.mirrored[self.labels[:, ::-1]]
        return Scene(labels, np.ascontiguousarray(self.edges[:, ::-1]), self.layout)

    def colors(self) -> np.ndarray:
        """Return the labels in the colours of the layout, and nothing else: uint8 [H, W, 3]."""
        return self.layout.colors[self.labels]

    def shares(self) -> tuple[tuple[str, float], ...]:
        """Return the share of the pixels of each class, largest first; void is called "void"."""
        labels, counts = np.unique(self.labels, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        names = (render.label_name(self.layout, int(label)) for label in labels[order])
        return tuple(zip(names, (counts[order] / self.labels.size).tolist(), strict=True))

    def render(self, scale: int = 2) -> Image.Image:
        """Draw the scene with edges, names and a legend.

        Args:
            scale: whole factor of height and width.

        Returns:
            The picture.

        Raises:
            ValueError: if `scale` is less than 1.
        """
        if scale < 1:
            raise ValueError(f"scale: found {scale}, expected at least 1")
        return render.draw(self.labels, self.edges, self.layout, scale)

    def save(self, path: str | os.PathLike | BinaryIO) -> None:
        """Write the scene to one PNG, a path or an open file, as the module's docstring says."""
        green = np.where(self.edges, np.uint8(255), np.uint8(0))
        pixels = np.stack([self.labels, green, np.zeros_like(green)], axis=-1)
        text = _text("scene", self.layout)
        Image.fromarray(pixels).save(path, "PNG", pnginfo=text)

    @classmethod
    def load(cls, path: str | os.PathLike | bytes) -> Scene:
        """Read a PNG that `save` wrote.

        Args:
            path: the file, or its content.

        Returns:
            The scene.

        Raises:
            ValueError: for any other file.
        """
        source = "scene" if isinstance(path, bytes) else str(path)
        pixels, text = png_array(path, ("RGB",), "scene")
        layout = _layout("scene", text, source)
        red, green, blue = np.moveaxis(pixels, -1, 0)
        if blue.any() or ((green != 0) & (green != 255)).any():
            raise ValueError(
                f"{source}: found other values than 0 and 255 in green, or than 0 in blue"
            )
        return _made(source, red.copy(), green == 255, layout)

    def to_pngs(self) -> tuple[bytes, bytes]:
        """Encode the scene for a shard, in the format of the module's docstring.

        Returns:
            The PNG of the labels and the PNG of the edges.
        """
        palette = Image.fromarray(self.labels).convert("L")
        palette.putpalette(self.layout.colors.tobytes())
        files = io.BytesIO(), io.BytesIO()
        palette.save(files[0], "PNG", pnginfo=_text("labels", self.layout))
        Image.fromarray(self.edges).save(files[1], "PNG")
        return files[0].getvalue(), files[1].getvalue()

    @classmethod
    def from_pngs(
        cls, labels: str | os.PathLike | bytes, edges: str | os.PathLike | bytes
    ) -> Scene:
        """Read the two PNGs of `to_pngs`.

        Args:
            labels: PNG of the labels, a path or its content.
            edges: PNG of the edges, a path or its content.

        Returns:
            The scene.

        Raises:
            ValueError: for any other file.
        """
        source = "labels" if isinstance(labels, bytes) else str(labels)
        indices, layout = read_labels(labels)
        bits, _ = png_array(edges, ("1",), "edges")
        return _made(source, indices, bits, layout)


def read_labels(file: str | os.PathLike | bytes) -> tuple[np.ndarray, Layout]:
    """Read the labels of a shard, the first PNG of `Scene.to_pngs`.

    Args:
        file: the PNG, a path or its content.

    Returns:
        Labels, uint8 [H, W], and their layout.

    Raises:
        ValueError: for any other file, and for a palette that is not the layout's: an editor that
            rewrites the palette changes numbers.
    """
    source = "labels" if isinstance(file, bytes) else str(file)
    image = open_image(file, "labels")
    if image.format != "PNG" or image.mode != "P":
        raise ValueError(
            f"{source}: found {image.format} of mode {image.mode}, expected PNG of mode P"
        )
    layout = _layout("labels", png_text(image), source)
    indices = np.array(image)
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    if not np.array_equal(palette, layout.colors):
        used = np.unique(indices)
        wrong = [n for n in used if n >= len(palette) or (palette[n] != layout.colors[n]).any()]
        if wrong:
            color = palette[wrong[0]].tolist() if wrong[0] < len(palette) else "no colour"
            raise ValueError(
                f"{source}: found {color} as number {wrong[0]} of the palette, expected "
                f"{layout.colors[wrong[0]].tolist()}, {layout.name}'s: an editor has changed the "
                "palette, and perhaps the numbers"
            )
    return indices, layout


def _made(source: str, labels: np.ndarray, edges: np.ndarray, layout: Layout) -> Scene:
    try:
        return Scene(labels, edges, layout)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _text(kind: str, layout: Layout) -> PngInfo:
    text = PngInfo()
    text.add_text(TEXT_KEY, f"{kind} {FORMAT} {layout.name}")
    return text


def _layout(kind: str, text: dict[str, str], source: str) -> Layout:
    entry = text.get(TEXT_KEY)
    head, _, name = (entry or "").rpartition(" ")
    if head != f"{kind} {FORMAT}":
        raise ValueError(
            f"{source}: not written by mas_fast: found the text entry {TEXT_KEY!r} = {entry!r}, "
            f"expected '{kind} {FORMAT} LAYOUT'"
        )
    try:
        return layout_named(name)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def nearest(size: int, target: int) -> np.ndarray:
    """Return the source pixel under the centre of each target pixel.

    Args:
        size: number of source pixels.
        target: number of target pixels.

    Returns:
        int64 [target].
    """
    return (2 * np.arange(target) + 1) * size // (2 * target)


def _resize_edges(edges: np.ndarray, target: int, axis: int) -> np.ndarray:
    size = edges.shape[axis]
    if target >= size:
        return edges.take(nearest(size, target), axis)
    starts = -(-np.arange(target) * size // target)  # pixel n goes to n * target // size
    return np.logical_or.reduceat(edges, starts, axis)
