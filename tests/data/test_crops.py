"""data/crops.py: batches are a function of (seed, epoch, index), and what they hold."""

import json

import numpy as np
import torch

from mas_fast.data.crops import Crops
from mas_fast.data.sources.open import open_source
from mas_fast.models.vqvae_config import preset


def test_crops_depend_on_seed_epoch_and_index_alone(photos) -> None:
    source, small = open_source(photos), preset("tiny-img")
    one, two = (Crops(source, small, 3, augment=True) for _ in range(2))
    places = [(0, 1), (0, 2), (1, 1), (0, 1)]
    first = one.collate([one[place] for place in places])
    second = two.collate([two[place] for place in reversed(places)])
    assert torch.equal(first["image"], second["image"].flip(0))
    assert torch.equal(first["image"][0], first["image"][3])
    assert not torch.equal(first["image"][0], first["image"][2])
    assert first["image"].shape == (4, 3, 32, 32)
    assert first["keys"][:2] == ["1", "2"]
    assert first["image"].min() >= -1
    assert first["image"].max() <= 1
    still = Crops(source, small, 3, augment=False)
    assert torch.equal(*still.collate([still[0, 1], still[5, 1]])["image"])


def test_scenes_come_in_the_layout_of_the_model(photos) -> None:
    source = open_source(photos)
    data = Crops(source, preset("vq-seg-mas159"), 0, augment=False)
    batch = data.collate([data[0, 0]])
    assert batch["labels"].shape == (1, 256, 256)
    assert batch["labels"].dtype == torch.uint8
    assert batch["edges"].dtype == torch.bool
    assert batch["edges"].any()


def test_boxes_come_along_when_asked_for(photos) -> None:
    boxes = ["object_boxes", "face_boxes"]
    (photos / "1.json").write_text(
        json.dumps({"object_boxes": [], "face_boxes": [[8, 10, 28, 30]]})
    )
    (photos / "2.seg.png").unlink()
    (photos / "2.edge.png").unlink()
    source, small = open_source(photos), preset("tiny-img")
    data = Crops(source, small, boxes=boxes)
    batch = data.collate([data[0, i] for i in range(3)])
    assert "object_boxes" not in Crops(source, small).collate([data[0, 0]])
    # Photos of 40 x 48 become 32 x 32: rows times 0.8, columns less 4 and times 0.8.
    assert batch["object_boxes"] == [[], [], []]  # the thing of photo 0 is a splinter in the crop
    np.testing.assert_allclose(batch["face_boxes"][1], [[3.2, 8, 19.2, 24]])
    assert batch["face_boxes"][0] == batch["face_boxes"][2] == []
    (box,) = data.collate([data[0, 5]])["object_boxes"][0]
    np.testing.assert_allclose(box, [0, 0, (6 * 5 + 5 - 4) * 0.8, 32], atol=0.5)
    moving = Crops(source, small, 0, True, boxes)
    found = [moving.collate([moving[n, 1]])["face_boxes"][0] for n in range(8)]
    assert found == [moving.collate([moving[n, 1]])["face_boxes"][0] for n in range(8)]
    assert len({str(boxes) for boxes in found}) > 4


def test_a_wrong_box_is_a_reject(photos) -> None:
    (photos / "1.json").write_text(json.dumps({"object_boxes": [[0, 0, 0, 9]]}))
    data = Crops(open_source(photos), preset("tiny-img"))
    sample, ((key, reason),) = data[0, 1]
    assert (sample.key, key) == ("2", "1")
    assert "object_boxes: found [0, 0, 0, 9]" in reason
