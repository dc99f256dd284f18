"""What a generation gives: pictures and their scenes, and the files they become. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from mas_fast.scene import Scene
from mas_fast.sheet import sheet


@dataclass
class Generation:
    """N pictures: picture n of caption b is b * num_images + n.

    images: RGB. scenes: the decoded seg tokens, at their own size; none where the model has no
    scenes. captions: that of each picture. tokens: int64 [N, S], all streams. unknown_words: those
    of the captions that the model has not learned, each once, in order. truncated: of each caption
    that was too long, what the model read of it.
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
        """All pictures, those of one caption in a row above it."""
        pixels = [np.asarray(image) for image in self.images]
        rows = [pixels[n : n + self.num_images] for n in range(0, len(pixels), self.num_images)]
        return sheet(rows, self.captions[:: self.num_images], max(self.images[0].size))

    def save(self, path: str | os.PathLike) -> list[Path]:
        """Write the picture and its scene -> the files, the picture first.

        One picture: out.png; its scene as Scene.save, out.scene.png, and to look at,
        out.legend.png. Several: out.png is the contact sheet, and out-1.png, out-1.scene.png,
        out-1.legend.png and so on are theirs. Files of these names are replaced. ValueError as for
        check_output.
        """
        path = check_output(path)
        if len(self.images) == 1:
            return self._write(path, 0)
        self.sheet().save(path)
        numbers = range(len(self.images))
        files = [self._write(path.with_stem(f"{path.stem}-{n + 1}"), n) for n in numbers]
        return [path, *(file for part in files for file in part)]

    def _write(self, path: Path, n: int) -> list[Path]:
        self.images[n].save(path)
        if not self.scenes:
            return [path]
        scene, legend = (path.with_name(f"{path.stem}.{kind}.png") for kind in ("scene", "legend"))
        self.scenes[n].save(scene)
        self.scenes[n].render().save(legend)
        return [path, scene, legend]


def check_output(path: str | os.PathLike) -> Path:
    """The path, if a picture can be written there. ValueError for a folder that is not there and
    for a suffix that is no picture's."""
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: found no folder {path.parent}, expected one that is there")
    Image.init()
    if Image.EXTENSION.get(path.suffix.lower()) not in Image.SAVE:
        raise ValueError(
            f"{path}: found the suffix {path.suffix!r}, expected that of a picture, such as .png"
        )
    if path.is_dir():
        raise ValueError(f"{path}: found a folder, expected the name of a file")
    return path
