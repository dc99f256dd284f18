"""label_map_kinds.py: a photo or a label map, by its pixels."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from encoded_photos import smooth
from mas_fast.data.sources.label_map_kinds import kind_of_map, suffix_of
from mas_fast.scene.scene import TEXT_KEY

NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
FEW = (np.arange(1600) // 400).reshape(40, 40).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "plain", "named"),
    [
        (NOISE, "photo", "photo"),
        (NOISE[..., 0], "photo", "photo"),  # greys that no label space has
        (FEW, "label", "label"),
        (np.arange(64, dtype=np.uint8).reshape(8, 8), "label", "label"),
        (
            np.arange(65, dtype=np.uint8)[None],
            "photo",
            "label",
        ),  # of one of our spaces, by its name
        (np.stack([FEW] * 3, -1), "either", "either"),
        (FEW > 1, "odd", "odd"),
        (FEW.astype(np.uint16), "odd", "odd"),
        (np.arange(65, dtype=np.uint16)[None], "broken", "broken"),
    ],
    ids=["noise", "grey", "few", "64", "65", "colours", "bits", "16 bits", "many of 16 bits"],
)
def test_png(tmp_path, pixels, plain, named) -> None:
    file = tmp_path / "a.PNG"
    Image.fromarray(pixels).save(file)
    assert kind_of_map(file, False) == plain
    assert kind_of_map(file, True) == named


def test_jpegs_are_photos_or_odd(tmp_path) -> None:
    """Also one of two greys, with those between them at the edges."""
    file = tmp_path / "a.jpg"
    halves = np.where(np.arange(64) < 32, 30, 200).astype(np.uint8)
    Image.fromarray(np.tile(halves, (64, 1))).save(file)
    assert kind_of_map(file, False) == "photo"
    assert kind_of_map(file, True) == "odd"
    Image.fromarray(smooth(64, 64)).save(file)
    assert kind_of_map(file, True) == "photo"
    file.write_bytes(b"")
    assert kind_of_map(file, True) == "photo"


def test_what_we_wrote_is_ours(tmp_path) -> None:
    text = PngInfo()
    text.add_text(TEXT_KEY, "labels 1 mini158")
    Image.fromarray(FEW).save(tmp_path / "a.png", pnginfo=text)
    Image.fromarray(FEW > 1).save(tmp_path / "a.Edge.png")
    assert kind_of_map(tmp_path / "a.png", False) == "ours"
    assert kind_of_map(tmp_path / "a.Edge.png", False) == "ours"


def test_what_is_no_image_is_broken(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"hello")
    assert kind_of_map(tmp_path / "a.png", True) == "broken"
    assert kind_of_map(tmp_path / "absent.tif", False) == "broken"
    assert suffix_of(tmp_path / "a.b.PNG") == "png"
