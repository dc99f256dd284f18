"""data/sources/base.py: geometry on image and scene together; layers before the rules."""

import io

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.photos.photo import open_photo
from mas_fast.data.sources.assemble import assemble
from mas_fast.data.sources.base import Reject, Sample, Source
from mas_fast.scene import COCO_NAMES, Layers, Scene, find_edges


def test_geometry_acts_on_image_and_scene_together():
    labels = np.random.default_rng(0).integers(0, 133, (30, 50), dtype=np.uint8)
    labels[5, 6] = 132 + 14
    colors = Scene(labels, find_edges(labels)).colors()
    sample = Sample(
        "a", Image.fromarray(colors), ["c"], Scene(labels, find_edges(labels)), {"n": 1}
    )
    part = sample.crop(3, 4, 20, 10)
    assert (np.asarray(part.image) == part.scene.colors()).all()
    assert part.captions == ["c"]
    flipped = sample.flip()
    different = (np.asarray(flipped.image) != flipped.scene.colors()).any(-1)
    assert np.argwhere(different).tolist() == [[5, 43]]  # the left arm, which is now a right arm
    assert flipped.flip().scene == sample.scene
    assert flipped.info == {"n": 1}
    small = sample.resize(15, 25)
    assert small.image.size == (25, 15)
    assert small.scene.labels.shape == (15, 25)
    middle = sample.square(30)
    assert (np.asarray(middle.image) == colors[:, 10:40]).all()
    assert (middle.scene.labels == labels[:, 10:40]).all()
    squares = [sample.square(30, np.random.default_rng(n)).scene for n in range(20)]
    assert squares[3] == sample.square(30, np.random.default_rng(3)).scene
    assert len({square.labels.tobytes() for square in squares}) > 10
    assert Sample("a", sample.image).square(8).scene is None
    with pytest.raises(ValueError, match="image of 30 x 50 and a scene of 20 x 10"):
        Sample("a", sample.image, annotation=part.scene)
    with pytest.raises(ValueError, match="crop: found rows"):
        Sample("a", sample.image).crop(0, 0, 31, 1)


def test_layers_are_cut_before_the_rules_are_applied():
    panoptic = np.full((20, 40), COCO_NAMES.index("cat"), np.uint8)
    panoptic[:, 30:] = 0  # a person, on the right
    instances = np.repeat(np.arange(40, dtype=np.int32) // 10, 20).reshape(40, 20).T.copy()
    human = np.zeros((20, 40), np.uint8)
    human[5:9, 5:9] = 13  # a face in the cat: what a parser invents
    human[5:9, 32:36] = 14
    layers = Layers(panoptic, instances, human)
    sample = Sample("a", Image.new("RGB", (40, 20)), [], layers)
    assert sample.layers is layers
    assert sample.scene == layers.clean()
    assert sample.scene is sample.scene  # cleaned once
    left = sample.crop(0, 0, 20, 30)  # nobody is left, and so no parts
    assert set(left.scene.labels.flat) == {COCO_NAMES.index("cat")}
    assert left.scene == sample.layers.crop(0, 0, 20, 30).clean()
    small = sample.resize(5, 10)
    assert small.scene == find_edges_of(small.scene, small.layers.instances)
    flipped = sample.flip()
    assert flipped.scene.labels[6, 5] == 132 + 15
    assert flipped.scene == flipped.layers.clean()
    assert Sample("a", sample.image).scene is None
    assert Sample("a", sample.image).layers is None
    scene = layers.clean()
    assert Sample("a", sample.image, annotation=scene).layers is None
    with pytest.raises(ValueError, match="image of 20 x 30 and a scene of 20 x 40"):
        Sample("a", left.image, [], layers)


def find_edges_of(scene: Scene, instances: np.ndarray) -> Scene:
    """The scene with edges one pixel wide at its own size."""
    return Scene(scene.labels, find_edges(scene.labels, instances), scene.layout)


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


JPG = encoded(np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3))


def test_the_file_goes_with_its_pixels(tmp_path):
    (tmp_path / "a.jpg").write_bytes(JPG)
    for file in (JPG, tmp_path / "a.jpg"):
        sample = assemble("a", [("jpg", file), ("txt", b"a house")])
        assert sample.file == file == sample.decoded().file
        changed = (sample.crop(0, 0, 6, 8), sample.resize(6, 8), sample.flip(), sample.square(4))
        assert all(other.file is None for other in changed)


class Listed(Source):
    def __init__(self, items: list) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def key(self, index: int) -> str:
        return f"number {index}"

    def read(self, index: int) -> Sample | Reject:
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


def test_a_source_decodes_what_it_gives():
    content = encoded(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    photo, broken = open_photo(content), open_photo(content[:-100])
    reject = Reject("c", "why")
    items = [Sample("a", photo), Sample("b", broken), reject, ValueError("no such thing")]
    source = Listed(items)
    square = lambda sample: sample.square(8)  # noqa: E731
    for read in (
        source.__getitem__,
        lambda n: source.changed(n, square),
        lambda n: source.changed(n, lambda sample: sample),
        source.shard(0, 1).__getitem__,
    ):
        good, *rest = (read(n) for n in range(4))
        assert isinstance(good.photo, np.ndarray)
        assert good.key == "a"
        assert [item.key for item in rest] == ["b", "c", "number 3"]
        assert "truncated" in rest[0].reason
        assert rest[1:] == [reject, Reject("number 3", "no such thing")]
    assert source.shard(0, 2).changed(0, square).pixels.shape == (8, 8, 3)

    def refuse(sample: Sample) -> Sample:
        raise ValueError("not this one")

    assert source.changed(0, refuse) == Reject("a", "not this one")
    with pytest.raises(IndexError):
        source.changed(4, square)


def test_photos_of_a_sample():
    assert Sample("a", Image.new("RGB", (3, 2), "red")).pixels.tolist() == [[[255, 0, 0]] * 3] * 2
    for photo in (np.zeros((2, 3), np.uint8), np.zeros((2, 3, 3)), np.zeros((0, 3, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"photo: found .*, expected uint8 \[H, W, 3\]"):
            Sample("a", photo)
    for size in (0, True, 1.5):
        with pytest.raises((ValueError, TypeError), match="size"):
            Sample("a", Image.new("RGB", (3, 2))).square(size)
