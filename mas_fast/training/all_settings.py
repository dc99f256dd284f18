"""The settings of all stages of the storybook's model: see train_all. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.settings import Help, find, read
from mas_fast.training.vq_settings import ImgSettings, SegSettings
from mas_fast.utils.validate import check_choice, check_int

TOKENIZERS = ("vq_seg", "vq_seg_decoder", "vq_img", "vq_img_decoder")
# By which names configs/ has the settings of each kind.
CONFIGS = {SegSettings: "vq-seg", ImgSettings: "vq-img", GPTSettings: "gpt"}
OWN = ("config", "stories")  # keys of a stage that are none of its settings
STAGE = " `config`, a file or its name in configs/, and settings that replace its own."
TRAIN, VALIDATION = "train", "validation"  # names of what is painted, besides those of the stages


@dataclass(frozen=True, kw_only=True)
class AllSettings:
    """Settings of all stages of the storybook's model."""

    folder: Annotated[Path, Help("Folder of everything; its bundle/ is the result.")]
    world: Annotated[int, Help("World of the stories.")] = 1
    scenes: Annotated[int, Help("Stories that are painted for the tokenizers.", "stories")]
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
    hints: Annotated[
        int,
        Help(
            "Captions that each story gets in addition, its own with hints of a part of its scene: "
            "so a model reads what is given to it further on.",
            "captions",
        ),
    ] = 0
    segmenter: Annotated[
        int | None,
        Help(
            "Steps of a segmenter, in whose features VQ-IMG then compares pictures; null: none.",
            "steps",
        ),
    ] = None
    vq_seg: Annotated[dict[str, Any], Help("Stage: VQ-SEG." + STAGE)]
    vq_seg_decoder: Annotated[dict[str, Any], Help("Stage: VQ-SEG's decoder alone." + STAGE)]
    vq_img: Annotated[dict[str, Any], Help("Stage: VQ-IMG." + STAGE)]
    vq_img_decoder: Annotated[dict[str, Any], Help("Stage: VQ-IMG's decoder alone." + STAGE)]
    gpts: Annotated[
        dict[str, Any],
        Help(
            "Stages of the GPT by name, each from the weights of the one before." + STAGE + " With "
            "`stories`, so many new ones are painted for the stage; else it sees the tokenizers'."
        ),
    ]
    sampling: Annotated[
        dict[str, Any], Help("Sampling parameters of `generate` unless told otherwise.")
    ] = field(default_factory=dict)
    workers: Annotated[int, Help("Processes that paint and tokenize.")] = 2
    last: Annotated[str | None, Help("Name of the stage to stop after; null: the last one.")] = None

    def __post_init__(self) -> None:
        for name in ("scenes", "validation", "size", "vocab_size", "length", "workers", "world"):
            check_int(name, getattr(self, name), 1)
        for name in ("captions", "segmenter"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1)
        for name in ("seed", "hints"):
            check_int(name, getattr(self, name), 0)
        if not self.gpts:
            raise ValueError("gpts: found none, expected at least one stage")
        for name in TOKENIZERS:
            _check_stage(name, getattr(self, name))
        for name, values in self.gpts.items():
            _check_stage(f"gpts: {name}", values)
            if "stories" in values:
                check_int(f"gpts: {name}: stories", values["stories"], 1)

    @property
    def told(self) -> range:
        """The stories whose captions the tokenizer learns from."""
        return range(self.scenes)[: self.captions]

    @property
    def bundle(self) -> Path:
        """The result."""
        return self.folder / "bundle"

    def painted(self, name: str) -> tuple[str, int, int]:
        """What is painted under a name: TRAIN, VALIDATION, or that of a stage with stories.

        Returns:
            The split of the stories, their number, and their seed.
        """
        check_choice("painted", name, (TRAIN, VALIDATION, *self.own_stories))
        if name == VALIDATION:
            return "validation", self.validation, self.seed
        if name == TRAIN:
            return "train", self.scenes, self.seed
        number = 1 + self.own_stories.index(name)
        return "train", self.gpts[name]["stories"], self.seed + number

    @property
    def own_stories(self) -> list[str]:
        """The stages of the GPT that have stories of their own."""
        return [name for name, values in self.gpts.items() if "stories" in values]

    def seen_by(self, name: str) -> str:
        """Under which name there is what a stage of the GPT learns from."""
        return name if name in self.own_stories else TRAIN

    def scene_shards(self, name: str) -> Path:
        """The folder of the scene shards of what is painted."""
        return self.folder / "scenes" / name

    def token_shards(self, name: str) -> Path:
        """The folder of the token shards of what is painted."""
        return self.folder / "tokens" / name

    def folder_of(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name.replace("_", "-")

    def stage(self, kind: type, name: str, values: dict[str, Any], **paths: Path) -> Any:
        """The settings of a training stage, in its own folder, with the common bundle."""
        paths = {"folder": self.folder_of(name), "output": self.bundle, **paths}
        own = {key: value for key, value in values.items() if key not in OWN}
        words = [f"--{key}={value}" for key, value in _flat({**own, **paths})]
        try:
            return read(kind, find(CONFIGS[kind], values["config"]), words)
        except ValueError as error:  # of the stage's part of the file, or of --STAGE.KEY
            raise ValueError(f"{name}: {error}") from error

    def segs(self) -> tuple[SegSettings, SegSettings]:
        """The settings of VQ-SEG, which has a bundle of its own, and of its decoder's stage."""
        return self._vqs(SegSettings, "vq_seg")

    def imgs(self) -> tuple[ImgSettings, ImgSettings]:
        """The same of VQ-IMG."""
        seen = {} if self.segmenter is None else {"perceptual": self.folder_of("segmenter")}
        return self._vqs(ImgSettings, "vq_img", **seen)

    def _vqs(self, kind: type, name: str, **paths: Path) -> tuple:
        decoder, bundle = f"{name}_decoder", self.folder_of(name) / "bundle"
        paths["data"] = self.scene_shards(TRAIN)
        return (
            self.stage(kind, name, getattr(self, name), output=bundle, **paths),
            self.stage(kind, decoder, getattr(self, decoder), decoder_of=bundle, **paths),
        )

    def gpt_stages(self) -> dict[str, GPTSettings]:
        """The settings of the GPT's stages, each of which starts from the one before.

        All but the last have a bundle of their own.
        """
        paths = {"validation": self.token_shards(VALIDATION)}
        stages: dict[str, GPTSettings] = {}
        for number, (name, values) in enumerate(self.gpts.items(), 1):
            paths["data"] = self.token_shards(self.seen_by(name))
            last = number == len(self.gpts)
            paths["output"] = self.bundle if last else self.folder_of(name) / "bundle"
            stages[name] = self.stage(GPTSettings, name, values, bundle=self.bundle, **paths)
            paths["start"] = paths["output"]
        return stages


def _check_stage(name: str, values: Any) -> None:
    if not isinstance(values, dict) or "config" not in values:
        raise ValueError(f"{name}: found no `config`, expected a file or a name of one")


def _flat(values: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "null" if value is None else value  # as YAML has it
