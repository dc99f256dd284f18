"""The files of torch.distributed.checkpoint: written in one order, read without running code.

    dcp.save(tensors, storage_writer=Writer(folder))
    dcp.load(tensors, storage_reader=Reader(folder))

torch pickles the index of a checkpoint, `.metadata`, and what describes each tensor. Its own reader
would build whatever they name, load an entry that is no tensor with `weights_only=False`, and
believe how many bytes a tensor has. So nothing of them is built here: distcp_values turns them into
plain values; those are checked, and torch's classes are made of what has passed.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
import sys
import zipfile
from collections import Counter
from itertools import pairwise, product
from pathlib import Path
from typing import Any, BinaryIO, cast

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

from mas_fast.training.distcp_values import (
    DTYPES,
    STORAGES,
    counts_of,
    fields_of,
    is_made,
    kind_of,
    size_of,
    values_of,
)
from mas_fast.utils.portable import NO_WAIT

INDEX, SUFFIX = ".metadata", ".distcp"
LARGEST = 1 << 28  # bytes of an index: of a million pieces
MOST_CUT = 4  # dimensions along which a tensor is cut into pieces; FSDP cuts along one


# ---------------------------------------------------------------------------- the index


def read_index(folder: Path) -> Metadata:
    """What is in a checkpoint, and where.

    Raises:
        ValueError: there is more than tensors, a tensor is not covered by its pieces, once each, or
            the files of the folder are not as long as they are said to be.
    """
    with open_plain(folder / INDEX) as file:
        length = os.fstat(file.fileno()).st_size
        if length > LARGEST:
            raise ValueError(f"{INDEX}: found {length} bytes, expected at most {LARGEST}")
        content = file.read()
    try:
        fields = fields_of(values_of(content), "Metadata")
        listed, stored = fields.get("state_dict_metadata"), fields.get("storage_data")
        if type(listed) is not dict or type(stored) is not dict:
            raise ValueError(f"found {kind_of(listed)} and {kind_of(stored)}, expected two tables")
        tensors = {name: _tensor(name, value) for name, value in listed.items()}
        storage = dict(map(_place, stored.items()))
    except ValueError as error:
        raise ValueError(f"{INDEX}: {error}") from error
    lengths: dict[str, int] = {}
    for name, tensor in tensors.items():
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
    _check_apart(storage)
    metadata = cast(dict[str, Any], tensors)  # torch's type allows for bytes, too
    return Metadata(metadata, {name: (name,) for name in tensors}, storage, StorageMeta())


def _tensor(name: object, value: object) -> TensorStorageMetadata:
    if type(name) is not str:
        raise ValueError(f"found {kind_of(name)}, expected the name of a tensor")
    fields = fields_of(value, "TensorStorageMetadata")
    properties, size = fields.get("properties"), size_of(fields.get("size"))
    state = properties.state if is_made(properties, "TensorProperties") else None
    if type(state) is not tuple or not state or getattr(state[0], "name", None) not in DTYPES:
        raise ValueError(f"{name}: found {kind_of(properties)}, expected the kind of a tensor")
    if type(pieces := fields.get("chunks")) is not list:
        raise ValueError(f"{name}: found {kind_of(pieces)}, expected a list of pieces")
    chunks = []
    for piece in pieces:
        values = fields_of(piece, "ChunkStorageMetadata")
        offsets, sizes = size_of(values.get("offsets")), size_of(values.get("sizes"))
        chunks.append(ChunkStorageMetadata(offsets, sizes))
    _check_cover(name, size, chunks)
    return TensorStorageMetadata(TensorProperties(DTYPES[state[0].name]), size, chunks)


def _check_cover(name: str, size: torch.Size, chunks: list[ChunkStorageMetadata]) -> None:
    """ValueError unless the pieces cover the tensor, each value once.

    They do if each is inside it, they are together as large, and their corners, with alternating
    signs, add up to those of the tensor: such sums of corners are equal only for equal coverings.
    """
    covered = sum(math.prod(chunk.sizes) for chunk in chunks)
    starts = {chunk.offsets for chunk in chunks}
    for chunk in chunks:
        ends = [o + s for o, s in zip(chunk.offsets, chunk.sizes, strict=False)]
        inside = all(end <= length for end, length in zip(ends, size, strict=False))
        if not len(chunk.offsets) == len(chunk.sizes) == len(size) or not inside:
            raise ValueError(f"{name}: found a piece outside the tensor of {list(size)}")
    if covered != math.prod(size) or len(starts) != len(chunks):
        raise ValueError(
            f"{name}: found pieces of {covered} values, expected those of {list(size)}"
        )
    if covered == 0:
        return
    cut = [n for n, length in enumerate(size) if any(c.sizes[n] != length for c in chunks)]
    if len(cut) > MOST_CUT:
        raise ValueError(f"{name}: found pieces cut along {len(cut)} dimensions")
    corners: Counter[tuple[int, ...]] = Counter()
    tensor = ChunkStorageMetadata(torch.Size([0] * len(size)), size)
    for sign, box in (*((1, chunk) for chunk in chunks), (-1, tensor)):
        for far in product((0, 1), repeat=len(cut)):  # whether the corner is at the far end
            corner = (box.offsets[n] + end * box.sizes[n] for n, end in zip(cut, far, strict=True))
            corners[tuple(corner)] += -sign if sum(far) % 2 else sign
    if any(corners.values()):
        raise ValueError(f"{name}: found pieces that overlap, expected each value once")


def _check_apart(storage: dict[MetadataIndex, _StorageInfo]) -> None:
    """ValueError where bytes of a file belong to two pieces."""
    places = sorted((info.relative_path, info.offset, info.length) for info in storage.values())
    for (file, offset, length), (other, start, _) in pairwise(places):
        if file == other and start < offset + length:
            raise ValueError(f"{file}: found pieces that overlap at byte {start}")


def _place(item: tuple[object, object]) -> tuple[MetadataIndex, _StorageInfo]:
    key, value = fields_of(item[0], "MetadataIndex"), fields_of(item[1], "_StorageInfo")
    name, number, path = key.get("fqn"), key.get("index"), value.get("relative_path")
    if type(name) is not str or (number is not None and type(number) is not int):
        raise ValueError(
            f"found {kind_of(name)} {kind_of(number)}, expected a tensor and its piece"
        )
    if type(path) is not str or not re.fullmatch(r"[A-Za-z0-9_]+\.distcp", path):
        shown_path = repr(path[:80]) if type(path) is str else kind_of(path)
        raise ValueError(
            f"{name}: found the place {shown_path}, expected a *{SUFFIX} file beside it"
        )
    offset, length = counts_of((value.get("offset"), value.get("length")))
    if value.get("transform_descriptors"):
        raise ValueError(f"{name}: found transformed bytes, expected plain ones")
    return MetadataIndex(name, size_of(key.get("offset")), number), _StorageInfo(
        path, offset, length
    )


def open_plain(file: Path) -> BinaryIO:
    """Open a plain file for reading.

    Raises:
        ValueError: it is a folder, or a pipe or a device, which could be waited for.
    """
    descriptor = os.open(file, os.O_RDONLY | NO_WAIT)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{file.name}: found no plain file")
    return os.fdopen(descriptor, "rb")


# ---------------------------------------------------------------------------- one piece


def read_piece(file: BinaryIO, info: _StorageInfo, dtype: torch.dtype) -> Tensor:
    """The tensor at one position of an open file.

    Raises:
        ValueError: it has another dtype, or is damaged: the checksums of its zip are compared.
    """
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
        return _rebuilt(values_of(read["data.pkl"]), read, dtype)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # on a broken zip, zipfile raises about everything there is
        position = f"{info.relative_path}: at byte {info.offset}"
        raise ValueError(f"{position}: {type(error).__name__}: {error}") from error


def _rebuilt(value: object, entries: dict[str, bytes], dtype: torch.dtype) -> Tensor:
    if not is_made(value, "_rebuild_tensor_v2") or len(value.arguments) < 4:
        raise ValueError(f"found {kind_of(value)}, expected a tensor")
    storage, offset, size, stride = value.arguments[:4]
    if not is_made(storage, "storage") or len(storage.arguments) != 5:
        raise ValueError(f"found {kind_of(storage)}, expected a storage")
    _, kind, key, _, _ = storage.arguments
    (offset,), size, stride = counts_of((offset,)), counts_of(size), counts_of(stride)
    if STORAGES.get(getattr(kind, "name", "")) != dtype:
        raise ValueError(f"found {kind_of(kind)}, expected {dtype}")
    data = entries[f"data/{key}"]
    count, remainder = divmod(len(data), dtype.itemsize)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) == 0:
        return torch.empty(size, dtype=dtype)
    if remainder or last >= count:
        raise ValueError(f"found {len(data)} bytes, too few for a tensor of {list(size)}")
    return torch.frombuffer(bytearray(data), dtype=dtype).as_strided(size, stride, offset)


class Reader(dcp.FileSystemReader):
    """For `dcp.load`.

    Raises:
        ValueError: the index is damaged or names code, or a tensor has another dtype.
    """

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The index, checked."""
        metadata = read_index(Path(self.path))
        assert metadata.storage_meta is not None  # read_index makes one
        metadata.storage_meta.load_id = self.load_id
        self.dtypes = {name: tensor.properties.dtype for name, tensor in _tensors(metadata)}
        return metadata

    def read_data(self, plan: dcp.LoadPlan, planner: dcp.LoadPlanner) -> Future:
        """Fill the tensors of the plan."""
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
                shape_and_dtype = f"found {list(piece.shape)} {piece.dtype}"
                raise ValueError(
                    f"{name}: {shape_and_dtype}, expected {list(target.shape)} {target.dtype}"
                )
            target.copy_(piece)
            planner.commit_tensor(item, target)
        return _done(None)


def check_pieces(folder: Path, share: slice = slice(None)) -> None:
    """Read all pieces, or a share of them.

    Raises:
        ValueError: a piece is damaged; the first is named.
    """
    index = read_index(folder)
    pieces = [
        (index.storage_data[MetadataIndex(name, chunk.offsets)], chunk, tensor)
        for name, tensor in _tensors(index)
        for chunk in tensor.chunks
    ]
    for info, chunk, tensor in pieces[share]:
        with open_plain(folder / info.relative_path) as file:
            piece = read_piece(file, info, tensor.properties.dtype)
        if piece.shape != chunk.sizes:
            expected = f"expected {list(chunk.sizes)}"
            raise ValueError(f"{info.relative_path}: found {list(piece.shape)}, {expected}")


class Writer(dcp.FileSystemWriter):
    """For `dcp.save`: one file for each process, its tensors in the order of the names given.

    So equal tensors make equal files. The errors of the disk are raised as they are.
    """

    def storage_meta(self) -> StorageMeta:
        """Nothing."""
        return StorageMeta()  # without the folder and a number by chance

    def write_data(self, plan: dcp.SavePlan, planner: dcp.SavePlanner) -> Future:
        """Write the tensors of the plan into the file of this process."""
        name = f"{plan.storage_data.prefix}0{SUFFIX}"
        results: list[WriteResult] = []
        with open(Path(self.path) / name, "wb") as file:
            for item in plan.items:
                tensor = cast(Tensor, planner.resolve_data(item)).detach().cpu()
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


def _tensors(metadata: Metadata) -> list[tuple[str, TensorStorageMetadata]]:
    """Those of an index of `read_index`, which has nothing else."""
    return cast(list[tuple[str, TensorStorageMetadata]], [*metadata.state_dict_metadata.items()])


def _done(result: object) -> Future:
    future: Future = Future()
    future.set_result(result)
    return future
