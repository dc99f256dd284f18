"""The input of `prepare`: the parts that become one shard each, and what a run remembers of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mas_fast.data.digest import changes, digest
from mas_fast.data.shards import MANIFEST, SCENES, read_manifest, sha256
from mas_fast.data.sources.base import Source
from mas_fast.data.sources.landmarks import Landmarks, LandmarkSource
from mas_fast.data.sources.open import look, open_source
from mas_fast.data.sources.tars import TarSource
from mas_fast.scene import SPACES, space_named


@dataclass(frozen=True)
class Inputs:
    """The parts of a source that become one shard each.

    They are the tars at `path`, or runs of `per_shard` samples of another kind of source.

    Attributes:
        path: the source.
        captions: table or JSON of captions, if one was given.
        per_shard: samples per shard, if the source has no tars.
        tars: the tars of the source, if it has any.
        samples: number of samples and rejects; None for tars, which would all have to be read.
        labels: label space of label maps beside photos, if one was given.
        landmarks: file or folder of annotated faces, if one was given.
    """

    path: Path
    captions: Path | None
    per_shard: int
    tars: tuple[Path, ...]
    samples: int | None
    labels: str | None = None
    landmarks: Path | None = None

    @classmethod
    def find(
        cls,
        path: Path,
        captions: Path | None,
        per_shard: int,
        labels: str | None = None,
        landmarks: Path | None = None,
    ) -> Inputs:
        """Look at a source.

        Args:
            path: the source.
            captions: table or JSON of captions, as in `open_source`.
            per_shard: samples per shard, if the source has no tars.
            labels: label space of label maps beside photos, as in `open_source`.
            landmarks: file or folder of annotated faces.

        Returns:
            Its parts.

        Raises:
            ValueError: as for `open_source` and `LandmarkSource.matched`.
        """
        contents = look(path) if captions is None and labels is None else None
        if contents and contents.tars:
            return cls(path, None, per_shard, tuple(contents.tars), None, None, landmarks)
        source = open_source(path, captions, labels, contents)
        if landmarks is not None:
            source = LandmarkSource.matched(source, Landmarks.read(landmarks))
        return cls(path, captions, per_shard, (), len(source), labels, landmarks)

    def __len__(self) -> int:
        return len(self.tars) if self.samples is None else -(-self.samples // self.per_shard)

    def describe(self) -> dict:
        """Return, for the manifest, how the source is divided and what labels and faces mean."""
        values: dict[str, object] = {}
        if self.landmarks is not None:
            values["landmarks"] = Landmarks.read(self.landmarks).describe()
        if self.labels is not None:
            values["labels"] = _described(self.labels)
        if self.samples is None:
            return values | {"tars": [[tar.name, tar.stat().st_size] for tar in self.tars]}
        return values | {"samples": self.samples, "per_shard": self.per_shard}

    def remember(self, output: Path, verify: bool) -> dict:
        """Return, for the manifest, digests of the files that are read, wherever they lie.

        Args:
            output: folder of the shards.
            verify: whether every byte counts.

        Returns:
            The digests of "input" and "captions", None for captions that were not given.

        Raises:
            ValueError: if the shards in `output`, if any, were made from something else.
        """
        options = _options(output)
        records: dict[str, dict | None] = {}
        for name, path in (("input", self.path), ("captions", self.captions)):
            record = options.get(name)
            if path is None:
                record = None
            elif not isinstance(record, dict):
                record = digest(path, [output], every_byte=verify)
            elif difference := _changes(record, path, output, verify):
                raise ValueError(
                    f"{difference}: the shards in {output} were made from what was there before; "
                    "put that back to go on, or give another folder with --output to begin anew"
                )
            records[name] = record
        return records

    def open(self) -> Callable[[int], tuple[Source, range]]:
        """Open the source.

        Returns:
            A function from the number of a shard to its source and the range of its items there.

        Raises:
            ValueError: if the source has changed since it was looked at.
        """
        faces = None if self.landmarks is None else Landmarks.read(self.landmarks)

        if self.samples is None:
            known = _checksums(self.path)

            def tar(number: int) -> tuple[Source, range]:
                file = self.tars[number]
                if file in known and (checksum := sha256(file)) != known[file]:
                    expected = f"expected {known[file]}, as its manifest says"
                    raise ValueError(f"{file}: found sha256 {checksum}, {expected}: it was changed")
                return _all(_marked(TarSource([file]), faces))

            return tar
        source = open_source(self.path, self.captions, self.labels)
        source = source if faces is None else LandmarkSource.matched(source, faces)
        count = len(source)
        if count != self.samples:
            problem = f"found {len(source)} samples, a moment ago {self.samples}"
            raise ValueError(f"{self.path}: {problem}: begin again when it no longer changes")

        def run(number: int) -> tuple[Source, range]:
            start = number * self.per_shard
            return source, range(start, min(start + self.per_shard, count))

        return run


def _checksums(path: Path) -> dict[Path, str]:
    """Return the checksums of the tars that `prepare` made; none are known for other tars."""
    try:
        shards = read_manifest(path, SCENES)["shards"]
    except (ValueError, OSError):
        return {}
    return {path / shard["file"]: shard["sha256"] for shard in shards}


def _marked(source: Source, faces: Landmarks | None) -> Source:
    return source if faces is None else LandmarkSource(source, faces)


def _described(labels: str) -> str | dict:
    """Return a label space for the manifest: its name, or the content of its file."""
    space = space_named(labels)
    return (
        labels if labels in SPACES else {str(value): name for value, name in space.values.items()}
    )


def _options(output: Path) -> dict:
    """Return the options of the run that made the shards in a folder; none without shards."""
    if not any(file.name != MANIFEST for file in output.glob("*.json")):
        return {}
    try:
        return read_manifest(output, SCENES, finished=False)["options"]
    except ValueError:
        return {}  # ShardFolder raises


def _changes(record: dict, path: Path, output: Path, verify: bool) -> str | None:
    try:
        return changes(record, path, [output], every_byte=verify)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{output / MANIFEST}: found a broken input ({error!r})") from error


def _all(source: Source) -> tuple[Source, range]:
    return source, range(len(source))
