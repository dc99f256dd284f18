"""What `mas-fast train vq-seg` and `vq-img` read, and what they do without."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from curves import scalars
from mas_fast.cli import app
from mas_fast.evaluation.reconstruction import evaluate
from mas_fast.training.vq import train
from vq_runs import config, settings, stopped


@pytest.mark.parametrize("kind", ["seg", "img"])
def test_no_data(tmp_path, monkeypatch, kind) -> None:
    (tmp_path / "empty").mkdir()
    arguments = f"vq-{kind}", config(tmp_path, kind), "--folder", tmp_path / "run", "--data"
    assert "empty: found no images" in stopped(monkeypatch, *arguments, tmp_path / "empty")
    absent = stopped(monkeypatch, *arguments, tmp_path / "absent")
    assert "absent: found no such folder" in absent
    assert not (tmp_path / "run").exists()


def test_the_first_samples_alone(tmp_path, photos) -> None:
    few = tmp_path / "few"
    few.mkdir()
    names = sorted(file.stem for file in photos.iterdir() if file.suffix == ".jpg")
    for file in photos.iterdir():
        if file.name.partition(".")[0] in names[:3]:
            (few / file.name).write_bytes(file.read_bytes())
    curves = []
    for name, data, more in (("one", few, {}), ("two", photos, {"samples": 3})):
        s = settings("img", data, tmp_path / name, **more)
        train(s)
        curves.append([scalars(s.folder, n) for n in ("model/loss", "measured/psnr")])
    assert len(names) > 3
    assert curves[0] == curves[1]


def test_label_maps_beside_photos(tmp_path, photos) -> None:
    """Their label space is a setting."""
    for file in photos.iterdir():
        if ".seg." in file.name or ".edge." in file.name:
            file.unlink()
    for n in range(6):
        labels = np.where(np.arange(48) < 20, 2, 15).astype(np.uint8)
        Image.fromarray(np.tile(labels, (40, 1))).save(photos / f"{n}.png")
    with pytest.raises(ValueError, match="found label maps .*--labels NAME"):
        train(settings("seg", photos, tmp_path / "run"))
    s = settings("seg", photos, tmp_path / "run", labels="voc")
    train(s)
    assert list(scalars(s.folder, "model/loss")) == [1, 2, 3]
    found = evaluate(s.folder / "bundle", "vq_seg", photos, labels="voc", device="cpu")
    assert {name for name, _, share in found.classes if share} == {"bicycle", "person"}


def test_a_run_goes_on_with_the_pictures_it_began_with(tmp_path, photos, monkeypatch) -> None:
    run = tmp_path / "run"
    train(settings("seg", photos, run, steps=1))
    moved = tmp_path / "moved"
    photos.rename(moved)
    for file in moved.iterdir():
        os.utime(file, (1, 1))
    monkeypatch.chdir(tmp_path)
    two = settings("seg", "moved", run, steps=2, decoder_of=None)
    train(two)
    content = (moved / "0.jpg").read_bytes()
    (moved / "0.jpg").write_bytes((moved / "1.jpg").read_bytes().ljust(len(content), b"\0"))
    with pytest.raises(ValueError, match="data: moved: found .* run in .* began with: bring those"):
        train(settings("seg", "moved", run, steps=3))
    (moved / "0.jpg").unlink()
    with pytest.raises(ValueError, match="data: moved: found 17 files of .* expected 18 of"):
        train(settings("seg", "moved", run, steps=3))
    (moved / "0.jpg").write_bytes(content)
    train(settings("seg", "moved", run, steps=3))


def test_a_truncated_photo_is_a_reject(tmp_path, photos) -> None:
    file = photos / "2.jpg"
    file.write_bytes(file.read_bytes()[:200])
    words = ["train", "vq-img", str(config(tmp_path, "img")), "--data", str(photos)]
    for _ in range(2):  # continuing adds no line
        done = CliRunner().invoke(app, [*words, "--folder", str(tmp_path / "run")])
        assert done.exit_code == 0, done.output
        assert f"1 left out: 1 damaged JPEG: {tmp_path}/run/rejects.tsv" in done.output
    key, reason = (tmp_path / "run" / "rejects.tsv").read_text().splitlines()[0].split("\t")
    assert key == "2"
    assert "truncated" in reason.lower()
    assert len((tmp_path / "run" / "rejects.tsv").read_text().splitlines()) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_truncated_photos_alone(tmp_path, photos, monkeypatch, workers) -> None:
    for file in photos.glob("*.jpg"):
        file.write_bytes(file.read_bytes()[:200])
    file = config(tmp_path, "img", workers=workers)
    message = stopped(monkeypatch, "vq-img", file, "--data", photos, "--folder", tmp_path / "run")
    assert re.search(r"found 6 unreadable samples in a row, .*truncated", message)
    assert "\n" not in message


def test_wrong_class_ids(tmp_path, photos, monkeypatch) -> None:
    for i in range(6):
        palette = Image.fromarray(np.full((40, 48), 200, np.uint8)).convert("L")
        palette.putpalette(bytes(768))
        text = PngInfo()
        text.add_text("mas_fast", "labels 1 mini158")
        palette.save(photos / f"{i}.seg.png", pnginfo=text)
    file = config(tmp_path, "seg")
    message = stopped(monkeypatch, "vq-seg", file, "--data", photos, "--folder", tmp_path / "run")
    assert re.search(r"found 6 unreadable samples in a row.*seg\.png: .*found \[200\]", message)


def test_wrong_categories(tmp_path, tmp_path_factory, coco, monkeypatch) -> None:
    shutil.copytree(coco, tmp_path, dirs_exist_ok=True)
    (tmp_path / "annotations" / "panoptic_train2017.json").unlink()
    table = tmp_path / "annotations" / "panoptic_val2017.json"
    text = table.read_text()
    table.write_text(text.replace('"category_id":1,', '"category_id":999,'))
    s = settings("seg", tmp_path, tmp_path_factory.mktemp("run"), steps=2)
    train(s)  # of the photos without a person
    assert "999" in (s.folder / "rejects.tsv").read_text()
    table.write_text(re.sub('"category_id":[0-9]+', '"category_id":999', text))
    arguments = "vq-seg", config(tmp_path, "seg"), "--data", tmp_path, "--folder"
    arguments += (tmp_path_factory.mktemp("no"),)
    assert re.search("15 unreadable samples in a row.*999", stopped(monkeypatch, *arguments))


def test_no_scenes(tmp_path, photos) -> None:
    for file in photos.glob("*.png"):
        file.unlink()
    with pytest.raises(ValueError, match="6 unreadable samples in a row.*found no scene"):
        train(settings("seg", photos, tmp_path / "run"))
