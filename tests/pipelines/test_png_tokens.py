"""png_tokens.py: the tokens of a picture in its PNG."""

import json

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mas_fast.pipelines.png_tokens import KEY, Painted, alike
from mas_fast.scene.png import open_image

TOKENS = np.array([3, 0, 2**31 - 1, 7])


def saved(folder, text: str | None, name: str = "a.png"):
    info = PngInfo()
    if text is not None:
        info.add_text(KEY, text)
    Image.new("RGB", (4, 4)).save(folder / name, **({"pnginfo": info} if ".png" in name else {}))
    return open_image(folder / name)


def test_they_come_back(tmp_path) -> None:
    painted = Painted('"Ein Höhlenbär" 熊', TOKENS)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=painted.text())
    found = Painted.of(open_image(tmp_path / "a.png"), "a.png")
    assert found.caption == painted.caption
    assert found.tokens.dtype == np.int64
    assert found.tokens.tolist() == TOKENS.tolist()


def test_other_pictures_have_none(tmp_path) -> None:
    for name in ("a.png", "a.jpg", "a.webp"):
        assert Painted.of(saved(tmp_path, None, name), name) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": [1, -1]}, "tokens: found -1, expected an integer in 0"),
        ({"tokens": [1, 2**31]}, "tokens: found 2147483648"),
        ({"tokens": [1.0]}, "tokens: found 1.0"),
        ({"tokens": [True]}, "tokens: found True"),
        ({"tokens": {"a": 1}}, "found {'a': 1}, expected a list"),
        ({"format": 2}, r"found \[2, 'a dog'\], expected the format 1"),
        ({"caption": 3}, "expected the format 1 and a caption"),
        ({"more": 1}, "unknown keys"),
    ],
)
def test_what_is_not_ours_is_refused(tmp_path, change, message) -> None:
    values = {"format": 1, "caption": "a dog", "tokens": [1, 2]} | change
    with pytest.raises(ValueError, match=f"a.png: {KEY}.*{message}"):
        Painted.of(saved(tmp_path, json.dumps(values)), "a.png")


def test_what_is_no_json_is_refused(tmp_path) -> None:
    for text in ("", "{", "[1]", "[" * 5000):
        with pytest.raises(ValueError, match="a.png: "):
            Painted.of(saved(tmp_path, text), "a.png")


def test_alike() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(20, 200, (16, 16, 3), dtype=np.uint8)
    assert alike(a, a, (4, 4))
    assert alike(a, a + rng.integers(0, 6, a.shape, dtype=np.uint8), (4, 4))
    other = a.copy()
    other[12:, 12:] += 50  # one cell
    assert not alike(a, other, (4, 4))
    assert not alike(a, a[:8, :8], (4, 4))
