"""vqvae.py, vqvae_config.py: names and shapes, the first layer on labels, encoding and decoding."""

import dataclasses
import hashlib

import pytest
import torch
import torch.nn.functional as F

from mas_fast.models.vqvae import PRESETS, VQVAE, LabelConv2d, Norm, preset
from mas_fast.models.vqvae_config import VQConfig

PUBLISHED = "13bfc5f136ffdf2361988684c6388d6b8b6e3d4f3187b8885bbd86666cea760e"
SEG, IMG = preset("tiny-seg"), preset("tiny-img")
GUMBEL = dataclasses.replace(IMG, quantizer="gumbel")
FLAT = VQConfig("labels", 7, 16, **{name: getattr(SEG, name) for name in ("resolution", "ch")})


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def scene(size=(32, 48), rows=2, labels=157, seed=0):
    """Labels with void in between, and edges."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(labels + 20, (rows, *size), generator=generator)
    edges = torch.rand(rows, *size, generator=generator) < 0.3
    return torch.where(found < labels, found, 255).to(torch.uint8), edges


def one_hot(labels, edges, channels):
    """What the label map stands for: fp32 [B, C, H, W]."""
    ids = torch.arange(channels - (edges is not None))
    planes = labels[:, None] == ids[:, None, None].to(torch.uint8)
    return torch.cat([planes] + ([edges[:, None]] if edges is not None else []), 1).float()


# ---------------------------------------------------------------------- names and shapes


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


def test_minDALLE_names_and_shapes():
    """By the checksum of those of the published checkpoint's tokenizer."""
    shapes = preset("vq-img-f16").weight_shapes()
    assert len(shapes) == 343
    text = "\n".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items()))
    assert hashlib.sha256(text.encode()).hexdigest() == PUBLISHED


@pytest.mark.parametrize("config", [*PRESETS.values(), GUMBEL, FLAT])
def test_the_config_knows_the_weights(config):
    found = [(name, tuple(p.shape)) for name, p in VQVAE(config).named_parameters()]
    assert found == list(config.weight_shapes().items())


@pytest.mark.parametrize("config", [*PRESETS.values(), GUMBEL, FLAT])
def test_a_config_survives_json(config):
    assert VQConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": "video"}, r"input: found 'video', expected one of \['image', 'labels'\]"),
        ({"quantizer": "fsq"}, "quantizer: found 'fsq'"),
        ({"codes": 0}, "codes: found 0, expected an integer in 1..4194304"),
        ({"ch": 20}, "found a width of 20, expected multiples of 32"),
        ({"ch_mult": ()}, r"ch_mult: found \(\), expected a list of 1 to 16 integers"),
        ({"ch_mult": (1,) * 17}, "expected a list of 1 to 16 integers"),
        ({"num_res_blocks": 10**9}, "num_res_blocks: found 1000000000, expected .* 1..64"),
        ({"layout": ["mini158"]}, r"layout: found \['mini158'\], expected one of"),
        ({"beta": 10**400}, r"beta: found 10+\.\.\.0+, expected a finite number >= 0"),
        ({"resolution": 30}, "resolution: found 30, expected a multiple of 4"),
        ({"layout": "coco"}, "layout: found 'coco', expected one of"),
        ({"layout": "mas159"}, "channels: found 158, expected 159, as mas159 has"),
        ({"input": "image"}, "layout: found 'mini158', expected None"),
        ({"channels": 256}, r"channels: found 256, expected an integer in 1..255"),
        ({"beta": -1}, "beta: found -1"),
    ],
)
def test_an_unfit_config_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SEG, **change)


def test_unknown_presets_and_keys_are_named():
    with pytest.raises(ValueError, match="preset: found 'vqgan', expected one of"):
        preset("vqgan")
    with pytest.raises(ValueError, match=r"VQ config: found unknown keys \['dropout'\]"):
        VQConfig.from_dict(SEG.to_dict() | {"dropout": 0})


# ---------------------------------------------------------------------- the first layer


@pytest.mark.parametrize("size", [(16, 16), (7, 13), (1, 1)], ids=str)
@pytest.mark.parametrize(
    "config", [preset("vq-seg-mini158"), preset("vq-seg-mas159"), FLAT], ids=["158", "159", "flat"]
)
def test_gathered_rows_are_the_convolution_over_one_hots(config, size):
    torch.manual_seed(0)
    layer = LabelConv2d(config)
    labels, edges = scene(size, labels=layer.labels)
    edges = edges if config.has_edges else None
    plain = torch.nn.Conv2d(config.channels, config.ch, 3, padding=1)
    plain.load_state_dict(layer.state_dict())
    expected = plain(one_hot(labels, edges, config.channels))
    found = layer(labels, edges)
    assert found.shape == expected.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)

    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for mine, other in zip(layer.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-5, atol=1e-5)


def test_void_adds_nothing_and_neither_does_the_outside():
    layer = LabelConv2d(SEG)
    labels = torch.full((1, 5, 6), 255, dtype=torch.uint8)
    edges = torch.zeros(1, 5, 6, dtype=torch.bool)
    expected = layer.bias[:, None, None].expand(1, -1, 5, 6)
    assert torch.equal(layer(labels, edges), expected)
    labels[0, 0, 0] = 3
    assert torch.equal(layer(labels, edges)[..., 2:, :], expected[..., 2:, :])
    corner = layer.bias + layer.weight[:, 3, 1, 1]
    torch.testing.assert_close(layer(labels, edges)[0, :, 0, 0], corner)


def test_the_first_layer_under_autocast_and_in_bf16():
    labels, edges = scene()
    layer = LabelConv2d(SEG)
    exact = layer(labels, edges)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(labels, edges)
    assert torch.equal(found, exact.bfloat16())  # added up in fp32
    found = layer.bfloat16()(labels, edges)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).norm() < 0.01 * exact.norm()


# ---------------------------------------------------------------------- the model


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


def test_the_norm_is_computed_in_fp32():
    norm = Norm(32).bfloat16()
    x = (100 + torch.randn(2, 32, 64, 64)).bfloat16()  # 16384 numbers a group: hard on a bf16 sum
    expected = F.group_norm(x.double(), 32, eps=1e-6)
    assert (norm(x).double() - expected).abs().max() < 2**-8 * expected.abs().max()


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
