"""config.json: which models a bundle has, and of what shape. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from mas_fast.models.gpt_config import GPTConfig
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.utils.documents import read_json, short
from mas_fast.utils.validate import check_choice, exact_keys

FORMAT = 1
GPT_DTYPES = ("int4",)  # that config.json names; without one, weights are fp32 or bf16
KIND = "mas_fast bundle"
CONFIG_FILE, GPT_FILE, BPE_FILE = "config.json", "gpt.safetensors", "tokenizer.json"
WORDS_FILE, SAMPLING_FILE = "words.txt", "sampling.json"
CARD_FILE, QUALITY_FILE = "README.md", "quality.json"  # about a bundle, and no part of one
SHIPPED = Path(__file__).parents[1] / "assets" / "storybook"
CONFIGS: dict[str, type[GPTConfig] | type[VQConfig]] = {
    "gpt": GPTConfig,
    "vq_seg": VQConfig,
    "vq_img": VQConfig,
}
# All that a bundle may have; nothing else is copied, sent or downloaded.
FILES = (
    *(CONFIG_FILE, BPE_FILE, WORDS_FILE, SAMPLING_FILE),
    *(f"{model}.safetensors" for model in CONFIGS),
    *(
        f"onnx/{model}_{part}.onnx"
        for model in ("vq_seg", "vq_img")
        for part in ("encoder.fp32", "encoder.fp16", "decoder.fp32", "decoder.fp16", "decoder.int8")
    ),
    "onnx/parity.json",
)
VQ_INPUTS = {"vq_seg": "labels", "vq_img": "image"}
VQ_NAMES = {kind: name for name, kind in VQ_INPUTS.items()}


class Bundle(os.PathLike):
    """The path of a bundle whose config.json is read.

    What takes the path of a bundle takes this too, and does not read the file again.

    Args:
        path: the folder.
        needed: models that must be there.

    Attributes:
        path: the folder.
        configs: of the models that it has, by name: gpt, vq_seg and vq_img.
        gpt_dtype: in which the GPT is stored: int4, or None: fp32 or bf16.

    Raises:
        ValueError: as `read_config`, for a model among those needed that is not there, too.
    """

    def __init__(self, path: str | os.PathLike, *needed: str) -> None:
        self.path = Path(path)
        self.configs, self.gpt_dtype = _read(path, *needed)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


def shipped() -> Path:
    """Find the bundle that comes with mas_fast.

    Returns:
        The folder.

    Raises:
        ValueError: if none comes with this copy.
    """
    if not SHIPPED.is_dir():
        problem = (
            f"{SHIPPED}: found no such folder: no trained model comes with this copy of mas_fast"
        )
        raise ValueError(f"{problem}, expected the path of a bundle that `mas-fast train` made")
    return SHIPPED


def read_config(path: str | os.PathLike) -> GPTConfig:
    """Read the config of a bundle's GPT.

    Args:
        path: the bundle.

    Returns:
        The config.

    Raises:
        ValueError: if there is none, or it is unfit; names the file, what it holds and what was
            expected.
    """
    return cast(GPTConfig, read_configs(path, "gpt")["gpt"])


def read_vq_config(path: str | os.PathLike, name: str) -> VQConfig:
    """Read the config of a bundle's tokenizer.

    Args:
        path: the bundle.
        name: vq_seg or vq_img.

    Returns:
        The config.

    Raises:
        ValueError: as in `read_config`.
    """
    check_name(name)
    config = cast(VQConfig, read_configs(path, name)[name])
    check_input(Path(path) / CONFIG_FILE, name, config)
    return config


def models_of(path: str | os.PathLike) -> tuple[str, ...]:
    """Tell which models a bundle has.

    Args:
        path: the bundle.

    Returns:
        Those of gpt, vq_seg and vq_img that are there.

    Raises:
        ValueError: as in `read_config`.
    """
    return tuple(read_configs(path))


def bundle_files(path: str | os.PathLike) -> list[Path]:
    """Return the files of the bundle `path` that are there."""
    return [file for name in FILES if (file := Path(path) / name).is_file()]


def read_configs(path: str | os.PathLike, *needed: str) -> dict[str, GPTConfig | VQConfig]:
    """Read the configs of all models that config.json names.

    Args:
        path: the bundle.
        needed: models that must be there.

    Returns:
        The configs by name.

    Raises:
        ValueError: as in `read_config`, also for a needed model that is not there.
    """
    return _read(path, *needed)[0]


def read_gpt_dtype(path: str | os.PathLike) -> str | None:
    """Read in which dtype a bundle stores its GPT.

    Args:
        path: the bundle.

    Returns:
        int4, or None: fp32 or bf16.

    Raises:
        ValueError: as in `read_config`.
    """
    return _read(path)[1]


def config_text(configs: dict[str, GPTConfig | VQConfig], gpt_dtype: str | None = None) -> str:
    """Return what config.json holds.

    Args:
        configs: of the models, by name.
        gpt_dtype: in which the GPT is stored: int4, or None: fp32 or bf16.
    """
    values: dict[str, object] = {"format": FORMAT, "kind": KIND}
    if gpt_dtype is not None:
        values["gpt_dtype"] = gpt_dtype
    values |= {name: config.to_dict() for name, config in configs.items()}
    return json.dumps(values, indent=2) + "\n"


def _read(
    path: str | os.PathLike, *needed: str
) -> tuple[dict[str, GPTConfig | VQConfig], str | None]:
    """The configs of a bundle, and the dtype that its GPT is stored in."""
    if isinstance(path, Bundle):
        try:
            _check_needed(path, list(path.configs), needed)
        except ValueError as error:
            raise ValueError(f"{path.path / CONFIG_FILE}: {error}") from error
        return dict(path.configs), path.gpt_dtype
    file = Path(path) / CONFIG_FILE
    if not file.is_file():
        others = [other.name for other in bundle_files(path)]
        extras = f", only {others}" if others else ""
        raise ValueError(
            f"{path}: not a bundle: found no {CONFIG_FILE}{extras}, expected a folder that has "
            "one: " + "; ".join(added_by(path, name) for name in needed or CONFIGS)
        )
    values = read_json(file)
    try:
        present = [name for name in CONFIGS if name in values]
        named = ("gpt_dtype",) if "gpt" in present and "gpt_dtype" in values else ()
        exact_keys("bundle", values, ("format", "kind", *named, *present))
        for key, expected in (("kind", KIND), ("format", FORMAT)):
            if values[key] != expected:
                raise ValueError(f"{key}: found {short(values[key])}, expected {expected!r}")
        _check_needed(path, present, needed)
        dtype = values.get("gpt_dtype")
        if named:
            check_choice("gpt_dtype", dtype, GPT_DTYPES)
        return {name: CONFIGS[name].from_dict(values[name]) for name in present}, dtype
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _check_needed(path: str | os.PathLike, present: list[str], needed: Iterable[str]) -> None:
    for name in needed:
        if name not in present:
            file = Path(path) / f"{name}.safetensors"
            stray = f" ({file} belongs to another config.json)" if file.is_file() else ""
            problem = f"found the models {present}, expected {name} too{stray}"
            raise ValueError(f"{problem}: {added_by(path, name)}")


def added_by(path: str | os.PathLike, part: str) -> str:
    """Return the command that puts a part into the bundle `path`, in words."""
    command = {
        "gpt": f"mas-fast train gpt CONFIG --data TOKENS --folder RUN --output {path}",
        "vq_seg": f"mas-fast train vq-seg CONFIG --data DATA --folder RUN --output {path}",
        "vq_img": f"mas-fast train vq-img CONFIG --data DATA --folder RUN --output {path}",
        BPE_FILE: f"mas-fast train bpe CAPTIONS -o {path}",
    }[part]
    return f"`{command}` adds {part}"


def check_name(name: str) -> None:
    check_choice("tokenizer", name, VQ_INPUTS)


def check_input(owner: str | os.PathLike, name: str, config: VQConfig) -> None:
    if config.input != VQ_INPUTS[name]:
        expected = f"expected {VQ_INPUTS[name]!r}"
        raise ValueError(f"{owner}: {name}: found a tokenizer of {config.input!r}, {expected}")
