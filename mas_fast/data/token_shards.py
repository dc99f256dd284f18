"""Token shards: their columns, how they are written, and read without copies.

A token shard is one uncompressed Arrow IPC file with one record batch, which has a row per sample:

    key       string                                     key of the sample in its scene shard
    captions  list<string>                               unchanged, so they can be tokenized again
    text      list<fixed_size_list<uint16>[length]>      each caption; the null caption if none
    seg       fixed_size_list<uint16>[length]            codes in raster order
    img       fixed_size_list<uint16>[length]

    tokens = TokenShards("tokens")                       # maps the files, decodes nothing
    text, seg, img = tokens[7]                           # uint16 [captions, 64], [256], [256]
    tokens.streams["img"].vocab                          # a GPT's config must agree with it

A mapped file is memory that somebody else wrote. So its layout is checked in full each time it is
opened, before anything follows an offset in it. Its checksum and all its ids are checked once, the
first time that the folder is opened. The result is kept beside the shards, by size, time of change
and checksum, if the folder can be written to.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from mas_fast.data.shards import MANIFEST, TOKENS, read_manifest, sha256, write_json
from mas_fast.streams import Stream, Streams
from mas_fast.utils.documents import read_json, short

if TYPE_CHECKING:
    import pyarrow as pa

CHECKED = ".checked.json"
NAMES = ("text", "seg", "img")


class Tokens(NamedTuple):
    """The tokens of one sample, as read-only views.

    Attributes:
        text: uint16 [captions, length]; at least one row.
        seg: uint16 [length], codes in raster order.
        img: uint16 [length], codes in raster order.
    """

    text: np.ndarray
    seg: np.ndarray
    img: np.ndarray


def token_schema(streams: Streams) -> pa.Schema:
    """Return the columns of a token shard with the streams text, seg and img."""
    import pyarrow as pa

    def tokens(name: str) -> pa.DataType:
        return pa.list_(pa.field("item", pa.uint16(), nullable=False), streams[name].length)

    def column(name: str, kind: pa.DataType) -> pa.Field:
        return pa.field(name, kind, nullable=False)

    return pa.schema(
        [
            column("key", pa.string()),
            column("captions", pa.list_(pa.field("item", pa.string(), nullable=False))),
            column("text", pa.list_(pa.field("item", tokens("text"), nullable=False))),
            column("seg", tokens("seg")),
            column("img", tokens("img")),
        ]
    )


def token_batch(
    streams: Streams,
    keys: list[str],
    captions: list[list[str]],
    text: list[np.ndarray],
    seg: np.ndarray,
    img: np.ndarray,
) -> pa.RecordBatch:
    """Assemble the rows of one shard.

    Args:
        streams: text, seg and img.
        keys: key of each row.
        captions: captions of each row.
        text: integers [captions of the row, length] for each row.
        seg: integers [rows, length].
        img: integers [rows, length].

    Returns:
        The record batch of the shard.

    Raises:
        ValueError: if the ids of a stream do not fit 16 bits.
    """
    import pyarrow as pa

    schema = token_schema(streams)

    def tokens(name: str, ids: np.ndarray) -> pa.Array:
        check_vocab(streams[name])
        flat = np.ascontiguousarray(ids, np.uint16).reshape(-1)
        kind = schema.field(name).type
        kind = kind.value_type if name == "text" else kind
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)

    offsets = np.cumsum([0, *map(len, text)], dtype=np.int32)
    length = streams["text"].length
    rows = tokens("text", np.concatenate([np.empty((0, length), np.uint16), *text]))
    columns = [
        pa.array(keys, schema.field("key").type),
        pa.array(captions, schema.field("captions").type),
        pa.ListArray.from_arrays(pa.array(offsets), rows, type=schema.field("text").type),
        tokens("seg", seg),
        tokens("img", img),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def check_vocab(stream: Stream) -> None:
    """Check the vocabulary of a stream.

    Raises:
        ValueError: unless its ids fit 16 bits.
    """
    if stream.vocab > 1 << 16:
        raise ValueError(f"{stream.name}: found a vocabulary of {stream.vocab}, expected <= 65536")


def write_tokens(file: Path, batch: pa.RecordBatch, format: str = "arrow") -> dict:
    """Write a token shard, for `ShardFolder.commit`.

    Args:
        file: the file to write.
        batch: rows of the shard, from `token_batch`.
        format: "arrow" for `TokenShards`, "parquet" for exchange.

    Returns:
        {"samples"}: the number of rows.
    """
    import pyarrow as pa

    if format == "parquet":
        import pyarrow.parquet

        pa.parquet.write_table(pa.Table.from_batches([batch]), file)
    else:
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
    return {"samples": batch.num_rows}


class TokenShards:
    """A folder of token shards as one list: `tokens[i]`, `len(tokens)`, `tokens.captions(i)`.

    Files are mapped into memory when they are first asked for, and nothing is copied or decoded.
    After pickling, as for workers, they are opened again. `verify` runs once for each shard that is
    new or changed.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        options: options of the run that made it.
        streams: text, seg and img, with their lengths and vocabularies, and the pad id of the text.
        shards: entries of the shards in the manifest.

    Raises:
        ValueError: if the folder is unfinished, was written for exchange, or does not hold what its
            manifest says. Also when a row is read, if its shard is no token shard or has become
            shorter.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        manifest = read_manifest(self.path, TOKENS)
        self.options: dict = manifest["options"]
        if self.options.get("format") != "arrow":
            file_format = short(self.options.get("format"))
            raise ValueError(f"{path}: found shards of format {file_format}, expected 'arrow'")
        self.streams = _read_streams(self.path / MANIFEST, self.options)
        self.shards: list[dict] = manifest["shards"]
        self._first = np.cumsum([0, *(shard["samples"] for shard in self.shards)], dtype=np.int64)
        self._open: dict[int, _Shard] = {}
        marks = [self._mark(number) for number in range(len(self.shards))]
        known = self._read_checked()
        new = [n for n, shard in enumerate(self.shards) if known.get(shard["file"]) != marks[n]]
        if new:
            self._check(new)
            files = [shard["file"] for shard in self.shards]
            values = {
                "streams": self.streams.to_list(),
                "files": dict(zip(files, marks, strict=True)),
            }
            try:
                write_json(self.path / CHECKED, values)
            except OSError:  # a read-only folder is checked each time
                pass

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index: int) -> Tokens:
        shard, row = self._place(index)
        return shard.tokens(row)

    def __iter__(self) -> Iterator[Tokens]:
        return (self[index] for index in range(len(self)))

    def key(self, index: int) -> str:
        """Return the key of sample `index`."""
        shard, row = self._place(index)
        return shard.batch["key"][row].as_py()

    def captions(self, index: int) -> list[str]:
        """Return the captions of sample `index`; there may be none."""
        shard, row = self._place(index)
        return shard.batch["captions"][row].as_py()

    def verify(self) -> None:
        """Read and check everything.

        Raises:
            ValueError: if a file has another checksum than in the manifest, or ids outside its
                vocabulary; the message names the first such file, and the row.
        """
        self._check(range(len(self.shards)))

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": {}}

    def _check(self, numbers: Iterable[int]) -> None:
        from tqdm import tqdm

        def check(number: int) -> int:
            shard = self.shards[number]
            file = self.path / shard["file"]
            if (checksum := sha256(file)) != shard["sha256"]:
                raise ValueError(
                    f"{file}: found sha256 {checksum}, expected {shard['sha256']}: it was changed "
                    "or damaged; remove it, and the command that made it makes it again"
                )
            self._shard(number).check_ids()
            return shard["bytes"]

        numbers = list(numbers)
        size = sum(self.shards[number]["bytes"] for number in numbers)
        bar = tqdm(total=size, unit="B", unit_scale=True, desc="checksums", disable=None, delay=2)
        with bar, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for done in pool.map(check, numbers):
                bar.update(done)

    def _mark(self, number: int) -> list:
        """Return what identifies a checked shard; ValueError for another size than recorded."""
        shard = self.shards[number]
        file = self.path / shard["file"]
        status = file.stat() if file.is_file() else None
        size = status.st_size if status else None
        if status is None or size != shard["bytes"]:
            raise ValueError(f"{file}: found {size} bytes, expected {shard['bytes']}")
        return [status.st_size, status.st_mtime_ns, shard["sha256"]]

    def _read_checked(self) -> dict:
        """Return the marks of the shards that were sound, by file."""
        try:
            values = cast(dict, read_json(self.path / CHECKED))  # read_json checks that it is one
        except ValueError:  # no such file, or a damaged one: all shards are checked
            return {}
        files = values.get("files")
        same = values.get("streams") == self.streams.to_list()
        return files if same and isinstance(files, dict) else {}

    def _place(self, index: int) -> tuple[_Shard, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"tokens: found index {index}, expected 0..{len(self) - 1}")
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        shard = self._shard(number)
        shard.check_size()
        return shard, int(index - self._first[number])

    def _shard(self, number: int) -> _Shard:
        if number not in self._open:
            shard = self.shards[number]
            file = self.path / shard["file"]
            self._open[number] = _Shard(file, self.streams, shard["samples"])
        return self._open[number]


class _Shard:
    """One mapped file: its record batch, and views of the columns of tokens."""

    def __init__(self, file: Path, streams: Streams, rows: int) -> None:
        import pyarrow as pa

        self.file, self.streams = file, streams
        try:
            with open(file, "rb") as stream:
                self.map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            self.size = len(self.map)
            reader = pa.ipc.open_file(pa.py_buffer(self.map))
            batches, schema = reader.num_record_batches, reader.schema
            if batches != 1 or not schema.equals(token_schema(streams)):
                problem = f"found {batches} batches of {short(str(schema))}"
                raise ValueError(f"{problem}, expected one of the columns of a token shard")
            self.batch = reader.get_batch(0)
            self.batch.validate(full=True)
            if (count := self.batch.num_rows) != rows:
                raise ValueError(f"found {count} rows, expected {rows}")
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{file}: {str(error)[:500]}") from error
        self._check_columns()
        text = self.batch["text"]
        self.rows = text.offsets.to_numpy()
        self.text = _tokens(text.values, streams["text"])
        self.seg, self.img = (_tokens(self.batch[name], streams[name]) for name in ("seg", "img"))
        self._check_captions()

    def tokens(self, row: int) -> Tokens:
        """Return the tokens of a row; ValueError for an id outside its vocabulary."""
        text = self.text[self.rows[row] : self.rows[row + 1]]
        row_tokens = Tokens(text, self.seg[row], self.img[row])
        for stream, ids in zip(self.streams, row_tokens, strict=True):
            if ids.max() >= stream.vocab:
                self._refuse(stream, ids, row)
        return row_tokens

    def check_size(self) -> None:
        """Raise ValueError if the file has become shorter: reading past its end is a crash."""
        if (size := self.map.size()) < self.size:
            raise ValueError(f"{self.file}: found {size} bytes, expected {self.size}, as before")

    def check_ids(self) -> None:
        """Raise ValueError, naming the first row, for ids outside their vocabulary."""
        for stream in self.streams:
            ids = getattr(self, stream.name)
            if ids.size and ids.max() >= stream.vocab:
                position = int(np.argmax((ids >= stream.vocab).any(axis=1)))
                row = position
                if stream.name == "text":
                    row = int(np.searchsorted(self.rows, position, side="right")) - 1
                self._refuse(stream, ids[position], row)

    def _refuse(self, stream: Stream, ids: np.ndarray, row: int) -> None:
        raise ValueError(
            f"{self.file}: {stream.name}: found id {ids.max()}, expected 0..{stream.vocab - 1}, "
            f"in row {row} (key {short(self.batch['key'][row].as_py())})"
        )

    def _check_columns(self) -> None:
        """Raise ValueError for nulls, which numpy ignores, and for columns outside the file.

        Compressed columns are outside: a few bytes of them can stand for any number of values.
        """
        import pyarrow as pa

        start = pa.py_buffer(self.map).address
        for name in self.batch.schema.names:
            column, waiting = self.batch[name], [self.batch[name]]
            while waiting:
                part = waiting.pop()
                if part.null_count or part.offset:
                    problem = f"found {part.null_count} nulls, offset {part.offset}"
                    raise ValueError(f"{self.file}: {name}: {problem}, expected none")
                if isinstance(part, pa.ListArray | pa.FixedSizeListArray):
                    waiting.append(part.values)
            for buffer in column.buffers():
                if buffer and not start <= buffer.address <= start + self.size - buffer.size:
                    raise ValueError(f"{self.file}: {name}: found it compressed, expected it plain")

    def _check_captions(self) -> None:
        """Raise ValueError unless each caption has a row of text, and no caption has one row."""
        captions = np.diff(self.batch["captions"].offsets.to_numpy())
        wrong = np.flatnonzero(np.diff(self.rows) != np.maximum(captions, 1))
        if wrong.size:
            row = int(wrong[0])
            raise ValueError(
                f"{self.file}: text: found {self.rows[row + 1] - self.rows[row]} rows of tokens "
                f"for {captions[row]} captions in row {row}, expected {max(captions[row], 1)}"
            )


def _tokens(column: pa.FixedSizeListArray, stream: Stream) -> np.ndarray:
    return column.values.to_numpy(zero_copy_only=True).reshape(-1, stream.length)


def _read_streams(file: Path, options: dict) -> Streams:
    try:
        streams = Streams.from_list(cast(list, options.get("streams")))  # it checks what it gets
        if streams.names != NAMES:
            raise ValueError(f"streams: found {list(streams.names)}, expected {list(NAMES)}")
        for stream in streams:
            check_vocab(stream)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return streams
