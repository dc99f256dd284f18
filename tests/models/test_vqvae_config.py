"""vqvae_config.py: presets, names and shapes of weights, and what is said of unfit configs."""

import dataclasses
import hashlib

import pytest

from mas_fast.models.vqvae import PRESETS, VQVAE, preset
from mas_fast.models.vqvae_config import VQConfig

SEG, IMG = preset("tiny-seg"), preset("tiny-img")
GUMBEL = dataclasses.replace(IMG, quantizer="gumbel")
FLAT = VQConfig("labels", 7, 16, **{name: getattr(SEG, name) for name in ("resolution", "ch")})


PUBLISHED = "13bfc5f136ffdf2361988684c6388d6b8b6e3d4f3187b8885bbd86666cea760e"


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


@pytest.mark.parametrize(
    ("config", "f", "widths", "attending"),
    [
        (preset("vq-img-f16"), 16, (128, 128, 256, 256, 512), [4]),
        (preset("vq-img-f8"), 8, (128, 128, 256, 512), [3]),
        (preset("vq-img-storybook"), 8, (32, 64, 128), []),
        (preset("vq-img-storybook-256"), 16, (32, 64, 128), []),
        (preset("vq-seg-storybook-256"), 8, (32, 32, 64, 128), []),
        (IMG, 4, (32, 32, 64), [2]),
        (dataclasses.replace(IMG, patch=2), 8, (32, 32, 64), [1]),  # a level earlier
    ],
)
def test_levels(config, f, widths, attending):
    assert config.f == f
    assert config.widths == widths
    assert [level for level in range(len(widths)) if config.attends(level)] == attending


def test_the_last_channel_is_the_edge_bit_only_in_a_layout_of_ours():
    assert SEG.has_edges
    assert not FLAT.has_edges
    assert not IMG.has_edges
