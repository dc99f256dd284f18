"""output.py: the files and the sheet of a generation."""

import numpy as np
import pytest
from PIL import Image

from mas_fast.pipelines.output import Generation, check_output
from mas_fast.scene import Scene
from mas_fast.utils.contact_sheet import GAP, LINE
from mas_fast.utils.contact_sheet import sheet as draw_sheet


def make(captions: int, num_images: int = 1, scenes: bool = True) -> Generation:
    """Pictures of one colour each, 16 x 16."""
    count = captions * num_images
    return Generation(
        images=[Image.new("RGB", (16, 16), (n, 100, 200)) for n in range(count)],
        scenes=[Scene(np.full((8, 8), n, np.uint8), np.eye(8) > 0) for n in range(count * scenes)],
        captions=[f"{n // num_images} caption" for n in range(count)],
        tokens=np.zeros((count, 4), np.int64),
        seed=0,
        num_images=num_images,
    )


def test_one_picture_has_its_scene_beside_it(tmp_path) -> None:
    out = make(1)
    files = out.save(tmp_path / "my.red.png")
    names = ["my.red.png", "my.red.scene.png", "my.red.legend.png"]
    assert [file.name for file in files] == names
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    assert Image.open(files[0]).tobytes() == out.images[0].tobytes()
    assert Scene.load(files[1]) == out.scenes[0]
    assert Image.open(files[2]).tobytes() == out.scenes[0].render().tobytes()


def test_several_have_a_sheet(tmp_path) -> None:
    out = make(2, 2)
    files = out.save(str(tmp_path / "out.png"))
    assert [file.name for file in files][:5] == [
        "out.png",
        "out-1.png",
        "out-1.scene.png",
        "out-1.legend.png",
        "out-2.png",
    ]
    assert len(files) == 13 == len(list(tmp_path.iterdir()))
    for n in range(4):
        assert Image.open(tmp_path / f"out-{n + 1}.png").getpixel((3, 3)) == (n, 100, 200)
        assert Scene.load(tmp_path / f"out-{n + 1}.scene.png") == out.scenes[n]
    sheet = Image.open(files[0])
    assert sheet.tobytes() == out.sheet().tobytes()
    rows = [[np.asarray(image) for image in out.images[n : n + 2]] for n in (0, 2)]
    expected = draw_sheet(rows, ["0 caption", "1 caption"], 16)
    assert sheet.tobytes() == expected.tobytes()
    for n in range(4):  # a row for each caption
        place = GAP + n % 2 * (16 + GAP), GAP + n // 2 * (16 + LINE + GAP)
        assert sheet.getpixel(place) == (n, 100, 200)
    assert make(3).sheet().size == (16 + 2 * GAP, 3 * (16 + LINE + GAP) + GAP)


def test_without_scenes_and_in_another_format(tmp_path) -> None:
    assert [file.name for file in make(1, scenes=False).save(tmp_path / "a.jpg")] == ["a.jpg"]
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"
    files = make(1).save(tmp_path / "b.WEBP")
    assert [file.name for file in files] == ["b.WEBP", "b.scene.png", "b.legend.png"]


def test_where_nothing_can_be_written_is_named(tmp_path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path, message in (
        (tmp_path / "none" / "out.png", "out.png: found no folder .*none, expected one that is"),
        (tmp_path / "out", "found the suffix '', expected that of a picture"),
        (tmp_path / "out.docx", "found the suffix '.docx', expected that of a picture"),
        (tmp_path / "folder.png", "found a folder, expected the name of a file"),
    ):
        with pytest.raises(ValueError, match=message):
            check_output(path)
        with pytest.raises(ValueError, match=message):
            make(1).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.png"]
