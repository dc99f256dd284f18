"""A scene: one label and one edge bit for each pixel.

A saved scene is one PNG, 8-bit RGB: red is the label (255 void), green 255 where there is an edge
and else 0, blue 0; its text entry "mas_fast" is "scene 1 LAYOUT". In shards, labels and edges are
two PNGs: an 8-bit palette image whose indices are the labels and whose palette is the layout's
colours, with the text entry "mas_fast" = "labels 1 LAYOUT", and a 1-bit image.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mas_fast.scene import render
from mas_fast.scene.labels import MINI158, Layout, layout_named
from mas_fast.scene.png import open_image, png_array

FORMAT = 1
TEXT_KEY = "mas_fast"


@dataclass(frozen=True, eq=False)
class Scene:
    """labels: uint8 [H, W], a channel of the layout that may be a label, or 255. edges: bool
    [H, W]. layout: a Layout or its name. ValueError if one is unfit.

    Scenes are values: every method returns a new one.
    """

    labels: np.ndarray
    edges: np.ndarray
    layout: Layout = MINI158

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", layout_named(self.layout))
        for name, dtype in (("labels", np.uint8), ("edges", np.bool_)):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 2:
                found = getattr(array, "dtype", type(array).__name__), np.shape(array)
                raise ValueError(f"{name}: found {found}, expected {np.dtype(dtype)} [H, W]")
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
        return self.labels.shape[0]

    @property
    def width(self) -> int:
        return self.labels.shape[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scene):
            return NotImplemented
        return (
            self.layout == other.layout
            and np.array_equal(self.labels, other.labels)
            and np.array_equal(self.edges, other.edges)
        )

    __hash__ = None

    def to(self, layout: Layout | str) -> Scene:
        """The same scene in another layout. Nothing is lost: both have all the labels."""
        other = layout_named(layout)
        return Scene(self.layout.table(other)[self.labels], self.edges, other)

    def crop(self, top: int, left: int, height: int, width: int) -> Scene:
        """That part of it. ValueError unless it lies within the scene."""
        if not (0 <= top < top + height <= self.height and 0 <= left < left + width <= self.width):
            raise ValueError(
                f"crop: found rows {top}..{top + height}, columns {left}..{left + width}, "
                f"expected some within {self.height} x {self.width}"
            )
        part = np.s_[top : top + height, left : left + width]
        return Scene(self.labels[part].copy(), self.edges[part].copy(), self.layout)

    def resize(self, height: int, width: int) -> Scene:
        """Nearest labels. Where edges shrink, a pixel is an edge if any of those that it stands for
        is one: thin lines neither break nor grow. Where they grow, nearest too."""
        if height < 1 or width < 1:
            raise ValueError(f"resize: found {height} x {width}, expected at least 1 x 1")
        rows, columns = nearest(self.height, height), nearest(self.width, width)
        labels = self.labels[rows[:, None], columns]
        edges = _resize_edges(_resize_edges(self.edges, height, 0), width, 1)
        return Scene(labels, edges, self.layout)

    def flip(self) -> Scene:
        """Left and right exchanged, also in the names of arms, legs and shoes."""
        labels = self.layout.mirrored[self.labels[:, ::-1]]
        return Scene(labels, np.ascontiguousarray(self.edges[:, ::-1]), self.layout)

    def colors(self) -> np.ndarray:
        """uint8 [H, W, 3]: the labels in the layout's colours, nothing else."""
        return self.layout.colors[self.labels]

    def shares(self) -> tuple[tuple[str, float], ...]:
        """(class, share of the pixels), most first; void is called so."""
        labels, counts = np.unique(self.labels, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        names = (render.label_name(self.layout, int(label)) for label in labels[order])
        return tuple(zip(names, (counts[order] / self.labels.size).tolist(), strict=True))

    def render(self, scale: int = 2) -> Image.Image:
        """The scene enlarged by a whole number, with edges, names and a legend."""
        if scale < 1:
            raise ValueError(f"scale: found {scale}, expected at least 1")
        return render.draw(self.labels, self.edges, self.layout, scale)

    def save(self, path: str | os.PathLike) -> None:
        """Write one PNG, as the module says."""
        green = np.where(self.edges, np.uint8(255), np.uint8(0))
        pixels = np.stack([self.labels, green, np.zeros_like(green)], axis=-1)
        text = _text("scene", self.layout)
        Image.fromarray(pixels).save(path, "PNG", pnginfo=text)

    @classmethod
    def load(cls, path: str | os.PathLike | bytes) -> Scene:
        """Read what `save` wrote, from a path or its bytes. ValueError for any other file."""
        what = "scene" if isinstance(path, bytes) else str(path)
        pixels, text = png_array(path, ("RGB",), "scene")
        layout = _layout("scene", text, what)
        red, green, blue = np.moveaxis(pixels, -1, 0)
        if blue.any() or ((green != 0) & (green != 255)).any():
            raise ValueError(
                f"{what}: found other values than 0 and 255 in green, or than 0 in blue"
            )
        return _made(what, red.copy(), green == 255, layout)

    def to_pngs(self) -> tuple[bytes, bytes]:
        """(labels, edges): the two PNGs of a shard, as the module says."""
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
        """The inverse of to_pngs, from paths or bytes. ValueError for any other file."""
        what = "labels" if isinstance(labels, bytes) else str(labels)
        indices, layout = read_labels(labels)
        bits, _ = png_array(edges, ("1",), "edges")
        return _made(what, indices, bits, layout)


def read_labels(file: str | os.PathLike | bytes) -> tuple[np.ndarray, Layout]:
    """(labels uint8 [H, W], layout) of the first of to_pngs. ValueError for any other file, and for
    one whose palette is not the layout's: an editor that writes a palette anew changes numbers."""
    what = "labels" if isinstance(file, bytes) else str(file)
    image = open_image(file, "labels")
    if image.format != "PNG" or image.mode != "P":
        raise ValueError(
            f"{what}: found {image.format} of mode {image.mode}, expected PNG of mode P"
        )
    layout = _layout("labels", image.text, what)
    indices = np.array(image)
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    if not np.array_equal(palette, layout.colors):
        used = np.unique(indices)
        wrong = [n for n in used if n >= len(palette) or (palette[n] != layout.colors[n]).any()]
        if wrong:
            color = palette[wrong[0]].tolist() if wrong[0] < len(palette) else "no colour"
            raise ValueError(
                f"{what}: found {color} as number {wrong[0]} of the palette, expected "
                f"{layout.colors[wrong[0]].tolist()}, {layout.name}'s: an editor has changed the "
                "palette, and perhaps the numbers"
            )
    return indices, layout


def _made(what: str, labels: np.ndarray, edges: np.ndarray, layout: Layout) -> Scene:
    try:
        return Scene(labels, edges, layout)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def _text(kind: str, layout: Layout) -> PngInfo:
    text = PngInfo()
    text.add_text(TEXT_KEY, f"{kind} {FORMAT} {layout.name}")
    return text


def _layout(kind: str, text: dict[str, str], what: str) -> Layout:
    found = text.get(TEXT_KEY)
    head, _, name = (found or "").rpartition(" ")
    if head != f"{kind} {FORMAT}":
        raise ValueError(
            f"{what}: not written by mas_fast: found the text entry {TEXT_KEY!r} = {found!r}, "
            f"expected '{kind} {FORMAT} LAYOUT'"
        )
    try:
        return layout_named(name)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def nearest(size: int, target: int) -> np.ndarray:
    """int64 [target]: the source pixel under the centre of each target pixel."""
    return (2 * np.arange(target) + 1) * size // (2 * target)


def _resize_edges(edges: np.ndarray, target: int, axis: int) -> np.ndarray:
    size = edges.shape[axis]
    if target >= size:
        return edges.take(nearest(size, target), axis)
    starts = -(-np.arange(target) * size // target)  # pixel n goes to n * target // size
    return np.logical_or.reduceat(edges, starts, axis)
