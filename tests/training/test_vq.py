"""`mas-fast train` on real photos and on broken input."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from mas_fast.bundle import load_bpe, load_vq
from mas_fast.cli import app, main
from mas_fast.data.crops import Crops
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.reconstruction import evaluate
from mas_fast.models.perceptual import VGG16, FaceResNet50
from mas_fast.models.vqvae import VQVAE
from mas_fast.training.settings import build, read
from mas_fast.training.trainer import Trainer
from mas_fast.training.vq import ImgSettings, SegSettings, parts, train

ROOT = Path(__file__).resolve().parents[2]
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


# ------------------------------------------------------------------ real data


@pytest.mark.parametrize("kind", ["seg", "img"])
@pytest.mark.parametrize("data", ["coco", "coco_tar"])
def test_real_data(request, tmp_path, kind, data) -> None:
    s = settings(kind, request.getfixturevalue(data), tmp_path / "run")
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


@pytest.mark.slow
def test_overfitting_eight_photos(tmp_path, coco_tar) -> None:
    changes = {"steps": 60, "batch": 8, "augment": False, "average": 0.9, "checkpoint_every": 100}
    s = settings("img", coco_tar, tmp_path / "run", **changes, sheet_every=60, warmup=5)
    train(s)
    losses = scalars(s.folder, "model/l1")
    assert losses[60] < 0.7 * losses[1]
    assert scalars(s.folder, "measured/psnr")[60] > 14


# ------------------------------------------------------------------ the command line


def command(*arguments, processes: int = 0) -> list[str]:
    launch = []
    if processes:
        launch = [sys.executable]
        launch += ["-m", "torch.distributed.run", "--standalone", "--no-python"]
        launch += ["--nproc-per-node", str(processes)]
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
    while not list(folders[1].glob("checkpoints/step-0000000[48]")):
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


@pytest.mark.slow
def test_two_processes_continue_bit_for_bit(tmp_path, photos) -> None:
    """Also through passes that do not synchronise, with a codebook that learns and revives in each
    of them, and a discriminator whose running averages differ between the processes."""
    model = {"preset": "tiny-img", "quantizer": "ema"}
    changes = {"steps": 6, "accumulate": 2, "checkpoint_every": 3, "gan_start": 1}
    file = config(tmp_path, "img", model=model, keep=9, **changes)
    arguments = ["vq-img", file, "--data", photos, "--folder"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        done = run(*arguments, folder, processes=2)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(killed / "checkpoints" / "step-00000006")  # as if killed before its end
    done = run(*arguments, killed, processes=2)
    assert done.returncode == 0, done.stderr
    for name in ("model/loss", "critic/loss", "model/usage"):
        assert scalars(whole, name) == scalars(killed, name)
    files = [folder / "bundle" / "vq_img.safetensors" for folder in (whole, killed)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_bpe_of_real_captions(tmp_path, coco_captions) -> None:
    more = tmp_path / "more.txt"
    more.write_text("qzxqzx\n" * 500)
    words = ["train", "bpe", coco_captions, more, "-o", tmp_path / "bundle", "--vocab-size", 4096]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    bpe = load_bpe(tmp_path / "bundle")
    assert (bpe.vocab_size, bpe.pad_id, bpe.length) == (4096, 0, 64)
    assert (bpe.encode(["qzxqzx"]).ids != bpe.pad_id).sum() == 1  # a word of the second file
    texts = ["빨간 집 🏠", "a red house"]
    ids, truncated = bpe.encode([*texts, "never ends " * 99])
    assert bpe.decode(ids[:2]) == texts and truncated.tolist() == [False, False, True]


def test_bpe_stops_with_one_line(tmp_path, monkeypatch) -> None:
    (tmp_path / "few.txt").write_text("a house\na house\n")
    (tmp_path / "none.txt").write_text("\n\n")
    for name, message in (
        ("absent.txt", "absent.txt: found no such file, expected captions"),
        ("few.txt", "263 entries in 2 captions, expected --vocab-size 16384: train on more"),
        ("none.txt", "found no captions in 1 files"),
    ):
        arguments = "bpe", tmp_path / name, "-o", tmp_path / "bundle"
        assert message in stopped(monkeypatch, *arguments)
    assert not (tmp_path / "bundle").exists()


def test_bpe(tmp_path) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("a red house beside a lake\na red boat on a lake\n" * 3)
    words = ["train", "bpe", str(captions), "-o", str(tmp_path / "bundle"), "--vocab-size", "270"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert load_bpe(tmp_path / "bundle").vocab_size == 270


# ------------------------------------------------------------------ faces and objects


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Random ones, in the names and shapes of the published files."""
    folder, generator = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    files = {"vgg16-397923af.pth": VGG16(), "vggface2-resnet50.pth": FaceResNet50()}
    for name, network in files.items():
        state = network.state_dict()
        for value in state.values():
            if value.ndim == 4:
                value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
        torch.save(state, folder / name)
    lines = {
        f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for i, width in enumerate((64, 128, 256, 512, 512))
    }
    torch.save(lines, folder / "vgg.pth")
    return folder


def test_faces_and_objects(tmp_path, photos, weights) -> None:
    """Any number in a picture: photo 1 has two faces, 2 says that it has no object, 3 knows of
    nothing, and the others show one object each."""
    two = [[8, 4, 20, 18], [26, 4, 38, 18]]
    (photos / "1.json").write_text(json.dumps({"face_boxes": two}))
    (photos / "2.json").write_text(json.dumps({"object_boxes": []}))
    for part in ("seg", "edge"):
        (photos / f"3.{part}.png").unlink()
    paths = {"perceptual": str(weights), "face": str(weights)}
    changes = {"steps": 2, "batch": 3, "accumulate": 1, "augment": False, "log_every": 1}
    file = config(tmp_path, "img", **paths, **changes, object_weight=0.5)
    words = ["train", "vq-img", str(file), "--data", str(photos), "--folder", str(tmp_path / "run")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = {n: scalars(tmp_path / "run", f"model/{n}") for n in ("l1", "lpips", "face", "object")}
    counts = {n: scalars(tmp_path / "run", f"model/{n}_boxes") for n in ("face", "object")}
    assert sum(counts["face"].values()) == pytest.approx(2 / 3)
    assert sum(counts["object"].values()) == pytest.approx(3 / 3)  # photo 0 shows but a splinter
    for name in ("face", "object"):
        for step in (1, 2):
            assert (found[name][step] > 0) == (counts[name][step] > 0)
    quantizer, loss = (scalars(tmp_path / "run", f"model/{n}") for n in ("quantizer", "loss"))
    for step in (1, 2):
        terms = [found["l1"][step], found["lpips"][step], found["face"][step], quantizer[step]]
        expected = sum(terms) + 0.5 * found["object"][step]
        assert loss[step] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["seg", "img"])
def test_configs_build(tmp_path, kind) -> None:
    file = ROOT / "configs" / f"vq-{kind}-small.yaml"
    found = read(KINDS[kind], file, ["--data", "x"])
    assert found.config().f == 8 and found.config().input == {"seg": "labels", "img": "image"}[kind]


# ------------------------------------------------------------------ bad input


def stopped(monkeypatch, *arguments) -> str:
    """The one line with which `mas-fast train` ends."""
    monkeypatch.setattr(sys, "argv", ["mas-fast", "train", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    message = end.value.code
    assert message.startswith("mas-fast: ") and "Traceback" not in message
    return message


def test_nan_stops_with_one_line(tmp_path, photos) -> None:
    file = config(tmp_path, "img", lr=1e38, clip=1e38, steps=20)
    done = run("vq-img", file, "--data", photos, "--folder", tmp_path / "run")
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("mas-fast: model: ") and "samples ['" in message
    assert "at step " in message and "Traceback" not in done.stderr


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
    assert len(names) > 3 and curves[0] == curves[1]


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


@pytest.mark.parametrize("kind", ["seg", "img"])
def test_a_decoder_alone(tmp_path, photos, kind) -> None:
    first = train(settings(kind, photos, tmp_path / "one", average=0.5))
    s = settings(kind, photos, tmp_path / "two", decoder_of=str(first), average=0.5)
    before, after = (load_vq(bundle, f"vq_{kind}").weights() for bundle in (first, train(s)))
    for name, weight in before.items():
        same = torch.equal(weight, after[name])
        assert same != name.startswith(("decoder.", "post_quant_conv.")), name
    assert list(scalars(s.folder, "model/loss")) == [1, 2, 3]
    other = settings(kind, photos, tmp_path / "x", decoder_of=str(first))
    other = dataclasses.replace(other, model=other.model | {"codes": 48})
    with pytest.raises(ValueError, match=r"one/bundle: found .*codes=.*expected .*codes=48"):
        train(other)


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


def test_the_decoders_tokenizer_may_move_but_not_change(tmp_path, photos) -> None:
    first = train(settings("seg", photos, tmp_path / "one", steps=1))
    other = train(settings("seg", photos, tmp_path / "other", steps=1, seed=1))
    train(settings("seg", photos, tmp_path / "two", steps=1, decoder_of=str(first)))
    moved = tmp_path / "moved"
    shutil.copytree(first, moved)
    train(settings("seg", photos, tmp_path / "two", steps=2, decoder_of=str(moved)))
    with pytest.raises(ValueError, match="decoder_of: .*other contents"):
        train(settings("seg", photos, tmp_path / "two", steps=3, decoder_of=str(other)))


def test_a_truncated_photo_is_a_reject(tmp_path, photos) -> None:
    file = photos / "2.jpg"
    file.write_bytes(file.read_bytes()[:200])
    words = ["train", "vq-img", str(config(tmp_path, "img")), "--data", str(photos)]
    for _ in range(2):  # continuing adds no line
        done = CliRunner().invoke(app, [*words, "--folder", str(tmp_path / "run")])
        assert done.exit_code == 0, done.output
        assert f"1 left out: 1 damaged JPEG: {tmp_path}/run/rejects.tsv" in done.output
    key, reason = (tmp_path / "run" / "rejects.tsv").read_text().splitlines()[0].split("\t")
    assert key == "2" and "truncated" in reason.lower()
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"preset": "tiny-seg"}}, "found input 'labels', expected 'image'"),
        ({"model": {"preset": "tiny-img", "code": 3}}, r"unknown keys \['code'\].*'codes'"),
        ({"model": {"codes": 3}}, "preset: found None, expected one of"),
        ({"perceptual": "nowhere"}, r"nowhere: 2 weight file\(s\) missing.*\n.*vgg16-397923af.pth"),
        ({"face": "nowhere"}, r"nowhere: 1 weight file.*\n.*vggface2-resnet50.pth from https"),
        (
            {"gan_start": 9, "model": {"preset": "tiny-img", "resolution": 16}},
            "resolution: found 16, expected at least 24 for the discriminator",
        ),
        ({"object_weight": 1.0}, "object_weight: found 1.0 without `perceptual`"),
        ({"face_weight": -1.0}, "face_weight: found -1.0, expected a finite number >= 0"),
        ({"lr": 0}, "lr: found 0"),
        ({"lr": float("inf")}, "lr: found inf, expected a finite number > 0"),
        ({"clip": float("inf")}, "clip: found inf, expected a finite number > 0"),
        ({"samples": 0}, "samples: found 0, expected an integer >= 1"),
        ({"betas": [0.9]}, r"betas: found \[0.9\], expected tuple\[float, float\]"),
        ({"betas": [0.9, 1.5]}, r"betas: found 1.5, expected a finite number in 0..1"),
        ({"batch": 3, "accumulate": 2}, "batch: found 3, expected a multiple of accumulate = 2"),
    ],
)
def test_bad_settings(tmp_path, photos, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        train(settings("img", photos, tmp_path / "run", **changes))
    assert not (tmp_path / "run" / "checkpoints").exists()


# ------------------------------------------------------------------ the parts


def test_gumbel_cools_down(tmp_path, photos) -> None:
    model = {"preset": "tiny-img", "quantizer": "gumbel"}
    s = settings("img", photos, tmp_path / "run", model=model, steps=4)
    network = VQVAE.create(s.config())
    data = Crops(open_source(photos), s.config(), 0, True)
    Trainer(parts(network, s), data, s).run()
    assert float(network.quantize.temperature) == pytest.approx((1 / 16) ** 0.75)


def test_a_gumbel_run_is_not_prolonged(tmp_path, photos) -> None:
    """Its temperature would rise again."""
    for quantizer in ("ema", "gumbel"):
        model = {"preset": "tiny-img", "quantizer": quantizer}
        s = settings("img", photos, tmp_path / quantizer, model=model, steps=1)
        train(s)
        longer = dataclasses.replace(s, steps=2)
        if quantizer == "ema":
            train(longer)
        else:
            with pytest.raises(ValueError, match=r"other settings .*'steps': \(1, 2\)"):
                train(longer)


def test_the_discriminator_sees_this_steps_pictures_alone(tmp_path, photos) -> None:
    s = settings("img", photos, tmp_path / "run", gan_start=0)
    network, data = VQVAE.create(s.config()).train(), Crops(open_source(photos), s.config())
    model, critic = parts(network, s)
    batch = data.collate([data[0, i] for i in range(2)])
    for step in (0, 1):  # at step 0 the discriminator misses its turn
        model.loss(batch, step)
        with torch.no_grad():
            network.decoder.conv_out.weight.add_(1)
    (kept,) = model.loss.passes
    model.loss(batch, 1)
    assert [len(model.loss.passes), model.loss.passes[0] is kept] == [2, True]
    critic.loss(batch, 1)
    assert len(model.loss.passes) == 1


def test_bf16_and_passes(tmp_path, photos) -> None:
    changes = {"precision": "bf16", "accumulate": 2, "gan_start": 1}
    train(settings("img", photos, tmp_path / "run", **changes))
    assert np.isfinite(list(scalars(tmp_path / "run", "critic/loss").values())).all()
