"""What a generation gives: pictures and their scenes, and the files they become. No torch."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from mas_fast.pipelines.png_tokens import Painted
from mas_fast.scene import Scene
from mas_fast.utils.contact_sheet import sheet
from mas_fast.utils.files import replace_file
from mas_fast.utils.outputs import check_outputs


@dataclass
class Generation:
    """N pictures, of which picture n of caption b is b * num_images + n.

    While they are painted (see `Painter.paint`), those that are finished, the first ones.

    Attributes:
        images: RGB.
        scenes: the decoded seg tokens, at their own size; none where the model has no scenes.
        captions: that of each picture, also of those to come.
        tokens: int64 [N, S], all streams.
        seed: of the generation.
        num_images: pictures of each caption.
        unknown_words: those of the captions, also of negative ones, that the model has not learned,
            each once, in order.
        truncated: of each caption, also of negative ones, that was too long, the part that the
            model read.
    """

    images: list[Image.Image]
    scenes: list[Scene]
    captions: list[str]
    tokens: np.ndarray
    seed: int
    num_images: int = 1
    unknown_words: list[str] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)

    def sheet(self) -> Image.Image:
        """Draw all pictures, those of one caption in a row above it."""
        pixels = [np.asarray(image) for image in self.images]
        rows = [pixels[n : n + self.num_images] for n in range(0, len(pixels), self.num_images)]
        captions = self.captions[: len(pixels) : self.num_images]
        return sheet(rows, captions, max(self.images[0].size))

    def save(self, path: str | os.PathLike) -> list[Path]:
        """Write the pictures and their scenes.

        One picture: out.png, which has its tokens in a text entry where it is a PNG (`edit` takes
        them); its scene as `Scene.save`, out.scene.png, and to look at, out.legend.png.
        Several: out.png is the contact sheet, and out-1.png, out-1.scene.png, out-1.legend.png and
        so on are theirs. Files of these names are replaced.

        Args:
            path: the file of the picture, or of the contact sheet.

        Returns:
            The files, the picture first.

        Raises:
            ValueError: as in `check_output`.
        """
        path = check_output(path)
        files = [file for n in range(len(self.images)) for file in self.save_picture(path, n)]
        return [*self.save_sheet(path), *files]

    def save_picture(self, path: str | os.PathLike, n: int) -> list[Path]:
        """Write picture n, and its scene, as `save` does."""
        files = files_of(path, n, len(self.captions))[: 3 if self.scenes else 1]
        _save(self.images[n], files[0], Painted(self.captions[n], self.tokens[n]))
        if self.scenes:
            replace_file(files[1], self.scenes[n].save)
            _save(self.scenes[n].render(), files[2])
        return files

    def save_sheet(self, path: str | os.PathLike) -> list[Path]:
        """Write the contact sheet of what is finished, where there are several pictures."""
        if len(self.captions) == 1:
            return []
        _save(self.sheet(), Path(path))
        return [Path(path)]


def files_of(path: str | os.PathLike, n: int, count: int) -> list[Path]:
    """Name the files of a picture.

    Args:
        path: as in `Generation.save`.
        n: which picture.
        count: how many there are.

    Returns:
        The picture, its scene, and the scene to look at.
    """
    path = Path(path)
    if count > 1:
        path = path.with_stem(f"{path.stem}-{n + 1}")
    return [path, *(path.with_name(f"{path.stem}.{kind}.png") for kind in ("scene", "legend"))]


def check_output(path: str | os.PathLike) -> Path:
    """Check that a picture can be written to a path.

    Args:
        path: the file.

    Returns:
        The path.

    Raises:
        ValueError: if its folder is not there, or its suffix is no picture's, or of a kind that
            Pillow cannot write here.
    """
    path = Path(path)
    check_outputs({"": path})
    if _format(path) not in Image.SAVE:
        reason = f"expected that of a picture, such as {', '.join(COMMON)}"
        raise ValueError(f"{path}: found the suffix {path.suffix!r}, {reason}")
    try:
        Image.new("RGB", (16, 16)).save(io.BytesIO(), _format(path))
    except (OSError, ValueError, KeyError) as error:
        problem = f"found the suffix {path.suffix!r}, which Pillow cannot write here ({error})"
        raise ValueError(f"{path}: {problem}, expected such as {', '.join(COMMON)}") from error
    return path


COMMON = (".png", ".jpg", ".webp")


def _format(path: Path) -> str | None:
    Image.init()
    return Image.EXTENSION.get(path.suffix.lower())


def _save(image: Image.Image, path: Path, painted: Painted | None = None) -> None:
    form = _format(path)
    more = {"pnginfo": painted.text()} if painted and form == "PNG" else {}
    replace_file(path, lambda file: image.save(file, form, **more))
