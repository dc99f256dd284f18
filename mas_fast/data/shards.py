"""Folders of shards: how they are written, resumed and checked.

A folder holds each shard with a sidecar NAME.json beside it (bytes, sha256, samples, and whatever
else its maker counted), and `manifest.json` with the options of the run. A shard is written under
another name, synced and renamed; then its sidecar is. So a shard with a sidecar is complete, and a
run that was stopped goes on with the others. At the end the manifest lists the shards.

Whatever a folder says about itself is checked each time it is read: names stay inside the folder,
numbers are counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from mas_fast.utils.documents import read_json, short
from mas_fast.utils.files import replace_file, sweep
from mas_fast.utils.locks import lock
from mas_fast.utils.validate import check_int

MANIFEST = "manifest.json"
FORMAT = 1
SCENES, TOKENS = "mas_fast scene shards", "mas_fast token shards"
SUFFIXES = ("tar", "arrow", "parquet")
ENTRY = ("file", "bytes", "sha256", "samples")  # keys that the manifest and a sidecar share
SHA256 = re.compile("[0-9a-f]{64}")
MOST = 1 << 50  # bytes, or samples


class ShardFolder:
    """The output of a run that makes one shard from each of its inputs.

    `begin` checks or starts the folder, `commit` puts one shard and its sidecar in place, in any
    process, and `finish` lists them in the manifest.

    Args:
        path: the folder.
        kind: `SCENES` or `TOKENS`.
        suffix: suffix of the shards' names, without a dot.
        options: plain values; everything that the content depends on.
        count: number of shards.
    """

    def __init__(
        self, path: str | os.PathLike, kind: str, suffix: str, options: dict, count: int
    ) -> None:
        self.path, self.kind, self.suffix = Path(path), kind, suffix
        self.options: dict = json.loads(json.dumps(options))
        self.count = count
        self._lock: BinaryIO | None = None  # open in the process that began the run

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_lock": None}

    def shard(self, number: int) -> Path:
        """Return the path of a shard."""
        return self.path / f"{number:05}.{self.suffix}"

    def sidecar(self, number: int) -> Path:
        """Return the path of a shard's sidecar."""
        return self.path / f"{number:05}.json"

    def begin(self) -> list[int]:
        """Check the folder, or start it.

        Returns:
            Numbers of the shards that are still to be made.

        Raises:
            ValueError: if another run is writing to the folder, if it has shards of a run with
                other options, or if it holds something else.
        """
        self._lock = lock(self.path, "wait for it, or give another folder")
        names = sorted(p.name for p in self.path.iterdir() if not p.name.startswith("."))
        options: dict | None = None
        if MANIFEST in names:
            options = read_manifest(self.path, self.kind, finished=False)["options"]
        elif names:
            raise ValueError(f"{self.path}: found {names[0]!r}, expected a folder that is empty")
        if options is not None and names != [MANIFEST]:
            self._check(options)
        elif options != self.options:  # a run, if any, failed before its first shard
            self._write_manifest()
        sweep(self.path)
        return [number for number in range(self.count) if not self._has(number)]

    def commit(self, number: int, write: Callable[[Path], Mapping]) -> None:
        """Make one shard and its sidecar.

        Args:
            number: which shard.
            write: fills the file that it is given and returns the facts for the sidecar, at least
                "samples".
        """
        file = self.shard(number)
        values: dict = {}

        def measured(temporary: Path) -> None:
            facts = write(temporary)
            size = temporary.stat().st_size
            values.update(file=file.name, bytes=size, sha256=sha256(temporary), **facts)

        replace_file(file, measured)
        write_json(self.sidecar(number), values)

    def finish(self) -> dict:
        """Write the manifest with its list of shards.

        Returns:
            The manifest.

        Raises:
            ValueError: if a shard is not there.
        """
        missing = [number for number in range(self.count) if not self._has(number)]
        if missing:
            name = self.shard(missing[0]).name
            raise ValueError(f"{self.path}: found no {name} of the size in its sidecar")
        sweep(self.path)  # files that killed workers were writing
        sidecars = map(self.read_sidecar, range(self.count))
        return self._write_manifest([{name: car[name] for name in ENTRY} for car in sidecars])

    def read_sidecar(self, number: int) -> dict:
        """Read the sidecar of a shard; see the function `read_sidecar`."""
        return read_sidecar(self.sidecar(number), self.kind)

    def _has(self, number: int) -> bool:
        shard, sidecar = self.shard(number), self.sidecar(number)
        if not (shard.is_file() and sidecar.is_file()):
            return False
        try:
            values = read_sidecar(sidecar, self.kind)
            return (values["file"], values["bytes"]) == (shard.name, shard.stat().st_size)
        except ValueError:  # a damaged sidecar: its shard is made again
            return False

    def _check(self, options: dict) -> None:
        for name in sorted({*options, *self.options}):
            if (old := options.get(name)) != (new := self.options.get(name)):
                raise ValueError(
                    f"{self.path}: found shards made with {name} = {_short(old)}, now it is "
                    f"{_short(new)}: give the same options, or another folder"
                )

    def _write_manifest(self, shards: list[dict] | None = None) -> dict:
        values = {"kind": self.kind, "format": FORMAT, "options": self.options, "shards": shards}
        write_json(self.path / MANIFEST, values)
        return values


def read_manifest(path: str | os.PathLike, kind: str, finished: bool = True) -> dict:
    """Read the manifest of a folder.

    Args:
        path: the folder.
        kind: `SCENES` or `TOKENS`.
        finished: whether the run has to be finished.

    Returns:
        The manifest, {"kind", "format", "options", "shards"}; "shards" is None for a run that is
        not finished.

    Raises:
        ValueError: if there is no manifest of this kind, or if `finished` and the run is not.
    """
    file = Path(path) / MANIFEST
    if not file.is_file():
        raise ValueError(f"{path}: found no {MANIFEST}, expected a folder of {kind}")
    values = cast(dict, read_json(file))  # read_json checks that it is one
    header = values.get("kind"), values.get("format")
    if header != (kind, FORMAT) or not isinstance(values.get("options"), dict):
        is_kind = f"found {short(header[0])}, format {short(header[1])}"
        raise ValueError(f"{file}: {is_kind}, expected {kind!r}, format {FORMAT}")
    shards = values.get("shards")
    if finished and shards is None:
        raise ValueError(
            f"{path}: found a run that has not come to its end; the command that began it goes on"
        )
    if not isinstance(shards, list | None):
        raise ValueError(f"{file}: shards: found {type(shards).__name__}, expected a list")
    for number, shard in enumerate(shards or ()):
        _check_entry(f"{file}: shard {number}", f"{number:05}", shard)
    return {**values, "shards": shards}


def read_sidecar(file: Path, kind: str) -> dict:
    """Read the sidecar of a shard.

    Args:
        file: the sidecar.
        kind: `SCENES` or `TOKENS`.

    Returns:
        {"file", "bytes", "sha256", "samples"} and whatever else its maker counted. A sidecar of
        scenes has "statistics", and "rejects", a list of [key, reason].

    Raises:
        ValueError: if the file is no such sidecar.
    """
    values = cast(dict, read_json(file))  # read_json checks that it is one
    _check_entry(str(file), file.stem, values)
    if kind != SCENES:
        return values
    if missing := {"statistics", "rejects"} - set(values):
        raise ValueError(f"{file}: found no {sorted(missing)}, expected those of a scene shard")
    rejects = values["rejects"]
    if not isinstance(rejects, list):
        raise ValueError(f"{file}: rejects: found {short(rejects)}, expected a list")
    for reject in rejects:
        pair = isinstance(reject, list) and len(reject) == 2
        if not pair or not all(isinstance(text, str) for text in reject):
            raise ValueError(f"{file}: rejects: found {short(reject)}, expected [key, reason]")
    return values


def _check_entry(subject: str, stem: str, values: object) -> None:
    """Raise ValueError unless `values` describe the shard `stem` of the same folder."""
    if not isinstance(values, dict):
        raise ValueError(f"{subject}: found {short(values)}, expected an object")
    if missing := [key for key in ENTRY if key not in values]:
        raise ValueError(f"{subject}: found the keys {short(list(values))}, expected {missing} too")
    names = [f"{stem}.{suffix}" for suffix in SUFFIXES]
    if values["file"] not in names:
        expected = f"expected {' or '.join(names)}"
        raise ValueError(f"{subject}: file: found {short(values['file'])}, {expected}")
    for name in ("bytes", "samples"):
        check_int(f"{subject}: {name}", values[name], 0, MOST)
    digits = values["sha256"]
    if not isinstance(digits, str) or not SHA256.fullmatch(digits):
        problem = f"found {short(digits)}"
        raise ValueError(f"{subject}: sha256: {problem}, expected 64 hexadecimal digits")


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(file: Path, values: object) -> None:
    """Write values to a JSON file, in one step."""
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    replace_file(file, lambda temporary: temporary.write_text(text, "utf-8"))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
