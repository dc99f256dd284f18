"""parity.py: the inputs that graphs are compared on, and what is good enough."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch

from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import preset
from mas_fast.onnx import parity
from mas_fast.onnx.files import Metadata
from mas_fast.onnx.parity import Parity, Row, judge, made_up

IMG, SEG = preset("tiny-img"), preset("tiny-seg")
PLAIN = replace(SEG, channels=183, layout=None)
GUMBEL = replace(IMG, quantizer="gumbel")


def metadata(part, dtype):
    return Metadata("vq_img", part, dtype, IMG, "0" * 64, 40.0 if dtype == "int8" else None)


# ---------------------------------------------------------------------- inputs


def test_pictures_are_smooth_and_fill_the_range():
    (image,) = made_up(IMG, "encoder", 3)
    assert image.shape == (3, 3, 32, 32)
    assert image.dtype == torch.float32
    assert image.min() < -0.5
    assert image.max() > 0.5
    assert image.abs().max() <= 1
    assert image.diff(dim=3).abs().mean() < 0.5 * image.std()
    assert torch.equal(image, made_up(IMG, "encoder", 3)[0])
    assert not torch.equal(image[:2], made_up(IMG, "encoder", 2)[0])


def test_label_maps_are_regions_between_edges():
    labels, edges = made_up(SEG, "encoder", 8)
    assert labels.shape == edges.shape == (8, 32, 32)
    assert labels.dtype == torch.uint8
    assert edges.dtype == torch.bool
    VQVAE.create(SEG)._check_labels(labels, edges)
    assert 0.02 < edges.float().mean() < 0.6
    changes = labels[:, :, 1:] != labels[:, :, :-1]
    assert (changes <= edges[:, :, 1:]).all()
    assert changes.any()
    (labels,) = made_up(PLAIN, "encoder", 8)
    assert labels.max() > 158


def test_codes_are_in_range():
    (codes,) = made_up(IMG, "decoder", 8)
    assert codes.shape == (8, 8, 8)
    assert codes.dtype == torch.int64
    assert codes.min() == 0
    assert codes.max() == IMG.codes - 1


# ---------------------------------------------------------------------- what is good enough


@pytest.mark.parametrize(
    ("dtype", "values", "error"),
    [
        ("fp32", {"error": 1e-4, "psnr": 90}, None),
        ("fp32", {"error": 1.1e-4, "psnr": 90}, "a: batch 3: max error: found 0.00011 ("),
        ("fp32", {"error": math.nan, "psnr": math.nan}, "max error: found nan"),
        ("fp32", {"error": 3e-4, "psnr": 90, "error64": 1e-4, "lost64": 2.5e-4}, None),
        ("fp32", {"error": 3e-4, "psnr": 90, "error64": 2e-4, "lost64": 2.5e-4}, None),
        ("fp32", {"error": 3e-4, "psnr": 90, "error64": 3e-4, "lost64": 1e-6}, "(0.0003 to fp64"),
        ("fp32", {"error": 1e9, "psnr": 0, "error64": math.nan, "lost64": 1.0}, "(nan to fp64"),
        ("fp16", {"error": 1.0, "psnr": 40.0}, None),
        ("fp16", {"error": 1e-9, "psnr": 39.9}, "PSNR: found 39.9, expected >= 40.0 dB"),
        ("fp16", {"error": math.nan, "psnr": math.nan}, "PSNR: found nan"),
        ("int8", {"error": 1.0, "psnr": 40.0}, None),
        ("int8", {"error": 1e-9, "psnr": 39.9}, "PSNR: found 39.9, expected >= 40.0 dB"),
    ],
)
def test_decoders(dtype, values, error):
    problems = judge(metadata("decoder", dtype), [Row("a", 3, True, **values)])
    assert not problems if error is None else error in problems[0]


def rows(*differ, excess=0.0):
    batches = zip((1, 2, 2, 3), (True, True, False, True), differ, strict=True)
    return [Row("a", b, o, tokens=100 * b, differ=d, excess=excess) for b, o, d in batches]


@pytest.mark.parametrize(
    ("dtype", "found", "error"),
    [
        ("fp32", rows(0, 0, 0, 0), None),
        ("fp32", rows(0, 0, 1, 0), "a: batch 2, not optimised: codes that differ: found 1 of 200"),
        ("fp16", rows(2, 2, 2, 2, excess=0.01), None),  # 1% of 800
        ("fp16", rows(2, 2, 3, 2, excess=0.01), "equal codes: found 791 of 800"),
        ("fp16", rows(1, 0, 0, 0, excess=0.011), "excess distance of a code: found 0.011"),
        ("fp16", rows(1, 0, 0, 0, excess=math.nan), "excess distance of a code: found nan"),
    ],
)
def test_encoders(dtype, found, error):
    problems = judge(metadata("encoder", dtype), found)
    assert not problems if error is None else error in problems[0]


def test_a_report_is_plain_and_has_a_table():
    equal = Row("a.onnx", 1, True, error=0.0, psnr=math.inf)
    report = Parity((equal, *rows(0, 1, 0, 0, excess=0.002)))
    far = Parity((replace(equal, error=3e-4, error64=1e-5, lost64=2e-4),)).table()
    assert list(far.columns[5].cells) == ["1.0e-05 (2.0e-04)"]
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["rows"][0]["psnr"] is None
    assert values["rows"][2]["differ"] == 1
    table = report.table()
    assert table.row_count == 5
    cells = [list(column.cells) for column in table.columns]
    assert cells[6] == ["", "100 of 100", "199 of 200", "200 of 200", "300 of 300"]
    assert cells[7][2] == "2.0e-03"


# ---------------------------------------------------------------------- measures


def test_psnr_of_pictures_and_of_logits():
    expected = torch.zeros(1, 3, 4, 4)
    found = parity._of_values(expected, expected + 0.02, IMG)
    assert found["psnr"] == pytest.approx(40, abs=1e-4)
    assert found["error"] == pytest.approx(0.02)
    expected[0, 0, 0, 0] = 20.0
    assert parity._of_values(expected, expected + 0.2, SEG)["psnr"] == pytest.approx(40, abs=1e-4)
    assert parity._of_values(expected, expected, SEG)["psnr"] == math.inf
    assert math.isnan(parity._of_values(expected, expected * math.nan, SEG)["psnr"])


@pytest.mark.parametrize("config", [IMG, GUMBEL], ids=["vq", "gumbel"])
@torch.no_grad()
def test_excess_is_how_much_worse_the_worst_code_is(config):
    model = VQVAE.create(config).eval()
    model.quantize.table.normal_()
    inputs = made_up(config, "encoder", 1)
    codes = model.encode(*inputs)
    assert parity._of_codes(model, inputs, codes, codes) == {
        "tokens": 64,
        "differ": 0,
        "excess": 0.0,
    }
    z = model.quant_conv(model.encoder(*inputs))[0, :, 2, 3].double()
    if config is GUMBEL:
        proj = model.quantize.proj
        score = proj.weight[:, :, 0, 0].double() @ z + proj.bias.double()
        worst = score.argmin()
        expected = 1.0
    else:
        distance = (model.quantize.table.double() - z).square().sum(1)
        worst = distance.argmax()
        expected = (distance.max() / distance.min() - 1).item()
    other = codes.clone()
    other[0, 2, 3] = worst
    found = parity._of_codes(model, inputs, codes, other)
    assert found["differ"] == 1
    assert found["excess"] == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_logits_may_be_nearer_to_fp64_than_pytorch(monkeypatch):
    """Large ones, where PyTorch itself is off by more than the limit."""
    model = VQVAE.create(SEG).eval()
    model.decoder.conv_out.weight.mul_(100)
    exact = copy.deepcopy(model).double()
    off = 0.0

    class Session:
        def run(self, _, feed):
            return [exact.decode(torch.from_numpy(feed["codes"])).float().numpy() + off]

    monkeypatch.setattr(parity, "_session", lambda file, optimised: Session())
    decoder = Metadata("vq_seg", "decoder", "fp32", SEG, "0" * 64)
    found = parity.compare("a", decoder, model)
    assert [(row.batch, row.error > 1e-4) for row in found] == [
        (batch, True) for batch in (1, 2, 2, 3, 8)
    ]
    assert all(0 < row.error64 < 1e-4 < row.lost64 < 0.1 for row in found)
    assert judge(decoder, found) == []
    off = 0.1
    assert len(judge(decoder, parity.compare("a", decoder, model))) == 5
