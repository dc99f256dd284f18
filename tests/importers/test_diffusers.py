"""VQModel of diffusers: the same networks, by their names and by diffusers itself."""

import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from mas_fast import cli
from mas_fast.bundle import load_vq, save_vq
from mas_fast.importers.bundle import import_bundle
from mas_fast.importers.diffusers import export_vqmodel, import_vqmodel
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import preset
from vqgan_checkpoints import IMG, SEG, same

DEEP = replace(preset("tiny-img"), ch_mult=(1, 2, 1, 3), attn_resolutions=(16, 4), num_res_blocks=2)
SHAPES = {"img": IMG, "seg": SEG, "deep": DEEP}
NEAR = {torch.float32: 1e-5, torch.float64: 1e-12}  # of the largest value
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    """Where a tiny tokenizer was exported."""
    export_vqmodel(VQVAE.create(IMG), tmp_path / "vqvae")
    return tmp_path / "vqvae"


def change(folder, **values) -> None:
    file = folder / "config.json"
    held = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: value for key, value in held.items() if value is not ...}))


def near(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    most = NEAR[theirs.dtype] * theirs.abs().max()
    return bool((ours - theirs).abs().max() <= most)


@pytest.fixture(scope="module")
def vqmodel():
    return pytest.importorskip("diffusers").VQModel


def inputs(config):
    """What our encoder takes, and what diffusers' takes."""
    pixels = torch.rand(2, config.channels, 32, 32) * 2 - 1
    if config.input == "image":
        return pixels, pixels
    labels = torch.randint(0, config.channels - 1, (2, 32, 32), dtype=torch.uint8)
    edges = torch.rand(2, 32, 32) < 0.5
    channels = torch.nn.functional.one_hot(labels.long(), config.channels).permute(0, 3, 1, 2)
    channels[:, -1] = edges
    return (labels, edges), channels.float()


def check_parity(ours: VQVAE, theirs) -> None:
    here, there = inputs(ours.config)
    side = ours.config.resolution // ours.config.f
    codes = torch.randint(0, ours.config.codes, (2, side, side))
    with torch.no_grad():
        assert near(ours._features(here), theirs.encode(there).latents)
        # In fp64: fresh codes are so small that the first norms make much of their rounding.
        ours, theirs = ours.double(), theirs.double()
        vectors, pictures = ours.quantize.lookup(codes).contiguous(), ours.decode(codes)
        assert near(pictures, theirs.decode(vectors, force_not_quantize=True).sample)
        assert near(pictures, theirs.decode(vectors).sample)  # the nearest code is itself


@pytest.mark.parametrize("shape", SHAPES)
def test_diffusers_computes_what_we_do(shape: str, vqmodel, tmp_path) -> None:
    ours = VQVAE.create(SHAPES[shape]).eval()
    export_vqmodel(ours, tmp_path)
    theirs, found = vqmodel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values()), found
    check_parity(ours, theirs.eval())


@pytest.mark.parametrize("old", [False, True])
def test_we_compute_what_diffusers_does(old: bool, vqmodel, tmp_path) -> None:
    theirs = vqmodel(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        layers_per_block=2,
        latent_channels=8,
        num_vq_embeddings=50,
        sample_size=32,
    ).eval()
    with torch.no_grad():
        theirs.quantize.embedding.weight.normal_()
    theirs.save_pretrained(tmp_path, safe_serialization=not old)
    if old:  # the names of 2022, in a pickle
        state = theirs.state_dict()
        for now, then in (("to_q", "query"), ("to_k", "key"), ("to_out.0", "proj_attn")):
            state = {name.replace(f".{now}.", f".{then}."): w for name, w in state.items()}
        torch.save(state, tmp_path / "diffusion_pytorch_model.bin")
    assert (tmp_path / WEIGHTS).exists() is not old
    ours = import_vqmodel(tmp_path)
    assert ours.config.embed_dim == 8  # as latent_channels, where vq_embed_dim is null
    check_parity(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back_is_the_same(shape: str, tmp_path) -> None:
    model = VQVAE.create(SHAPES[shape]).eval()
    assert export_vqmodel(model, tmp_path) == ["config.json", WEIGHTS]
    back = import_vqmodel(tmp_path)
    assert back.config == model.config
    same(back, model)


def test_names_are_those_of_diffusers(folder) -> None:
    names = set(load_file(folder / WEIGHTS))
    assert len(names) == len(IMG.weight_shapes())
    for name in (
        "encoder.down_blocks.2.attentions.0.to_out.0.weight",
        "encoder.down_blocks.2.resnets.0.conv_shortcut.bias",
        "encoder.down_blocks.1.downsamplers.0.conv.weight",
        "encoder.mid_block.attentions.0.group_norm.weight",
        "decoder.up_blocks.0.attentions.1.to_q.bias",
        "decoder.up_blocks.1.upsamplers.0.conv.weight",
        "decoder.mid_block.resnets.1.norm2.weight",
        "decoder.conv_norm_out.weight",
        "quantize.embedding.weight",
    ):
        assert name in names


def test_the_commands_go_there_and_back(tmp_path) -> None:
    model = VQVAE.create(IMG).eval()
    save_vq(tmp_path / "bundle", "vq_img", model)
    words = ["export", "diffusers", str(tmp_path / "bundle"), "-o", str(tmp_path / "theirs")]
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert result.output.count("written: ") == 2
    assert sorted(os.listdir(tmp_path / "theirs")) == ["config.json", WEIGHTS]
    words = ["import", str(tmp_path / "theirs"), "-o", str(tmp_path / "back")]
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert "vq_img.safetensors" in result.output
    same(load_vq(tmp_path / "back", "vq_img"), model)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"_class_name": "AutoencoderKL"}, "_class_name: found 'AutoencoderKL', expected VQModel"),
        ({"_class_name": ...}, "_class_name: found None"),
        ({"norm_type": "spatial"}, "norm_type: found 'spatial', expected 'group'"),
        ({"act_fn": "gelu"}, "act_fn: found 'gelu'"),
        ({"norm_num_groups": 16}, "norm_num_groups: found 16"),
        ({"mid_block_add_attention": False}, "mid_block_add_attention: found False"),
        ({"out_channels": 4}, "out_channels: found 4, expected 3"),
        ({"in_channels": ...}, "found no 'in_channels'"),
        ({"block_out_channels": [32, 48, 64]}, "block_out_channels: found .*multiples"),
        ({"block_out_channels": "abc"}, "expected the config of a VQModel"),
        ({"block_out_channels": [0, 0, 0]}, "expected the config of a VQModel"),
        ({"block_out_channels": [32, 32]}, "down_block_types: found .* for 2 levels"),
        ({"down_block_types": ["ResnetDownsampleBlock2D"] * 3}, "down_block_types: found"),
        ({"up_block_types": ["UpDecoderBlock2D"] * 3}, "up_block_types: found"),
        ({"sample_size": 30}, "resolution: found 30, expected a multiple of 4"),
        ({"sample_size": "32"}, "expected the config of a VQModel"),
        ({"num_vq_embeddings": 0}, "codes: found 0"),
    ],
)
def test_other_configs_are_refused(values: dict, message: str, folder) -> None:
    change(folder, **values)
    with pytest.raises(ValueError, match=rf"config\.json: .*{message}"):
        import_vqmodel(folder)


def test_other_weights_are_refused(folder) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["extra"] = weights.pop("quant_conv.bias")
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(ValueError, match=r"missing \[quant_conv.bias\], unexpected \[extra\]"):
        import_vqmodel(folder)
    (folder / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=f"{WEIGHTS}: .*expected safetensors"):
        import_vqmodel(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=f"found no {WEIGHTS}, and no .*bin, expected one"):
        import_vqmodel(folder)


@pytest.mark.parametrize("option", ["config", "prefix"])
def test_options_of_other_checkpoints_are_refused(option: str, folder, tmp_path) -> None:
    with pytest.raises(ValueError, match=f"^{option}: found x with a folder of diffusers"):
        import_bundle(folder, tmp_path / "bundle", **{option: "x"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(IMG, quantizer="gumbel"), "quantizer: found 'gumbel', expected gradient or ema"),
        (replace(IMG, patch=2), "patch: found 2, expected 1"),
        (replace(IMG, ch_mult=(2, 2, 4)), r"ch_mult: found \(2, 2, 4\), expected 1 in front"),
    ],
)
def test_what_vqmodel_cannot_be_is_not_exported(config, message: str, tmp_path) -> None:
    save_vq(tmp_path / "bundle", "vq_img", VQVAE.create(config))
    words = ["export", "diffusers", str(tmp_path / "bundle"), "-o", str(tmp_path / "theirs")]
    with pytest.raises(ValueError, match=f"bundle: vq_img: {message}"):
        CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert not (tmp_path / "theirs").exists()
