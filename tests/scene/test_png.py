"""scene/png.py: images of anybody, and the one error that they may end in."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from encoded_photos import bomb, encoded
from mas_fast.scene import png
from mas_fast.scene.png import open_image, png_array, png_text

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def test_a_path_and_its_content_are_read_alike(tmp_path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(PIXELS))
    for source in (file, str(file), file.read_bytes()):
        image = open_image(source)
        assert (image.mode, image.format) == ("RGB", "PNG")
        assert np.array_equal(np.asarray(image), PIXELS)


def test_an_image_keeps_its_mode() -> None:
    for mode in ("1", "L", "P", "RGBA", "I;16"):
        assert open_image(encoded(Image.new(mode, (3, 2)))).mode == mode


def test_a_file_is_not_held_open(tmp_path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(PIXELS))
    image = open_image(file)
    file.write_bytes(b"")
    assert image.getpixel((0, 0)) == (0, 1, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found data that is no image"),
        (b"hello", "found data that is no image"),
        (bomb(), "found 9000 x 9000 pixels, expected at most 67108864 in all"),
        (EPS, "found PostScript, expected a picture"),
        (encoded(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))[:-99], "runcated"),
    ],
    ids=["nothing", "text", "bomb", "program", "cut"],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(content)
    for source, name in ((content, "labels"), (file, str(file))):
        with pytest.raises(ValueError, match=message) as error:
            open_image(source, "labels")
        assert str(error.value).startswith(f"{name}: ")


def test_a_file_that_is_missing_is_named(tmp_path) -> None:
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(ValueError) as error:
            open_image(path)
        assert str(error.value) == f"{path}: found no such file"


def test_as_many_pixels_as_are_allowed(monkeypatch) -> None:
    content = encoded(PIXELS)
    monkeypatch.setattr(png, "MAX_PIXELS", 4)
    open_image(content)
    monkeypatch.setattr(png, "MAX_PIXELS", 3)
    with pytest.raises(ValueError) as error:
        open_image(content)
    assert str(error.value) == "image: found 2 x 2 pixels, expected at most 3 in all"


def test_no_memory_is_no_error_of_the_file(monkeypatch) -> None:
    def fail(file):
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        open_image(encoded(PIXELS))


def test_pixels_with_their_text() -> None:
    text = PngInfo()
    text.add_text("mas_fast", "labels 1 mini158")
    pixels, found = png_array(encoded(Image.fromarray(PIXELS), pnginfo=text), ("L", "RGB"))
    assert np.array_equal(pixels, PIXELS)
    assert found == {"mas_fast": "labels 1 mini158"}
    assert png_text(open_image(encoded(PIXELS))) == {}


def test_bits_are_bools_whose_bytes_are_0_and_1() -> None:
    pixels, _ = png_array(encoded(np.array([[True, False, True]])), ("1",))
    assert pixels.dtype == bool
    assert pixels.view(np.uint8).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("content", "modes", "message"),
    [
        (encoded(PIXELS), ("L", "P"), "edges: found PNG of mode RGB, expected PNG of mode L or P"),
        (
            encoded(PIXELS, "BMP"),
            ("RGB",),
            "edges: found BMP of mode RGB, expected PNG of mode RGB",
        ),
    ],
)
def test_another_mode_or_format_is_named(tmp_path, content, modes, message) -> None:
    with pytest.raises(ValueError) as error:
        png_array(content, modes, "edges")
    assert str(error.value) == message
    file = tmp_path / "a.png"
    file.write_bytes(content)
    with pytest.raises(ValueError) as error:
        png_array(file, modes, "edges")
    assert str(error.value) == message.replace("edges", str(file), 1)
