"""The subject "images" on few photos: it runs, and refuses to time a picture that is wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import images
from benchmarks.versus import Disagreement


@pytest.fixture
def data(coco, tmp_path) -> Path:
    """Real photos as the subject finds them; for CIHP's people, the same again."""
    shutil.copytree(coco, tmp_path / "coco")
    (tmp_path / "coco" / "val2017").rename(tmp_path / "coco" / "images")
    (tmp_path / "coco" / "annotations" / "panoptic_train2017.json").unlink()
    (tmp_path / "cihp").symlink_to(tmp_path / "coco")
    return tmp_path


def test_it_runs_on_few_photos(data, capsys) -> None:
    record = images.run(blocks=2, photos=2, data=data)
    for name in (images.REAL, images.ENLARGED):
        match = record["matches"][name]
        assert {images.OURS, images.PILLOW} <= set(match["contestants"])
        taking_part = {*match["contestants"], *match["missing"]}
        assert taking_part == set(images.decoders())
        ours, pillow = (record["psnr"][name][peer][0] for peer in (images.OURS, images.PILLOW))
        assert ours > pillow
    json.dumps(record, allow_nan=False)
    images.results.show(record)
    shown = capsys.readouterr().out
    assert "real photos: times as fast as" in shown
    assert "cleaning rules, images/s" in shown


def test_a_wrong_picture_is_not_timed(data, monkeypatch) -> None:
    monkeypatch.setattr(images, "cut", lambda *_: np.zeros((images.SIZE, images.SIZE, 3), np.uint8))
    with pytest.raises(Disagreement, match="found a PSNR of"):
        images.run(blocks=1, photos=1, data=data)


def test_no_photos(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"found no coco/images/\*.jpg, expected photos"):
        images.run(data=tmp_path)
