"""scene/rules.py: the cleaning rules one by one, and edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotated import annotations
from mas_fast.scene import (
    LAYOUTS,
    MINI158,
    VOID,
    clean,
    find_edges,
)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_rule_no_human_background(layout):
    panoptic, instances, human, _ = annotations(0)
    scene = clean(panoptic, instances, human, layout=layout)
    is_human = (scene.labels > layout.human) & (scene.labels != VOID)
    assert (is_human == (human > 0)).all()  # as many pixels as S has in 1..19, and the same
    assert not (scene.labels == 133).any() or layout is MINI158
    nobody = clean(panoptic, instances, np.zeros_like(human), layout=layout)
    assert (nobody.labels == panoptic).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_rule_person_gate(seed, other):
    panoptic, instances, human, face = annotations(seed, person=False)
    _, _, human2, face2 = annotations(other)
    expected = clean(panoptic, instances)
    assert clean(panoptic, instances, human, face) == expected  # labels and edges
    assert clean(panoptic, instances, human2, face2) == expected
    panoptic[3, 4] = 0  # one person pixel keeps all of S and F, wherever they are
    scene = clean(panoptic, instances, human, face)
    assert ((scene.labels > 132) & (scene.labels != VOID) == (human > 0) | (face > 0)).all()


def test_person_gate_counts_pixels_before_they_are_covered():
    panoptic, human = np.full((4, 4), 7, np.uint8), np.full((4, 4), 2, np.uint8)
    panoptic[0, :3] = 0
    assert (clean(panoptic, human=human, min_person_px=3).labels == 134).all()
    assert (clean(panoptic, human=human, min_person_px=4).labels == panoptic).all()
    restricted = clean(panoptic, human=human, face=human, restrict_to_person=True)
    assert (restricted.labels == np.where(panoptic == 0, 153, 7)).all()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_rule_one_label_per_pixel(layout):
    panoptic, instances, human, face = annotations(1)
    scene = clean(panoptic, instances, human, face, layout=layout)
    onehot = scene.labels[..., None] == np.arange(layout.edge_channel)
    assert (onehot.sum(-1) == (scene.labels != VOID)).all()
    assert ((scene.labels == VOID) == ((face == 0) & (human == 0) & (panoptic == VOID))).all()
    for y, x in np.ndindex(panoptic.shape):  # face > human > panoptic
        p, s, f = int(panoptic[y, x]), int(human[y, x]), int(face[y, x])
        assert scene.labels[y, x] == (layout.face + f if f else layout.human + s if s else p)


def test_cleaning_is_idempotent():
    panoptic, instances, human, face = annotations(2)
    labels = clean(panoptic, instances, human, face).labels
    parts = (labels > 132) & (labels != VOID)
    again = clean(
        np.where(parts, 0, labels).astype(np.uint8),
        instances,
        np.where(parts & (labels <= 151), labels - 132, 0),
        np.where(parts & (labels > 151), labels - 151, 0),
    )
    assert (again.labels == labels).all()


def test_edges_are_one_pixel_and_know_instances():
    labels = np.zeros((6, 8), np.uint8)
    labels[:, 4:] = 1
    expected = np.zeros((6, 8), bool)
    expected[:, 3] = True  # the left side of the border only
    assert (find_edges(labels) == expected).all()
    assert (find_edges(labels.T) == expected.T).all()
    assert (find_edges(np.zeros_like(labels), labels.astype(np.int32)) == expected).all()
    assert not find_edges(np.zeros((1, 1), np.uint8)).any()
    panoptic, instances, human, face = annotations(3)
    scene = clean(panoptic, instances, human, face)
    for y, x in np.ndindex(panoptic.shape):
        key = scene.labels[y, x], instances[y, x]
        near = [(y, x + 1), (y + 1, x)]
        near = [n for n in near if n[0] < 13 and n[1] < 17]
        expected = any((scene.labels[n], instances[n]) != key for n in near)
        assert scene.edges[y, x] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"panoptic": np.full((2, 2), 133)}, r"panoptic: found \[133\], expected 0..132 or 255"),
        ({"panoptic": np.zeros((2, 2))}, "panoptic: found float64"),
        ({"panoptic": np.zeros((0, 2), int)}, r"panoptic: found int64 \[0, 2\]"),
        ({"panoptic": [[0, 1]]}, "panoptic: found object"),
        ({"human": np.full((2, 2), 20)}, r"human: found \[20\], expected 0..19"),
        ({"human": np.full((2, 2), -1)}, r"human: found \[-1\]"),
        ({"face": np.full((2, 2), 6)}, "face: found"),
        (
            {"face": np.zeros((2, 3), int)},
            r"face: found int64 \[2, 3\], expected integers \[2, 2\]",
        ),
        ({"instances": np.zeros((3, 2), int)}, "instances: found int64"),
        ({"layout": "mas158"}, "layout: found 'mas158'"),
    ],
)
def test_unfit_annotations_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        clean(**({"panoptic": np.zeros((2, 2), np.uint8)} | change))
