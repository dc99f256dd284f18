"""bundle/torch_io.py: models come back as they were saved, and side by side."""

import dataclasses
import os

import pytest
import torch

from bundles import GRID, TINY, change_config, make
from mas_fast.bundle import (
    load_gpt,
    load_vq,
    models_of,
    read_config,
    read_vq_config,
    read_weights,
    save_gpt,
    save_vq,
)
from mas_fast.models.gpt import GPT
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae import preset as vq_preset

SPARSE = dataclasses.replace(TINY, attention=("row", "column"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("config", [TINY, GRID, SPARSE], ids=["flat", "grid", "sparse"])
def test_round_trip(tmp_path, config, dtype):
    path, model = make(tmp_path, config, dtype)
    assert sorted(os.listdir(path)) == ["config.json", "gpt.safetensors"]
    assert os.stat(path / "gpt.safetensors").st_mode == os.stat(path / "config.json").st_mode
    assert read_config(path) == config
    loaded = load_gpt(path)
    assert loaded.config == config
    assert loaded.dtype == dtype
    for (name, a), b in zip(loaded.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b), name
        assert a.requires_grad, name
    assert load_gpt(path, dtype=torch.float64).dtype == torch.float64
    tokens = torch.zeros(1, 40, dtype=torch.int64)
    assert all(torch.equal(v, model(tokens)[name]) for name, v in loaded(tokens).items())


def test_saving_again_replaces_and_leaves_no_scraps(tmp_path):
    path, _ = make(tmp_path)
    held = dict(read_weights(path))  # a reader of the old file
    before = held["norm.bias"].copy()
    model = GPT.create(TINY, seed=1)
    torch.nn.init.ones_(model.norm.bias)
    save_gpt(path, model)
    assert sorted(os.listdir(path)) == ["config.json", "gpt.safetensors"]
    assert (held["norm.bias"] == before).all()
    assert (dict(read_weights(path))["norm.bias"] == 1).all()


def test_a_failed_save_keeps_the_old_bundle(tmp_path, monkeypatch):
    path, model = make(tmp_path)
    before = (path / "gpt.safetensors").read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_gpt(path, GPT.create(TINY, seed=1))
    assert (path / "gpt.safetensors").read_bytes() == before
    assert sorted(os.listdir(path)) == ["config.json", "gpt.safetensors"]


def test_only_whole_fp32_or_bf16_models_are_saved(tmp_path):
    with pytest.raises(ValueError, match="on the meta device"):
        save_gpt(tmp_path, GPT(TINY))
    with pytest.raises(ValueError, match=r"\['torch.float64'\], expected all torch.float32 or"):
        save_gpt(tmp_path, GPT.create(TINY, dtype=torch.float64))
    mixed = GPT.create(TINY)
    mixed.norm.bfloat16()
    with pytest.raises(ValueError, match="'torch.bfloat16', 'torch.float32'"):
        save_gpt(tmp_path, mixed)
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------------- tokenizers

IMG, SEG = vq_preset("tiny-img"), vq_preset("tiny-seg")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("name", "config"),
    [("vq_img", IMG), ("vq_seg", SEG), ("vq_img", dataclasses.replace(IMG, quantizer="gumbel"))],
    ids=["img", "seg", "gumbel"],
)
def test_a_tokenizer_round_trips(tmp_path, name, config, dtype):
    model = VQVAE.create(config, dtype=dtype)
    save_vq(tmp_path / "bundle", name, model)
    assert sorted(os.listdir(tmp_path / "bundle")) == ["config.json", f"{name}.safetensors"]
    assert read_vq_config(tmp_path / "bundle", name) == config
    loaded = load_vq(tmp_path / "bundle", name)
    assert loaded.dtype == dtype
    assert not loaded.training
    for (key, a), b in zip(loaded.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b), key
    assert load_vq(tmp_path / "bundle", name, dtype=torch.float64).dtype == torch.float64


def test_models_live_side_by_side(tmp_path):
    path, gpt = make(tmp_path)
    for name, config in (("vq_img", IMG), ("vq_seg", SEG)):
        save_vq(path, name, VQVAE.create(config))
    save_gpt(path, gpt)
    assert read_config(path) == TINY
    assert read_vq_config(path, "vq_img") == IMG
    assert read_vq_config(path, "vq_seg") == SEG
    assert torch.equal(load_gpt(path).norm.bias, gpt.norm.bias)
    save_vq(path, "vq_img", VQVAE.create(dataclasses.replace(IMG, codes=8)))
    assert load_vq(path, "vq_img").config.codes == 8
    assert models_of(path) == ("gpt", "vq_seg", "vq_img")


def test_what_a_bundle_lacks_is_named(tmp_path):
    save_vq(tmp_path, "vq_img", VQVAE.create(IMG))
    with pytest.raises(ValueError, match="config.json: .*expected gpt too: `mas-fast train gpt "):
        load_gpt(tmp_path)
    (tmp_path / "vq_seg.safetensors").write_bytes(b"of another bundle")
    stray = r"\(.*vq_seg.safetensors belongs to another config.json\)"
    with pytest.raises(ValueError, match=rf"expected vq_seg too {stray}: `mas-fast train vq-seg "):
        load_vq(tmp_path, "vq_seg")
    (tmp_path / "vq_img.safetensors").unlink()
    with pytest.raises(ValueError, match=r"vq_img\.safetensors: found no such file"):
        load_vq(tmp_path, "vq_img")


def test_tokenizers_are_what_their_name_says(tmp_path):
    with pytest.raises(ValueError, match="tokenizer: found 'vq', expected one of"):
        save_vq(tmp_path, "vq", VQVAE.create(IMG))
    with pytest.raises(ValueError, match="vq_seg: found a tokenizer of 'image', expected 'labels'"):
        save_vq(tmp_path, "vq_seg", VQVAE.create(IMG))
    with pytest.raises(ValueError, match="on the meta device"):
        save_vq(tmp_path, "vq_img", VQVAE(IMG))
    assert os.listdir(tmp_path) == []
    save_vq(tmp_path, "vq_img", VQVAE.create(IMG))
    change_config(tmp_path, lambda c: c.update(vq_seg=c.pop("vq_img")))
    with pytest.raises(ValueError, match="config.json: vq_seg: found a tokenizer of 'image'"):
        read_vq_config(tmp_path, "vq_seg")


def test_a_tokenizer_of_another_shape_is_named(tmp_path):
    save_vq(tmp_path, "vq_img", VQVAE.create(IMG))
    change_config(tmp_path, lambda c: c["vq_img"].update(codes=65))
    message = r"quantize.embedding.weight: found shape \[64, 16\], expected \[65, 16\]"
    with pytest.raises(ValueError, match=message):
        load_vq(tmp_path, "vq_img")


def test_a_broken_bundle_is_not_written_over(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: "):
        save_vq(tmp_path, "vq_img", VQVAE.create(IMG))
    assert os.listdir(tmp_path) == ["config.json"]
