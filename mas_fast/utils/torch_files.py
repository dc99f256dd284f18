"""What torch.save wrote, read without running it, in both formats that there have been.

    stored = read_torch(path)       # tensors on the CPU in dicts and lists; see pickles

A tensor is a view into a storage, and both are what the pickle says: here each view is checked
against its storage, and each storage against the bytes that the file has for it. What else there
is in a checkpoint (callbacks, hyper-parameters, tensors of other kinds) is left as shells.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mas_fast.utils.pickle_values import Name, Shell, array
from mas_fast.utils.pickles import read_pickle

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the older format
MOST_SIZE, MOST_DIMENSIONS = (1 << 63) - 1, 64
LOCAL_SIZE, LOCAL_LENGTHS = 30, "<HH"  # of a zip's member: a header, at its end two lengths
STORAGES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "Untyped": torch.uint8,
}
DTYPES = {str(dtype).removeprefix("torch.") for dtype in STORAGES.values()}
DTYPES |= {"uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"}


class Storage(NamedTuple):
    """The bytes of a storage.

    Attributes:
        data: uint8 [N].
        dtype: of its elements.
    """

    data: Tensor
    dtype: torch.dtype


def read_torch(path: Path) -> object:
    """Read what `torch.save` wrote, in either format, without running it.

    Args:
        path: the file.

    Returns:
        The stored value, its tensors on the CPU.

    Raises:
        ValueError: if `torch.save` did not write the file, or it is damaged or asks for code.
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        try:
            is_zip = zipfile.is_zipfile(file)
        except zipfile.BadZipFile as error:  # of several disks
            raise ValueError(f"found a broken zip archive: {error}") from error
        if is_zip:
            return _read_zip(path, file)
        file.seek(0)
        return _read_legacy(path, file)


def _read_zip(path: Path, file: IO[bytes]) -> object:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {member.filename: member for member in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, struct.error, EOFError) as error:
        raise ValueError(f"found a broken zip archive: {error}") from error
    pickled = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickled) != 1:
        raise ValueError(f"found a zip archive of {sorted(members)[:3]}, expected one data.pkl")
    root = pickled[0].removesuffix("data.pkl")
    if any(name.endswith("constants.pkl") for name in members):
        raise ValueError("found a TorchScript archive, expected a state dict")
    left = path.stat().st_size  # members may not lie upon each other

    def read(name: str) -> bytearray:
        nonlocal left
        member = members.get(f"{root}{name}")
        if member is None:
            raise ValueError(f"found no {name[:40]} in the archive")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > left:
            problem = f"found {name[:40]} compressed, or larger than the file"
            raise ValueError(f"{problem}, expected it as torch.save writes it")
        left -= member.file_size
        file.seek(member.header_offset)
        head = file.read(LOCAL_SIZE)
        if len(head) < LOCAL_SIZE or head[:4] != b"PK\x03\x04":
            raise ValueError(f"found a broken zip archive: no {name[:40]} where it should be")
        file.seek(sum(struct.unpack(LOCAL_LENGTHS, head[-4:])), os.SEEK_CUR)
        data = bytearray(member.file_size)
        _fill(file, data)
        return data

    order = read("byteorder").decode("ascii", "replace") if f"{root}byteorder" in members else ""
    if order not in ("", sys.byteorder):
        raise ValueError(f"found the byte order {order!r:.20}, expected {sys.byteorder!r}")

    def load(key: str, _: int) -> Tensor:
        data = read(f"data/{key}")
        return torch.frombuffer(data, dtype=torch.uint8) if data else _bytes(0)

    return read_pickle(bytes(read("data.pkl")), calls=CALLS, persistent=_Storages(load))


def _read_legacy(path: Path, file: IO[bytes]) -> object:
    """Four pickles (a number, a version, the machine, the value), the keys of the storages, then
    these: a count of elements, and their bytes."""
    left = size = path.stat().st_size
    try:
        if read_pickle(file) != MAGIC or read_pickle(file) != PROTOCOL:
            raise ValueError("found another pickle")
    except ValueError as error:
        raise ValueError(
            f"found {size} bytes that are truncated, no checkpoint of torch.save ({error})"
        ) from error
    machine = read_pickle(file)
    if not isinstance(machine, dict) or machine.get("little_endian") != (sys.byteorder == "little"):
        raise ValueError(f"found another byte order, expected {sys.byteorder!r}")

    def load(_: str, wanted: int) -> Tensor:
        nonlocal left  # what the file has for it comes later
        left -= wanted
        if left < 0:
            raise ValueError(f"found storages of more than the file's {size} bytes: truncated")
        return _bytes(wanted)

    storages = _Storages(load)
    value = read_pickle(file, calls=CALLS, persistent=storages)
    keys = read_pickle(file)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages.known):
        raise ValueError("found a list of storages that is not the value's")
    for key in keys:
        storage, count = storages.known[key], bytearray(8)
        _fill(file, count)
        (elements,) = struct.unpack("<q", count)
        if elements * storage.dtype.itemsize != len(storage.data):
            problem = f"found a storage of {elements} elements of {storage.dtype}"
            raise ValueError(f"{problem}, expected {len(storage.data)} bytes")
        _fill(file, storage.data.numpy())
    return value


def _fill(file: IO[bytes], data: bytearray | np.ndarray) -> None:
    reader: Any = file  # IO has no readinto, which those that open() gives have
    count = reader.readinto(data)
    if count != len(data):
        raise ValueError(f"found {count} bytes, expected {len(data)}: truncated")


def _bytes(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.uint8)


class _Storages:
    """Makes storages of persistent ids: ("storage", its class, key, device, elements), in the
    older format with what part of it is meant. `load` gives a key's bytes, uint8."""

    def __init__(self, load: Callable[[str, int], Tensor]) -> None:
        self.load = load
        self.known: dict[str, Storage] = {}

    def __call__(self, identity: object) -> object:
        if not isinstance(identity, tuple) or not identity:
            raise ValueError("found a persistent id that is none of torch.save")
        if identity[0] == "module":  # a class, with its source
            return identity[1]
        if len(identity) not in (5, 6):
            raise ValueError("found a persistent id that is none of torch.save")
        tag, kind, key, _, count, *part = identity
        dtype = _storage_dtype(kind)
        if dtype is None and isinstance(kind, Name) and kind.name.endswith("Storage"):
            return Shell(kind)  # of quantized numbers, say
        if tag != "storage" or dtype is None or not isinstance(key, str) or not _is_size(count):
            raise ValueError("found a storage that is none of torch.save")
        size = dtype.itemsize
        if key not in self.known:
            data = self.load(key, count * size)
            if len(data) != count * size:
                problem = f"found {len(data)} bytes of the storage {key[:20]!r}"
                raise ValueError(f"{problem}, expected {count * size}")
            self.known[key] = Storage(data, dtype)
        storage = self.known[key]
        if storage.dtype != dtype:
            raise ValueError(f"found a storage both of {storage.dtype} and of {dtype}")
        if part and part[0] is not None:
            _, start, count = part[0]
            if not _is_size(start) or not _is_size(count):
                raise ValueError("found a part of a storage that is none of torch.save")
            storage = Storage(storage.data[start * size : (start + count) * size], dtype)
        return storage


def _storage_dtype(kind: object) -> torch.dtype | None:
    if not isinstance(kind, Name) or kind.module.partition(".")[0] != "torch":
        return None
    return STORAGES.get(kind.name.removesuffix("Storage"))


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_SIZE


# ---------------------------------------------------------------------- tensors


def _tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> object:
    """A view into a storage."""
    if isinstance(storage, Shell):
        return Shell(storage.name)
    if not isinstance(storage, Storage):
        raise ValueError(f"found a tensor over {type(storage).__name__}, expected a storage")
    return _view(storage.data.view(storage.dtype), offset, size, stride)


def _tensor_of(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    grad: object,
    hooks: object,
    dtype: object,
    *_: object,
) -> object:
    """A view into a storage that has no dtype of its own."""
    name = dtype.name if isinstance(dtype, Name) and dtype.module == "torch" else ""
    if not isinstance(storage, Storage) or name not in DTYPES or not hasattr(torch, name):
        raise ValueError(f"found a tensor of {str(dtype)[:40]}, expected one of {sorted(DTYPES)}")
    flat, kind = storage.data, getattr(torch, name)
    flat = flat[: len(flat) // kind.itemsize * kind.itemsize]
    return _view(flat.view(kind), offset, size, stride)


def _view(flat: Tensor, offset: Any, size: Any, stride: Any) -> Tensor | Shell:
    """Or a shell where there are fewer elements than the tensor claims, as expanded ones do: copies
    of it could fill any memory."""
    sizes = (*size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
    valid = len(sizes) <= 2 * MOST_DIMENSIONS and all(map(_is_size, (offset, *sizes)))
    if not valid or len(size) != len(stride):
        raise ValueError("found a tensor whose sizes or strides are no whole numbers")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count and last >= len(flat):
        raise ValueError(
            f"found a tensor {list(size)} that ends at element {last} of a storage of {len(flat)}"
        )
    if count > len(flat):
        return Shell(TENSOR)
    return flat.as_strided(size, stride, offset if count else 0)


def _given(data: object = None, *_: object) -> object:
    """The tensor in a Parameter."""
    return data


def _from_numpy(data: object = None, *_: object) -> object:
    values = array(data)
    return Shell(TENSOR) if values is None else torch.from_numpy(values)


def _from_type(function: object, kind: object, args: object, *_: object) -> object:
    """The tensor in a subclass of Tensor, or in one that has attributes."""
    if not isinstance(function, Name) or function not in TENSORS or not isinstance(args, tuple):
        return Shell(TENSOR)
    return TENSORS[function](*args)


def _size(given: object = ()) -> tuple:
    return tuple(given) if isinstance(given, list | tuple) else ()


TENSOR = Name("torch", "Tensor")  # of a shell: one that is not made
TENSORS: dict[Name, Callable[..., object]] = {
    Name("torch._utils", "_rebuild_tensor"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v3"): _tensor_of,
    Name("torch._utils", "_rebuild_parameter"): _given,
    Name("torch._utils", "_rebuild_parameter_with_state"): _given,
    Name("torch._utils", "_rebuild_device_tensor_from_numpy"): _from_numpy,
    Name("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _given,
}
CALLS = TENSORS | {
    Name("torch._tensor", "_rebuild_from_type"): _from_type,
    Name("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    Name("torch", "Size"): _size,
}
