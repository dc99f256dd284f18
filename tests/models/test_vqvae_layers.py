"""vqvae_layers.py: the first layer on labels, and the others one by one."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from mas_fast.models.vqvae_config import VQConfig, preset
from mas_fast.models.vqvae_layers import (
    Attention,
    Decoder,
    Downsample,
    Encoder,
    LabelConv2d,
    Norm,
    Patches2d,
    ResnetBlock,
    Upsample,
)
from vq_scenes import scene

pytestmark = pytest.mark.usefixtures("one_thread")
SEG = preset("tiny-seg")
FLAT = VQConfig("labels", 7, 16, **{name: getattr(SEG, name) for name in ("resolution", "ch")})


def one_hot(labels, edges, channels):
    """What the label map stands for: fp32 [B, C, H, W]."""
    ids = torch.arange(channels - (edges is not None))
    planes = labels[:, None] == ids[:, None, None].to(torch.uint8)
    return torch.cat([planes] + ([edges[:, None]] if edges is not None else []), 1).float()


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


def test_the_norm_is_computed_in_fp32():
    norm = Norm(32).bfloat16()
    x = (100 + torch.randn(2, 32, 64, 64)).bfloat16()  # 16384 numbers a group: hard on a bf16 sum
    expected = F.group_norm(x.double(), 32, eps=1e-6)
    assert (norm(x).double() - expected).abs().max() < 2**-8 * expected.abs().max()


def convolving(layer: torch.nn.Conv2d, **taps: float) -> None:
    """Make a convolution zero, but for its taps: `at_02=1` is that of row 0 and column 2."""
    with torch.no_grad():
        layer.weight.zero_(), layer.bias.zero_()
        for place, value in taps.items():
            layer.weight[0, 0, int(place[-2]), int(place[-1])] = value


def test_downsampling_pads_on_the_right_and_at_the_bottom_only() -> None:
    layer = Downsample(1)
    x = torch.arange(1.0, 17).view(1, 1, 4, 4)
    convolving(layer.conv, at_00=1)
    assert layer(x)[0, 0].tolist() == [[1, 3], [9, 11]]
    convolving(layer.conv, at_22=1)
    assert layer(x)[0, 0].tolist() == [[11, 0], [0, 0]]


def test_upsampling_repeats_every_pixel() -> None:
    layer = Upsample(1)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    convolving(layer.conv, at_11=1)
    assert layer(x)[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    convolving(layer.conv, at_10=1)  # the left neighbour, among the pixels repeated
    assert layer(x)[0, 0, 0].tolist() == [0, 1, 1, 2]


def test_patches_are_channels() -> None:
    config = VQConfig("image", 1, 16, resolution=32, ch=32, ch_mult=(1,), patch=2)
    layer = Patches2d(config)
    assert layer.weight.shape == (32, 4, 3, 3)
    with torch.no_grad():
        layer.weight.zero_(), layer.bias.zero_()
        for pixel in range(4):
            layer.weight[pixel, pixel, 1, 1] = 1
    x = torch.randn(1, 1, 6, 4)
    found = layer(x)
    for pixel in range(4):
        assert torch.equal(found[0, pixel], x[0, 0, pixel // 2 :: 2, pixel % 2 :: 2])
    assert not found[0, 4:].any()


@pytest.mark.parametrize("patch", [1, 2])
def test_the_decoder_gives_the_size_that_the_encoder_took(patch) -> None:
    config = dataclasses.replace(preset("tiny-img"), patch=patch, attn_resolutions=(8,))
    size = 2 * config.f, 3 * config.f
    z = Encoder(config)(torch.randn(2, 3, *size))
    assert z.shape == (2, config.z_channels, 2, 3)
    assert Decoder(config)(z).shape == (2, 3, *size)


def test_levels_attend_where_the_config_says_so() -> None:
    config = dataclasses.replace(preset("tiny-img"), attn_resolutions=(16,), num_res_blocks=2)
    encoder, decoder = Encoder(config), Decoder(config)
    assert [len(level.attn) for level in encoder.down] == [0, 2, 0]
    assert [len(level.attn) for level in decoder.up] == [0, 3, 0]
    assert [len(level.block) for level in decoder.up] == [3, 3, 3]
    assert [hasattr(level, "downsample") for level in encoder.down] == [True, True, False]
    assert [hasattr(level, "upsample") for level in decoder.up] == [False, True, True]


def test_attention_is_softmax_over_all_positions() -> None:
    layer = Attention(32).double()
    x = torch.randn(2, 32, 3, 4, dtype=torch.float64)
    y = F.group_norm(x, 32, eps=1e-6).flatten(2)
    q, k, v = (
        torch.einsum("oc,bcn->bon", part.weight[..., 0, 0], y) + part.bias[:, None]
        for part in (layer.q, layer.k, layer.v)
    )
    weights = (torch.einsum("bcq,bck->bqk", q, k) / 32**0.5).softmax(-1)
    y = torch.einsum("bqk,bck->bcq", weights, v)
    y = torch.einsum("oc,bcn->bon", layer.proj_out.weight[..., 0, 0], y)
    expected = x + (y + layer.proj_out.bias[:, None]).view_as(x)
    torch.testing.assert_close(layer(x), expected, rtol=1e-10, atol=1e-12)


def test_a_block_has_a_convolution_beside_it_only_where_its_width_changes() -> None:
    x = torch.randn(1, 32, 4, 4)
    same, wider = ResnetBlock(32, 32), ResnetBlock(32, 64)
    for block in (same, wider):
        with torch.no_grad():
            block.conv2.weight.zero_(), block.conv2.bias.zero_()
    assert not hasattr(same, "nin_shortcut")
    assert torch.equal(same(x), x)
    assert torch.equal(wider(x), wider.nin_shortcut(x))
