"""vqvae_layers.py: the first layer on labels, and the others one by one."""

import pytest
import torch
import torch.nn.functional as F

from mas_fast.models.vqvae_config import VQConfig, preset
from mas_fast.models.vqvae_layers import LabelConv2d, Norm
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
