"""data/boxes.py: reading, and geometry that is the picture's own."""

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.boxes import Boxes
from mas_fast.data.sources.base import Sample


def test_boxes_are_read() -> None:
    found = Boxes.of({"object_boxes": [[1, 2, 3.5, 4], [0, 0, 1, 1]], "face_boxes": []})
    assert found.objects.tolist() == [[1, 2, 3.5, 4], [0, 0, 1, 1]]
    assert found.faces.shape == (0, 4)
    assert found.objects.dtype == np.float64
    for info in ({}, {"object_boxes": None}):
        assert Boxes.of(info).objects is None
        assert Boxes.of(info).faces is None


@pytest.mark.parametrize(
    "values",
    [
        3,
        "boxes",
        {"x0": 1},
        [3],
        [[1, 2, 3]],
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, "4"]],
        [[1, 2, 3, None]],
    ]
    + [
        [[1, 2, 3, True]],
        [[0, 0, 1, float("nan")]],
        [[0, 0, 1, float("inf")]],
        [[0, 0, 1, 10**400]],
    ]
    + [[[1, 2, 1, 4]], [[1, 4, 3, 2]]],
)
@pytest.mark.parametrize("name", ["object_boxes", "face_boxes"])
def test_what_is_no_box_is_named(name, values) -> None:
    with pytest.raises(ValueError, match=rf"{name}: found .*expected a list of \[x0, y0, x1, y1\]"):
        Boxes.of({name: values})


def rectangles(seed: int) -> Sample:
    """Two rectangles, one red and one green, on blue, and their boxes."""
    generator = np.random.default_rng(seed)
    height, width = generator.integers(90, 160, 2)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = 255
    boxes = []
    for channel, half in enumerate((np.s_[:, : width // 2], np.s_[:, width // 2 :])):
        part = pixels[half]
        (y0, y1), (x0, x1) = (np.sort(generator.choice(n, 2, False)) for n in part.shape[:2])
        part[y0 : y1 + 1, x0 : x1 + 1] = 0
        part[y0 : y1 + 1, x0 : x1 + 1, channel] = 255
        left = channel * (width // 2)
        boxes.append([left + x0, y0, left + x1 + 1, y1 + 1])
    one, two = np.array(boxes, float)[:, None]
    return Sample("a", Image.fromarray(pixels), boxes=Boxes(one, two))


def seen(image: Image.Image, channel: int) -> np.ndarray | None:
    """The tight box of one colour, or None."""
    rows, columns = np.nonzero(np.asarray(image)[..., channel] > 127)
    if not len(rows):
        return None
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("seed", range(30))
def test_boxes_go_where_the_picture_goes(seed) -> None:
    sample = rectangles(seed)
    generator = np.random.default_rng(seed)
    flipped = sample.flip()
    height, width = sample.image.height // 2, sample.image.width // 2
    part = sample.crop(*(int(generator.integers(n)) for n in (height, width)), height, width)
    for moved, tolerance in ((flipped, 0), (flipped.flip(), 0), (part, 0)):
        for channel, boxes in enumerate((moved.boxes.objects, moved.boxes.faces)):
            expected = seen(moved.image, channel)
            assert len(boxes) == (expected is not None)
            assert expected is None or np.abs(boxes[0] - expected).max() <= tolerance
    for moved in (sample.resize(70, 200), sample.square(64, generator), sample.square(96)):
        for channel, boxes in enumerate((moved.boxes.objects, moved.boxes.faces)):
            expected = seen(moved.image, channel)
            if expected is not None and len(boxes):  # a sliver may vanish when pixels shrink
                assert np.abs(boxes[0] - expected).max() <= 1
            assert (boxes >= 0).all()
            assert (boxes <= (moved.image.size * 2)).all()
            assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_what_nobody_said_stays_unsaid() -> None:
    sample = Sample("a", Image.new("RGB", (8, 8)), boxes=Boxes(faces=np.array([[6.0, 0, 8, 8]])))
    moved = sample.crop(0, 0, 4, 4).resize(2, 2).flip()
    assert moved.boxes.objects is None
    assert moved.boxes.faces.shape == (0, 4)
