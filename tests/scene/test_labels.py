"""scene/labels.py: layouts, and the categories of COCO that they are made of."""

import json

import numpy as np
import pytest

from annotated import OFFICIAL
from mas_fast.scene import (
    COCO_IDS,
    COCO_NAMES,
    LAYOUTS,
    MAS159,
    MINI158,
    VOID,
    Scene,
    layout_named,
)


def test_layouts():
    assert (MINI158.channels, MINI158.edge_channel) == (158, 157)
    assert (MAS159.channels, MAS159.edge_channel) == (159, 158)
    assert MINI158.human_channels == slice(133, 152)
    assert MINI158.face_channels == slice(152, 157)
    assert MAS159.human_channels == slice(134, 153)
    assert MAS159.face_channels == slice(153, 158)
    assert MINI158.names[133] == MAS159.names[134] == "hat"
    assert MAS159.names[153] == "eyebrows"
    for layout in LAYOUTS.values():
        assert len(layout.names) == len(set(layout.names)) == layout.channels
        assert len(layout.label_channels) == 157
        colors = layout.colors[[*layout.label_channels, VOID]]
        assert len(np.unique(colors, axis=0)) == 158
    assert 133 not in MAS159.label_channels
    assert not MAS159.allowed[133]
    assert layout_named("mini158") is MINI158
    with pytest.raises(ValueError, match=r"layout: found 'x', expected one of \['mini158', 'mas"):
        layout_named("x")


def test_categories_are_cocos():
    categories = json.loads((OFFICIAL / "panoptic_coco_categories.json").read_text())
    assert tuple(category["id"] for category in categories) == COCO_IDS
    assert tuple(category["name"] for category in categories) == COCO_NAMES
    assert [c["isthing"] for c in categories] == [1] * 80 + [0] * 53
    assert [c["color"] for c in categories] == MINI158.colors[:133].tolist()


def test_layouts_convert_without_loss():
    labels = np.append(MINI158.label_channels, VOID).astype(np.uint8)[None]
    scene = Scene(labels, labels % 2 == 0)
    other = scene.to("mas159")
    assert other.layout is MAS159
    assert other.to(MINI158) == scene
    for before, after in zip(labels[0], other.labels[0], strict=True):
        same = before == after == VOID or MINI158.names[before] == MAS159.names[after]
        assert same
