"""Raw pictures with captions -> shards of clean scenes.

    prepare("coco", "scenes", workers=2)                         # `mas-fast data prepare`

One shard goes in and one comes out: a tar of the source, or a run of samples where it has none. On
the way a picture gets its stored size, the annotators add what the source does not know, and the
cleaning rules make a scene of that. A shard is a webdataset tar; of a sample it has

    KEY.jpg       the picture, its shorter side as asked for
    KEY.txt       captions, one a line
    KEY.json      {"captions", "width", "height", "source": {"key", ...}}, and the boxes that the
                  source has, "object_boxes" and "face_boxes", in pixels of this picture
    KEY.seg.png, KEY.edge.png                                    # scene.Scene.to_pngs

and KEY is the shard's number and the sample's place in the input. What cannot be used is listed
with its reason in rejects.tsv, also when a run is stopped. The same input and options give the same
bytes, whoever makes them. What a run was made from is remembered (see digest), and another input is
refused.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mas_fast.data import rejects
from mas_fast.data.annotators.base import Annotator
from mas_fast.data.annotators.recipe import Recipe
from mas_fast.data.inputs import Inputs
from mas_fast.data.photos.photo import is_plain_jpeg
from mas_fast.data.shards import MANIFEST, SCENES, ShardFolder, read_sidecar
from mas_fast.data.sources.base import Reject, Sample, Source
from mas_fast.data.sources.names import printable
from mas_fast.data.statistics import Statistics
from mas_fast.data.workers import Job, run_job
from mas_fast.scene import PERSON, Scene, layout_named
from mas_fast.utils.files import replace_file
from mas_fast.utils.outputs import check_apart
from mas_fast.utils.validate import check_int

CHUNK = 64  # pictures that the annotators get at once, to form batches of
QUALITY = 95  # of a JPEG that is written anew
JPEG_SIDE = 65500  # the longest that libjpeg writes
KEPT = ("image_id", "license", "url")  # of what the source says about a sample


@dataclass(frozen=True)
class Rules:
    """What is done to a sample. size: the shorter side in pixels. The rest as scene.clean."""

    size: int = 256
    layout: str = "mini158"
    min_person_px: int = 1
    restrict_to_person: bool = False

    def __post_init__(self) -> None:
        check_int("size", self.size, 1)
        check_int("min_person_px", self.min_person_px, 1)
        layout_named(self.layout)


def prepare(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    captions: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
    landmarks: str | os.PathLike | None = None,
    rules: Rules | None = None,
    annotators: Sequence[str] = (),
    per_shard: int = 1000,
    workers: int = 1,
    ray: str | None = None,
    verify: bool = False,
    progress: bool = True,
) -> dict:
    """Make the folder `output` of scene shards from `source` (see data.sources.open_source), or
    continue it, and return its manifest.

    captions, labels: as open_source. landmarks: annotated faces (see data.sources.landmarks), which
    become face parts. annotators: recipes of annotators, in order (see data.annotators.recipe);
    without any, the annotations of the source are used. per_shard: samples, where the source has
    no tars. workers, ray: as workers.run_job. verify: remember every byte of the input, or compare
    with every byte that is remembered; without it, names and sizes are compared, and where times of
    change differ, bytes up to digest.LIMIT. ValueError for unfit arguments, for an output in the
    source or around it, for a folder that is another run's, and for another input than its shards
    were made from.
    """
    check_int("per_shard", per_shard, 1)
    check_apart(output, source)
    rules = rules or Rules()
    recipes = tuple(Recipe.parse(text) for text in annotators)
    labels = None if labels is None else os.fspath(labels)
    captions = None if captions is None else Path(captions)
    landmarks = None if landmarks is None else Path(landmarks)
    inputs = Inputs.find(Path(source), captions, per_shard, labels, landmarks)
    options = {
        **inputs.describe(),
        **inputs.remember(Path(output), verify),
        **vars(rules),
        "quality": QUALITY,
        "annotators": [recipe.describe() for recipe in recipes],
    }
    folder = ShardFolder(output, SCENES, "tar", options, len(inputs))
    left = folder.begin()
    finished = map(folder.read_sidecar, sorted(set(range(len(inputs))) - set(left)))
    try:
        run_job(
            Preparation(folder, inputs, rules, recipes),
            left,
            workers=workers,
            ray=ray,
            done=sum(car["samples"] + len(car["rejects"]) for car in finished),
            images=inputs.samples,
            progress=progress,
        )
    except BaseException:  # also Ctrl-C
        with contextlib.suppress(OSError, ValueError):
            _list_rejects(folder, len(inputs))
        raise
    _list_rejects(folder, len(inputs))
    return folder.finish()


def uncaptioned(output: str | os.PathLike) -> int:
    """How many samples in a folder of scene shards have no caption."""
    files = [file for file in Path(output).glob("*.json") if file.name != MANIFEST]
    counts = (read_sidecar(file, SCENES)["statistics"]["captions"] for file in files)
    return sum(count.get("0", 0) for count in counts)


def _list_rejects(folder: ShardFolder, count: int) -> None:
    """Write rejects.tsv, of the shards that are finished, if any."""
    numbers = [number for number in range(count) if folder.sidecar(number).is_file()]
    cars = map(folder.read_sidecar, numbers)
    lines = [rejects.line(car["file"], *reject) for car in cars for reject in car["rejects"]]
    if numbers:
        file = folder.path / rejects.FILE
        replace_file(file, lambda temporary: temporary.write_text("".join(lines), "utf-8"))


@dataclass(frozen=True)
class Preparation(Job):
    """See prepare."""

    folder: ShardFolder
    inputs: Inputs
    rules: Rules
    recipes: tuple[Recipe, ...]

    @property
    def device(self) -> str | None:
        devices = {recipe.device for recipe in self.recipes}
        return "cuda" if "cuda" in devices else "cpu" if devices else None

    def open(self) -> Callable[[int, Callable[[int], object]], int]:
        annotators = [recipe.make() for recipe in self.recipes]
        items = self.inputs.open()

        def make(number: int, tick: Callable[[int], object]) -> int:
            source, indices = items(number)

            def write(file: Path) -> dict:
                with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
                    shard = _Shard(tar, f"{number:05}", self.rules)
                    for start in range(0, len(indices), CHUNK):
                        some = indices[start : start + CHUNK]
                        for place, item in annotated(source, some, self.rules.size, annotators):
                            shard.add(place - indices.start, item)
                            tick(1)
                    return shard.facts()

            self.folder.commit(number, write)
            return len(indices)

        return make


# ---------------------------------------------------------------------------- reading, annotating


def annotated(
    source: Source, indices: range, size: int, annotators: Sequence[Annotator]
) -> Iterator[tuple[int, Sample | Reject]]:
    """The items at their stored size, with what the annotators add."""
    items = {}
    for index in indices:
        items[index] = source.changed(index, lambda sample: stored_size(sample, size))
    if annotators:
        good = [index for index, item in items.items() if isinstance(item, Sample)]
        try:
            items.update(zip(good, _annotate([items[i] for i in good], annotators), strict=True))
        except ValueError:  # of one of them; the others are as they would have been with it
            for index in good:
                items[index] = _attempt(items[index], lambda s: _annotate([s], annotators)[0])
    yield from items.items()


def stored_size(sample: Sample, size: int) -> Sample:
    """With a shorter side of `size` pixels. ValueError where the longer side would be more than a
    JPEG may have."""
    width, height = sample.width, sample.height
    short = min(width, height)
    target = [max(round(side * size / short), 1) for side in (height, width)]
    if max(target) > JPEG_SIDE:
        raise ValueError(
            f"found {width} x {height} pixels: with a shorter side of {size} the longer one would "
            f"be {max(target)}, expected at most {JPEG_SIDE}"
        )
    if target == [height, width]:
        return replace(sample, photo=sample.pixels)
    return sample.resize(*target)


def _annotate(samples: list[Sample], annotators: Sequence[Annotator]) -> list[Sample]:
    images = [sample.pixels for sample in samples]
    layers = [sample.layers for sample in samples]
    for annotator in annotators:
        layers = annotator(images, layers)
    return [replace(s, annotation=found) for s, found in zip(samples, layers, strict=True)]


def _attempt(item: Sample | Reject, change: Callable[[Sample], object]):
    """What `change` makes of a sample, or the reject that says why it cannot."""
    if isinstance(item, Reject):
        return item
    try:
        return change(item)
    except ValueError as error:
        return Reject(printable(item.key), printable(str(error)))


# ---------------------------------------------------------------------------- writing


class _Shard:
    """Samples go to an open tar, and rejects and statistics to the sidecar."""

    def __init__(self, tar: tarfile.TarFile, prefix: str, rules: Rules) -> None:
        self.tar, self.prefix, self.rules = tar, prefix, rules
        self.rejects: list[list[str]] = []
        self.statistics = Statistics()

    def add(self, place: int, item: Sample | Reject) -> None:
        made = _attempt(item, lambda sample: (sample, *self._scene(sample)))
        if isinstance(made, Reject):
            self.rejects.append([" ".join(text.split()) for text in (made.key, made.reason)])
            return
        sample, scene, person, closed = made
        self.statistics.add(scene, sample.captions, person, closed)
        labels, edges = scene.to_pngs()
        files = {
            "jpg": jpeg(sample),
            "txt": "".join(f"{' '.join(text.split())}\n" for text in sample.captions).encode(),
            "json": json.dumps(about(sample), ensure_ascii=False).encode(),
            "seg.png": labels,
            "edge.png": edges,
        }
        for suffix, content in files.items():
            member = tarfile.TarInfo(f"{self.prefix}{place:05}.{suffix}")
            member.size = len(content)
            self.tar.addfile(member, io.BytesIO(content))

    def facts(self) -> dict:
        return {
            "samples": self.statistics.samples,
            "rejects": self.rejects,
            "statistics": self.statistics.to_dict(),
        }

    def _scene(self, sample: Sample) -> tuple[Scene, bool, bool]:
        """(scene, whether there is a person, whether the gate took parts away)."""
        rules, layers = self.rules, sample.layers
        layout = layout_named(rules.layout)
        if sample.annotation is None:
            raise ValueError("found no annotation, expected one beside the image, or an annotator")
        if layers is None:  # it was cleaned before
            scene = sample.annotation.to(layout)
            return scene, _has_person(scene), False
        scene = layers.clean(
            layout,
            min_person_px=rules.min_person_px,
            restrict_to_person=rules.restrict_to_person,
        )
        person = np.count_nonzero(layers.panoptic == PERSON) >= rules.min_person_px
        parts = any(part is not None and part.any() for part in (layers.human, layers.face))
        return scene, bool(person), parts and not person


def _has_person(scene: Scene) -> bool:
    parts = (scene.layout.human_channels, scene.layout.face_channels)
    found = scene.labels == PERSON
    for part in parts:
        found |= (scene.labels >= part.start) & (scene.labels < part.stop)
    return bool(found.any())


def jpeg(sample: Sample) -> bytes:
    """The file of the source where it is an upright JPEG of this size that means the same to any
    reader (in sRGB, above all), else a new one, in sRGB and without a profile."""
    if sample.file is not None:
        content = sample.file if isinstance(sample.file, bytes) else sample.file.read_bytes()
        if is_plain_jpeg(content, sample.height, sample.width):
            return content
    file = io.BytesIO()
    sample.image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def about(sample: Sample) -> dict:
    """The json of a sample."""
    source = {"key": sample.key, **{k: sample.info[k] for k in KEPT if k in sample.info}}
    size = {"width": sample.width, "height": sample.height}
    values = {"captions": sample.captions, **size, "source": source}
    return values | sample.boxes.to_dict()
