"""training/distcp.py: a checkpoint from anybody runs no code, reads no other file, takes no more
memory than it has bytes, and is refused unless all of it is there."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    MetadataIndex,
)

from mas_fast.training import distcp
from mas_fast.training.distcp import check_pieces, read_index

FILESYSTEM = "torch.distributed.checkpoint.filesystem"


def tensors() -> dict[str, torch.Tensor]:
    values = torch.arange(24.0)
    return {
        "matrix": values.view(4, 6),
        "step": torch.tensor(3.0),
        "half": values.bfloat16(),
        "numbers": torch.arange(5),
        "flags": values > 7,
        "none": torch.empty(0, 3),
        "channels": values.view(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "view": values[3:9],
        "turned": values.view(4, 6).T,
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "checkpoint"
    save(path)
    return path


def save(path: Path) -> None:
    dcp.save(tensors(), storage_writer=distcp.Writer(path), no_dist=True)


def load(path: Path) -> dict[str, torch.Tensor]:
    found = {name: torch.full_like(t, 1) for name, t in tensors().items()}
    dcp.load(found, storage_reader=distcp.Reader(path), no_dist=True)
    return found


def refused(path: Path, words: str) -> None:
    """By whatever reads a checkpoint."""
    with pytest.raises(ValueError, match=words):
        read_index(path)
    with pytest.raises(ValueError, match=words):
        check_pieces(path)
    with pytest.raises(dcp.CheckpointException):  # torch 2.11 keeps the words to itself
        load(path)


def forge(path: Path, change) -> None:
    """Change the index, as torch would pickle it."""
    index = read_index(path)
    change(index)
    (path / ".metadata").write_bytes(pickle.dumps(index))


# ---------------------------------------------------------------------------- what is written


def test_torch_reads_what_is_written_and_the_other_way_round(tmp_path, folder) -> None:
    for name, tensor in load(folder).items():
        assert torch.equal(tensor, tensors()[name])
    check_pieces(folder)
    theirs = {name: torch.zeros_like(t) for name, t in tensors().items()}
    dcp.load(theirs, storage_reader=dcp.FileSystemReader(folder), no_dist=True)
    assert all(torch.equal(theirs[name], t) for name, t in tensors().items())
    other = tmp_path / "torch"
    dcp.save(tensors(), storage_writer=dcp.FileSystemWriter(other), no_dist=True)
    check_pieces(other)
    assert all(torch.equal(load(other)[name], t) for name, t in tensors().items())


def test_equal_tensors_make_equal_files_in_any_place(tmp_path, folder) -> None:
    save(tmp_path / "again")
    for name in (".metadata", "__0_0.distcp"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_another_dtype_or_shape_is_refused(folder) -> None:
    for wrong in (torch.zeros(4, 6).half(), torch.zeros(6, 4)):
        with pytest.raises(dcp.CheckpointException, match="matrix"):
            dcp.load({"matrix": wrong}, storage_reader=distcp.Reader(folder), no_dist=True)


# ---------------------------------------------------------------------------- code


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def call(module: str, name: str, argument: str) -> bytes:
    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def old_call(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


CALLS = [
    (FILESYSTEM, "os.system"),
    (FILESYSTEM, "pickle.loads"),
    (FILESYSTEM, "FileSystem.rm_file"),
    ("torch.distributed.checkpoint.metadata", "torch.load"),
    ("torch.distributed.checkpoint.metadata", "os.system"),
    ("torch.distributed.checkpoint.metadata", "BytesStorageMetadata"),
    ("torch", "load"),
    ("torch", "Size.__class__"),
    ("torch", "serialization.os.system"),
    ("torch", "float32.__class__"),
    ("torch.serialization", "os.system"),
    ("torch.serialization", "_get_layout.__globals__"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"),
    ("torch._utils", "_import_dotted_name"),
    ("pathlib", "os.system"),
    ("pathlib", "Path"),
    ("collections", "namedtuple"),
    ("builtins", "getattr"),
    ("builtins", "eval"),
    ("__builtin__", "eval"),
    ("os", "system"),
    ("posix", "system"),
    ("subprocess", "Popen"),
    ("copyreg", "_reconstructor"),
    ("mas_fast.training.distcp", "os.system"),
]


@pytest.mark.parametrize("make", [call, old_call])
@pytest.mark.parametrize(("module", "name"), CALLS)
def test_no_code_is_run(folder, tmp_path, module, name, make) -> None:
    touched = tmp_path / "touched"
    (folder / ".metadata").write_bytes(make(module, name, f"touch {touched}"))
    refused(folder, rf"found {module}\.{name}.* may be code|which torch does not write")
    assert not touched.exists()


class Evil:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    "change",
    [
        lambda index, evil: setattr(index, "version", evil),
        lambda index, evil: setattr(index, "planner_data", {"a": [evil]}),
        lambda index, evil: setattr(index.storage_meta, "modules", [evil]),
        lambda index, evil: setattr(index.state_dict_metadata["step"], "size", evil),
        lambda index, evil: setattr(index.state_dict_metadata["step"].properties, "dtype", evil),
        lambda index, evil: index.state_dict_metadata["step"].chunks.append(evil),
        lambda index, evil: index.storage_data.update({MetadataIndex("step", None, evil): evil}),
    ],
)
def test_no_code_is_run_inside_of_a_sound_index(folder, tmp_path, change) -> None:
    forge(folder, lambda index: change(index, Evil(tmp_path / "touched")))
    refused(folder, r"found posix\.system in it, which may be code")
    assert not (tmp_path / "touched").exists()


def test_an_entry_that_is_no_tensor_is_not_unpickled(folder, tmp_path) -> None:
    """torch would read it with weights_only=False."""
    buffer = io.BytesIO()
    torch.save(Evil(tmp_path / "touched"), buffer)
    (folder / "evil.distcp").write_bytes(buffer.getvalue())

    def change(index) -> None:
        index.state_dict_metadata["step"] = BytesStorageMetadata()
        place = _StorageInfo("evil.distcp", 0, len(buffer.getvalue()))
        index.storage_data[MetadataIndex("step")] = place

    forge(folder, change)
    refused(folder, r"found .*BytesStorageMetadata in it")
    assert not (tmp_path / "touched").exists()


def test_a_tensor_that_is_code_is_not_unpickled(folder, tmp_path) -> None:
    index = read_index(folder)
    place = index.storage_data[MetadataIndex("step", torch.Size([]))]
    content = bytearray((folder / place.relative_path).read_bytes())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(tmp_path / "touched")))
    piece = buffer.getvalue().ljust(place.length, b"\0")
    assert len(piece) == place.length
    content[place.offset : place.offset + place.length] = piece
    (folder / place.relative_path).write_bytes(content)
    with pytest.raises(ValueError, match=r"at byte \d+: .*"):
        check_pieces(folder)
    with pytest.raises(dcp.CheckpointException, match=r"at byte \d+: .*"):
        load(folder)
    assert not (tmp_path / "touched").exists()


# ---------------------------------------------------------------------------- bombs


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x04Nr\xff\xff\xff\x7f.", "found NoneType, expected a Metadata"),  # a memo of 16 GB
        (b"\x80\x04\x8e" + struct.pack("<q", 1 << 60) + b".", "which torch does not write"),
        (b"\x80\x04\x8d" + struct.pack("<q", 1 << 60) + b".", "which torch does not write"),
        (b"\x80\x04\x95" + struct.pack("<q", 1 << 60) + b".", "cut off|truncated"),
        (b"\x80\x04\x8b" + struct.pack("<i", 1 << 30) + b".", "which torch does not write"),
        (b"I" + b"9" * 5000 + b"\n.", "which torch does not write"),
        (b"\x80\x04}" + b")" + b"\x85" * 1_000_000 + b"Ns.", "found a key that is a tuple"),
        (b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".", "found list, expected a Metadata"),
        (b"\x80\x04}\x94h\x00Ns.", "found a key that is a dict"),
        (b"\x80\x04N" + b"2" * 100 + b".", "which torch does not write"),
        (b"\x80\x63N.", "unsupported pickle protocol"),
        (b"\x80\x04.", "cut off"),
        (b"", "cut off"),
        (b"\x80\x04R.", "cut off"),
        (b"\x80\x04)b.", "cut off"),
        (b"\x80\x04NNb.", "state of something"),
        (b"\x80\x04NN\x81.", "call of something"),
        (b"\x80\x04(dNNs.", "which torch does not write"),
        (b"\x80\x05\x97.", "which torch does not write"),
        (b"Pid\n.", "which torch does not write"),
        (b"\x80\x04\x82\x01.", "which torch does not write"),
        (b"(ios\nsystem\n.", "which torch does not write"),
    ],
)
def test_a_bomb_is_refused(folder, content, words) -> None:
    (folder / ".metadata").write_bytes(content)
    refused(folder, words)


# ---------------------------------------------------------------------------- what is not there


def chunk(index, **values) -> None:
    for name, value in values.items():
        setattr(index.state_dict_metadata["matrix"].chunks[0], name, torch.Size(value))


def pieces(index, *boxes) -> None:
    """Pieces of other offsets and sizes, each with a place of its own."""
    stored = index.storage_data.pop(MetadataIndex("matrix", (0, 0)))
    for offsets, _ in boxes:
        index.storage_data[MetadataIndex("matrix", torch.Size(offsets))] = stored
    chunks = [ChunkStorageMetadata(*map(torch.Size, box)) for box in boxes]
    index.state_dict_metadata["matrix"].chunks[:] = chunks


def test_pieces_that_tile_a_tensor_are_taken(folder) -> None:
    tiles = ((0, 0), (2, 6)), ((2, 0), (2, 1)), ((2, 1), (1, 5)), ((3, 1), (1, 5)), ((4, 0), (0, 6))
    index = read_index(folder)
    pieces(index, *tiles)
    matrix = index.state_dict_metadata["matrix"]
    distcp._check_cover("matrix", matrix.size, matrix.chunks)


def place(index, **values) -> None:
    for name, value in values.items():
        setattr(index.storage_data[MetadataIndex("matrix", (0, 0))], name, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i: place(i, relative_path="../checkpoint/__0_0.distcp"), "found the place '../ch"),
        (lambda i: place(i, relative_path="/etc/passwd"), "found the place '/etc/passwd'"),
        (lambda i: place(i, relative_path="..\\x.distcp"), "found the place"),
        (lambda i: place(i, relative_path="a/b.distcp"), "found the place"),
        (lambda i: place(i, relative_path="a\0.distcp"), "found the place"),
        (lambda i: place(i, relative_path=7), "found the place int"),
        (lambda i: place(i, relative_path="pipe.distcp"), "found no plain file"),
        (lambda i: place(i, offset=-1), "expected sizes"),
        (lambda i: place(i, length=1 << 40), "expected at least"),
        (lambda i: place(i, length=1 << 70), "expected sizes"),
        (lambda i: place(i, length=True), "expected sizes"),
        (lambda i: place(i, transform_descriptors=["zstd"]), "found transformed bytes"),
        (lambda i: chunk(i, sizes=(2, 6)), "found pieces of 12 values"),
        (lambda i: chunk(i, sizes=(1 << 62, 1 << 62)), "found a piece outside"),
        (lambda i: chunk(i, offsets=(2, 0)), "found a piece outside"),
        (lambda i: chunk(i, offsets=(0,), sizes=(24,)), "found a piece outside"),
        (lambda i: i.state_dict_metadata["matrix"].chunks.clear(), "found pieces of 0 values"),
        (
            lambda i: i.state_dict_metadata["matrix"].chunks.__setitem__(
                slice(None),
                [ChunkStorageMetadata(torch.Size([0, 0]), torch.Size([2, 6]))] * 2,
            ),
            "found pieces of 24 values",
        ),
        (lambda i: pieces(i, ((0, 0), (4, 3)), ((0, 2), (4, 3))), "matrix: .* that overlap"),
        (lambda i: pieces(i, ((0, 0), (2, 6)), ((1, 0), (2, 6))), "matrix: .* that overlap"),
        (
            lambda i: pieces(i, ((0, 0), (3, 4)), ((2, 2), (2, 4)), ((0, 5), (4, 1))),
            "matrix: .* that overlap",
        ),
        (lambda i: place(i, **vars(i.storage_data[MetadataIndex("step", ())])), "overlap at byte"),
        (lambda i: i.storage_data.pop(MetadataIndex("matrix", (0, 0))), "found no place"),
        (lambda i: setattr(i, "storage_data", None), "expected two tables"),
        (lambda i: setattr(i, "state_dict_metadata", [1]), "expected two tables"),
        (lambda i: i.state_dict_metadata.update({"matrix": None}), "expected a TensorStorageM"),
    ],
)
def test_an_index_of_something_else_is_refused(folder, change, words) -> None:
    os.mkfifo(folder / "pipe.distcp")
    forge(folder, change)
    refused(folder, words)


def test_every_flipped_bit_of_the_tensors_is_found_or_harmless(folder) -> None:
    """What is not under a checksum (zip's names and padding) may change, the tensors may not."""
    file = folder / "__0_0.distcp"
    content, found = file.read_bytes(), 0
    for at in range(0, len(content), 307):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        file.write_bytes(flipped)
        try:
            check_pieces(folder)
            assert all(torch.equal(t, load(folder)[n]) for n, t in tensors().items())
        except ValueError as error:
            assert "__0_0.distcp: at byte" in str(error)
            found += 1
    assert found > 5
