"""graphs.py: what is exported gives what the tokenizer gives, before any exporter."""

import dataclasses

import pytest
import torch

from mas_fast.models.vqvae import VQVAE, LabelConv2d
from mas_fast.models.vqvae_config import preset
from mas_fast.onnx import graphs
from mas_fast.onnx.graphs import Decoder, Encoder, LabelRows, Nearest
from mas_fast.onnx.parity import made_up
from mas_fast.ops import reference
from mas_fast.ops.reference import label_conv as reference_label_conv

IMG, SEG = preset("tiny-img"), preset("tiny-seg")
PLAIN = dataclasses.replace(SEG, channels=183, layout=None)
CONFIGS = {
    "img": IMG,
    "gumbel": dataclasses.replace(IMG, quantizer="gumbel"),
    "patch": dataclasses.replace(IMG, patch=2, attn_resolutions=(4,)),
    "seg": SEG,
    "plain": PLAIN,
}


def create(config):
    model = VQVAE.create(config).eval().requires_grad_(False)
    model.quantize.table.normal_()
    return model


# ---------------------------------------------------------------------- the nearest code


def nearest(x, table):
    return Nearest(table)(x.reshape(1, *x.shape, 1).transpose(1, 2)).flatten()


@pytest.mark.parametrize("chunk", [1 << 20, 7], ids=["whole", "chunks"])
@pytest.mark.parametrize(("codes", "width"), [(1, 1), (3, 5), (100, 1), (50, 16), (20, 67)])
def test_nearest_is_the_reference(monkeypatch, chunk, codes, width):
    monkeypatch.setattr(graphs, "CODES", chunk)
    x, table = torch.randn(300, width), torch.randn(codes, width)
    assert torch.equal(nearest(x, table), reference.vq_nearest(x, table))


@pytest.mark.parametrize("chunk", [1 << 20, 7], ids=["whole", "chunks"])
def test_ties_go_to_the_lowest_id(monkeypatch, chunk):
    monkeypatch.setattr(graphs, "CODES", chunk)
    base = torch.randn(4, 8)
    signs = torch.cat([base, -base])  # as far from 0
    table = torch.cat([torch.randn(5, 8).abs() + 9, signs.flip(0), signs])
    x = torch.cat([torch.zeros(1, 8), base, base * 0.1])
    expected = reference.vq_nearest(x, table)
    assert expected.min() >= 5
    assert expected.max() < 13
    assert torch.equal(nearest(x, table), expected)


def test_repeated_codes_leave_room_for_the_others():
    """Each vector has one nearest code, after 40 copies of one that is farther by less than the
    rounding of |c|^2 - 2 x . c."""
    x = 1 + torch.rand(16, 1024)
    codes = x[:, None].repeat(1, 41, 1)
    ulp = 2.0**-23
    codes[:, :40, 0] += 2 * ulp
    codes[:, 40, 0] += ulp
    table = codes.flatten(0, 1)
    expected = [41 * i + 40 for i in range(16)]
    assert nearest(x, table).tolist() == reference.vq_nearest(x, table).tolist() == expected


def test_sums_are_added_in_order():
    """Codes that are equal but for the order of their channels: rounding decides between them, as
    in the reference."""
    x = torch.zeros(1, 64)
    for _ in range(50):
        row = torch.randn(64)
        table = torch.stack([row[torch.randperm(64)] for _ in range(4)])
        assert torch.equal(nearest(x, table), reference.vq_nearest(x, table))


# ---------------------------------------------------------------------- the first layer


@pytest.mark.parametrize("config", [SEG, PLAIN], ids=["mini158", "plain"])
def test_rows_are_the_convolution(config):
    conv = LabelConv2d(config).requires_grad_(False)
    inputs = made_up(config, "encoder", 3)
    labels, edges = (*inputs, None)[:2]
    assert (labels == 255).any() or labels.max() < config.channels
    labels[0, 0, 0] = labels[1, -1, -1] = 255
    arguments = (labels, edges, conv.weight, conv.bias)
    expected = reference_label_conv.label_conv(labels, edges, *(w.double() for w in arguments[2:]))
    found = LabelRows(conv, torch.float32)(*inputs)
    lost = (reference_label_conv.label_conv(*arguments).double() - expected).abs().max()
    assert (found.double() - expected).abs().max() <= 2 * lost + 1e-7
    half = LabelRows(conv, torch.float16)(*inputs)
    assert torch.equal(half, found.half())


# ---------------------------------------------------------------------- the halves


@pytest.mark.parametrize("name", CONFIGS)
def test_halves_are_the_tokenizers(name):
    config = CONFIGS[name]
    model = create(config)
    before = {name: (w.clone(), w.stride()) for name, w in model.named_parameters()}
    with torch.no_grad():
        inputs = made_up(config, "encoder", 2)
        whole = inputs[0] if config.input == "image" else (*inputs, None)[:2]
        codes = model.encode(whole)
        assert len(codes.unique()) > 1
        assert torch.equal(Encoder(model, torch.float32)(*inputs), codes)
        expected = model.decode(codes)
        found = Decoder(model, torch.float32)(codes)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        half = Decoder(model, torch.float16)(codes)
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, expected, rtol=0, atol=0.05)
    for name, weight in model.named_parameters():  # it is exported from, and not changed
        assert weight.dtype == torch.float32
        assert weight.stride() == before[name][1]
        assert torch.equal(weight, before[name][0])


@pytest.mark.parametrize("name", ["img", "gumbel"])
def test_the_choice_of_a_code_stays_fp32(name):
    graph = Encoder(create(CONFIGS[name]), torch.float16)
    dtypes = {key: value.dtype for key, value in graph.state_dict().items()}
    assert dtypes["encoder.conv_in.weight"] == torch.float16
    assert dtypes["quant_conv.weight"] == torch.float32
    chosen = {dtype for key, dtype in dtypes.items() if key.startswith("choose.")}
    assert chosen <= {torch.float32, torch.float64}
