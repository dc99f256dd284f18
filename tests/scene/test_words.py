"""scene/words.py: scenes out of regions named in words."""

import numpy as np
import pytest

from mas_fast.scene import COCO_NAMES, LAYOUTS, MAS159, VOID, label_named, scene_from_regions

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
        ("sofa", "did you mean 'couch'"),
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
