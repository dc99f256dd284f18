"""`mas-fast train` on real photos and on broken input."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mas_fast.bundle import load_bpe, load_vq
from mas_fast.cli import app
from mas_fast.data.sources import open_source
from mas_fast.scene import Scene
from mas_fast.training.crops import Crops
from mas_fast.training.settings import build, read
from mas_fast.training.trainer import Trainer
from mas_fast.training.vq import ImgSettings, SegSettings, paint, parts, pictures, sheet, train
from mas_fast.vqvae import VQVAE, preset

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")
KINDS = {"seg": SegSettings, "img": ImgSettings}
TINY = {"steps": 3, "batch": 4, "lr": 1e-3, "sheet_every": 2, "measure": 8, "log_every": 1}


def settings(kind: str, data, folder, **changes) -> SegSettings | ImgSettings:
    torch.set_num_threads(1)
    values = TINY | {"model": {"preset": f"tiny-{kind}"}} | changes
    return build(KINDS[kind], values | {"data": str(data), "folder": str(folder)}, "test")


def scalars(folder, name: str) -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six smooth pictures with scenes beside them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    y, x = np.mgrid[:40, :48]
    for i in range(6):
        pixels = np.stack([5 * x, 6 * y, 20 * i + x * 0], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.jpg")
        labels = np.where(x < 6 * i + 5, 20 + i, 120).astype(np.uint8)
        scene = Scene(labels, (x == 6 * i + 4))
        for part, content in zip(("seg", "edge"), scene.to_pngs(), strict=True):
            (folder / f"{i}.{part}.png").write_bytes(content)
    return folder


# ------------------------------------------------------------------ real data


@needs_data
@pytest.mark.parametrize("kind", ["seg", "img"])
@pytest.mark.parametrize("data", ["coco", "webdataset/coco-val-000000.tar"])
def test_real_data(tmp_path, kind, data) -> None:
    s = settings(kind, DATA / data, tmp_path / "run")
    assert train(s) == tmp_path / "run" / "bundle"
    losses = scalars(s.folder, "model/loss")
    assert list(losses) == [1, 2, 3] and np.isfinite(list(losses.values())).all()
    assert 0 < scalars(s.folder, "measured/used_codes")[3] <= 1
    sheets = sorted(file.name for file in (s.folder / "sheets").iterdir())
    assert sheets == ["step-00000002.png", "step-00000003.png"]
    with Image.open(s.folder / "sheets" / sheets[-1]) as image:
        assert image.size == (2 * (2 * 32 + 4) + 20, 4 * (32 + 4) + 4)
    model = load_vq(s.folder / "bundle", f"vq_{kind}")
    assert model.decode(torch.zeros(1, 8, 8, dtype=torch.int64)).shape[-2:] == (32, 32)
    assert not (s.folder / "rejects.tsv").exists()


@needs_data
def test_overfitting_eight_photos(tmp_path) -> None:
    changes = {"steps": 60, "batch": 8, "augment": False, "average": 0.9, "checkpoint_every": 100}
    tar = DATA / "webdataset" / "coco-val-000000.tar"
    s = settings("img", tar, tmp_path / "run", **changes, sheet_every=60, warmup=5)
    train(s)
    losses = scalars(s.folder, "model/l1")
    assert losses[60] < 0.7 * losses[1]
    assert scalars(s.folder, "measured/psnr")[60] > 14


# ------------------------------------------------------------------ the command line


def command(*arguments, processes: int = 0) -> list[str]:
    launch = [sys.executable]
    if processes:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        launch += [str(processes)]
    script = Path(sys.executable).with_name("mas-fast")
    return [*launch, str(script), "train", *map(str, arguments)]


def run(*arguments, **how) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = command(*arguments, **how)
    return subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)


def config(tmp_path, kind: str, **changes) -> Path:
    import yaml

    file = tmp_path / f"{kind}.yaml"
    file.write_text(yaml.safe_dump(TINY | {"model": {"preset": f"tiny-{kind}"}} | changes))
    return file


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("seg", {"model": {"preset": "tiny-seg", "quantizer": "ema"}}),
        ("img", {"gan_start": 2, "gan_warmup": 3, "workers": 1}),
    ],
)
def test_kill_and_continue(tmp_path, photos, kind, more) -> None:
    changes = {"steps": 30, "checkpoint_every": 4, "keep": 100} | more
    file = config(tmp_path, kind, **changes)
    arguments = [f"vq-{kind}", file, "--data", photos, "--folder"]
    folders = tmp_path / "whole", tmp_path / "killed"
    done = run(*arguments, folders[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folders[0] / "bundle")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(*arguments, folders[1]), env=environment, stderr=subprocess.DEVNULL
    )
    while not list(folders[1].glob("checkpoints/step-0000000[48].pt")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = run(*arguments, folders[1])
    assert done.returncode == 0, done.stderr
    for name in ("model/loss", "measured/perplexity", *(["critic/loss"] if kind == "img" else [])):
        assert scalars(folders[0], name) == scalars(folders[1], name)
    files = [folder / "bundle" / f"vq_{kind}.safetensors" for folder in folders]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_torchrun(tmp_path, photos) -> None:
    file = config(tmp_path, "img", gan_start=1)
    done = run("vq-img", file, "--data", photos, "--folder", tmp_path / "run", processes=2)
    assert done.returncode == 0, done.stderr
    load_vq(tmp_path / "run" / "bundle", "vq_img")
    assert np.isfinite(list(scalars(tmp_path / "run", "critic/loss").values())).all()


def test_nan_stops_with_one_line(tmp_path, photos) -> None:
    file = config(tmp_path, "img", lr=1e38, clip=1e38, steps=20)
    done = run("vq-img", file, "--data", photos, "--folder", tmp_path / "run")
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("mas-fast: model: ") and "samples ['" in message
    assert "at step " in message and "Traceback" not in done.stderr


def test_bpe(tmp_path) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("a red house beside a lake\na red boat on a lake\n" * 3)
    words = ["train", "bpe", str(captions), "-o", str(tmp_path / "bundle"), "--vocab-size", "270"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert load_bpe(tmp_path / "bundle").vocab_size == 270


@pytest.mark.parametrize("kind", ["seg", "img"])
def test_configs_build(tmp_path, kind) -> None:
    file = ROOT / "configs" / f"vq-{kind}-small.yaml"
    found = read(KINDS[kind], file, ["--data", "x"])
    assert found.config().f == 8 and found.config().input == {"seg": "labels", "img": "image"}[kind]


# ------------------------------------------------------------------ bad input


def test_a_truncated_photo_is_a_reject(tmp_path, photos) -> None:
    file = photos / "2.jpg"
    file.write_bytes(file.read_bytes()[:200])
    for _ in range(2):  # continuing adds no line
        s = settings("img", photos, tmp_path / "run")
        train(s)
    key, reason = (s.folder / "rejects.tsv").read_text().splitlines()[0].split("\t")
    assert key == "2" and "truncated" in reason.lower()
    assert len((s.folder / "rejects.tsv").read_text().splitlines()) == 1


def test_wrong_class_ids(tmp_path, photos) -> None:
    for i in range(6):
        Image.fromarray(np.full((40, 48), 200, np.uint8)).save(photos / f"{i}.seg.png")
    with pytest.raises(ValueError, match=r"found 6 unreadable samples in a row.*seg\.png"):
        train(settings("seg", photos, tmp_path / "run"))


@needs_data
def test_wrong_categories(tmp_path) -> None:
    coco = DATA / "coco"
    for name in ("images", "panoptic"):
        (tmp_path / name).symlink_to(coco / name)
    text = (coco / "panoptic_val.json").read_text()
    (tmp_path / "panoptic_val.json").write_text(
        text.replace('"category_id": 1,', '"category_id": 999,')
    )
    s = settings("seg", tmp_path, tmp_path / "run", steps=4, batch=8)
    train(s)  # of the photos without a person
    assert "999" in (s.folder / "rejects.tsv").read_text()


def test_no_data(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: found no images"):
        train(settings("img", tmp_path / "empty", tmp_path / "run"))
    with pytest.raises(ValueError, match="absent: found no such folder"):
        train(settings("img", tmp_path / "absent", tmp_path / "run"))


def test_no_scenes(tmp_path, photos) -> None:
    for file in photos.glob("*.png"):
        file.unlink()
    with pytest.raises(ValueError, match="6 unreadable samples in a row.*found no scene"):
        train(settings("seg", photos, tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"preset": "tiny-seg"}}, "found input 'labels', expected 'image'"),
        ({"model": {"preset": "tiny-img", "code": 3}}, r"unknown keys \['code'\].*'codes'"),
        ({"model": {"codes": 3}}, "preset: found None, expected one of"),
        ({"perceptual": "nowhere"}, r"nowhere: 2 weight file\(s\) missing"),
        ({"lr": 0}, "lr: found 0"),
        ({"betas": [0.9]}, r"betas: found \[0.9\], expected tuple\[float, float\]"),
        ({"betas": [0.9, 1.5]}, r"betas: found 1.5, expected a value in 0..1"),
        ({"batch": 3, "accumulate": 2}, "batch: found 3, expected a multiple of accumulate = 2"),
    ],
)
def test_bad_settings(tmp_path, photos, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        train(settings("img", photos, tmp_path / "run", **changes))
    assert not (tmp_path / "run" / "checkpoints").exists()


# ------------------------------------------------------------------ the parts


def test_crops_depend_on_seed_epoch_and_index_alone(photos) -> None:
    source, small = open_source(photos), preset("tiny-img")
    one, two = (Crops(source, small, 3, augment=True) for _ in range(2))
    places = [(0, 1), (0, 2), (1, 1), (0, 1)]
    first = one.collate([one[place] for place in places])
    second = two.collate([two[place] for place in reversed(places)])
    assert torch.equal(first["image"], second["image"].flip(0))
    assert torch.equal(first["image"][0], first["image"][3])
    assert not torch.equal(first["image"][0], first["image"][2])
    assert first["image"].shape == (4, 3, 32, 32) and first["keys"][:2] == ["1", "2"]
    assert first["image"].min() >= -1 and first["image"].max() <= 1
    still = Crops(source, small, 3, augment=False)
    assert torch.equal(*still.collate([still[0, 1], still[5, 1]])["image"])


def test_scenes_come_in_the_layout_of_the_model(photos) -> None:
    source = open_source(photos)
    data = Crops(source, preset("vq-seg-mas159"), 0, augment=False)
    batch = data.collate([data[0, 0]])
    assert batch["labels"].shape == (1, 256, 256) and batch["labels"].dtype == torch.uint8
    assert batch["edges"].dtype == torch.bool and batch["edges"].any()


def test_gumbel_cools_down(tmp_path, photos) -> None:
    model = {"preset": "tiny-img", "quantizer": "gumbel"}
    s = settings("img", photos, tmp_path / "run", model=model, steps=4)
    network = VQVAE.create(s.config())
    data = Crops(open_source(photos), s.config(), 0, True)
    Trainer(parts(network, s), data, s).run()
    assert float(network.quantize.temperature) == pytest.approx((1 / 16) ** 0.75)


def test_bf16_and_passes(tmp_path, photos) -> None:
    changes = {"precision": "bf16", "accumulate": 2, "gan_start": 1}
    train(settings("img", photos, tmp_path / "run", **changes))
    assert np.isfinite(list(scalars(tmp_path / "run", "critic/loss").values())).all()


def test_sheet() -> None:
    a, b = np.full((6, 8, 3), 10, np.uint8), np.full((6, 8, 3), 90, np.uint8)
    pixels = np.asarray(sheet([(a, b)] * 3))
    assert pixels.shape == (2 * 10 + 4, 2 * 20 + 20, 3)
    assert (pixels[4:10, 4:12] == 10).all() and (pixels[4:10, 16:24] == 90).all()
    assert (pixels[4:10, 36:44] == 10).all() and (pixels[14:20, 16:24] == 90).all()
    assert (pixels[14:20, 36:] == 255).all() and (pixels[4:10, 24:36] == 255).all()


def test_pictures_and_paint() -> None:
    images = torch.tensor([-2.0, -1.0, 0.0, 1.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    assert [int(image[0, 0, 0]) for image in pictures(images)] == [0, 0, 128, 255]
    labels = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    (plain,) = paint(labels, torch.zeros(1, 1, 2, dtype=torch.bool), "mini158")
    (dark,) = paint(labels, torch.ones(1, 1, 2, dtype=torch.bool), "mini158")
    assert plain[0, 0].tolist() == [0xDC, 0x14, 0x3C] and plain[0, 1].tolist() == [0, 0, 0]
    assert dark[0, 0].tolist() == [0x6E, 0x0A, 0x1E]
