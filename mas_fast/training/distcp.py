"""The files of torch.distributed.checkpoint: written in one order, read without running code.

    dcp.save(tensors, storage_writer=Writer(folder))
    dcp.load(tensors, storage_reader=Reader(folder))

torch pickles the index of a checkpoint, `.metadata`, and what describes each tensor. Its own reader
would build whatever they name, load an entry that is no tensor with `weights_only=False`, and
believe how many bytes a tensor has. So nothing of them is built here: an unpickler that knows the
opcodes and the names which torch 2.11 to 2.15 write turns them into plain values; those are
checked, and torch's classes are made of what has passed. Python's own unpickler and not the one in
C, which gets memory for as many entries as a byte of the file asks for.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import re
import stat
import sys
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadItemType
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

INDEX, SUFFIX = ".metadata", ".distcp"
LARGEST = 1 << 28  # bytes of an index: of a million pieces

STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in STORAGES.values()}
OF_METADATA = "torch.distributed.checkpoint.metadata"
NAMES = {
    *((OF_METADATA, "Metadata"), (OF_METADATA, "MetadataIndex"), (OF_METADATA, "StorageMeta")),
    *((OF_METADATA, "TensorStorageMetadata"), (OF_METADATA, "ChunkStorageMetadata")),
    *((OF_METADATA, "TensorProperties"), (OF_METADATA, "_MEM_FORMAT_ENCODING")),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(("torch", "Size"), ("torch.serialization", "_get_layout")),
    *(("pathlib", "PosixPath"), ("pathlib", "WindowsPath")),
    *(("pathlib._local", "PosixPath"), ("pathlib._local", "WindowsPath")),  # of Python 3.13
    *(("torch._utils", "_rebuild_tensor_v2"), ("collections", "OrderedDict")),
    *(("torch", name) for name in (*DTYPES, *STORAGES)),
}


# ---------------------------------------------------------------------------- pickles as values


class _Made:
    """What a pickle asks to be made: the name of a class or function, its arguments and state."""

    def __init__(self, name: str, arguments: tuple | None = None) -> None:
        self.name, self.arguments, self.state = name, arguments, None


OPCODES = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINUNICODE "
    "SHORT_BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST EMPTY_DICT MEMOIZE BINPUT "
    "LONG_BINPUT BINGET LONG_BINGET GLOBAL STACK_GLOBAL APPEND APPENDS BINPERSID"
).split()


class _Values(pickle._Unpickler):
    """Makes nothing: every object becomes a _Made. Other opcodes and names are errors."""

    codes = [getattr(pickle, name)[0] for name in OPCODES]
    dispatch = dict(zip(codes, map(pickle._Unpickler.dispatch.get, codes), strict=True))

    def find_class(self, module: str, name: str) -> _Made:
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(f"found {module}.{name} in it, which may be code")
        return _Made(name)

    def persistent_load(self, pid: object) -> _Made:
        return _Made("storage", pid)

    def _make(self) -> None:  # of a name and its arguments
        arguments, name = self.stack.pop(), self.stack.pop()
        if type(name) is not _Made or name.arguments is not None or type(arguments) is not tuple:
            raise pickle.UnpicklingError("found a call of something without a name in it")
        self.append(_Made(name.name, arguments))

    def _build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if type(made) is not _Made or made.arguments is None:
            raise pickle.UnpicklingError("found the state of something that is no object in it")
        made.state = state

    def _fill(self, values: list) -> None:
        if type(self.stack[-1]) is not dict:
            raise pickle.UnpicklingError("found items of something that is no dict in it")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, _Made):  # a tuple in tuples may take forever to hash
                raise pickle.UnpicklingError(f"found a key that is a {type(key).__name__} in it")
            self.stack[-1][key] = value

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _set_items(self) -> None:
        self._fill(self.pop_mark())

    dispatch |= {
        pickle.REDUCE[0]: _make,
        pickle.NEWOBJ[0]: _make,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
    }


def _values(content: bytes) -> object:
    """ValueError for what torch does not write."""
    try:
        return _Values(io.BytesIO(content)).load()
    except KeyError as error:  # of an opcode or of the memo
        raise ValueError(f"found {error} in a pickle, which torch does not write there") from error
    except (EOFError, IndexError) as error:
        raise ValueError("found a pickle that is cut off") from error
    except (TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise ValueError(str(error)) from error


def _is(value: object, name: str) -> bool:
    return type(value) is _Made and value.name == name and value.arguments is not None


def _fields(value: object, name: str) -> dict:
    """The state of an object of the class `name`."""
    if not _is(value, name) or type(value.state) is not dict:
        raise ValueError(f"found {_kind(value)}, expected a {name}")
    return value.state


def _kind(value: object) -> str:
    return value.name if type(value) is _Made else type(value).__name__


def _counts(values: object) -> tuple[int, ...]:
    """A tuple of integers >= 0, of as many dimensions as torch has at most."""
    good = type(values) is tuple and len(values) <= 64
    if not good or not all(type(n) is int and 0 <= n < 1 << 63 for n in values):
        raise ValueError(f"found {_kind(values)}, expected sizes")
    return values


def _size(value: object) -> torch.Size:
    if not _is(value, "Size") or len(value.arguments) != 1:
        raise ValueError(f"found {_kind(value)}, expected a Size")
    return torch.Size(_counts(value.arguments[0]))


# ---------------------------------------------------------------------------- the index


def read_index(folder: Path) -> Metadata:
    """What is in a checkpoint, and where. ValueError unless it is tensors alone, each covered by
    pieces in files of the folder that are as long as they are said to be."""
    with open_plain(folder / INDEX) as file:
        length = os.fstat(file.fileno()).st_size
        if length > LARGEST:
            raise ValueError(f"{INDEX}: found {length} bytes, expected at most {LARGEST}")
        content = file.read()
    try:
        fields = _fields(_values(content), "Metadata")
        tensors, places = fields.get("state_dict_metadata"), fields.get("storage_data")
        if type(tensors) is not dict or type(places) is not dict:
            raise ValueError(f"found {_kind(tensors)} and {_kind(places)}, expected two tables")
        found = {name: _tensor(name, value) for name, value in tensors.items()}
        storage = dict(map(_place, places.items()))
    except ValueError as error:
        raise ValueError(f"{INDEX}: {error}") from error
    lengths: dict[str, int] = {}
    for name, tensor in found.items():
        for chunk in tensor.chunks:
            info = storage.get(MetadataIndex(name, chunk.offsets))
            if info is None:
                raise ValueError(f"{INDEX}: {name}: found no place of one of its pieces")
            if info.relative_path not in lengths:
                with open_plain(folder / info.relative_path) as file:
                    lengths[info.relative_path] = os.fstat(file.fileno()).st_size
            if info.offset + info.length > (length := lengths[info.relative_path]):
                raise ValueError(
                    f"{info.relative_path}: found {length} bytes, expected at least "
                    f"{info.offset + info.length}"
                )
    return Metadata(found, {name: (name,) for name in found}, storage, StorageMeta())


def _tensor(name: object, value: object) -> TensorStorageMetadata:
    if type(name) is not str:
        raise ValueError(f"found {_kind(name)}, expected the name of a tensor")
    fields = _fields(value, "TensorStorageMetadata")
    properties, size = fields.get("properties"), _size(fields.get("size"))
    state = properties.state if _is(properties, "TensorProperties") else None
    if type(state) is not tuple or not state or getattr(state[0], "name", None) not in DTYPES:
        raise ValueError(f"{name}: found {_kind(properties)}, expected the kind of a tensor")
    if type(pieces := fields.get("chunks")) is not list:
        raise ValueError(f"{name}: found {_kind(pieces)}, expected a list of pieces")
    chunks = []
    for piece in pieces:
        of = _fields(piece, "ChunkStorageMetadata")
        chunks.append(ChunkStorageMetadata(_size(of.get("offsets")), _size(of.get("sizes"))))
    _check_cover(name, size, chunks)
    return TensorStorageMetadata(TensorProperties(DTYPES[state[0].name]), size, chunks)


def _check_cover(name: str, size: torch.Size, chunks: list[ChunkStorageMetadata]) -> None:
    """ValueError unless the pieces are all of the tensor: each inside it, no two at one place, and
    together as large."""
    covered = sum(math.prod(chunk.sizes) for chunk in chunks)
    places = {chunk.offsets for chunk in chunks}
    for chunk in chunks:
        ends = [o + s for o, s in zip(chunk.offsets, chunk.sizes, strict=False)]
        inside = all(end <= whole for end, whole in zip(ends, size, strict=False))
        if not len(chunk.offsets) == len(chunk.sizes) == len(size) or not inside:
            raise ValueError(f"{name}: found a piece outside the tensor of {list(size)}")
    if covered != math.prod(size) or len(places) != len(chunks):
        raise ValueError(
            f"{name}: found pieces of {covered} values, expected those of {list(size)}"
        )


def _place(item: tuple[object, object]) -> tuple[MetadataIndex, _StorageInfo]:
    key, value = _fields(item[0], "MetadataIndex"), _fields(item[1], "_StorageInfo")
    name, number, path = key.get("fqn"), key.get("index"), value.get("relative_path")
    if type(name) is not str or (number is not None and type(number) is not int):
        raise ValueError(f"found {_kind(name)} {_kind(number)}, expected a tensor and its piece")
    if type(path) is not str or not re.fullmatch(r"[A-Za-z0-9_]+\.distcp", path):
        found = repr(path[:80]) if type(path) is str else _kind(path)
        raise ValueError(f"{name}: found the place {found}, expected a *{SUFFIX} file beside it")
    offset, length = _counts((value.get("offset"), value.get("length")))
    if value.get("transform_descriptors"):
        raise ValueError(f"{name}: found transformed bytes, expected plain ones")
    return MetadataIndex(name, _size(key.get("offset")), number), _StorageInfo(path, offset, length)


def open_plain(file: Path) -> BinaryIO:
    """ValueError for a folder, and for a pipe or a device, which could be waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{file.name}: found no plain file")
    return os.fdopen(descriptor, "rb")


# ---------------------------------------------------------------------------- one piece


def read_piece(file: BinaryIO, info: _StorageInfo, dtype: torch.dtype) -> Tensor:
    """The tensor at one place of an open file. ValueError for another dtype, and for what is
    damaged: the checksums of its zip are compared."""
    file.seek(info.offset)
    content = file.read(info.length)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
            sizes = [entry.file_size for entry in entries.values()]
            kinds = {entry.compress_type for entry in entries.values()}
            if kinds != {zipfile.ZIP_STORED} or sum(sizes) > len(content):
                raise ValueError("found compressed entries, expected plain ones")
            read = {name: archive.read(entry) for name, entry in entries.items()}
        if read.get("byteorder", sys.byteorder.encode()).decode() != sys.byteorder:
            raise ValueError(f"found another order of bytes, expected {sys.byteorder}")
        return _rebuilt(_values(read["data.pkl"]), read, dtype)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # on a broken zip, zipfile raises about everything there is
        where = f"{info.relative_path}: at byte {info.offset}"
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error


def _rebuilt(value: object, entries: dict[str, bytes], dtype: torch.dtype) -> Tensor:
    if not _is(value, "_rebuild_tensor_v2") or len(value.arguments) < 4:
        raise ValueError(f"found {_kind(value)}, expected a tensor")
    storage, offset, size, stride = value.arguments[:4]
    if not _is(storage, "storage") or len(storage.arguments) != 5:
        raise ValueError(f"found {_kind(storage)}, expected a storage")
    _, kind, key, _, _ = storage.arguments
    (offset,), size, stride = _counts((offset,)), _counts(size), _counts(stride)
    if STORAGES.get(getattr(kind, "name", None)) != dtype:
        raise ValueError(f"found {_kind(kind)}, expected {dtype}")
    data = entries[f"data/{key}"]
    count, rest = divmod(len(data), dtype.itemsize)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) == 0:
        return torch.empty(size, dtype=dtype)
    if rest or last >= count:
        raise ValueError(f"found {len(data)} bytes, too few for a tensor of {list(size)}")
    return torch.frombuffer(bytearray(data), dtype=dtype).as_strided(size, stride, offset)


class Reader(dcp.FileSystemReader):
    """For `dcp.load`. ValueError for an index that is damaged or names code, and for a tensor of
    another dtype."""

    def read_metadata(self, *args, **kwargs) -> Metadata:
        metadata = read_index(Path(self.path))
        metadata.storage_meta.load_id = self.load_id
        self.dtypes = {n: t.properties.dtype for n, t in metadata.state_dict_metadata.items()}
        return metadata

    def read_data(self, plan: dcp.LoadPlan, planner: dcp.LoadPlanner) -> Future:
        for item in plan.items:
            name = item.storage_index.fqn
            if item.type != LoadItemType.TENSOR:
                raise ValueError(f"{name}: found bytes, expected a tensor")
            info = self.storage_data[item.storage_index]
            with open_plain(Path(self.path) / info.relative_path) as file:
                piece = read_piece(file, info, self.dtypes[name])
            target = planner.resolve_tensor(item).detach()
            ranges = zip(item.storage_offsets, item.lengths, strict=True)
            piece = piece[tuple(slice(start, start + length) for start, length in ranges)]
            if piece.shape != target.shape or piece.dtype != target.dtype:
                found = f"found {list(piece.shape)} {piece.dtype}"
                raise ValueError(f"{name}: {found}, expected {list(target.shape)} {target.dtype}")
            target.copy_(piece)
            planner.commit_tensor(item, target)
        return _done(None)


def check_pieces(folder: Path, share: slice = slice(None)) -> None:
    """Read all pieces, or a share of them. ValueError for the first that is damaged."""
    index = read_index(folder)
    pieces = [
        (index.storage_data[MetadataIndex(name, chunk.offsets)], chunk, tensor)
        for name, tensor in index.state_dict_metadata.items()
        for chunk in tensor.chunks
    ]
    for info, chunk, tensor in pieces[share]:
        with open_plain(folder / info.relative_path) as file:
            found = read_piece(file, info, tensor.properties.dtype)
        if found.shape != chunk.sizes:
            expected = f"expected {list(chunk.sizes)}"
            raise ValueError(f"{info.relative_path}: found {list(found.shape)}, {expected}")


class Writer(dcp.FileSystemWriter):
    """For `dcp.save`: one file for each process, its tensors in the order of the names given, so
    that equal tensors make equal files. What the disk says is what is raised."""

    def storage_meta(self) -> StorageMeta:
        return StorageMeta()  # without the folder and a number by chance

    def write_data(self, plan: dcp.SavePlan, planner: dcp.SavePlanner) -> Future:
        name, results = f"{plan.storage_data.prefix}0{SUFFIX}", []
        with open(Path(self.path) / name, "wb") as file:
            for item in plan.items:
                tensor = planner.resolve_data(item).detach().cpu()
                if tensor.untyped_storage().nbytes() != tensor.nbytes:
                    tensor = tensor.clone()  # else torch.save stores all that it is a view of
                buffer, start = io.BytesIO(), file.tell()
                torch.save(tensor, buffer)
                length = file.write(buffer.getbuffer())
                info = _StorageInfo(name, start, length)
                results.append(WriteResult(item.index, length, info))
            file.flush()
            os.fsync(file.fileno())
        return _done(results)


def _done(result: object) -> Future:
    future: Future = Future()
    future.set_result(result)
    return future
