"""What `prepare` makes shards of, one shard of each part, and what it remembers of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mas_fast.data.digest import changes, digest
from mas_fast.data.shards import MANIFEST, SCENES, read_manifest, sha256
from mas_fast.data.sources.base import Source
from mas_fast.data.sources.landmarks import Landmarks, LandmarkSource
from mas_fast.data.sources.open import find_tars, open_source
from mas_fast.data.sources.tars import TarSource
from mas_fast.scene import SPACES, space_named


@dataclass(frozen=True)
class Inputs:
    """What becomes one shard each: the tars at `path`, or the other source there in runs of
    `per_shard` samples."""

    path: Path
    captions: Path | None
    per_shard: int
    tars: tuple[Path, ...]
    samples: int | None  # None: not known without reading all tars
    labels: str | None = None  # of label maps beside photos
    landmarks: Path | None = None  # annotated faces

    @classmethod
    def find(
        cls,
        path: Path,
        captions: Path | None,
        per_shard: int,
        labels: str | None = None,
        landmarks: Path | None = None,
    ) -> Inputs:
        if captions is None and labels is None and (tars := find_tars(path)):
            return cls(path, None, per_shard, tuple(tars), None, None, landmarks)
        source = open_source(path, captions, labels)
        if landmarks is not None:
            source = LandmarkSource.matched(source, Landmarks.read(landmarks))
        return cls(path, captions, per_shard, (), len(source), labels, landmarks)

    def __len__(self) -> int:
        return len(self.tars) if self.samples is None else -(-self.samples // self.per_shard)

    def describe(self) -> dict:
        """For the manifest: how the shards are parted, and what the labels and faces are."""
        values: dict[str, object] = {}
        if self.landmarks is not None:
            values["landmarks"] = Landmarks.read(self.landmarks).describe()
        if self.labels is not None:
            values["labels"] = _described(self.labels)
        if self.samples is None:
            return values | {"tars": [[tar.name, tar.stat().st_size] for tar in self.tars]}
        return values | {"samples": self.samples, "per_shard": self.per_shard}

    def remember(self, output: Path, verify: bool) -> dict:
        """For the manifest: what is read, wherever it lies. ValueError where the shards in
        `output`, if any, were made from something else. verify: every byte counts."""
        then = _options(output)
        made: dict[str, dict | None] = {}
        for name, path in (("input", self.path), ("captions", self.captions)):
            made[name] = then.get(name)
            if path is None:
                made[name] = None
            elif not isinstance(made[name], dict):
                made[name] = digest(path, [output], whole=verify)
            elif found := _changes(made[name], path, output, verify):
                raise ValueError(
                    f"{found}: the shards in {output} were made from what was there before; put "
                    "that back to go on, or give another folder with --output to begin anew"
                )
        return made

    def open(self) -> Callable[[int], tuple[Source, range]]:
        """shard -> its source, and which items of it."""
        faces = None if self.landmarks is None else Landmarks.read(self.landmarks)

        if self.samples is None:
            known = _checksums(self.path)

            def tar(number: int) -> tuple[Source, range]:
                file = self.tars[number]
                if file in known and (found := sha256(file)) != known[file]:
                    expected = f"expected {known[file]}, as its manifest says"
                    raise ValueError(f"{file}: found sha256 {found}, {expected}: it was changed")
                return _all(_marked(TarSource([file]), faces))

            return tar
        source = open_source(self.path, self.captions, self.labels)
        source = source if faces is None else LandmarkSource.matched(source, faces)
        if len(source) != self.samples:
            found = f"found {len(source)} samples, a moment ago {self.samples}"
            raise ValueError(f"{self.path}: {found}: begin again when it no longer changes")

        def run(number: int) -> tuple[Source, range]:
            start = number * self.per_shard
            return source, range(start, min(start + self.per_shard, self.samples))

        return run


def _checksums(path: Path) -> dict[Path, str]:
    """Of the tars of a folder that `prepare` made; of others none is known."""
    try:
        shards = read_manifest(path, SCENES)["shards"]
    except (ValueError, OSError):
        return {}
    return {path / shard["file"]: shard["sha256"] for shard in shards}


def _marked(source: Source, faces: Landmarks | None) -> Source:
    return source if faces is None else LandmarkSource(source, faces)


def _described(labels: str) -> str | dict:
    """A label space for the manifest: its name, or what the file says."""
    space = space_named(labels)
    return (
        labels if labels in SPACES else {str(value): name for value, name in space.values.items()}
    )


def _options(output: Path) -> dict:
    """Of the run that made the shards in a folder; none where there are no shards."""
    if not any(file.name != MANIFEST for file in output.glob("*.json")):
        return {}
    try:
        return read_manifest(output, SCENES, whole=False)["options"]
    except ValueError:
        return {}  # told by ShardFolder


def _changes(then: dict, path: Path, output: Path, verify: bool) -> str | None:
    try:
        return changes(then, path, [output], whole=verify)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{output / MANIFEST}: found a broken input ({error!r})") from error


def _all(source: Source) -> tuple[Source, range]:
    return source, range(len(source))
