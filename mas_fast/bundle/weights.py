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

from mas_fast.bundle.config import GPT_FILE, read_config, read_gpt_dtype
from mas_fast.bundle.quantized import Quantized, stored_tensors
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.utils.documents import parse_json, short
from mas_fast.utils.validate import check_choice, check_int, exact_keys

MOST_HEADER = 100_000_000  # as the safetensors library
FLOATS: dict[str, np.dtype] = {
    "F32": np.dtype("<f4"),
    "BF16": np.dtype("<u2"),
}  # numpy has no bfloat16: its bits
DTYPES = FLOATS | {"I8": np.dtype("i1"), "U8": np.dtype("u1")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
Pair = tuple[np.ndarray, np.ndarray]


def read_weights(
    path: str | os.PathLike, *, levels: bool = False
) -> Iterator[tuple[str, np.ndarray | Pair]]:
    """Read the weights that `mas_fast._engine.Engine` wants.

    Args:
        path: the bundle.
        levels: whether matrices that are stored in int4 or int8 come as they are, for an engine in
            int4, and not as float32.

    Returns:
        Names and arrays: read-only views into the mapped file, float32, or uint16 with the bits of
        bfloat16. Grid positions come as one flat float32 table position.{stream}.weight. With
        `levels` also pairs of levels, int8 [outputs, inputs], and scales, bfloat16 as uint16
        [outputs, groups of 32 inputs].

    Raises:
        ValueError: at once (not at the first item), if the file is truncated, is not safetensors,
            or does not match the config; at its item, if a scale is not finite.
    """
    config, arrays = map_gpt(path)
    return _by_grid(arrays, config, levels)


def map_gpt(path: str | os.PathLike) -> tuple[GPTConfig, dict[str, np.ndarray | Quantized]]:
    """Map the weights of a bundle's GPT.

    Args:
        path: the bundle.

    Returns:
        Its config, and arrays by name as `map_weights`, or what is stored of a matrix in int4.

    Raises:
        ValueError: as `map_weights`.
    """
    config, file = read_config(path), Path(path) / GPT_FILE
    if read_gpt_dtype(path) is None:
        return config, dict(map_weights(file, config))
    data, entries = _map(file)
    check_quantized(file, entries, config)
    arrays: dict[str, np.ndarray | Quantized] = {}
    for name, shape in config.weight_shapes().items():
        arrays[name] = array = _array(data, entries[name])
        if scale := entries.get(f"{name}.scale"):
            arrays[name] = Quantized(f"{file}: {name}", array, _array(data, scale), shape[1])
    return config, arrays


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
    data, entries = _map(file)
    check_weights(file, entries, config)
    return {name: _array(data, entry) for name, entry in entries.items()}


def _map(file: Path) -> tuple[np.ndarray, dict[str, Entry]]:
    if not file.is_file():
        raise ValueError(f"{file}: found no such file, expected the weights of a bundle")
    with open(file, "rb") as stream:
        entries = read_entries(file, stream)
        return np.memmap(stream, np.uint8, "r").view(np.ndarray), entries


def _array(data: np.ndarray, entry: Entry) -> np.ndarray:
    values = data[entry.start : entry.stop].view(DTYPES[entry.dtype]).reshape(entry.shape)
    return np.require(values, requirements="A")  # a copy only where the writer aligned badly


def _by_grid(
    arrays: dict[str, np.ndarray | Quantized], config: GPTConfig, levels: bool
) -> Iterator[tuple[str, np.ndarray | Pair]]:
    """The arrays, with one table of positions for each grid in place of rows and columns."""
    grids = {f"position.{s.name}": s for s in config.streams if config.grid(s)}
    for name in config.weight_shapes():
        if not any(name.startswith(f"{table}.") for table in grids):
            array = arrays[name]
            yield name, array.pair() if levels and isinstance(array, Quantized) else floats(array)
    for table in grids:
        row, column = (float32(arrays[f"{table}.{part}.weight"]) for part in ("row", "column"))
        yield f"{table}.weight", (row[:, None] + column).reshape(-1, config.dim)


def floats(array: np.ndarray | Quantized) -> np.ndarray:
    """Return an array as it is, or the float32 weights of a quantized matrix."""
    return array.floats() if isinstance(array, Quantized) else array


def float32(array: np.ndarray | Quantized) -> np.ndarray:
    """Return float32 of an array that may hold bfloat16, or of a quantized matrix."""
    values = floats(array)
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
    _check_shapes(file, entries, config.weight_shapes())
    _check_floats(file, entries)


def check_quantized(file: Path, entries: dict[str, Entry], config: GPTConfig) -> None:
    """Check that a file has exactly the tensors of a GPT in int4.

    Args:
        file: the file, for messages.
        entries: its tensors by name.
        config: the config.

    Raises:
        ValueError: if it has others.
    """
    tensors = stored_tensors(config)
    _check_shapes(file, entries, {name: shape for name, (_, shape) in tensors.items()})
    for name, (dtype, _) in tensors.items():
        if dtype is not None and entries[name].dtype != dtype:
            found = f"found {entries[name].dtype}, expected {dtype} in a bundle in int4"
            raise ValueError(f"{file}: {name}: {found}")
    _check_floats(file, {n: entries[n] for n, (dtype, _) in tensors.items() if dtype is None})


def _check_shapes(
    file: Path, entries: dict[str, Entry], shapes: dict[str, tuple[int, ...]]
) -> None:
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


def _check_floats(file: Path, entries: dict[str, Entry]) -> None:
    dtypes = {entry.dtype for entry in entries.values()}
    if len(dtypes) > 1:
        raise ValueError(f"{file}: found the dtypes {sorted(dtypes)}, expected one for all tensors")
    for name, entry in entries.items():
        check_choice(f"{file}: {name}: dtype", entry.dtype, FLOATS)


def _few(names: list[str]) -> str:
    return f"{names[:3]}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
