"""Raw pictures with captions -> shards of clean scenes.

    prepare("coco", "scenes", workers=2)                         # `mas-fast data prepare`

Each input shard becomes one output shard. An input shard is a tar of the source, or a run of
samples if the source has no tars. On the way a picture gets its stored size, the annotators add
what the source does not know, and the cleaning rules turn the result into a scene. A shard is a
webdataset tar. For each sample it holds

    KEY.jpg       the picture, its shorter side as asked for
    KEY.txt       captions, one per line
    KEY.json      {"captions", "width", "height", "source": {"key", ...}}, and the boxes that the
                  source has, "object_boxes" and "face_boxes", in pixels of this picture
    KEY.seg.png, KEY.edge.png                                    # scene.Scene.to_pngs

where KEY is the number of the shard followed by the position of the sample in its input. Samples
that cannot be used are listed with a reason in rejects.tsv, even if the run is stopped. The same
input and options give the same bytes, on any number of workers. A run remembers what it was made
from (see digest) and refuses another input.
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
from typing import TypeVar

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
from mas_fast.data.workers import Job, Make, run_job
from mas_fast.scene import PERSON, Layers, Scene, layout_named
from mas_fast.utils.files import replace_file
from mas_fast.utils.outputs import check_apart
from mas_fast.utils.validate import check_int

CHUNK = 64  # pictures handed to the annotators at once, which form batches of them
QUALITY = 95  # of a JPEG that has to be encoded again
JPEG_SIDE = 65500  # pixels; the longest side that libjpeg writes
KEPT = ("image_id", "license", "url")  # keys of the source's own information that are stored

T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """What is done to a sample.

    Attributes:
        size: length of the shorter side, in pixels.
        layout: name of the scene's layout, as in `scene.clean`.
        min_person_px: person pixels that open the person gate, as in `scene.clean`.
        restrict_to_person: whether human and face parts count on person pixels alone, as in
            `scene.clean`.
    """

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
    """Make a folder of scene shards, or continue one.

    Args:
        source: the data set, as in `data.sources.open.open_source`.
        output: folder of the shards.
        captions: table or JSON of captions, as in `open_source`.
        labels: label space of label maps beside photos, as in `open_source`.
        landmarks: annotated faces (see `data.sources.landmarks`), which become face parts.
        rules: size and cleaning of each sample; the defaults of `Rules` if None.
        annotators: recipes of annotators, in order (see `data.annotators.recipe`). Without any,
            the annotations of the source are used.
        per_shard: samples per shard, if the source has no tars.
        workers: number of processes, as in `workers.run_job`.
        ray: address of a Ray cluster, as in `workers.run_job`.
        verify: remember every byte of the input, or compare it with every byte that is remembered.
            Without it, names and sizes are compared, and where times of change differ, bytes up to
            `digest.LIMIT`.
        progress: whether to show a progress bar.

    Returns:
        The manifest of the folder.

    Raises:
        ValueError: if an argument is unfit, if `output` lies in the source or around it, if the
            folder belongs to another run, or if its shards were made from another input.
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
    pending = folder.begin()
    finished = map(folder.read_sidecar, sorted(set(range(len(inputs))) - set(pending)))
    try:
        run_job(
            Preparation(folder, inputs, rules, recipes),
            pending,
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
    """Return the number of samples without a caption in a folder of scene shards."""
    files = [file for file in Path(output).glob("*.json") if file.name != MANIFEST]
    counts = (read_sidecar(file, SCENES)["statistics"]["captions"] for file in files)
    return sum(count.get("0", 0) for count in counts)


def _list_rejects(folder: ShardFolder, count: int) -> None:
    """Write rejects.tsv for the shards that are finished, if any."""
    numbers = [number for number in range(count) if folder.sidecar(number).is_file()]
    cars = map(folder.read_sidecar, numbers)
    lines = [rejects.line(car["file"], *reject) for car in cars for reject in car["rejects"]]
    if numbers:
        file = folder.path / rejects.FILE
        replace_file(file, lambda temporary: temporary.write_text("".join(lines), "utf-8"))


@dataclass(frozen=True)
class Preparation(Job):
    """The job of `prepare`: one shard per call.

    Attributes:
        folder: where the shards go.
        inputs: what each shard is made from.
        rules: size and cleaning of each sample.
        recipes: annotators, in order.
    """

    folder: ShardFolder
    inputs: Inputs
    rules: Rules
    recipes: tuple[Recipe, ...]

    @property
    def device(self) -> str | None:  # type: ignore[override]  # computed: nothing assigns to it
        """The device of the annotators: "cuda" if one of them needs it, None without any."""
        devices = {recipe.device for recipe in self.recipes}
        return "cuda" if "cuda" in devices else "cpu" if devices else None

    def open(self) -> Make:
        """Make the annotators and open the source; see `Job.open`."""
        annotators = [recipe.make() for recipe in self.recipes]
        items = self.inputs.open()

        def make(number: int, tick: Callable[[int], object]) -> int:
            source, indices = items(number)

            def write(file: Path) -> dict:
                with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
                    shard = _Shard(tar, f"{number:05}", self.rules)
                    for start in range(0, len(indices), CHUNK):
                        chunk = indices[start : start + CHUNK]
                        for index, item in annotated(source, chunk, self.rules.size, annotators):
                            shard.add(index - indices.start, item)
                            tick(1)
                    return shard.facts()

            self.folder.commit(number, write)
            return len(indices)

        return make


# ---------------------------------------------------------------------------- reading, annotating


def annotated(
    source: Source, indices: range, size: int, annotators: Sequence[Annotator]
) -> Iterator[tuple[int, Sample | Reject]]:
    """Read items at their stored size and add what the annotators find.

    Args:
        source: where the items come from.
        indices: which items of it.
        size: length of the shorter side, in pixels.
        annotators: annotators, in order.

    Yields:
        The index of each item, and the item.
    """
    items: dict[int, Sample | Reject] = {}
    for index in indices:
        items[index] = source.changed(index, lambda sample: stored_size(sample, size))
    if annotators:
        good = {index: item for index, item in items.items() if isinstance(item, Sample)}
        try:
            items.update(zip(good, _annotate(list(good.values()), annotators), strict=True))
        except ValueError:  # one of them is to blame; the others come out as they would beside it
            for index, sample in good.items():
                items[index] = _attempt(sample, lambda s: _annotate([s], annotators)[0])
    yield from items.items()


def stored_size(sample: Sample, size: int) -> Sample:
    """Resize a sample so that its shorter side has `size` pixels.

    Args:
        sample: the sample at its original size.
        size: length of the shorter side, in pixels.

    Returns:
        The resized sample.

    Raises:
        ValueError: if the longer side would exceed what a JPEG may have.
    """
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
    layers: Sequence[Layers | None] = [sample.layers for sample in samples]
    for annotator in annotators:
        layers = annotator(images, layers)
    return [
        replace(s, annotation=annotation) for s, annotation in zip(samples, layers, strict=True)
    ]


def _attempt(item: Sample | Reject, change: Callable[[Sample], T]) -> T | Reject:
    """Return what `change` makes of a sample, or the reject that says why it cannot."""
    if isinstance(item, Reject):
        return item
    try:
        return change(item)
    except ValueError as error:
        return Reject(printable(item.key), printable(str(error)))


# ---------------------------------------------------------------------------- writing


class _Shard:
    """One shard in the making: samples go to an open tar, rejects and statistics to the sidecar."""

    def __init__(self, tar: tarfile.TarFile, prefix: str, rules: Rules) -> None:
        self.tar, self.prefix, self.rules = tar, prefix, rules
        self.rejects: list[list[str]] = []
        self.statistics = Statistics()

    def add(self, number: int, item: Sample | Reject) -> None:
        result = _attempt(item, lambda sample: (sample, *self._scene(sample)))
        if isinstance(result, Reject):
            self.rejects.append([" ".join(text.split()) for text in (result.key, result.reason)])
            return
        sample, scene, person, closed = result
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
            member = tarfile.TarInfo(f"{self.prefix}{number:05}.{suffix}")
            member.size = len(content)
            self.tar.addfile(member, io.BytesIO(content))

    def facts(self) -> dict:
        return {
            "samples": self.statistics.samples,
            "rejects": self.rejects,
            "statistics": self.statistics.to_dict(),
        }

    def _scene(self, sample: Sample) -> tuple[Scene, bool, bool]:
        """Return the scene, whether it has a person, and whether the gate took parts away."""
        rules, layers = self.rules, sample.annotation
        layout = layout_named(rules.layout)
        if layers is None:
            raise ValueError("found no annotation, expected one beside the image, or an annotator")
        if isinstance(layers, Scene):  # it was cleaned before
            scene = layers.to(layout)
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
    person = scene.labels == PERSON
    for part in parts:
        person |= (scene.labels >= part.start) & (scene.labels < part.stop)
    return bool(person.any())


def jpeg(sample: Sample) -> bytes:
    """Encode the picture of a sample as a JPEG.

    The file of the source is taken as it is if it is an upright JPEG of this size that means the
    same to any reader (above all, in sRGB). Otherwise the picture is encoded again, in sRGB and
    without a profile.

    Args:
        sample: the sample at its stored size.

    Returns:
        Content of the JPEG file.
    """
    if sample.file is not None:
        content = sample.file if isinstance(sample.file, bytes) else sample.file.read_bytes()
        if is_plain_jpeg(content, sample.height, sample.width):
            return content
    file = io.BytesIO()
    sample.image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def about(sample: Sample) -> dict:
    """Describe a sample for its JSON file.

    Args:
        sample: the sample at its stored size.

    Returns:
        Captions, width and height in pixels, the source's own information, and the boxes.
    """
    source = {"key": sample.key, **{k: sample.info[k] for k in KEPT if k in sample.info}}
    size = {"width": sample.width, "height": sample.height}
    values = {"captions": sample.captions, **size, "source": source}
    return values | sample.boxes.to_dict()
