"""Writes a bundle whose GPT is stored in int4. No torch."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mas_fast.bundle.config import CONFIG_FILE, GPT_FILE, bundle_files, config_text, read_configs
from mas_fast.bundle.quantized import INT4, matrix_dtype, store_int4
from mas_fast.bundle.weights import NAMES, float32, map_gpt
from mas_fast.utils import native
from mas_fast.utils.files import replace_file


def export_int4(bundle: str | os.PathLike, output: str | os.PathLike) -> None:
    """Write a bundle with the GPT in int4, and copies of all else that there is.

    Files of these names are replaced, each in one step.

    Args:
        bundle: the bundle.
        output: another folder, made if need be.

    Raises:
        ValueError: if the bundle has no GPT, or one whose weights are int4 already or not finite.
        ImportError: if the C++ engine, which finds the levels, is not built.
    """
    configs, (config, arrays) = read_configs(bundle, "gpt"), map_gpt(bundle)
    file, source, target = Path(bundle) / GPT_FILE, Path(bundle), Path(output)
    quantize = native.engine().quantize
    tensors: dict[str, np.ndarray] = {}
    for name in config.weight_shapes():
        array = arrays[name]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{file}: found int4 weights, expected fp32 or bf16")
        dtype = matrix_dtype(name)
        if dtype is None:
            tensors[name] = array
            continue
        try:
            levels, scales = quantize(float32(array), dtype)
        except ValueError as error:
            raise ValueError(f"{file}: {name}: {error}") from error
        tensors[name] = store_int4(levels) if dtype == INT4 else levels
        tensors[f"{name}.scale"] = scales
    target.mkdir(parents=True, exist_ok=True)
    for copied in bundle_files(bundle):
        if copied.name not in (CONFIG_FILE, GPT_FILE):
            to = target / copied.relative_to(source)
            to.parent.mkdir(exist_ok=True)
            replace_file(to, partial(shutil.copy, copied))
    replace_file(target / GPT_FILE, lambda new: _write(new, tensors))
    text = config_text(configs, INT4)
    replace_file(target / CONFIG_FILE, lambda new: new.write_text(text, "utf-8"))


def _write(file: Path, tensors: dict[str, np.ndarray]) -> None:
    """A safetensors file: the size of the header, the header, the arrays."""
    header, end = {}, 0
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        dtype = NAMES[array.dtype]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(file, "wb") as stream:
        stream.writelines(_parts(text, tensors))


def _parts(text: bytes, tensors: dict[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    yield struct.pack("<Q", len(text)) + text
    for array in tensors.values():
        yield np.ascontiguousarray(array).data
