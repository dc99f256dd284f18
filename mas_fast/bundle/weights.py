"""The weights of a bundle's GPT as arrays, mapped from its safetensors file, and what such a file
may hold. No torch."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mas_fast.bundle.config import GPT_FILE, read_config
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.utils.documents import parse_json, short
from mas_fast.utils.validate import check_choice, check_int, exact_keys

MOST_HEADER = 100_000_000  # as the safetensors library
DTYPES: dict[str, np.dtype] = {
    "F32": np.dtype("<f4"),
    "BF16": np.dtype("<u2"),
}  # numpy has no bfloat16: its bits


def read_weights(path: str | os.PathLike) -> Iterator[tuple[str, np.ndarray]]:
    """Read the weights that `mas_fast._engine.Engine` wants.

    Args:
        path: the bundle.

    Returns:
        Names and arrays: read-only views into the mapped file, float32, or uint16 with the bits of
        bfloat16. Grid positions come as one flat float32 table position.{stream}.weight.

    Raises:
        ValueError: at once (not at the first item), if the file is truncated, is not safetensors,
            or does not match the config.
    """
    config = read_config(path)
    return _by_grid(map_weights(Path(path) / GPT_FILE, config), config)


def map_weights(file: Path, config: GPTConfig | VQConfig) -> dict[str, np.ndarray]:
    """Map the weights of a model; the file is opened once.

    Args:
        file: the safetensors file, in which the arrays lie.
        config: the config of the model.

    Returns:
        Arrays by name, read-only: float32, or uint16 with the bits of bfloat16.

    Raises:
        ValueError: if the file is truncated, is not safetensors, or does not match the config.
    """
    if not file.is_file():
        raise ValueError(f"{file}: found no such file, expected the weights of a bundle")
    with open(file, "rb") as stream:
        entries = read_entries(file, stream)
        check_weights(file, entries, config)
        data = np.memmap(stream, np.uint8, "r").view(np.ndarray)
    return {name: _array(data, entry) for name, entry in entries.items()}


def _array(data: np.ndarray, entry: Entry) -> np.ndarray:
    values = data[entry.start : entry.stop].view(DTYPES[entry.dtype]).reshape(entry.shape)
    return np.require(values, requirements="A")  # a copy only where the writer aligned badly


def _by_grid(arrays: dict[str, np.ndarray], config: GPTConfig) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays, with one table of positions for each grid in place of rows and columns."""
    grids = {f"position.{s.name}": s for s in config.streams if config.grid(s)}
    for name in config.weight_shapes():
        if not any(name.startswith(f"{table}.") for table in grids):
            yield name, arrays[name]
    for table in grids:
        row, column = (_float32(arrays[f"{table}.{part}.weight"]) for part in ("row", "column"))
        yield f"{table}.weight", (row[:, None] + column).reshape(-1, config.dim)


def _float32(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.float32:
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True)
class Entry:
    """One tensor of a safetensors file: its bytes are start..stop of the whole file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_entries(file: Path, stream: BinaryIO) -> dict[str, Entry]:
    """Read the header of a safetensors file.

    The file has a uint64 size, then JSON, then the tensors without gap or overlap.

    Args:
        file: the file, for messages.
        stream: the file, open.

    Returns:
        The tensors by name.

    Raises:
        ValueError: if the file is truncated or is not safetensors.
    """
    size = os.fstat(stream.fileno()).st_size
    head = stream.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if len(head) < 8 or length > size - 8:
        problem = f"found {size} bytes, expected at least {8 + length}"
        raise ValueError(f"{file}: {problem}: truncated, or not safetensors")
    if length > MOST_HEADER:
        problem = f"found a header of {length} bytes, expected at most {MOST_HEADER}"
        raise ValueError(f"{file}: {problem}: not safetensors")
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
            problem = f"found bytes {entry.start}..{entry.stop}, expected {end}..{expected}"
            raise ValueError(f"{file}: {name} {list(entry.shape)} {entry.dtype}: {problem}")
        end = expected
    if size != end:
        raise ValueError(f"{file}: found {size} bytes, expected {end}")
    return entries


def _read_header(header: dict, start: int) -> dict[str, Entry]:
    """The tensors that a header's JSON names; they begin at byte `start` of the file."""
    entries = {}
    for name, value in header.items():
        if name == "__metadata__":
            _check_metadata(value)
            continue
        exact_keys(name, value, ("dtype", "shape", "data_offsets"))
        check_choice(f"{name}: dtype", value["dtype"], DTYPES)
        for key, least, most in (("shape", 1, 4), ("data_offsets", 2, 2)):
            numbers = value[key]
            if not isinstance(numbers, list) or not least <= len(numbers) <= most:
                expected = f"expected a list of {least} to {most} integers"
                raise ValueError(f"{name}: {key}: found {short(numbers)}, {expected}")
            for number in numbers:
                check_int(f"{name}: {key}", number, 0, 2**63 - 1)
        offsets = (start + offset for offset in value["data_offsets"])
        entries[name] = Entry(value["dtype"], tuple(value["shape"]), *offsets)
    return entries


def _check_metadata(value: object) -> None:
    """As the safetensors library, which the file is for, too."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"__metadata__: found {short(value)}, expected a mapping to strings")


def check_weights(file: Path, entries: dict[str, Entry], config: GPTConfig | VQConfig) -> None:
    """Check that a file has exactly the weights of a config, in one dtype.

    Args:
        file: the file, for messages.
        entries: its tensors by name.
        config: the config.

    Raises:
        ValueError: if it has others.
    """
    shapes = config.weight_shapes()
    missing = [name for name in shapes if name not in entries]
    unexpected = [name for name in entries if name not in shapes]
    if missing or unexpected:
        lists = f"missing {_few(missing)}, unexpected {_few(unexpected)}"
        raise ValueError(f"{file}: found {len(entries)} tensors, expected {len(shapes)}: {lists}")
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
