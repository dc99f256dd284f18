"""scene/words.py: scenes out of regions named in words."""

from pathlib import Path

import numpy as np
import pytest

from mas_fast.scene import (
    COCO_NAMES,
    LAYOUTS,
    MAS159,
    VOID,
    is_words,
    label_named,
    scene_from_regions,
    scene_from_words,
)

SKY, ELEPHANT = COCO_NAMES.index("sky-other-merged"), COCO_NAMES.index("elephant")


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_every_class_has_its_name(layout):
    for label in layout.label_channels:
        assert label_named(layout.names[label], layout) == label
        assert label_named(f" {layout.names[label].upper()} ", layout.name) == label


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sky", "sky-other-merged"),
        ("grass", "grass-merged"),
        ("water", "water-other"),
        ("door", "door-stuff"),
        ("Traffic  Light", "traffic light"),
        ("left-arm", "left-arm"),
        ("nose", "nose"),
    ],
)
def test_short_names(name, expected):
    assert MAS159.names[label_named(name, "mas159")] == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eliphant", "no class 'eliphant'; did you mean 'elephant'"),
        ("skyy", "did you mean 'sky-other-merged'"),
        ("brick", "'wall-brick'"),
        ("edge", "found no class 'edge'"),
        ("human-background", "found no class 'human-background'"),
        ("", "expected one of person, bicycle"),
        ("xqxqxq", "expected one of person, bicycle"),
        (3, "found no class 3; expected one of person"),
        (None, "found no class None; "),
    ],
)
def test_other_names(name, message):
    with pytest.raises(ValueError, match=message):
        label_named(name, "mas159")


def test_later_regions_cover_earlier_ones():
    regions = [("sky", (0, 0, 10, 4)), ("elephant", (2, 2, 5, 6)), ("elephant", (5, 3, 7, 6))]
    scene = scene_from_regions(10, 8, iter(regions))
    expected = np.full((8, 10), VOID)
    expected[:4], expected[2:6, 2:5], expected[3:6, 5:7] = SKY, ELEPHANT, ELEPHANT
    assert (scene.labels == expected).all()
    assert scene.edges[4, 4]
    assert not scene.edges[4, 3]  # between the two elephants
    assert scene_from_regions(10, 8, regions, "mas159") == scene.to("mas159")
    assert (scene_from_regions(3, 2, []).labels == VOID).all()


def test_polygons():
    triangle = [(1, 1), (8, 1), (1, 8)]
    labels = scene_from_regions(10, 10, [("sky", triangle)]).labels
    y, x = np.mgrid[:10, :10]
    assert (labels[(x > 1) & (y > 1) & (x + y < 8)] == SKY).all()
    assert (labels[(x < 1) | (y < 1) | (x + y > 9)] == VOID).all()
    array = np.array(triangle, np.float32)
    assert (scene_from_regions(10, 10, [("sky", array)]).labels == labels).all()


def test_what_lies_outside_is_cut_off():
    labels = scene_from_regions(4, 4, [("sky", (-5.5, -5.5, 2, 2.4))]).labels
    assert (labels[:2, :2] == SKY).all()
    assert (labels == SKY).sum() == 4
    assert (scene_from_regions(4, 4, [("sky", [(-9, -9), (30, -9), (-9, 30)])]).labels == SKY).all()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 0, 0, 4), "expected a box"),
        ((3, 0, 2, 4), "expected a box"),
        ((0, 0, 4), "expected a box"),
        ([(0, 0), (1, 1)], "at least three points"),
        ((0, 0, float("nan"), 4), "expected a box"),
        ([(0, 0), (float("inf"), 0), (0, 3)], "expected a box"),
        ("0 0 4 4", "expected a box"),
        ([(0, 0), (1, 1), (2,)], "expected a box"),
        (None, "expected a box"),
        ((4, 4, 9, 9), "no pixel of it in a scene of 4 x 4"),
        ((1.6, 0, 2.4, 4), "no pixel of it"),
    ],
)
def test_unfit_shapes(shape, message):
    with pytest.raises(ValueError, match=rf"region 2 \(sky\): found .*{message}"):
        scene_from_regions(4, 4, [("tree", (0, 0, 4, 4)), ("sky", shape)])


def test_unfit_sizes():
    with pytest.raises(ValueError, match="scene: found 0 x 4, expected at least 1 x 1"):
        scene_from_regions(4, 0, [])


def test_names_of_other_data_sets():
    assert COCO_NAMES[label_named("lake")] == "water-other"
    assert COCO_NAMES[label_named("Sofa")] == "couch"


def test_words_and_boxes():
    scene = scene_from_words(" sky: 0,0,10,4;elephant :2, 2,5,6 ; ", 10, 8)
    expected = scene_from_regions(10, 8, [("sky", (0, 0, 10, 4)), ("elephant", (2, 2, 5, 6))])
    assert scene == expected
    assert (scene.labels == VOID).sum() == 80 - 40 - 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky: 0,0,4", "found 'sky: 0,0,4', expected a class and four whole numbers, as in 'lake"),
        ("sky: 0,0,4,x", "found 'sky: 0,0,4,x', expected a class and four"),
        ("sky 0,0,4,4; dog: 1,1,2,2", "found 'sky 0,0,4,4', expected a class"),
        (": 0,0,4,4", "found ': 0,0,4,4', expected a class"),
        ("sky: 0,0,1.5,4", "expected a class and four whole numbers"),
        (" ;; ", "found ' ;; ', expected such as 'lake"),
        ("sky: 0,0,11,8", r"sky: found the box 0,0,11,8, expected left < right in 0\.\.10 and top"),
        ("sky: 0,0,4,9", r"found the box 0,0,4,9, expected .* < bottom in 0\.\.8, the picture's"),
        ("sky: -1,0,4,4", "found the box -1,0,4,4"),
        ("sky: 4,0,4,4", "found the box 4,0,4,4"),
        ("sky: 0,0,9,9999999999", "expected a class and four"),
        ("eliphant: 0,0,4,4", "found no class 'eliphant'; did you mean 'elephant'"),
    ],
)
def test_unfit_words(text, message):
    with pytest.raises(ValueError, match=f"scene: .*{message}|^scene: {message}"):
        scene_from_words(text, 10, 8)


def test_words_and_paths_are_told_apart():
    for words in ("sky: 0,0,4,4", "sky: nonsense", ":"):
        assert is_words(words)
    for path in ("a.png", "a:b.png", "C:x.PNG", "folder/scene", Path("sky: 0,0,4,4"), None):
        assert not is_words(path)
