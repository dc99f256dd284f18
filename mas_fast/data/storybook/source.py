"""The storybook as a source of samples: a file says which stories, and they are painted when read.

write_storybook("book", scenes=60000, size=128)          # `mas-fast data storybook`
prepare("book", "scenes")                                # as any other source
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mas_fast.data.sources.base import Sample, Source, parse_json
from mas_fast.data.storybook.captions import captions
from mas_fast.data.storybook.story import SPLITS, story
from mas_fast.utils.files import replace_file
from mas_fast.utils.validate import check_choice, check_int, exact_keys

FILE = "storybook.json"
FORMAT = 1


class StorySource(Source):
    """The stories 0..scenes - 1 of a split, at size x size pixels. ImportError where skia is not
    installed; ValueError for other values than those that `write_storybook` allows."""

    def __init__(self, scenes: int, size: int = 256, split: str = "train", seed: int = 0) -> None:
        _check(scenes, size, split, seed)
        from mas_fast.data.storybook.paint import paint  # skia

        self.scenes, self.size, self.split, self.seed = scenes, size, split, seed
        self._paint = paint

    @classmethod
    def open(cls, folder: str | os.PathLike) -> StorySource:
        """As the folder's file says. ValueError where it is none of `write_storybook`."""
        file = Path(folder) / FILE
        values = parse_json(file.read_bytes(), str(file), dict)
        exact_keys(str(file), values, ["format", "scenes", "size", "split", "seed"])
        if values.pop("format") != FORMAT:
            raise ValueError(f"{file}: found another format, expected {FORMAT}")
        return cls(**values)

    def __len__(self) -> int:
        return self.scenes

    def key(self, index: int) -> str:
        return f"{self.split}-{index:08}"

    def read(self, index: int) -> Sample:
        told = story(self.split, index, self.seed)
        pixels, layers = self._paint(told, self.size)
        return Sample(self.key(index), pixels, captions(told), layers)


def write_storybook(
    folder: str | os.PathLike, scenes: int, size: int = 256, split: str = "train", seed: int = 0
) -> None:
    """Make `folder` a source of that many stories. ValueError for an unknown split, a size outside
    32..4096, or negative numbers."""
    _check(scenes, size, split, seed)
    Path(folder).mkdir(parents=True, exist_ok=True)
    values = {"format": FORMAT, "scenes": scenes, "size": size, "split": split, "seed": seed}
    content = json.dumps(values, indent=2) + "\n"
    replace_file(Path(folder) / FILE, lambda file: file.write_text(content))


def _check(scenes: int, size: int, split: str, seed: int) -> None:
    check_int("scenes", scenes, 1)
    check_int("size", size, 32, 4096)
    check_int("seed", seed, 0)
    check_choice("split", split, SPLITS)
