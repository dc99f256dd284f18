"""`mas-fast train` on real photos and on broken input."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from curves import scalars
from killed import train_killed
from mas_fast.bundle import load_vq
from mas_fast.cli import app
from mas_fast.data.crops import Crops
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.segmenter import ENTRY
from mas_fast.evaluation.segmenter import FILE as SEGMENTER_FILE
from mas_fast.models.perceptual import VGG16, FaceResNet50, FeatureDistance
from mas_fast.models.segmenter import Segmenter
from mas_fast.models.vqvae import VQVAE
from mas_fast.training.trainer import Trainer
from mas_fast.training.vq import parts, train
from vq_runs import config, run, settings

# ------------------------------------------------------------------ real data


@pytest.mark.parametrize("kind", ["seg", "img"])
@pytest.mark.parametrize("data", ["coco", "coco_tar"])
def test_real_data(request, tmp_path, kind, data) -> None:
    s = settings(kind, request.getfixturevalue(data), tmp_path / "run")
    assert train(s) == tmp_path / "run" / "bundle"
    losses = scalars(s.folder, "model/loss")
    assert list(losses) == [1, 2, 3]
    assert np.isfinite(list(losses.values())).all()
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
    changes = {"steps": 60, "batch": 8, "augment": False, "ema_decay": 0.9, "checkpoint_every": 100}
    s = settings("img", coco_tar, tmp_path / "run", **changes, sheet_every=60, warmup=5)
    train(s)
    losses = scalars(s.folder, "model/l1")
    assert losses[60] < 0.7 * losses[1]
    assert scalars(s.folder, "measured/psnr")[60] > 14


# ------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("seg", {"model": {"preset": "tiny-seg", "quantizer": "ema"}}),
        ("img", {"gan_start": 2, "gan_warmup": 3, "workers": 1}),
    ],
)
def test_kill_and_continue(tmp_path, photos, kind, more) -> None:
    changes = {"steps": 30, "checkpoint_every": 4, "keep_checkpoints": 100} | more
    file = config(tmp_path, kind, **changes)
    arguments = [f"vq-{kind}", file, "--data", photos, "--folder"]
    folders = tmp_path / "whole", tmp_path / "killed"
    done = run(*arguments, folders[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folders[0] / "bundle")
    train_killed(*arguments, folders[1])
    assert [file.name for file in (folders[1] / "checkpoints").iterdir()] == ["step-00000004"]
    assert not (folders[1] / "bundle").exists()
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
    file = config(tmp_path, "img", model=model, keep_checkpoints=9, **changes)
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


def test_pictures_are_compared_in_the_segmenters_features(tmp_path, photos) -> None:
    torch.manual_seed(0)
    net = Segmenter([0, 1, 2]).eval()
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(state, tmp_path / SEGMENTER_FILE, {ENTRY: "any"})
    changes = {"perceptual": str(tmp_path), "perceptual_weight": 0.5, "gan_start": None}
    s = settings("img", photos, tmp_path / "run", **changes, steps=1, log_every=1)
    model = VQVAE.create(s.config())
    loss = parts(model, s)[0].loss
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    total, terms = loss({"image": x}, 0)
    reconstruction = model.eval()(x).reconstruction
    assert terms["lpips"] == pytest.approx(FeatureDistance(net)(x, reconstruction).mean().item())
    expected = terms["l1"] + 0.5 * terms["lpips"] + terms["quantizer"]
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    train(s)
    assert scalars(s.folder, "model/lpips")[1] > 0


# ------------------------------------------------------------------ bad input


def test_nan_stops_with_one_line(tmp_path, photos) -> None:
    file = config(tmp_path, "img", lr=1e38, clip=1e38, steps=20)
    done = run("vq-img", file, "--data", photos, "--folder", tmp_path / "run")
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("mas-fast: model: ")
    assert "samples ['" in message
    assert "at step " in message
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["seg", "img"])
def test_a_decoder_alone(tmp_path, photos, kind) -> None:
    first = train(settings(kind, photos, tmp_path / "one", ema_decay=0.5))
    s = settings(kind, photos, tmp_path / "two", decoder_of=str(first), ema_decay=0.5)
    before, after = (load_vq(bundle, f"vq_{kind}").weights() for bundle in (first, train(s)))
    for name, weight in before.items():
        same = torch.equal(weight, after[name])
        assert same != name.startswith(("decoder.", "post_quant_conv.")), name
    assert list(scalars(s.folder, "model/loss")) == [1, 2, 3]
    other = settings(kind, photos, tmp_path / "x", decoder_of=str(first))
    other = dataclasses.replace(other, model=other.model | {"codes": 48})
    with pytest.raises(ValueError, match=r"one/bundle: found .*codes=.*expected .*codes=48"):
        train(other)


def test_the_decoders_tokenizer_may_move_but_not_change(tmp_path, photos) -> None:
    first = train(settings("seg", photos, tmp_path / "one", steps=1))
    other = train(settings("seg", photos, tmp_path / "other", steps=1, seed=1))
    train(settings("seg", photos, tmp_path / "two", steps=1, decoder_of=str(first)))
    moved = tmp_path / "moved"
    shutil.copytree(first, moved)
    train(settings("seg", photos, tmp_path / "two", steps=2, decoder_of=str(moved)))
    with pytest.raises(ValueError, match="decoder_of: .*other contents"):
        train(settings("seg", photos, tmp_path / "two", steps=3, decoder_of=str(other)))


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
            with pytest.raises(
                ValueError, match=r"found a run with other settings, .*'steps': \(1, 2\)"
            ):
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
