"""scene/spaces.py: a label space by its name, or out of a file of classes."""

import io

import numpy as np
import pytest
from PIL import Image

from mas_fast.scene import COCO_NAMES, SPACES, VOID, space_named
from mas_fast.scene.spaces import LONGEST


def png(values, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).convert(mode).save(file, "PNG")
    return file.getvalue()


def test_a_file_of_classes(tmp_path):
    file = tmp_path / "classes.tsv"
    file.write_text("sky\t0\n\ndog\t7\nleft-arm\t8\nvoid\t255\n")
    layers = space_named(file).read(png([[0, 7, 8, 255]]))
    sky, dog = COCO_NAMES.index("sky-other-merged"), COCO_NAMES.index("dog")
    assert layers.panoptic.tolist() == [[sky, dog, 0, VOID]]
    assert layers.human.tolist() == [[0, 0, 14, 0]]
    with pytest.raises(ValueError, match=r"classes.tsv: found \[1\] .*, expected the values of"):
        space_named(str(file)).read(png([[1]]))
    for text, message in (
        ("", "found no class"),
        ("sky 3", "line 1: found 'sky 3', expected NAME<TAB>VALUE"),
        ("sky\t-1", "line 1: found .*VALUE 0..255"),
        ("sky\t256", "line 1: found .*VALUE 0..255"),
        ("sky\t\u0663", "line 1: found .*VALUE 0..255"),
        ("dog\t3\nsky\t3", "line 2: found the value 3 again"),
        ("dgo\t3", "line 1: scene: found no class 'dgo'; did you mean 'dog'"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            space_named(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="classes.tsv: found no list of classes"):
        space_named(file)
    for wrong in ("ade", str(tmp_path)):
        with pytest.raises(
            ValueError, match="labels: found .*, expected one of mini158, .*celebam"
        ):
            space_named(wrong)


@pytest.mark.parametrize("name", SPACES)
def test_a_name_or_the_space_itself(name) -> None:
    assert space_named(name) is SPACES[name]
    assert space_named(SPACES[name]) is SPACES[name]


def test_a_space_of_a_file_tells_its_values(tmp_path) -> None:
    file = tmp_path / "classes.tsv"
    file.write_text("\ufeffsky \t 12\r\n\r\nvoid\t3\n", encoding="utf-8")
    space = space_named(file)
    assert (space.name, space.about) == (str(file), f"the values of {file}: 3, 12")
    assert sorted(space.values) == [3, 12]
    assert space.values[12] == "sky-other-merged"


def test_a_file_that_goes_on_and_on_is_no_list(tmp_path) -> None:
    file = tmp_path / "classes.tsv"
    line = "sky\t0\n"
    file.write_text(line + "\n" * (LONGEST - len(line)))
    assert list(space_named(file).values) == [0]
    file.write_text(line + "\n" * (LONGEST + 1 - len(line)))
    with pytest.raises(ValueError) as error:
        space_named(file)
    assert str(error.value) == f"{file}: found no list of classes (more than 1048576 bytes)"
