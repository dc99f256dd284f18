"""Bundles: a model in a directory.

    save_gpt("my-bundle", model)                    model = load_gpt("my-bundle", device="cuda")
    save_vq("my-bundle", "vq_img", tokenizer)       tokenizer = load_vq("my-bundle", "vq_img")
    save_bpe("my-bundle", bpe)                      bpe = load_bpe("my-bundle")
    save_words("my-bundle", captions)               known = read_words("my-bundle")

config.json holds the format's version, the kind and the config of each model that is there (gpt,
vq_seg, vq_img); MODEL.safetensors has its weights, all fp32 or all bf16; tokenizer.json is the
captions' tokenizer. Two files may be missing: words.txt, the words of the captions that the GPT
learned from, one a line, and sampling.json, the guidance, temperature, top_k and top_p that suit
it. Unknown keys, names or shapes are errors: a model is read in full or not at all. `read_config`,
`read_vq_config` and `read_weights` need no torch, and the last maps the file into memory, so that
the C++ engine packs its weights without a second copy of them.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mas_fast.models.gpt_config import GPTConfig
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.request import Sampling
from mas_fast.text.captions import words
from mas_fast.utils.documents import parse_json, read_json, short
from mas_fast.utils.files import replace_file
from mas_fast.utils.validate import check_int, exact_keys

if TYPE_CHECKING:
    import torch

    from mas_fast.models.gpt import GPT
    from mas_fast.models.vqvae import VQVAE
    from mas_fast.text.bpe import BPE

Stored = Literal["fp32", "bf16"]

FORMAT = 1
KIND = "mas_fast bundle"
CONFIG_FILE, GPT_FILE, BPE_FILE = "config.json", "gpt.safetensors", "tokenizer.json"
WORDS_FILE, SAMPLING_FILE = "words.txt", "sampling.json"
SHIPPED = Path(__file__).with_name("assets") / "storybook"
CONFIGS = {"gpt": GPTConfig, "vq_seg": VQConfig, "vq_img": VQConfig}
VQ_INPUTS = {"vq_seg": "labels", "vq_img": "image"}
VQ_NAMES = {kind: name for name, kind in VQ_INPUTS.items()}
MOST_HEADER = 100_000_000  # as the safetensors library
DTYPES = {"F32": np.dtype("<f4"), "BF16": np.dtype("<u2")}  # numpy has no bfloat16: its bits


def save_gpt(path: str | os.PathLike, model: GPT, stored: Stored | None = None) -> None:
    """Write the model into the directory `path`, made if need be, beside the models that are there.
    Each file is replaced in one step once its new content is on the disk. stored: the weights
    rounded to that, else as they are. ValueError for a model that is on the meta device or neither
    fp32 nor bf16."""
    _save(path, "gpt", model, model.state_dict(), stored)


def save_vq(path: str | os.PathLike, name: str, model: VQVAE, stored: Stored | None = None) -> None:
    """Write a tokenizer, `name` being vq_seg or vq_img, as `save_gpt` does; what its codebook
    remembers of its training is left out. ValueError also for the other kind of input."""
    _check_name(name)
    _check_input(path, name, model.config)
    _save(path, name, model, model.weights(), stored)


def save_bpe(path: str | os.PathLike, bpe: BPE) -> None:
    """Write the captions' tokenizer, in one step."""
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / BPE_FILE, bpe.save)


def load_gpt(path: str | os.PathLike, device="cpu", dtype: torch.dtype | None = None) -> GPT:
    """The GPT of the bundle `path` on `device`, in `dtype` or else as stored. ValueError as for
    read_weights."""
    from mas_fast.models.gpt import GPT

    config = read_config(path)
    weights = _load(path, "gpt", config, device)
    model = GPT(config)
    model.load_state_dict(weights, assign=True)
    return model if dtype is None else model.to(dtype)


def load_vq(
    path: str | os.PathLike, name: str, device="cpu", dtype: torch.dtype | None = None
) -> VQVAE:
    """The tokenizer `name`, vq_seg or vq_img, of the bundle `path`, in evaluation mode, otherwise
    as load_gpt."""
    from mas_fast.models.vqvae import VQVAE

    config = read_vq_config(path, name)
    model = VQVAE.from_weights(config, _load(path, name, config, device), device=device).eval()
    return model if dtype is None else model.to(dtype)


def load_bpe(path: str | os.PathLike) -> BPE:
    """The captions' tokenizer of the bundle `path`. ValueError where it has none."""
    from mas_fast.text.bpe import BPE

    file = Path(path) / BPE_FILE
    if not file.is_file():
        found = "found no such file, expected the captions' tokenizer"
        raise ValueError(f"{file}: {found}: {_added_by(path, BPE_FILE)}")
    return BPE.load(file)


def shipped() -> Path:
    """The bundle that comes with mas_fast. ValueError where it does not."""
    if not SHIPPED.is_dir():
        found = (
            f"{SHIPPED}: found no such folder: no trained model comes with this copy of mas_fast"
        )
        raise ValueError(f"{found}, expected the path of a bundle that `mas-fast train` made")
    return SHIPPED


def save_words(path: str | os.PathLike, captions: Iterable[str]) -> None:
    """Write the words of the captions (see captions.words), sorted, each once, in one step."""
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{word}\n" for word in sorted({w for c in captions for w in words(c)}))
    replace_file(directory / WORDS_FILE, lambda file: file.write_bytes(text.encode()))


def read_words(path: str | os.PathLike) -> frozenset[str] | None:
    """What `save_words` wrote; None where the bundle `path` has no such file. ValueError for a line
    that is no word."""
    file = Path(path) / WORDS_FILE
    if not file.is_file():
        return None
    try:
        lines = file.read_bytes().decode().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: {error}; expected UTF-8") from error
    for number, line in enumerate(lines, 1):
        if words(line) != [line]:
            raise ValueError(
                f"{file}: line {number}: found {line[:80]!r}, expected one lower-case word"
            )
    return frozenset(lines)


def save_sampling(path: str | os.PathLike, values: dict[str, object]) -> None:
    """Write what `read_sampling` reads, in one step. ValueError for other keys than it allows."""
    _check_sampling(str(path), values)
    text = json.dumps(values, indent=2) + "\n"
    replace_file(Path(path) / SAMPLING_FILE, lambda file: file.write_text(text))


def read_sampling(path: str | os.PathLike) -> dict[str, object]:
    """What the bundle `path` says of guidance, temperature, top_k and top_p; {} where it says
    nothing. ValueError for anything else; the values are checked where they are used."""
    file = Path(path) / SAMPLING_FILE
    if not file.is_file():
        return {}
    values = read_json(file)
    _check_sampling(str(file), values)
    return values


def _check_sampling(where: str, values: object) -> None:
    allowed = [field.name for field in fields(Sampling)]
    if not isinstance(values, dict) or not set(values) <= set(allowed):
        found = sorted(set(values) - set(allowed)) if isinstance(values, dict) else values
        raise ValueError(
            f"{where}: found {short(found)}, expected a mapping with some of {allowed}"
        )


def read_config(path: str | os.PathLike) -> GPTConfig:
    """The GPT's config. ValueError names the file, what it holds and what was expected."""
    return _read(path, "gpt")["gpt"]


def read_vq_config(path: str | os.PathLike, name: str) -> VQConfig:
    """The config of the tokenizer `name`, vq_seg or vq_img. ValueError as for read_config."""
    _check_name(name)
    config = _read(path, name)[name]
    _check_input(Path(path) / CONFIG_FILE, name, config)
    return config


def models_of(path: str | os.PathLike) -> tuple[str, ...]:
    """Which of gpt, vq_seg and vq_img the bundle has. ValueError as for read_config."""
    return tuple(_read(path))


def bundle_files(path: str | os.PathLike) -> list[Path]:
    """The files of the bundle `path` that are there."""
    names = (CONFIG_FILE, BPE_FILE, WORDS_FILE, SAMPLING_FILE, "*.safetensors", "onnx/*")
    return sorted(file for name in names for file in Path(path).glob(name))


def _read(path: str | os.PathLike, *needed: str) -> dict[str, GPTConfig | VQConfig]:
    """The configs of all models that config.json names, at least the needed ones."""
    file = Path(path) / CONFIG_FILE
    if not file.is_file():
        found = [other.name for other in bundle_files(path)]
        found = f", only {found}" if found else ""
        raise ValueError(
            f"{path}: not a bundle: found no {CONFIG_FILE}{found}, expected a folder that has one: "
            + "; ".join(_added_by(path, name) for name in needed or CONFIGS)
        )
    values = read_json(file)
    try:
        present = [name for name in CONFIGS if name in values]
        exact_keys("bundle", values, ("format", "kind", *present))
        for key, expected in (("kind", KIND), ("format", FORMAT)):
            if values[key] != expected:
                raise ValueError(f"{key}: found {short(values[key])}, expected {expected!r}")
        for name in needed:
            if name not in values:
                stray = Path(path) / f"{name}.safetensors"
                stray = f" ({stray} belongs to another config.json)" if stray.is_file() else ""
                found = f"found the models {present}, expected {name} too{stray}"
                raise ValueError(f"{found}: {_added_by(path, name)}")
        return {name: CONFIGS[name].from_dict(values[name]) for name in present}
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _added_by(path: str | os.PathLike, part: str) -> str:
    """The command that puts a part into the bundle."""
    command = {
        "gpt": f"mas-fast train gpt CONFIG --data TOKENS --folder RUN --output {path}",
        "vq_seg": f"mas-fast train vq-seg CONFIG --data DATA --folder RUN --output {path}",
        "vq_img": f"mas-fast train vq-img CONFIG --data DATA --folder RUN --output {path}",
        BPE_FILE: f"mas-fast train bpe CAPTIONS -o {path}",
    }[part]
    return f"`{command}` adds {part}"


def _save(
    path: str | os.PathLike,
    name: str,
    model: GPT | VQVAE,
    weights: dict[str, torch.Tensor],
    stored: Stored | None,
) -> None:
    import torch
    from safetensors.torch import save_file

    if model.device.type == "meta":
        raise ValueError(f"{path}: found a model on the meta device, expected one that has weights")
    found = {parameter.dtype for parameter in model.parameters()}
    if found not in ({torch.float32}, {torch.bfloat16}):
        names = sorted(map(str, found))
        raise ValueError(
            f"{path}: found a model of {names}, expected all torch.float32 or torch.bfloat16"
        )
    if stored is not None:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[stored]
        weights = {key: weight.to(dtype) for key, weight in weights.items()}
    directory = Path(path)
    configs = _read(path) if (directory / CONFIG_FILE).exists() else {}
    configs[name] = model.config
    values = {"format": FORMAT, "kind": KIND} | {n: c.to_dict() for n, c in configs.items()}
    directory.mkdir(parents=True, exist_ok=True)
    # The weights first: until the config names it, the model is not in the bundle.
    replace_file(directory / f"{name}.safetensors", lambda file: save_file(weights, file))
    replace_file(
        directory / CONFIG_FILE, lambda file: file.write_text(json.dumps(values, indent=2) + "\n")
    )


def _load(path: str | os.PathLike, name: str, config: GPTConfig | VQConfig, device) -> dict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = Path(path) / f"{name}.safetensors"
    _check(file, _entries(file), config)
    try:
        return load_file(file, device=str(device))
    except SafetensorError as error:  # it refuses more, such as numbers for metadata
        raise ValueError(f"{file}: {error}") from error


def _check_name(name: str) -> None:
    if name not in VQ_INPUTS:
        raise ValueError(f"tokenizer: found {name!r}, expected one of {list(VQ_INPUTS)}")


def _check_input(where: str | os.PathLike, name: str, config: VQConfig) -> None:
    if config.input != VQ_INPUTS[name]:
        expected = f"expected {VQ_INPUTS[name]!r}"
        raise ValueError(f"{where}: {name}: found a tokenizer of {config.input!r}, {expected}")


def read_weights(path: str | os.PathLike) -> Iterator[tuple[str, np.ndarray]]:
    """The names and arrays that mas_fast._engine.Engine wants: read-only views into the mapped
    file, float32, or uint16 with the bits of bfloat16. Grid positions come as one flat float32
    table position.{stream}.weight. ValueError at once (not at the first item) for a file that is
    truncated, is not safetensors, or does not match the config."""
    config = read_config(path)
    file = Path(path) / GPT_FILE
    entries = _entries(file)
    _check(file, entries, config)
    return _arrays(np.memmap(file, np.uint8, "r").view(np.ndarray), entries, config)


def _arrays(
    data: np.ndarray, entries: dict[str, _Entry], config: GPTConfig
) -> Iterator[tuple[str, np.ndarray]]:
    def array(name: str) -> np.ndarray:
        entry = entries[name]
        values = data[entry.start : entry.stop].view(DTYPES[entry.dtype]).reshape(entry.shape)
        return np.require(values, requirements="A")  # a copy only where the writer aligned badly

    grids = {f"position.{s.name}": s for s in config.streams if config.grid(s)}
    for name in config.weight_shapes():
        if not any(name.startswith(f"{table}.") for table in grids):
            yield name, array(name)
    for table in grids:
        row, column = (_float32(array(f"{table}.{part}.weight")) for part in ("row", "column"))
        yield f"{table}.weight", (row[:, None] + column).reshape(-1, config.dim)


def _float32(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.float32:
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True)
class _Entry:
    """One tensor of a safetensors file: its bytes are start..stop of the whole file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def _entries(file: Path) -> dict[str, _Entry]:
    """The header of a safetensors file: uint64 size, then JSON, then the tensors without gap or
    overlap."""
    if not file.is_file():
        raise ValueError(f"{file}: found no such file, expected the weights of a bundle")
    size = file.stat().st_size
    with open(file, "rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if len(head) < 8 or length > size - 8:
            found = f"found {size} bytes, expected at least {8 + length}"
            raise ValueError(f"{file}: {found}: truncated, or not safetensors")
        if length > MOST_HEADER:
            found = f"found a header of {length} bytes, expected at most {MOST_HEADER}"
            raise ValueError(f"{file}: {found}: not safetensors")
        text = stream.read(length)
    header = parse_json(text, f"{file}: header")
    try:
        entries = _read_header(header, 8 + length)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    end = 8 + length
    for name, entry in sorted(entries.items(), key=lambda item: item[1].start):
        expected = end + math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
        if (entry.start, entry.stop) != (end, expected):
            found = f"found bytes {entry.start}..{entry.stop}, expected {end}..{expected}"
            raise ValueError(f"{file}: {name} {list(entry.shape)} {entry.dtype}: {found}")
        end = expected
    if size != end:
        raise ValueError(f"{file}: found {size} bytes, expected {end}")
    return entries


def _read_header(header: dict, start: int) -> dict[str, _Entry]:
    """The tensors that a header's JSON names; they begin at byte `start` of the file."""
    entries = {}
    for name, value in header.items():
        if name == "__metadata__":
            continue
        exact_keys(name, value, ("dtype", "shape", "data_offsets"))
        if value["dtype"] not in list(DTYPES):
            found = f"found dtype {short(value['dtype'])}"
            raise ValueError(f"{name}: {found}, expected one of {list(DTYPES)}")
        for key, least, most in (("shape", 1, 4), ("data_offsets", 2, 2)):
            numbers = value[key]
            if not isinstance(numbers, list) or not least <= len(numbers) <= most:
                expected = f"expected a list of {least} to {most} integers"
                raise ValueError(f"{name}: {key}: found {short(numbers)}, {expected}")
            for number in numbers:
                check_int(f"{name}: {key}", number, 0, 2**63 - 1)
        offsets = (start + offset for offset in value["data_offsets"])
        entries[name] = _Entry(value["dtype"], tuple(value["shape"]), *offsets)
    return entries


def _check(file: Path, entries: dict[str, _Entry], config: GPTConfig | VQConfig) -> None:
    """ValueError unless the file has exactly the config's weights, in one dtype."""
    shapes = config.weight_shapes()
    missing = [name for name in shapes if name not in entries]
    unexpected = [name for name in entries if name not in shapes]
    if missing or unexpected:
        found = f"missing {_few(missing)}, unexpected {_few(unexpected)}"
        raise ValueError(f"{file}: found {len(entries)} tensors, expected {len(shapes)}: {found}")
    for name, shape in shapes.items():
        if entries[name].shape != shape:
            raise ValueError(
                f"{file}: {name}: found shape {list(entries[name].shape)}, expected {list(shape)}"
            )
    dtypes = {entry.dtype for entry in entries.values()}
    if len(dtypes) > 1:
        raise ValueError(f"{file}: found the dtypes {sorted(dtypes)}, expected one for all tensors")


def _few(names: list[str]) -> str:
    return f"{names[:3]}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
