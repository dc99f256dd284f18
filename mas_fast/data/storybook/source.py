"""The storybook as a source of samples: a file names the stories, which are painted when read.

write_storybook("book", scenes=60000, size=128)          # `mas-fast data storybook`
prepare("book", "scenes")                                # as any other source
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mas_fast.data.sources.base import Sample, Source, parse_json
from mas_fast.data.storybook.world1.captions import captions
from mas_fast.data.storybook.world1.story import SPLITS, story
from mas_fast.utils.files import replace_file
from mas_fast.utils.validate import check_choice, check_int, exact_keys

FILE = "storybook.json"
FORMAT = 1


class StorySource(Source):
    """The stories of a split, painted when they are read.

    Args:
        scenes: number of stories.
        size: height and width in pixels.
        split: one of `story.SPLITS`.
        seed: seed of the stories.

    Raises:
        ImportError: if skia is not installed.
        ValueError: for values that `write_storybook` does not allow.
    """

    def __init__(self, scenes: int, size: int = 256, split: str = "train", seed: int = 0) -> None:
        _check(scenes, size, split, seed)
        from mas_fast.data.storybook.world1.paint import paint  # skia

        self.scenes, self.size, self.split, self.seed = scenes, size, split, seed
        self._paint = paint

    @classmethod
    def open(cls, folder: str | os.PathLike) -> StorySource:
        """Open a folder of `write_storybook`.

        Args:
            folder: the folder.

        Returns:
            The source.

        Raises:
            ValueError: if it is no such folder.
        """
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
        tale = story(self.split, index, self.seed)
        pixels, layers = self._paint(tale, self.size)
        return Sample(self.key(index), pixels, captions(tale), layers)


def write_storybook(
    folder: str | os.PathLike, scenes: int, size: int = 256, split: str = "train", seed: int = 0
) -> None:
    """Make a folder a source of stories.

    Args:
        folder: the folder.
        scenes: number of stories.
        size: height and width in pixels, 32..4096.
        split: one of `story.SPLITS`.
        seed: seed of the stories.

    Raises:
        ValueError: for an unknown split, another size, or negative numbers.
    """
    _check(scenes, size, split, seed)
    Path(folder).mkdir(parents=True, exist_ok=True)
    values = {"format": FORMAT, "scenes": scenes, "size": size, "split": split, "seed": seed}
    content = json.dumps(values, indent=2) + "\n"
    replace_file(Path(folder) / FILE, lambda file: file.write_text(content, "utf-8"))


def _check(scenes: int, size: int, split: str, seed: int) -> None:
    check_int("scenes", scenes, 1)
    check_int("size", size, 32, 4096)
    check_int("seed", seed, 0)
    check_choice("split", split, SPLITS)
