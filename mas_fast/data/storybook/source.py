"""The storybook as a source of samples: a file names the stories, which are painted when read.

write_storybook("book", scenes=60000, size=256)          # `mas-fast data storybook`
prepare("book", "scenes")                                # as any other source

A file that names no world is of the first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mas_fast.data.sources.base import Sample, Source, parse_json
from mas_fast.data.storybook.world import NEWEST, SPLITS, WORLDS
from mas_fast.utils.files import replace_file
from mas_fast.utils.validate import check_choice, check_int, exact_keys

FILE = "storybook.json"
FORMAT = 1


class StorySource(Source):
    """The stories of a split, painted when they are read.

    Args:
        scenes: number of stories.
        size: height and width in pixels.
        split: one of `world.SPLITS`.
        seed: seed of the stories.
        world: one of `world.WORLDS`.

    Raises:
        ImportError: if skia is not installed.
        ValueError: for values that `write_storybook` does not allow.
    """

    def __init__(
        self,
        scenes: int,
        size: int = 256,
        split: str = "train",
        seed: int = 0,
        world: int = NEWEST,
    ) -> None:
        _check(scenes, size, split, seed, world)
        import skia  # noqa: F401  # before the first picture

        self.scenes, self.size, self.split, self.seed = scenes, size, split, seed
        self.world = world

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
        exact_keys(str(file), values, ["format", "scenes", "size", "split", "seed"], ["world"])
        if values.pop("format") != FORMAT:
            raise ValueError(f"{file}: found another format, expected {FORMAT}")
        return cls(**{"world": 1, **values})

    def __len__(self) -> int:
        return self.scenes

    def key(self, index: int) -> str:
        return f"{self.split}-{index:08}"

    def read(self, index: int) -> Sample:
        world = WORLDS[self.world]
        told = world.story(self.split, index, self.seed)
        pixels, layers = world.paint(told, self.size)
        return Sample(self.key(index), pixels, world.captions(told), layers)


def write_storybook(
    folder: str | os.PathLike,
    scenes: int,
    size: int = 256,
    split: str = "train",
    seed: int = 0,
    world: int = NEWEST,
) -> None:
    """Make a folder a source of stories.

    Args:
        folder: the folder.
        scenes: number of stories.
        size: height and width in pixels, 32..4096.
        split: one of `world.SPLITS`.
        seed: seed of the stories.
        world: one of `world.WORLDS`.

    Raises:
        ValueError: for an unknown split or world, another size, or negative numbers.
    """
    _check(scenes, size, split, seed, world)
    Path(folder).mkdir(parents=True, exist_ok=True)
    values = {"format": FORMAT, "scenes": scenes, "size": size, "split": split, "seed": seed}
    values["world"] = world
    content = json.dumps(values, indent=2) + "\n"
    replace_file(Path(folder) / FILE, lambda file: file.write_text(content, "utf-8"))


def _check(scenes: int, size: int, split: str, seed: int, world: int) -> None:
    check_int("scenes", scenes, 1)
    check_int("size", size, 32, 4096)
    check_int("seed", seed, 0)
    check_choice("split", split, SPLITS)
    check_choice("world", world, WORLDS)
