"""Webdataset tars: an index of where the files of each sample lie, in any order; never unpacked."""

from __future__ import annotations

import io
import os
import tarfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np

from mas_fast.data.sources.assemble import assemble
from mas_fast.data.sources.base import Reject, Sample, Source
from mas_fast.data.sources.names import (
    BESIDE,
    HEAD,
    check_name,
    is_picture,
    left_out,
    normal,
    printable,
    split,
    split_first,
    split_unknown,
)

MAX_SAMPLE = 2**28  # bytes of all files of a sample together
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
PICTURE, WITH_IT, OTHER = 0, 1, 2  # what a member may be to a sample
FIRST, LAST, AGAIN = 0, 1, 2  # how names are split: at the first dot, at the suffix; a repetition
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class TarSource(Source):
    """Webdataset tars, as img2dataset, tar or other programs write them.

    The files of a sample share a key, wherever in the tar they are. The key is the part of the name
    before the first dot of its last component. But if no file of a key has a plain suffix, or if a
    picture with a dotted name has files of its own beside it, names are split as in folders:
    img.1.0.jpg and img.1.0.txt belong to img.1.0.

    `./` in front of names, their Unicode form, and files like ._a.jpg, README and .DS_Store do not
    count. Hard links are followed inside the tar; other links are rejects. If a file comes again,
    the first one counts and the others are rejects. The same key in two tars makes two samples.

    A tar is indexed by its headers alone. Indexing takes 150 bytes per file at most, in arrays. The
    index has 16 bytes for each run of files that follow one another, and 9 bytes per sample.

    Args:
        paths: the tars.

    Raises:
        ValueError: only if there are none.
    """

    def __init__(self, paths: Sequence[str | os.PathLike]) -> None:
        self.paths = [Path(path) for path in paths]
        if not self.paths:
            raise ValueError("tars: found none, expected at least one")
        self.rejects: list[Reject] = []
        parts = [_Index(path, self.rejects).grouped() for path in self.paths]
        # The number of the first sample of each tar, and of the first run of each sample.
        self.first = np.cumsum([0, *(len(counts) for counts, _, _ in parts)])
        self.starts = np.cumsum([0, *np.concatenate([counts for counts, _, _ in parts])])
        self.spans = np.concatenate([spans for _, spans, _ in parts])  # [runs, 2]: bytes
        self.ways = np.concatenate([ways for _, _, ways in parts])

    def __len__(self) -> int:
        return len(self.ways) + len(self.rejects)

    def key(self, index: int) -> str:
        path, spans = self._place(index)
        return f"{path.name} at byte {spans[0][0]}"

    def read(self, index: int) -> Sample | Reject:
        if index >= len(self.ways):
            return self.rejects[index - len(self.ways)]
        path, spans = self._place(index)
        size = sum(stop - start for start, stop in spans)
        if size > MAX_SAMPLE:
            raise ValueError(f"found {size} bytes, expected at most {MAX_SAMPLE}")
        with open(path, "rb") as file:
            content = b"".join([_read(file, start, stop) for start, stop in spans])
        way = int(self.ways[index])
        key, files = _members(content, way)
        if way == AGAIN:
            reason = f"found the key again at byte {spans[0][0]} of {path.name}"
            return Reject(printable(key), reason)
        try:
            return assemble(key, files)
        except ValueError as error:
            return Reject(printable(key), printable(str(error)))

    def _place(self, index: int) -> tuple[Path, list[list[int]]]:
        number = int(np.searchsorted(self.first, index, side="right")) - 1
        return self.paths[number], self.spans[self.starts[index] : self.starts[index + 1]].tolist()


class _Index:
    """The index of a tar: where its members are, and which sample each belongs to."""

    def __init__(self, path: Path, rejects: list[Reject]) -> None:
        self.path, self.rejects = path, rejects
        # For each member: hashes of its key split either way and of its name, bytes, and its role.
        self.keys, self.longs, self.names, self.starts, self.stops = (array("q") for _ in range(5))
        self.roles = array("b")
        self.links: dict[int, int] = {}  # members that are hard links: the hash of the other name
        self.broken = False
        self._scan()

    def _scan(self) -> None:
        name = None
        try:
            with open(self.path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # else it would keep all
                    if not member.isdir():
                        name = member.name
                        self._add(member, file.fileno(), tar.offset)
                self._check_end(file, tar.offset)
        except Exception as error:  # on a broken header, tarfile raises almost anything
            self.broken = True
            location = "at its beginning" if name is None else f"in or after {name!r}"
            self._reject(f"broken {location}: {self._compressed() or error}")

    def _add(self, member: tarfile.TarInfo, descriptor: int, stop: int) -> None:
        """Take in a member of the open tar that ends at byte `stop`."""
        name = _name(member.name)
        *folders, base = name.split("/")
        if left_out(base) or any(left_out(folder, True) for folder in folders):
            return
        key, _ = split_first(name)
        long_key, suffix = split(name)
        role = OTHER if not suffix else WITH_IT if suffix in BESIDE else PICTURE
        if not suffix:
            long_key = split_unknown(name)[0]
            if member.isreg():
                head = os.pread(descriptor, min(HEAD, member.size), member.offset_data)
                role = PICTURE if is_picture(name, head) else OTHER
        self.keys.append(hash(key))
        self.longs.append(hash(long_key))
        self.names.append(hash(name))
        self.starts.append(member.offset)
        self.stops.append(stop)
        self.roles.append(role)
        if member.islnk():
            self.links[len(self.keys) - 1] = hash(_name(member.linkname))

    def _check_end(self, file: BinaryIO, end: int) -> None:
        """Raise ValueError for a tar that was cut off, and reject data after its end.

        tarfile ends quietly at a bad header, at a cut between two members, and at the end of the
        first of several tars.
        """
        file.seek(end)
        block = file.read(tarfile.BLOCKSIZE)
        if not block:
            raise ValueError(f"found no end of the tar at byte {end}, where it may be cut off")
        if any(block):
            raise ValueError(f"found no tar header at byte {end}")
        while block := file.read(1 << 20):
            if block.count(0) < len(block):
                self._reject(
                    f"found data after the end of the tar at byte {end}, which is not read: "
                    "another tar? `tar --concatenate` joins two"
                )
                break

    def grouped(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the samples, in the order of their first files.

        Returns:
            Number of runs of bytes of each sample, int64; the runs, int64 [runs, 2]; and how the
            names of each sample are split, int8.
        """
        keys, longs, names, starts, stops = (
            np.frombuffer(values, np.int64) if len(values) else np.empty(0, np.int64)
            for values in (self.keys, self.longs, self.names, self.starts, self.stops)
        )
        ways = np.full(len(keys), FIRST, np.int8)
        self._part_dotted(keys := keys.copy(), longs, ways)
        again = _repeated(names)
        keys[again] = [hash((key, AGAIN)) for key in keys[again].tolist()]
        ways[again] = AGAIN
        samples, firsts = _numbered(keys)
        if self.broken:
            samples = self._sure(samples, len(firsts))
        places = np.arange(len(keys)) * 2
        if self.links:
            linked, targets = self._targets(names)
            samples = np.concatenate([samples, samples[linked]])
            places = np.concatenate([places, places[linked] + 1])
            starts, stops = (np.concatenate([v, v[targets]]) for v in (starts, stops))
        order = np.lexsort((places, samples))
        order = order[samples[order] >= 0]
        samples, starts, stops = samples[order], starts[order], stops[order]
        begins = np.ones(len(order), bool)
        begins[1:] = (samples[1:] != samples[:-1]) | (starts[1:] != stops[:-1])
        ends = np.append(begins[1:], True)[: len(order)]
        runs = np.stack([starts[begins], stops[ends]], axis=1)
        numbers, counts = np.unique(samples[begins], return_counts=True)
        return counts, runs, ways[firsts[numbers]]

    def _part_dotted(self, keys: np.ndarray, longs: np.ndarray, ways: np.ndarray) -> None:
        """Give files with dotted names the key before their suffix, if that makes a sample."""
        dotted = keys != longs
        if not dotted.any():
            return
        roles = np.frombuffer(self.roles, np.int8)
        _, key_group = np.unique(keys, return_inverse=True)
        _, long_group = np.unique(longs, return_inverse=True)

        def has(group: np.ndarray, members: np.ndarray) -> np.ndarray:
            """Tell for each member whether its group has one of these."""
            return np.bincount(group, members)[group] > 0

        plain = has(key_group, ~dotted & (roles != OTHER))
        pictured = dotted & has(long_group, dotted & (roles == PICTURE))
        regrouped = pictured & (has(long_group, dotted & (roles == WITH_IT)) | ~plain)
        unread = (
            dotted & ~regrouped & (roles == PICTURE) & has(key_group, ~dotted & (roles == PICTURE))
        )
        keys[regrouped], ways[regrouped] = longs[regrouped], LAST
        if unread.any():
            at = int(unread.argmax())
            with open(self.path, "rb") as file:
                content = _read(file, self.starts[at], self.stops[at])
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
                name = cast(tarfile.TarInfo, tar.next()).name  # there is one: it was scanned
            problem = (
                f"found {unread.sum()} pictures such as {name!r} beside the one of their sample"
            )
            self._reject(f"{problem}, which alone is read")

    def _targets(self, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the hard links to members of the tar, and these members."""
        order = np.argsort(names, kind="stable")
        linked = np.array(list(self.links), np.int64)
        wanted = np.array(list(self.links.values()), np.int64)
        places = np.searchsorted(names, wanted, sorter=order).clip(max=len(names) - 1)
        targets = order[places]
        there = (names[targets] == wanted) & ~np.isin(targets, linked)
        return linked[there], targets[there]

    def _sure(self, samples: np.ndarray, count: int) -> np.ndarray:
        """Drop the samples of a broken tar that may have lost a file.

        That is the last one, or all if the files of a sample do not follow one another.
        """
        if not len(samples):
            return samples
        if np.count_nonzero(np.diff(samples)) + 1 > count:
            problem = f"found {count} samples whose files do not follow one another in a broken tar"
            self._reject(f"{problem}: none of them is sure to be whole")
            return np.full_like(samples, -1)
        return np.where(samples == samples[-1], -1, samples)

    def _compressed(self) -> str | None:
        with open(self.path, "rb") as file:
            head = file.read(HEAD)
        for magic, kind in MAGIC.items():
            if head.startswith(magic):
                return f"found {kind} data, expected a tar that is not compressed: unpack it first"
        return None

    def _reject(self, reason: str) -> None:
        self.rejects.append(Reject(printable(self.path.name), printable(reason)))


def _repeated(names: np.ndarray) -> np.ndarray:
    """Tell for each name whether it came before."""
    order = np.argsort(names, kind="stable")
    again = np.zeros(len(names), bool)
    again[order[1:]] = names[order[1:]] == names[order[:-1]]
    return again


def _numbered(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sample of each member and the first member of each sample.

    Samples are numbered in the order in which they begin.
    """
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[inverse], firsts[order]


def _read(file: BinaryIO, start: int, stop: int) -> bytes:
    file.seek(start)
    content = file.read(stop - start)
    if len(content) < stop - start:
        raise ValueError(f"found {len(content)} bytes, expected {stop - start}")
    return content


def _members(content: bytes, way: int) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the key of one sample's part of a tar, and the suffix and content of each file."""
    files, keys = [], []
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            while (member := tar.next()) is not None:
                name = _name(member.name)
                if way != AGAIN:
                    check_name(name)
                file: tarfile.TarInfo | None = member
                if member.islnk():  # its target comes next, see _Index
                    file = tar.next()
                    if file is None or _name(file.name) != _name(member.linkname):
                        problem = f"found {name!r}, a link to {member.linkname!r}"
                        raise ValueError(f"{problem}, which is no file of the tar")
                if file is None or not file.isreg() or file.issparse():
                    raise ValueError(f"found {name!r}, expected a plain file")
                key, suffix = split_first(name) if way == FIRST else _split(name)
                keys.append(key)
                data = cast(IO[bytes], tar.extractfile(file))  # a plain file has content
                files.append((suffix.lower(), data.read()))
    except (tarfile.TarError, OverflowError, EOFError) as error:
        raise ValueError(f"found a broken tar header ({error})") from error
    if way != AGAIN and len(set(keys)) != 1:
        raise ValueError(f"found files of {sorted(set(keys))}, expected those of one sample")
    return keys[0], files


def _split(name: str) -> tuple[str, str]:
    key, suffix = split(name)
    return (key, suffix) if suffix else split_unknown(name)


def _name(name: str) -> str:
    return normal(name).removeprefix("./")
