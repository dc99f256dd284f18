"""scene/semantic.py: other people's classes as COCO's, by name."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.scene import ADE20K, COCO_IDS, COCO_NAMES, COCO_STUFF, COCO_STUFF_IDS, VOID, Layers

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ADE = DATA / "ade20k"
needs_ade = pytest.mark.skipif(not ADE.is_dir(), reason=f"no {ADE}")
SETS = [ADE20K, COCO_STUFF, COCO_STUFF_IDS]


def png(values, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).convert(mode).save(file, "PNG")
    return file.getvalue()


def test_coco_stuff_numbers_its_classes_as_coco_does():
    assert len(COCO_STUFF.names) == len(set(COCO_STUFF.names)) == 182
    for number, name in zip(COCO_IDS, COCO_NAMES, strict=True):
        if not name.endswith("-merged"):  # those are COCO panoptic's own
            assert COCO_STUFF.names[number - 1] == name == COCO_STUFF.coco(name)


@needs_ade
def test_ade20k_names_are_those_of_its_list():
    lines = (ADE / "objectInfo150.txt").read_text().splitlines()[1:]
    names = tuple(line.split("\t")[-1].split(",")[0].strip() for line in lines)
    assert names == ADE20K.names and len(set(names)) == 150


@pytest.mark.parametrize("labels", SETS, ids=lambda labels: labels.name)
def test_tables_name_classes_that_exist_and_that_no_rule_finds(labels):
    for name, coco in labels.to_coco.items():
        assert name in labels.names and coco in COCO_NAMES
        assert not {name, f"{name}-merged", f"{name}-other-merged"} & set(COCO_NAMES)


@pytest.mark.parametrize("labels", SETS, ids=lambda labels: labels.name)
def test_every_value(labels):
    values = np.arange(256, dtype=np.uint8)
    last = labels.first + len(labels.names)
    known = values[labels.first : last].tolist() + [labels.other]
    found = labels.read(png([known]))[0]
    expected = [labels.coco(name) for name in labels.names] + [None]
    assert found.tolist() == [VOID if e is None else COCO_NAMES.index(e) for e in expected]
    for value in sorted({*values.tolist()} - {*known}):
        message = rf"PNG: found \[{value}\], expected {labels.first}\.\."
        with pytest.raises(ValueError, match=message):
            labels.read(png([[known[0], value]]))
    with pytest.raises(ValueError, match="found PNG of mode RGB, expected PNG of mode L or P"):
        labels.read(png([[known[0]]], "RGB"))


def test_some_classes():
    for labels, name, coco in (
        (ADE20K, "sky", "sky-other-merged"),
        (ADE20K, "wall", "wall-other-merged"),
        (ADE20K, "sofa", "couch"),
        (ADE20K, "house", "house"),
        (ADE20K, "painting", None),
        (COCO_STUFF, "clouds", "sky-other-merged"),
        (COCO_STUFF, "tree", "tree-merged"),
        (COCO_STUFF, "wood", None),
    ):
        assert labels.coco(name) == coco and (name in labels.unmapped) == (coco is None)


@needs_ade
def test_real_ade20k():
    void, seen = [], set()
    for file in sorted((ADE / "segmentations").glob("*.png")):
        panoptic = ADE20K.read(file)
        seen |= set(np.unique(panoptic).tolist())
        void.append((panoptic == VOID).mean())
        assert Layers(panoptic).clean().labels.shape == panoptic.shape
    assert len(void) == 30 and len(seen) > 40
    assert abs(np.mean(void) - 0.061) < 0.001  # as the module says
