"""given.py: what is given becomes forced tokens."""

import numpy as np
import pytest
from PIL import Image

from mas_fast.models.codec import Codec
from mas_fast.models.vqvae import preset
from mas_fast.pipelines.given import cells, picture_codes, read_picture, scene_codes, tell_given
from mas_fast.scene import VOID, Scene, find_edges, scene_from_words
from mas_fast.text.bpe import BPE

SKY, GRASS, DOG = 119, 125, 16


class Corners(Codec):
    """The code of a cell is its upper left label, or grey, modulo the number of codes; and it keeps
    what it was asked to encode."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind, preset(f"tiny-{kind}"))
        self.seen: list = []

    def _encode(self, item):
        self.seen.append(item)
        values = item.labels if isinstance(item, Scene) else item[..., 0]
        values = values[None, :: self.config.f, :: self.config.f].astype(np.int64)
        return values % self.config.codes

    def _decode(self, codes):
        raise AssertionError


@pytest.fixture
def seg() -> Corners:
    return Corners("seg")


@pytest.fixture
def img() -> Corners:
    return Corners("img")


def scene_of(labels) -> Scene:
    return Scene(labels, find_edges(labels))


def test_cells_that_a_mask_touches() -> None:
    mask = np.zeros((6, 6), bool)
    mask[2, 5] = True
    assert np.argwhere(cells(mask, (3, 3))).tolist() == [[1, 2]]
    assert np.argwhere(cells(mask, (4, 4))).tolist() == [[1, 3]]  # a pixel from 1.33 to 2
    assert np.argwhere(cells(mask, (12, 6))).tolist() == [[4, 5], [5, 5]]
    assert not cells(mask & False, (3, 3)).any()


def test_a_whole_scene_is_encoded_as_it_is(seg) -> None:
    size = seg.config.resolution
    labels = np.random.default_rng(0).choice(np.array([SKY, GRASS, DOG], np.uint8), (size, size))
    codes = scene_codes(seg, scene_of(labels), None, 2, 2 * size)
    assert seg.seen == [scene_of(labels)]
    assert np.array_equal(codes, seg.encode([scene_of(labels)]).reshape(1, -1))


def test_cells_without_paint_are_drawn(seg) -> None:
    size, side = seg.config.resolution, seg.config.f
    labels = np.full((size, size), VOID, np.uint8)
    labels[side:, 0] = GRASS  # a line at the left
    labels[-1, -1] = SKY  # one pixel
    codes = scene_codes(seg, scene_of(labels), None, 1, size).reshape(seg.grid)
    given = np.zeros(seg.grid, bool)
    given[1:, 0] = given[-1, -1] = True
    assert ((codes >= 0) == given).all()
    assert not seg.seen[0].edges[:, 1:].any()  # none towards the void
    nothing = scene_of(np.full((size, size), VOID, np.uint8))
    assert (scene_codes(seg, nothing, None, 1, size) == -1).all()


def test_words_are_in_pixels_of_the_picture(seg) -> None:
    size = seg.config.resolution
    text = f"sky: 0,0,{2 * size},{size}; dog: 0,{size},{size},{2 * size}"
    codes = scene_codes(seg, text, None, 1, 2 * size)
    scene = scene_from_words(text, 2 * size, 2 * size).resize(size, size)
    assert np.array_equal(codes, scene_codes(seg, scene, None, 1, size))
    assert ((codes.reshape(seg.grid) < 0).sum(0)[seg.grid[1] // 2 :] > 0).all()
    with pytest.raises(ValueError, match=f"found the box 0,0,{2 * size},{size}, .* 0..{size}"):
        scene_codes(seg, text, None, 1, size)
    with pytest.raises(ValueError, match="scene: found int, expected a Scene, the path of one, or"):
        scene_codes(seg, 3, None, 1, size)
    with pytest.raises(ValueError, match="scene: found 1, expected one, or 2 as captions"):
        scene_codes(seg, [text], None, 2, size)


class Painted(Corners):
    """Decodes a code to that label, in all of its cell."""

    def _decode(self, codes):
        f = self.config.f
        return [scene_of(row.astype(np.uint8).repeat(f, 0).repeat(f, 1)) for row in codes]


def test_what_is_given_further_on_is_told(tmp_path) -> None:
    seg = Painted("seg")
    (tmp_path / "text.txt").write_text("a dog; given dog a5 d8, cat h1 h1\n" * 9)
    bpe = BPE.train([tmp_path / "text.txt"], vocab_size=270, length=60)
    given = np.full((4, *seg.grid), -1)
    given[0, 4:, :4] = DOG
    given[1] = DOG  # nothing is drawn
    given[3, :3] = DOG  # all of it comes first
    given[3, 6:, 2:4] = DOG - 1
    told = tell_given(["a dog"] * 4, given.reshape(4, -1), seg, bpe)
    assert told == ["a dog; given dog a5 d8", "a dog", "a dog", "a dog; given cat c7 d8"]


def test_transparent_cells_are_drawn(img, tmp_path) -> None:
    size, side = img.config.resolution, img.config.f
    pixels = np.random.default_rng(0).integers(0, 255, (size, size, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[0, 0, 3] = 254
    pixels[-side:, :, 3] = 0
    image = Image.fromarray(pixels, "RGBA")
    codes = picture_codes(img, image, None, 1).reshape(img.grid)
    drawn = np.zeros(img.grid, bool)
    drawn[0, 0] = drawn[-1] = True
    assert ((codes < 0) == drawn).all()
    assert (img.seen[0][:-side, :][1:] == pixels[1:-side, :, :3]).all()
    assert (img.seen[0][-side:] == pixels[-side - 1, :, :3]).all()  # what is under it is not seen
    image.save(tmp_path / "a.png")
    assert np.array_equal(picture_codes(img, tmp_path / "a.png", None, 1)[0], codes.reshape(-1))


def test_upper_rows(img, tmp_path) -> None:
    size, side = img.config.resolution, img.config.f
    pixels = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    for rows in (side, side + 1):
        for item in (image, tmp_path / "a.png", str(tmp_path / "a.png")):
            codes = picture_codes(img, item, rows, 1).reshape(img.grid)
            assert (codes[0] >= 0).all()
            assert (codes[1:] < 0).all()
            assert (img.seen[-1][rows:] == pixels[rows - 1]).all()
    two = picture_codes(img, [image, image.rotate(90)], side, 2)
    assert not np.array_equal(*two)
    for rows, message in (
        (size, "of which nothing is left to draw, expected transparent pixels where"),
        (None, "of which nothing is left to draw"),
        (side - 1, "of which no token is given"),
        (0, f"image_rows: found 0, expected an integer in 1..{size}"),
        (size + 1, "image_rows: found"),
    ):
        with pytest.raises(ValueError, match=message):
            picture_codes(img, image, rows, 1)
    with pytest.raises(ValueError, match="image: found ndarray, expected a path or a Pillow"):
        picture_codes(img, pixels, side, 1)


def test_the_middle_square_of_a_picture() -> None:
    gray = np.zeros((10, 20, 3), np.uint8)
    gray[:, 5:15] = 200
    pixels, given = read_picture(Image.fromarray(gray), 10)
    assert (pixels == 200).all()
    assert given.all()
    clear = np.dstack([gray, np.where(gray[..., :1] > 0, 255, 0).astype(np.uint8)])
    assert read_picture(Image.fromarray(clear, "RGBA"), 10)[1].all()
