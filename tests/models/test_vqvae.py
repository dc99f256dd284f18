"""vqvae.py: encoding and decoding, training, and what is said of input that is unfit."""

import dataclasses

import pytest
import torch

from mas_fast.models.vqvae import VQVAE, preset
from mas_fast.models.vqvae_config import VQConfig
from vq_scenes import scene

pytestmark = pytest.mark.usefixtures("one_thread")

SEG, IMG = preset("tiny-seg"), preset("tiny-img")
GUMBEL = dataclasses.replace(IMG, quantizer="gumbel")
FLAT = VQConfig("labels", 7, 16, **{name: getattr(SEG, name) for name in ("resolution", "ch")})


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vq-img-f16", 76_073_859),
        ("vq-seg-mas159", 72_501_279),
        ("vq-seg-mini158", 72_498_974),
        ("vq-img-f8", 66_890_627),
    ],
)
def test_parameter_counts(name, count):
    model = VQVAE(preset(name))
    assert model.device.type == "meta"
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("config", [SEG, IMG, GUMBEL], ids=["seg", "img", "gumbel"])
def test_encode_decode_and_forward_agree(config):
    model = VQVAE.create(config).eval()
    x = scene() if config.input == "labels" else torch.rand(2, 3, 32, 48) * 2 - 1
    codes = model.encode(x)
    assert codes.dtype == torch.int64
    assert codes.shape == (2, 8, 12)
    assert 0 <= codes.min()
    assert codes.max() < config.codes
    decoded = model.decode(codes)
    assert decoded.shape == (2, config.channels, 32, 48)
    assert decoded.is_contiguous(memory_format=torch.channels_last)
    output = model(x)
    assert torch.equal(output.codes, codes)
    torch.testing.assert_close(output.reconstruction, decoded, rtol=0, atol=1e-6)


@pytest.mark.parametrize("quantizer", ["gradient", "ema", "gumbel"])
@pytest.mark.parametrize("base", [SEG, IMG], ids=["seg", "img"])
def test_every_weight_learns(base, quantizer):
    model = VQVAE.create(dataclasses.replace(base, quantizer=quantizer)).train()
    x = scene() if base.input == "labels" else torch.rand(2, 3, 32, 32)
    output = model(x)
    (output.reconstruction.square().mean() + output.quantizer_loss).backward()
    for name, parameter in model.named_parameters():
        if quantizer == "ema" and name == "quantize.embedding.weight":
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_the_seed_determines_the_weights():
    one, same, other = (VQVAE.create(IMG, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.conv_in.weight"], other["encoder.conv_in.weight"])


def test_weights_round_trip():
    model = VQVAE.create(SEG, dtype=torch.bfloat16)
    again = VQVAE.from_weights(SEG, model.weights())
    assert again.dtype == torch.bfloat16
    assert all(weight.is_contiguous() for weight in model.weights().values())
    for (name, a), b in zip(again.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_decoding_in_bf16_stays_close():
    model = VQVAE.create(IMG).eval()
    codes = torch.randint(64, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = model.decode(codes)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = model.decode(codes)
        half = model.bfloat16().decode(codes)
    for found in (autocast, half):
        assert found.dtype == torch.bfloat16
        assert found.isfinite().all()
        assert (found.float() - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("quantizer", ["gradient", "ema", "gumbel"])
@pytest.mark.parametrize("base", [SEG, IMG], ids=["seg", "img"])
def test_a_model_in_bf16_measures_but_does_not_train(base, quantizer):
    config = dataclasses.replace(base, quantizer=quantizer)
    model = VQVAE.create(config, dtype=torch.bfloat16).eval()
    x = scene() if base.input == "labels" else torch.rand(2, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        found = model(x)
    assert found.reconstruction.dtype == torch.bfloat16
    assert found.perplexity.dtype == torch.float32
    assert torch.equal(found.reconstruction, model.decode(found.codes))
    with pytest.raises(ValueError, match="found weights of torch.bfloat16, expected torch.float32"):
        model.train()(x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            torch.zeros(3, 32, 32),
            r"image: found torch.float32 \[3, 32, 32\], expected float \[B, 3",
        ),
        (torch.zeros(1, 4, 32, 32), r"found torch.float32 \[1, 4, 32, 32\]"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "found torch.uint8"),
        (torch.zeros(1, 3, 32, 30), "expected a height and width divisible by 4"),
        (torch.zeros(1, 3, 0, 32), "expected a height and width divisible by 4"),
    ],
)
def test_a_wrong_image_is_named(x, message):
    with pytest.raises(ValueError, match=message):
        VQVAE.create(IMG).encode(x)


LABELS = torch.zeros(1, 32, 32, dtype=torch.uint8)
EDGES = torch.zeros(1, 32, 32, dtype=torch.bool)


@pytest.mark.parametrize(
    ("labels", "edges", "message"),
    [
        (LABELS.long(), EDGES, r"labels: found torch.int64 \[1, 32, 32\], expected torch.uint8"),
        (LABELS[0], EDGES, r"labels: found torch.uint8 \[32, 32\]"),
        (LABELS[:, :30], EDGES[:, :30], "divisible by 4"),
        (LABELS, None, r"edges: found None, expected torch.bool \[1, 32, 32\]"),
        (LABELS, EDGES[:, :16], r"edges: found torch.bool \[1, 16, 32\]"),
        (LABELS, LABELS, "edges: found torch.uint8"),
        (LABELS + 157, EDGES, r"labels: found 157, expected 0..156 or 255"),
        (LABELS + 254, EDGES, r"labels: found 254, expected 0..156 or 255"),
    ],
)
def test_a_wrong_scene_is_named(labels, edges, message):
    with pytest.raises(ValueError, match=message):
        VQVAE.create(SEG).encode((labels, edges))


def test_edges_for_a_model_without_are_named():
    with pytest.raises(ValueError, match="edges: found a tensor, expected None"):
        VQVAE.create(FLAT).encode((LABELS, EDGES))


def test_wrong_codes_are_named():
    model = VQVAE.create(IMG)
    with pytest.raises(ValueError, match=r"codes: found torch.int64 \[64\], expected torch.int64"):
        model.decode(torch.zeros(64, dtype=torch.int64))
    with pytest.raises(IndexError):
        model.decode(torch.full((1, 8, 8), 64))
