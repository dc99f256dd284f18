"""The subject "prepare" on four tiny photos: it runs, and refuses to time what differs."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import prepare
from benchmarks.versus import Disagreement
from mas_fast.data.sources.open import open_source
from mas_fast.scene import COCO_IDS, COCO_NAMES


@pytest.fixture
def plan(tmp_path) -> prepare.Plan:
    data = tmp_path / "coco"
    for folder in ("images", "panoptic"):
        (data / folder).mkdir(parents=True)
    images, annotations = [], []
    for n in range(4):
        Image.fromarray(np.full((30, 40, 3), 50 * n, np.uint8)).save(data / f"images/{n}.jpg")
        ids = np.zeros((30, 40, 3), np.uint8)
        ids[..., 0] = 7
        Image.fromarray(ids).save(data / f"panoptic/{n}.png")
        images.append({"id": n, "file_name": f"{n}.jpg"})
        segments = [{"id": 7, "category_id": COCO_IDS[n]}]
        annotations.append({"image_id": n, "file_name": f"{n}.png", "segments_info": segments})
    pairs = zip(COCO_IDS, COCO_NAMES, strict=True)
    values = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in pairs],
    }
    (data / "panoptic_val.json").write_text(json.dumps(values))
    return prepare.Plan(data, copies=2, per_shard=3, blocks=1)


def test_it_runs_on_a_few_photos(plan, capsys):
    record = prepare.run(plan)
    assert record["images"] == 8
    assert set(record["matches"]["workers"]["contestants"]) == {prepare.ONE, prepare.TWO}
    speed, size = record["goals"]
    assert speed["figure"] > 0
    assert 2.5 < size["figure"] < 15
    assert size["passed"]
    json.dumps(record, allow_nan=False)
    prepare.results.show(record)
    assert "2 workers: times as fast as 1 worker" in capsys.readouterr().out


def test_photos_are_repeated_with_their_annotations(plan, tmp_path):
    assert prepare.repeat(plan.data, tmp_path / "many", 3) == 12
    items = list(open_source(tmp_path / "many"))
    assert [item.key for item in items] == [str(n) for n in range(12)]
    for n, item in enumerate(items):
        assert np.unique(item.layers.panoptic).tolist() == [n // 3]
        assert np.abs(np.asarray(item.image, int) - 50 * (n // 3)).max() < 3


def test_results_that_differ_are_not_timed(plan, tmp_path, monkeypatch):
    prepared = prepare.Bench.prepare

    def spoiled(self, name: str) -> float:
        seconds = prepared(self, name)
        if name == prepare.TWO:
            file = self.folder / name / "manifest.json"
            values = json.loads(file.read_text())
            values["shards"][1]["sha256"] = "0"
            file.write_text(json.dumps(values))
        return seconds

    monkeypatch.setattr(prepare.Bench, "prepare", spoiled)
    with pytest.raises(Disagreement, match="found other shards with two workers than with one"):
        prepare.run(plan)


def test_photos_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere: found no such folder, expected COCO's photos"):
        prepare.run(prepare.Plan(Path(tmp_path / "nowhere")))
