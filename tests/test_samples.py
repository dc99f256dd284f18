"""data/images.py and data/samples.py: photos of every kind; geometry on image and scene."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.images import read_image
from mas_fast.data.samples import Sample, assemble
from mas_fast.scene import COCO_NAMES, Layers, Scene, find_edges


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


JPG = encoded(np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3), "JPEG")


def bomb() -> bytes:
    """A PNG of 9000 x 9000 pixels in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_images_of_every_mode_become_upright_rgb(tmp_path):
    grey = np.full((4, 6), 100, np.uint8)
    for content in (
        encoded(grey),
        encoded(grey.astype(np.uint16) * 256 + 77),
        encoded(Image.fromarray(grey).convert("RGB").quantize(4)),
        encoded(Image.fromarray(grey).convert("CMYK"), "TIFF"),
        encoded(Image.fromarray(grey).convert("RGB"), "WEBP", lossless=True),
    ):
        image = read_image(content)
        assert image.mode == "RGB" and image.size == (6, 4)
        assert abs(np.asarray(image).astype(int) - 100).max() <= 1
    for mode in ("LA", "RGBA"):
        clear = Image.new(mode, (2, 1), 0)
        assert (np.asarray(read_image(encoded(clear))) == 255).all()
    assert read_image(encoded(np.zeros((1, 1), np.uint8))).size == (1, 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    image = np.asarray(read_image(encoded(pixels, "JPEG", exif=exif)))
    assert image.shape == (32, 16, 3) and image[:12].min() > 200 and image[20:].max() < 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found data that is no image"),
        (b"GIF89a", "image: "),
        (JPG[: len(JPG) * 3 // 4], "(?i)truncated"),
        (bomb(), "found 9000 x 9000 pixels, expected at most"),
        (encoded(Image.new("F", (2, 2)), "TIFF"), "floating-point"),
    ],
)
def test_images_that_cannot_be_read(content, message):
    with pytest.raises(ValueError, match=message):
        read_image(content)


def test_geometry_acts_on_image_and_scene_together():
    labels = np.random.default_rng(0).integers(0, 133, (30, 50), dtype=np.uint8)
    labels[5, 6] = 132 + 14
    colors = Scene(labels, find_edges(labels)).colors()
    sample = Sample(
        "a", Image.fromarray(colors), ["c"], Scene(labels, find_edges(labels)), {"n": 1}
    )
    part = sample.crop(3, 4, 20, 10)
    assert (np.asarray(part.image) == part.scene.colors()).all() and part.captions == ["c"]
    flipped = sample.flip()
    different = (np.asarray(flipped.image) != flipped.scene.colors()).any(-1)
    assert np.argwhere(different).tolist() == [[5, 43]]  # the left arm, which is now a right arm
    assert flipped.flip().scene == sample.scene and flipped.info == {"n": 1}
    small = sample.resize(15, 25)
    assert small.image.size == (25, 15) and small.scene.labels.shape == (15, 25)
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
    assert sample.layers is layers and sample.scene == layers.clean()
    assert sample.scene is sample.scene  # cleaned once
    left = sample.crop(0, 0, 20, 30)  # nobody is left, and so no parts
    assert set(left.scene.labels.flat) == {COCO_NAMES.index("cat")}
    assert left.scene == sample.layers.crop(0, 0, 20, 30).clean()
    small = sample.resize(5, 10)
    assert small.scene == find_edges_of(small.scene, small.layers.instances)
    flipped = sample.flip()
    assert flipped.scene.labels[6, 5] == 132 + 15 and flipped.scene == flipped.layers.clean()
    assert Sample("a", sample.image).scene is None and Sample("a", sample.image).layers is None
    scene = layers.clean()
    assert Sample("a", sample.image, annotation=scene).layers is None
    with pytest.raises(ValueError, match="image of 20 x 30 and a scene of 20 x 40"):
        Sample("a", left.image, [], layers)


def find_edges_of(scene: Scene, instances: np.ndarray) -> Scene:
    """The scene with edges one pixel wide at its own size."""
    return Scene(scene.labels, find_edges(scene.labels, instances), scene.layout)


def test_the_file_goes_with_its_pixels(tmp_path):
    (tmp_path / "a.jpg").write_bytes(JPG)
    for file in (JPG, tmp_path / "a.jpg"):
        sample = assemble("a", [("jpg", file), ("txt", b"a house")])
        assert sample.file == file
        changed = (sample.crop(0, 0, 6, 8), sample.resize(6, 8), sample.flip(), sample.square(4))
        assert all(other.file is None for other in changed)
