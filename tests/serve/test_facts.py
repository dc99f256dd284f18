"""What a bundle says of its classes: what the page shows first, and what it opens."""

from mas_fast.deploy import Pipeline
from mas_fast.scene.labels import COCO_IDS, COCO_NAMES
from mas_fast.serve.facts import facts_of


def test_classes_that_captions_name_and_cocos_ids():
    classes = {one["label"]: one for one in facts_of(Pipeline())["classes"]}
    learned = {one["name"] for one in classes.values() if one["learned"]}
    # By name, in the plural ("trees"), as "lake" names water, and people as "man" and "woman".
    assert {"house", "tree", "water", "person", "left-arm", "nose"} <= learned
    assert not {"pizza", "toothbrush", "refrigerator"} & learned
    for label, name in enumerate(COCO_NAMES):
        assert name.startswith(classes[label]["name"])
        assert classes[label]["coco"] == COCO_IDS[label]
    kinds = [classes[label]["kind"] for label in (0, 79, 80, 132, 133)]
    assert kinds == ["thing", "thing", "stuff", "stuff", "part"]
    assert classes[133]["coco"] is None
