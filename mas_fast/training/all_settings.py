"""The settings of all stages of the storybook's model: see train_all. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.settings import Help, find, read
from mas_fast.training.vq_settings import ImgSettings, SegSettings
from mas_fast.utils.validate import check_int

GPTS = ("gpt", "gpt_pictures", "gpt_scenes")  # each starts from the one before
TRAINED = ("vq_seg", "vq_seg_decoder", "vq_img", "vq_img_decoder", *GPTS)
# By which names configs/ has the settings of each kind.
CONFIGS = {SegSettings: "vq-seg", ImgSettings: "vq-img", GPTSettings: "gpt"}
STAGE = " `config`, a file or its name in configs/, and settings that replace its own."


@dataclass(frozen=True, kw_only=True)
class AllSettings:
    """Settings of all stages of the storybook's model."""

    folder: Annotated[Path, Help("Folder of everything; its bundle/ is the result.")]
    scenes: Annotated[int, Help("Stories that are painted for training.", "stories")]
    validation: Annotated[int, Help("Stories that are painted to measure it.", "stories")] = 1000
    size: Annotated[int, Help("Side of a picture.", "pixels")] = 128
    seed: Annotated[int, Help("Seed of the stories.")] = 0
    vocab_size: Annotated[int, Help("Vocabulary of the caption tokenizer.", "tokens")] = 1024
    length: Annotated[int, Help("Length of a caption, padded or cut.", "tokens")] = 32
    captions: Annotated[
        int | None,
        Help(
            "The tokenizer learns from the captions of the first stories; null: of all.", "stories"
        ),
    ] = None
    vq_seg: Annotated[dict[str, Any], Help("Stage: VQ-SEG." + STAGE)]
    vq_seg_decoder: Annotated[dict[str, Any], Help("Stage: VQ-SEG's decoder alone." + STAGE)]
    vq_img: Annotated[dict[str, Any], Help("Stage: VQ-IMG." + STAGE)]
    vq_img_decoder: Annotated[dict[str, Any], Help("Stage: VQ-IMG's decoder alone." + STAGE)]
    gpt: Annotated[dict[str, Any], Help("Stage: the GPT." + STAGE)]
    gpt_pictures: Annotated[
        dict[str, Any], Help("Stage: the GPT, with an eye on the pictures." + STAGE)
    ]
    gpt_scenes: Annotated[
        dict[str, Any], Help("Stage: the GPT, with an eye on the scenes." + STAGE)
    ]
    sampling: Annotated[
        dict[str, Any], Help("Sampling parameters of `generate` unless told otherwise.")
    ] = field(default_factory=dict)
    workers: Annotated[int, Help("Processes that paint and tokenize.")] = 2

    def __post_init__(self) -> None:
        for name in ("scenes", "validation", "size", "vocab_size", "length", "workers"):
            check_int(name, getattr(self, name), 1)
        if self.captions is not None:
            check_int("captions", self.captions, 1)
        check_int("seed", self.seed, 0)
        for name in TRAINED:
            if "config" not in getattr(self, name):
                raise ValueError(f"{name}: found no `config`, expected a file or a name of one")

    @property
    def told(self) -> range:
        """The stories whose captions the tokenizer learns from."""
        return range(self.scenes)[: self.captions]

    @property
    def bundle(self) -> Path:
        """The result."""
        return self.folder / "bundle"

    def scene_shards(self, split: str) -> Path:
        """The folder of the scene shards of a split."""
        return self.folder / "scenes" / split

    def token_shards(self, split: str) -> Path:
        """The folder of the token shards of a split."""
        return self.folder / "tokens" / split

    def folder_of(self, name: str) -> Path:
        """The folder of a training stage."""
        return self.folder / name.replace("_", "-")

    def stage(self, kind: type, name: str, **paths: Path) -> Any:
        """The settings of a training stage, in its own folder, with the common bundle."""
        values = dict(getattr(self, name))
        paths = {"folder": self.folder_of(name), "output": self.bundle, **paths}
        words = [f"--{key}={value}" for key, value in _flat({**values, **paths}) if key != "config"]
        try:
            return read(kind, find(CONFIGS[kind], values["config"]), words)
        except ValueError as error:  # of the stage's part of the file, or of --STAGE.KEY
            raise ValueError(f"{name}: {error}") from error

    def segs(self) -> tuple[SegSettings, SegSettings]:
        """The settings of VQ-SEG, which has a bundle of its own, and of its decoder's stage."""
        return self._vqs(SegSettings, "vq_seg")

    def imgs(self) -> tuple[ImgSettings, ImgSettings]:
        """The same of VQ-IMG."""
        return self._vqs(ImgSettings, "vq_img")

    def _vqs(self, kind: type, name: str) -> tuple:
        stage = partial(self.stage, kind, data=self.scene_shards("train"))
        bundle = self.folder_of(name) / "bundle"
        return stage(name, output=bundle), stage(f"{name}_decoder", decoder_of=bundle)

    def gpts(self) -> list[GPTSettings]:
        """The settings of the GPT's stages, each of which starts from the one before.

        All but the last have a bundle of their own.
        """
        splits = {"data": "train", "validation": "validation"}
        paths = {name: self.token_shards(split) for name, split in splits.items()}
        stages = []
        for name in GPTS:
            paths["output"] = self.bundle if name == GPTS[-1] else self.folder_of(name) / "bundle"
            stages.append(self.stage(GPTSettings, name, bundle=self.bundle, **paths))
            paths["start"] = paths["output"]
        return stages


def _flat(values: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
