"""scene/spaces.py: a label space by its name, or out of a file of classes."""

import io

import numpy as np
import pytest
from PIL import Image

from mas_fast.scene import COCO_NAMES, VOID, space_named


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
        ("dgo\t3", "line 1: region: found no class 'dgo'; did you mean 'dog'"),
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
