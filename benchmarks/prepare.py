"""Subject "prepare": `data prepare` of a COCO folder by one worker and by two, and what a sample
takes on the disk.

Both are commands of their own, from the call to the last file, in turns. The photos are repeated
until starting the processes no longer counts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import REAL_DATA, goals, results
from benchmarks.goals import Goal
from benchmarks.versus import Block, Contestant, Disagreement, Match, measure

DATA = REAL_DATA / "coco"
ONE, TWO = "1 worker", "2 workers"
WORKERS = {ONE: 1, TWO: 2}
MAIN = "from mas_fast.cli import main; main()"
KEPT = 15_000  # bytes beside the JPEG


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        data: folder of the data.
        copies: of the folder's photos.
        per_shard: samples.
        blocks: rounds of one block for each contestant.
    """

    data: Path = DATA
    copies: int = 20
    per_shard: int = 25
    blocks: int = 5


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure one worker and two.

    Args:
        plan: what to do; the defaults of `Plan` if None.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        ValueError: if there are no photos.
        Disagreement: if the two do not write the same.
    """
    plan = plan or Plan()
    if not plan.data.is_dir():
        raise ValueError(f"{plan.data}: found no such folder, expected COCO's photos")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(plan, Path(folder))
        match = measure([bench.contestant(name) for name in WORKERS], plan.blocks)
        most = max(bench.beside_jpeg())
    speedup = 1 / match.ratio(TWO, ONE).value
    ratio = match.ratio(TWO, ONE)
    spread = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    outcomes = [
        Goal(f"{TWO}: times as fast as {ONE}", speedup, 1.75, at_most=False, detail=spread),
        Goal("a stored sample beside its JPEG, kB", most / 1e3, KEPT / 1e3),
    ]
    rows = []
    for name in WORKERS:
        low, high = (bench.images / seconds for seconds in reversed(match.spread(name)))
        rows.append([name, bench.images / match.median(name), f"{low:.0f}..{high:.0f}"])
    title = f"prepare: {bench.images} photos of COCO, {os.cpu_count()} cores"
    return {
        **results.provenance(),
        "images": bench.images,
        "matches": {"workers": match.to_dict()},
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [
            {"title": title, "columns": ["", "images/s", "quartiles"], "rows": rows},
            goals.table(outcomes),
        ],
    }


class Bench:
    """The folder with the photos, and one for each result."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.source = folder / "source"
        self.images = repeat(plan.data, self.source, plan.copies)

    def contestant(self, name: str) -> Contestant:
        def block() -> Block:
            seconds = self.prepare(name)
            return Block("", (seconds,))

        return Contestant(name, block, self.verify if name == ONE else None)

    def prepare(self, name: str) -> float:
        """Run the whole command and return its seconds."""
        output = self.folder / name
        shutil.rmtree(output, ignore_errors=True)
        arguments = ["-o", output, "--workers", WORKERS[name], "--per-shard", self.plan.per_shard]
        command = [sys.executable, "-c", MAIN, "data", "prepare", self.source, *arguments]
        start = time.perf_counter()
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        return time.perf_counter() - start

    def verify(self) -> None:
        checksums = []
        for name in WORKERS:
            self.prepare(name)
            shards = json.loads((self.folder / name / "manifest.json").read_text())["shards"]
            checksums.append([shard["sha256"] for shard in shards])
        if checksums[0] != checksums[1]:
            raise Disagreement("prepare: found other shards with two workers than with one")

    def beside_jpeg(self) -> list[int]:
        """Return the bytes of each sample in the tars: headers and padding, but not its JPEG."""
        used: dict[str, int] = {}
        for file in sorted((self.folder / ONE).glob("*.tar")):
            with tarfile.open(file) as tar:
                for member in tar:
                    key, _, suffix = member.name.partition(".")
                    padded = tarfile.BLOCKSIZE * (1 + -(-member.size // tarfile.BLOCKSIZE))
                    used.setdefault(key, 0)
                    used[key] += padded - (member.size if suffix == "jpg" else 0)
        return list(used.values())


def repeat(source: Path, folder: Path, copies: int) -> int:
    """Make a COCO folder that has every photo and annotation of another many times, as links.

    Each has an id of its own.

    Args:
        source: the COCO folder.
        folder: where the new one goes.
        copies: how many times.

    Returns:
        How many photos there are.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "panoptic").mkdir()
    images, annotations, categories = [], [], []
    for file in sorted(source.glob("panoptic_*.json")):
        values = json.loads(file.read_text())
        if "images" not in values:  # the list of categories
            continue
        categories = values["categories"]
        photos = {image["id"]: image["file_name"] for image in values["images"]}
        for annotation in values["annotations"]:
            photo = photos[annotation["image_id"]]
            for _ in range(copies):
                number = len(images)
                os.symlink(source / "images" / photo, folder / "images" / f"{number}.jpg")
                png = source / "panoptic" / annotation["file_name"]
                os.symlink(png, folder / "panoptic" / f"{number}.png")
                images.append({"id": number, "file_name": f"{number}.jpg"})
                changes = {"image_id": number, "file_name": f"{number}.png"}
                annotations.append({**annotation, **changes})
    values = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "panoptic_all.json").write_text(json.dumps(values))
    return len(images)
