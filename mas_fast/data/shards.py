"""Folders of shards: how they are written, resumed and checked; and token shards.

A folder holds, for each shard, the shard itself and a sidecar NAME.json beside it (bytes, sha256,
samples, and what else its maker counted), and `manifest.json` with the options of the run. A shard
is written under another name, synced and renamed; then its sidecar is. So what has a sidecar is
whole, and a run that was stopped makes the others. At the end the manifest lists the shards.

A token shard is one Arrow IPC file, uncompressed, one record batch, a row a sample:

    key       string                                     the sample's in its scene shard
    captions  list<string>                               as they were, to be tokenized again
    text      list<fixed_size_list<uint16>[length]>      each caption; the null caption if none
    seg       fixed_size_list<uint16>[length]            codes in raster order
    img       fixed_size_list<uint16>[length]

    tokens = TokenShards("tokens")                       # maps the files, decodes nothing
    text, seg, img = tokens[7]                           # uint16 [captions, 64], [256], [256]
    tokens.streams["img"].vocab                          # what a GPT's config must agree with
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mas_fast.files import replace_file
from mas_fast.streams import Stream, Streams

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"
FORMAT = 1
SCENES, TOKENS = "mas_fast scene shards", "mas_fast token shards"


class ShardFolder:
    """The output of a run that makes one shard of each of its inputs.

    `begin` checks or starts the folder, `commit` puts one shard and its sidecar in place, in any
    process, and `finish` lists them in the manifest. `kind`: SCENES or TOKENS; `suffix`: of the
    shards' names; `options`: plain values, all that the content depends on; `count`: of shards.
    """

    def __init__(self, path: str | os.PathLike, kind: str, suffix: str, options: dict, count: int):
        self.path, self.kind, self.suffix = Path(path), kind, suffix
        self.options, self.count = json.loads(json.dumps(options)), count
        self._lock = None  # an open file, in the process that began the run

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_lock": None}

    def shard(self, number: int) -> Path:
        return self.path / f"{number:05}.{self.suffix}"

    def sidecar(self, number: int) -> Path:
        return self.path / f"{number:05}.json"

    def begin(self) -> list[int]:
        """The shards that are still to be made. ValueError for a folder that another run is writing
        to, that has shards of a run with other options, or that holds something else."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        found = sorted(p.name for p in self.path.iterdir() if not p.name.startswith("."))
        options = None
        if MANIFEST in found:
            options = read_manifest(self.path, self.kind, whole=False)["options"]
        elif found:
            raise ValueError(f"{self.path}: found {found[0]!r}, expected a folder that is empty")
        if found not in ([], [MANIFEST]):
            self._check(options)
        elif options != self.options:  # of a run, if any, that failed before its first shard
            self._write_manifest()
        self._sweep()
        return [number for number in range(self.count) if not self._has(number)]

    def commit(self, number: int, write: Callable[[Path], Mapping]) -> None:
        """Have `write` fill the file of shard `number`; the facts that it returns, at least
        "samples", go to the sidecar."""
        file, values = self.shard(number), {}

        def measured(temporary: Path) -> None:
            facts = write(temporary)
            size = temporary.stat().st_size
            values.update(file=file.name, bytes=size, sha256=sha256(temporary), **facts)

        replace_file(file, measured)
        write_json(self.sidecar(number), values)

    def finish(self) -> dict:
        """Write the manifest with its list of shards, and return it; ValueError if one is not
        there."""
        missing = [number for number in range(self.count) if not self._has(number)]
        if missing:
            name = self.shard(missing[0]).name
            raise ValueError(f"{self.path}: found no {name} of the size in its sidecar")
        self._sweep()
        names = ("file", "bytes", "sha256", "samples")
        sidecars = map(self.read_sidecar, range(self.count))
        return self._write_manifest([{name: car[name] for name in names} for car in sidecars])

    def read_sidecar(self, number: int) -> dict:
        return read_json(self.sidecar(number))

    def _sweep(self) -> None:
        """Take away what killed workers were writing."""
        for scrap in self.path.glob(".*.tmp"):
            scrap.unlink(missing_ok=True)

    def _has(self, number: int) -> bool:
        shard, sidecar = self.shard(number), self.sidecar(number)
        if not (shard.is_file() and sidecar.is_file()):
            return False
        try:
            return read_json(sidecar).get("bytes") == shard.stat().st_size
        except ValueError:  # a damaged sidecar: its shard is made again
            return False

    def _check(self, found: dict) -> None:
        for name in sorted({*found, *self.options}):
            if (old := found.get(name)) != (new := self.options.get(name)):
                raise ValueError(
                    f"{self.path}: found shards made with {name} = {_short(old)}, now it is "
                    f"{_short(new)}: give the same options, or another folder"
                )

    def _write_manifest(self, shards: list[dict] | None = None) -> dict:
        values = {"kind": self.kind, "format": FORMAT, "options": self.options, "shards": shards}
        write_json(self.path / MANIFEST, values)
        return values


def read_manifest(path: str | os.PathLike, kind: str, whole: bool = True) -> dict:
    """The manifest of a folder: {"kind", "format", "options", "shards"}. ValueError if it is none
    of this kind, or, where a `whole` one is asked for, its run has not come to its end."""
    file = Path(path) / MANIFEST
    if not file.is_file():
        raise ValueError(f"{path}: found no {MANIFEST}, expected a folder of {kind}")
    values = read_json(file)
    found = values.get("kind"), values.get("format")
    if found != (kind, FORMAT) or not isinstance(values.get("options"), dict):
        raise ValueError(
            f"{file}: found {found[0]!r}, format {found[1]!r}, expected {kind!r}, format {FORMAT}"
        )
    if whole and not isinstance(values.get("shards"), list):
        raise ValueError(
            f"{path}: found a run that has not come to its end; the command that began it goes on"
        )
    return values


def sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(file: Path, values: object) -> None:
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    replace_file(file, lambda temporary: temporary.write_text(text, "utf-8"))


def read_json(file: Path) -> dict:
    """The object in a JSON file. ValueError names the file."""
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file}: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file}: found {type(values).__name__}, expected an object")
    return values


def _lock(path: Path):
    """An open file whose lock ends with this process."""
    file = open(path / ".lock", "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(f"{path}: found another run that writes to it") from None
    return file


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# ---------------------------------------------------------------------------- token shards


class Tokens(NamedTuple):
    """Read-only views: text uint16 [captions, length], one at least; seg, img uint16 [length]."""

    text: np.ndarray
    seg: np.ndarray
    img: np.ndarray


def token_schema(streams: Streams) -> pa.Schema:
    """The columns of a token shard. streams: text, seg and img."""
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
    """The rows of one shard. text: integers [captions of the row, length] for each row; seg, img:
    [rows, length]. ValueError for a stream whose ids do not fit 16 bits."""
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
    if stream.vocab > 1 << 16:
        raise ValueError(f"{stream.name}: found a vocabulary of {stream.vocab}, expected <= 65536")


def write_tokens(file: Path, batch: pa.RecordBatch, format: str = "arrow") -> dict:
    """For ShardFolder.commit. format: "arrow" for TokenShards, "parquet" for exchange."""
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

    Files are mapped into memory when they are first asked for, and nothing is copied or decoded;
    pickled, as for workers, it opens them again. `streams`: text, seg and img, with their lengths,
    vocabularies and, of the text, the pad id. ValueError for a folder that is unfinished, was
    written for exchange, or does not hold what its manifest says.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        manifest = read_manifest(self.path, TOKENS)
        self.options: dict = manifest["options"]
        if self.options.get("format") != "arrow":
            found = self.options.get("format")
            raise ValueError(f"{path}: found shards of format {found!r}, expected 'arrow'")
        self.streams = Streams.from_list(self.options["streams"])
        self.shards: list[dict] = manifest["shards"]
        for shard in self.shards:
            _check_file(self.path / shard["file"], shard)
        self._first = np.cumsum([0, *(shard["samples"] for shard in self.shards)])
        self._open: dict[int, _Shard] = {}

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index: int) -> Tokens:
        shard, row = self._place(index)
        return Tokens(
            shard.text[shard.rows[row] : shard.rows[row + 1]], shard.seg[row], shard.img[row]
        )

    def __iter__(self) -> Iterator[Tokens]:
        return (self[index] for index in range(len(self)))

    def key(self, index: int) -> str:
        shard, row = self._place(index)
        return shard.batch["key"][row].as_py()

    def captions(self, index: int) -> list[str]:
        """The captions of sample `index`, perhaps none."""
        shard, row = self._place(index)
        return shard.batch["captions"][row].as_py()

    def verify(self) -> None:
        """Read everything. ValueError names the first file with another checksum than the
        manifest's, or with ids that are not in its vocabulary."""
        for number, shard in enumerate(self.shards):
            file = self.path / shard["file"]
            if (found := sha256(file)) != shard["sha256"]:
                raise ValueError(f"{file}: found sha256 {found}, expected {shard['sha256']}")
            opened = self._shard(number)
            for stream in self.streams:
                ids = getattr(opened, stream.name)
                if ids.size and ids.max() >= stream.vocab:
                    raise ValueError(
                        f"{file}: {stream.name}: found id {ids.max()}, "
                        f"expected 0..{stream.vocab - 1}"
                    )

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": {}}

    def _place(self, index: int) -> tuple[_Shard, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"tokens: found index {index}, expected 0..{len(self) - 1}")
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._shard(number), int(index - self._first[number])

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

        try:
            reader = pa.ipc.open_file(pa.memory_map(str(file)))
            batches, schema = reader.num_record_batches, reader.schema
            self.batch = reader.get_batch(0) if batches == 1 else None
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{file}: {error}") from error
        if batches != 1 or self.batch.num_rows != rows or not schema.equals(token_schema(streams)):
            raise ValueError(
                f"{file}: found {batches} batches, {self.batch and self.batch.num_rows} rows of "
                f"{schema.names}, expected one of {rows} rows of a token shard"
            )
        text = self.batch["text"]
        self.rows = text.offsets.to_numpy()
        self.text = _tokens(text.values, streams["text"])
        self.seg, self.img = (_tokens(self.batch[name], streams[name]) for name in ("seg", "img"))


def _tokens(column: pa.FixedSizeListArray, stream: Stream) -> np.ndarray:
    return column.values.to_numpy(zero_copy_only=True).reshape(-1, stream.length)


def _check_file(file: Path, shard: dict) -> None:
    found = file.stat().st_size if file.is_file() else None
    if found != shard["bytes"]:
        raise ValueError(f"{file}: found {found} bytes, expected {shard['bytes']}")
