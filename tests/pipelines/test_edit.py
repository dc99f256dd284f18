"""edit.py: which tokens are drawn anew."""

import numpy as np
import pytest
from PIL import Image

from mas_fast.pipelines.edit import erase, region_mask
from mas_fast.scene import Scene
from mas_fast.streams import Stream, Streams

STREAMS = Streams([Stream("text", 2, 9, pad=0), Stream("seg", 4, 9, (2, 2))])
STREAMS = Streams([*STREAMS, Stream("img", 16, 9, (4, 4))])
SIDES = {"seg": 8, "img": 16}
TOKENS = np.arange(22) % 9


def drawn(region, what="both", sides=SIDES) -> tuple[list[int], list[int]]:
    kept = erase(TOKENS, STREAMS, region, what, sides)
    assert ((kept == TOKENS) | (kept == -1)).all()
    assert (kept[:2] >= 0).all()
    return np.flatnonzero(kept[2:6] < 0).tolist(), np.flatnonzero(kept[6:] < 0).tolist()


def test_the_cells_that_a_region_touches() -> None:
    assert drawn((0, 0, 4, 4)) == ([0], [0])
    assert drawn((0, 0, 5, 4)) == ([0], [0, 1])
    assert drawn((7, 12, 9, 13)) == ([2, 3], [13, 14])
    assert drawn((0, 0, 16, 16)) == ([*range(4)], [*range(16)])
    assert drawn([3, 3, 5, 5], "picture") == ([], [0, 1, 4, 5])
    assert drawn(np.array([3, 3, 5, 5]), "scene") == ([0], [])


def test_masks_of_either_size() -> None:
    small = np.zeros((8, 8), bool)
    small[0, 4] = True
    large = small.repeat(2, 0).repeat(2, 1)
    image = Image.fromarray(large.astype(np.uint8))
    for mask in (small, large, large.astype(np.uint8) * 3, image, image.point(lambda x: x * 255)):
        assert drawn(mask) == ([1], [2])
    assert drawn(Image.fromarray(large)) == ([1], [2])
    assert drawn(image.convert("RGB")) == ([1], [2])
    with pytest.raises(ValueError, match="found a mask of 8 x 8 pixels, expected 16 x 16$"):
        region_mask(small, {"img": 16})


def test_a_mask_in_a_file(tmp_path) -> None:
    Image.fromarray(np.eye(16) > 0).save(tmp_path / "mask.png")
    for path in (tmp_path / "mask.png", str(tmp_path / "mask.png")):
        assert drawn(path) == ([0, 3], [0, 5, 10, 15])
    with pytest.raises(ValueError, match="none.png: found no such file"):
        drawn(tmp_path / "none.png")
    Scene(np.eye(16, dtype=np.uint8), np.eye(16) > 0).save(tmp_path / "scene.png")
    with pytest.raises(ValueError, match=r"scene.png: found a scene that mas_fast saved, expected"):
        drawn(tmp_path / "scene.png")


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((0, 0, 17, 4), r"found \(0, 0, 17, 4\), expected a mask .* in 0..16"),
        ((-1, 0, 4, 4), "expected a mask of bool or uint8, or a box of whole numbers"),
        ((4, 0, 4, 4), "left < right"),
        ((0, 0, 4.0, 4), "a box of whole"),
        ((0, 0, 4), "a box of whole"),
        ((False, 0, 4, 4), "a box of whole"),
        (None, "region: found None, expected a mask"),
        (np.array(5), r"region: found array\(5\), expected a mask"),
        (np.ones((16, 15), bool), "found a mask of 16 x 15 pixels, expected 16 x 16 or 8 x 8"),
        (np.ones((16, 16, 3), np.uint8), "found a mask of 16 x 16 x 3 pixels"),
        (np.ones((16, 16)), "found the dtype float64, expected bool or uint8"),
        (np.zeros((16, 16), bool), "found a mask that is 0 everywhere"),
        (Image.new("RGBA", (16, 16)), "found RGBA, expected a mask of the mode 1, L, RGB"),
    ],
)
def test_unfit_regions(region, message) -> None:
    with pytest.raises(ValueError, match=f"region: .*{message}|{message}"):
        region_mask(region, SIDES)


def test_what_there_is_to_draw() -> None:
    assert drawn((0, 0, 4, 4), sides={"img": 16}) == ([], [0])  # a model without scenes
    with pytest.raises(ValueError, match="what: found 'scene', expected 'picture' or 'both'"):
        drawn((0, 0, 4, 4), "scene", sides={"img": 16})
    with pytest.raises(ValueError, match="what: found 'sky', expected one of"):
        drawn((0, 0, 4, 4), "sky")
