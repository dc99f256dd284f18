"""codec.py: what is encoded and decoded, and what is refused, whatever computes it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mas_fast.models.codec import Codec
from mas_fast.models.vqvae_config import preset
from mas_fast.scene import MAS159, Scene
from mas_fast.streams import Stream

IMG, SEG = (replace(preset(f"tiny-{name}"), resolution=16) for name in ("img", "seg"))
PIXELS = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
SCENE = Scene(np.full((16, 16), 7, np.uint8), np.zeros((16, 16), bool))


class Plain(Codec):
    """Notes what it is given; the codes of item n are all n."""

    def __init__(self, config) -> None:
        super().__init__("here: vq", config)
        self.seen = []

    def _encode(self, item):
        self.seen.append(item)
        return np.full((1, 4, 4), len(self.seen) - 1, np.int64)

    def _decode(self, codes):
        self.seen.append(codes)
        return [len(self.seen)] * len(codes)


def test_items_are_encoded_one_at_a_time() -> None:
    codec = Plain(IMG)
    codes = codec.encode([PIXELS, Image.fromarray(PIXELS[::-1]), Image.new("L", (16, 16), 3)])
    assert codes.dtype == np.int64
    assert codes[:, 0, 0].tolist() == [0, 1, 2]
    assert codes.shape == (3, 4, 4)
    for seen, expected in zip(codec.seen, (PIXELS, PIXELS[::-1], PIXELS * 0 + 3), strict=True):
        assert np.array_equal(seen, expected)
    assert Plain(IMG).encode(np.stack([PIXELS] * 2)).shape == (2, 4, 4)


def test_scenes_come_in_the_layout_of_the_tokenizer() -> None:
    codec = Plain(SEG)
    codec.encode([SCENE.to(MAS159), SCENE])
    assert codec.seen == [SCENE, SCENE]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_codes_are_decoded_one_at_a_time(dtype) -> None:
    codec = Plain(IMG)
    codes = np.arange(32, dtype=dtype).reshape(2, 4, 4)
    assert codec.decode(codes) == [1, 2]
    assert codec.decode(codes[:0]) == []
    for seen, expected in zip(codec.seen, codes, strict=True):
        assert seen.dtype == np.int64
        assert np.array_equal(seen, expected[None])


def test_some_codes_are_decoded_together() -> None:
    codec = Plain(IMG)
    codec.together = 3
    codes = np.arange(7 * 16).reshape(7, 4, 4) % 64
    assert codec.decode(codes) == [1, 1, 1, 2, 2, 2, 3]
    assert np.array_equal(np.concatenate(codec.seen), codes)
    assert codec.decode(codes[:0]) == []


@pytest.mark.parametrize(
    ("config", "items", "message"),
    [
        (IMG, [], "found .., expected a list, not empty"),
        (IMG, Image.new("RGB", (16, 16)), "expected a list, not empty"),
        (SEG, SCENE, "expected a list, not empty"),
        (
            IMG,
            [PIXELS[:8]],
            r"here: vq: item 1: found uint8 \[8, 16, 3\], expected a picture, uint",
        ),
        (IMG, [PIXELS, PIXELS / 255], r"item 2: found float64 \[16, 16, 3\], expected a picture"),
        (IMG, [SCENE], "item 1: found Scene, expected a picture"),
        (IMG, ["a.png"], "item 1: found str, expected a picture"),
        (SEG, [PIXELS], r"item 1: found uint8 \[16, 16, 3\], expected a Scene"),
        (SEG, [SCENE, SCENE.resize(8, 16)], "item 2: found a scene of 8 x 16, expected 16 x 16"),
    ],
)
def test_unfit_items_are_named(config, items, message) -> None:
    codec = Plain(config)
    with pytest.raises(ValueError, match=message):
        codec.encode(items)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((4, 4), int), r"here: vq: found codes int64 \[4, 4\], expected integers \[N, 4,"),
        (np.zeros((1, 4, 5), int), r"found codes int64 \[1, 4, 5\]"),
        (np.zeros((1, 4, 4)), r"found codes float64 \[1, 4, 4\]"),
        (np.full((1, 4, 4), 64), "found the code 64, expected 0 to 63"),
        (np.full((1, 4, 4), -1), "found the code -1, expected 0 to 63"),
    ],
)
def test_unfit_codes_are_named(codes, message) -> None:
    codec = Plain(IMG)
    with pytest.raises(ValueError, match=message):
        codec.decode(codes)
    assert not codec.seen


def test_a_codec_fits_its_stream() -> None:
    Plain(IMG).fit(Stream("img", 16, 64, (4, 4)))
    for stream in (Stream("img", 16, 65, (4, 4)), Stream("img", 16, 64, (2, 8))):
        with pytest.raises(ValueError, match="found 64 codes in a grid of 4 x 4, expected 6. in"):
            Plain(IMG).fit(stream)
    with pytest.raises(ValueError, match="here: vq: found no layout of scenes, expected mini158"):
        Plain(replace(SEG, layout=None))
