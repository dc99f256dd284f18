"""reconstruction.py: each metric against its own function, the sheet, and `mas-fast eval`."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mas_fast import cli
from mas_fast.bundle import save_vq
from mas_fast.data.crops import Crops
from mas_fast.data.sources.open import open_source
from mas_fast.evaluation.metrics import codebook_usage, mean_iou, psnr, sharpness, ssim
from mas_fast.evaluation.reconstruction import evaluate, paint, reconstruct, sheet
from mas_fast.models.torch_codec import pictures
from mas_fast.models.vqvae import VQVAE, preset

torch.set_num_threads(1)


@pytest.fixture(params=["tiny-img", "tiny-seg"])
def tokenizer(request) -> VQVAE:
    model = VQVAE.create(preset(request.param), seed=1)
    with torch.no_grad():
        model.quantize.table.normal_(generator=torch.Generator().manual_seed(0))
    return model.eval()


@torch.no_grad()
def whole(model: VQVAE, photos):
    """All photos at once."""
    data = Crops(open_source(photos), model.config)
    batch = data.collate([data[0, n] for n in range(len(data))])
    pictured = model.config.input == "image"
    out = model(batch["image"] if pictured else (batch["labels"], batch["edges"]))
    return batch, out


def test_metrics_are_those_of_all_samples_at_once(tokenizer, photos) -> None:
    batch, out = whole(tokenizer, photos)
    data = Crops(open_source(photos), tokenizer.config)
    found = reconstruct(tokenizer, data, range(6), batch=4)
    assert found.count == len(found.pairs) == 6
    assert found.rejects == []
    used, perplexity = codebook_usage(out.codes, tokenizer.config.codes)
    expected = {"used_codes": used, "perplexity": perplexity}
    if tokenizer.config.input == "image":
        for metric in (psnr, ssim, sharpness):
            expected[metric.__name__] = float(metric(batch["image"], out.reconstruction).mean())
        assert found.classes == []
    else:
        guess = out.reconstruction[:, :-1].argmax(1)
        expected["miou"] = mean_iou(guess, batch["labels"], 157)
        edges, truth = out.reconstruction[:, -1] > 0, batch["edges"]
        expected["edge_iou"] = float((edges & truth).sum() / (edges | truth).sum())
        rows = {name: (iou, share) for name, iou, share in found.classes}
        assert found.classes[0][0] == "cabinet-merged"  # 120, the most frequent by far
        share = float((batch["labels"] == 120).double().mean())
        assert rows["cabinet-merged"][1] == pytest.approx(share)
        assert sum(share for _, share in rows.values()) == pytest.approx(1)
        ious = [iou for iou, _ in rows.values()]
        assert float(np.mean(ious)) == pytest.approx(expected["miou"])
    assert found.metrics == pytest.approx(expected, nan_ok=True)


def test_what_cannot_be_read_is_left_out(tokenizer, photos) -> None:
    (photos / "3.jpg").write_bytes(b"GIF89a")
    data = Crops(open_source(photos), tokenizer.config)
    found = reconstruct(tokenizer, data, [2, 3, 4], batch=1, workers=1)
    assert (found.count, [key for key, _ in found.rejects]) == (2, ["3"])
    assert found.metrics == pytest.approx(reconstruct(tokenizer, data, [2, 4]).metrics)
    assert found.to_dict()["samples"] == 2
    assert found.to_dict()["rejects"][0][0] == "3"
    with pytest.raises(ValueError, match="found 1 unreadable samples, no other; 3: "):
        reconstruct(tokenizer, data, [3])


# ------------------------------------------------------------------ mas-fast eval


class Features(nn.Module):
    """Two features of a picture in 0..255."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float32
        assert float(x.min()) >= 0.0
        assert float(x.max()) <= 255.0
        return torch.stack([x.mean((1, 2, 3)), x[:, 0].amax((1, 2))], 1)


class StyleGANs(nn.Module):
    """The signature of inception-2015-12-05.pt."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        features = torch.stack([x.mean((1, 2, 3)), x[:, 0].amax((1, 2))], 1)
        return features if return_features else features[:, :1] * 0


def command(monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", ["mas-fast", "eval", *map(str, words)])
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise


def test_command(tokenizer, photos, tmp_path, monkeypatch, capsys, terminal) -> None:
    pictured = tokenizer.config.input == "image"
    name = "vq-img" if pictured else "vq-seg"
    save_vq(tmp_path / "bundle", name.replace("-", "_"), tokenizer)
    words = [name, tmp_path / "bundle", "--data", photos, "--sheet", tmp_path / "sheet.png"]
    words += ["--json", tmp_path / "out.json", "--samples", 4]
    if pictured:
        torch.jit.script(Features()).save(tmp_path / "features.pt")
        words += ["--features", tmp_path / "features.pt"]
    command(monkeypatch, *words)
    shown = capsys.readouterr()
    values = json.loads((tmp_path / "out.json").read_text())
    data = Crops(open_source(photos), tokenizer.config)
    expected = reconstruct(tokenizer, data, [0, 2, 3, 5])
    measured = dict(values["metrics"])
    if pictured:
        assert measured.pop("rfid") > 0
    else:
        assert values["iou"] == {name: iou for name, iou, _ in expected.classes}
        assert "cabinet-merged" in shown.out
        assert "share of pixels" in shown.out
    assert measured == expected.metrics
    assert values["samples"] == 4
    for metric, value in values["metrics"].items():
        assert metric in shown.out
        assert f"{value:.4f}" in shown.out
    assert "4 samples" in shown.out
    assert "4/4" in shown.err
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == expected.sheet().size


def test_what_is_left_out_is_counted(photos, tmp_path, monkeypatch, capsys) -> None:
    (photos / "9.jpg").write_bytes(b"x")
    save_vq(tmp_path / "bundle", "vq_img", VQVAE.create(preset("tiny-img")))
    words = ["vq-img", tmp_path / "bundle", "--data", photos]
    command(monkeypatch, *words)
    expected = "1 left out: 1 no picture in the file: "
    assert f"{expected}--json FILE lists them" in capsys.readouterr().out
    command(monkeypatch, *words, "--json", tmp_path / "out.json")
    assert f"{expected}{tmp_path}/out.json" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["rejects"][0][0] == "9"


def test_features_of_stylegans_network(photos, tmp_path) -> None:
    model = VQVAE.create(preset("tiny-img"), seed=1)
    save_vq(tmp_path / "bundle", "vq_img", model)
    found = []
    for network in (Features(), StyleGANs()):
        torch.jit.script(network).save(tmp_path / "features.pt")
        paths = tmp_path / "bundle", "vq_img", photos
        found.append(evaluate(*paths, features=tmp_path / "features.pt").metrics["rfid"])
    assert found[0] == found[1] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lpips", "nowhere"], "nowhere: found 0 of 2 weight files"),
        (["--features", "nowhere.pt"], "nowhere.pt: found no TorchScript that can be read"),
        (["--device", "abacus"], "device: found 'abacus', expected one that is here"),
        (["--samples", "0"], "--samples: found 0, expected an integer in 1.."),
        (["--batch", "0"], "--batch: found 0, expected an integer in 1.."),
        (["--workers", "-1"], "--workers: found -1, expected an integer in 0.."),
        (["--json", "nowhere/out.json"], "nowhere/out.json: found no folder nowhere, expected one"),
        (["--sheet", "photos/0.jpg"], "--sheet: photos/0.jpg: found a file of the input"),
        (["--json", "bundle/config.json"], "--json: bundle/config.json: found an input of this"),
        (["--json", "a.png", "--sheet", "a.png"], "--json: a.png: found it twice with --sheet"),
        (["--data", "absent"], "absent: found no such folder"),
    ],
)
def test_bad_input_ends_in_one_line(photos, tmp_path, monkeypatch, options, message) -> None:
    save_vq(tmp_path / "bundle", "vq_img", VQVAE.create(preset("tiny-img")))
    monkeypatch.chdir(tmp_path)
    words = ["vq-img", tmp_path / "bundle", "--data", photos]
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, *words, *options)
    assert str(end.value.code).startswith("mas-fast: ")
    assert message in end.value.code


def test_a_bundle_without_the_tokenizer(photos, tmp_path, monkeypatch) -> None:
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, "vq-seg", tmp_path, "--data", photos)
    assert "not a bundle: found no config.json" in end.value.code
    save_vq(tmp_path / "bundle", "vq_img", VQVAE.create(preset("tiny-img")))
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, "vq-seg", tmp_path / "bundle", "--data", photos)
    assert "vq_seg" in end.value.code


# ------------------------------------------------------------------ pictures of it


def test_sheet() -> None:
    a, b = np.full((6, 8, 3), 10, np.uint8), np.full((6, 8, 3), 90, np.uint8)
    pixels = np.asarray(sheet([(a, b)] * 3))
    assert pixels.shape == (2 * 10 + 4, 2 * 20 + 20, 3)
    assert (pixels[4:10, 4:12] == 10).all()
    assert (pixels[4:10, 16:24] == 90).all()
    assert (pixels[4:10, 36:44] == 10).all()
    assert (pixels[14:20, 16:24] == 90).all()
    assert (pixels[14:20, 36:] == 255).all()
    assert (pixels[4:10, 24:36] == 255).all()


def test_pictures_and_paint() -> None:
    images = torch.tensor([-2.0, -1.0, 0.0, 1.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    assert [int(image[0, 0, 0]) for image in pictures(images)] == [0, 0, 128, 255]
    labels = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    (plain,) = paint(labels, torch.zeros(1, 1, 2, dtype=torch.bool), "mini158")
    (dark,) = paint(labels, torch.ones(1, 1, 2, dtype=torch.bool), "mini158")
    assert plain[0, 0].tolist() == [0xDC, 0x14, 0x3C]
    assert plain[0, 1].tolist() == [0, 0, 0]
    assert dark[0, 0].tolist() == [0x6E, 0x0A, 0x1E]
