"""importers/bundle.py: folders of minDALL-E and taming become bundles."""

import json
import os
import re
import sys

import pytest
import torch
from typer.testing import CliRunner

from mas_fast import cli
from mas_fast.bundle import load_bpe, load_vq
from mas_fast.importers.bundle import import_bundle
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import preset
from vqgan_checkpoints import IMG, SEG, add, drop, mindalle, same, taming, write


def mindalle_folder(folder, config=IMG):
    model = VQVAE.create(config)
    (folder / "tokenizer").mkdir(parents=True)
    torch.save({"state_dict": model.weights()}, folder / "stage1_last.ckpt")
    write(folder / "config.yaml", mindalle(config))
    words = ["[PAD]", "[UNK]", "a", "b", "a</w>", "b</w>", "ab</w>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "tokenizer" / "bpe-16k-vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer" / "bpe-16k-merges.txt").write_text("#version: 0.2\na b</w>\n")
    return model


def check(bundle, model):
    loaded = load_vq(bundle, "vq_img")
    same(loaded, model)
    codes = torch.arange(16).view(1, 4, 4)
    with torch.no_grad():
        pictures = loaded.decode(codes)
        assert torch.equal(pictures, model.decode(codes))
    f = model.config.f
    assert pictures.shape == (1, 3, 4 * f, 4 * f)
    assert pictures.isfinite().all()


def test_mindalle_folder_to_bundle(tmp_path):
    model = mindalle_folder(tmp_path / "1.3B")
    bundle = tmp_path / "bundle"
    arguments = ["import", str(tmp_path / "1.3B"), "-o", str(bundle)]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    names = ["config.json", "tokenizer.json", "vq_img.safetensors"]
    assert sorted(os.listdir(bundle)) == names
    assert "vq_img.safetensors" in result.output
    assert "tokenizer.json" in result.output
    check(bundle, model)
    assert load_bpe(bundle).vocab_size == 7


def test_the_command_tells_what_was_taken_off(tmp_path):
    state = {f"module.{name}": w for name, w in VQVAE.create(IMG).weights().items()}
    torch.save(state, tmp_path / "a.ckpt")
    file = write(tmp_path / "a.yaml", taming())
    words = ["import", tmp_path / "a.ckpt", "--config", file, "-o", tmp_path / "bundle"]
    result = CliRunner().invoke(cli.app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    told = f"warning: {tmp_path / 'a.ckpt'}: took the weights whose names begin with 'module.'"
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_taming_folder_to_bundle(tmp_path):
    model = VQVAE.create(SEG)
    for name in ("configs", "checkpoints"):
        (tmp_path / "run" / name).mkdir(parents=True)
    torch.save({"state_dict": model.weights()}, tmp_path / "run" / "checkpoints" / "last.ckpt")
    write(tmp_path / "run" / "configs" / "2021-project.yaml", taming(SEG))
    assert import_bundle(tmp_path / "run", tmp_path / "bundle") == ["vq_seg.safetensors"]
    same(load_vq(tmp_path / "bundle", "vq_seg"), model)
    write(tmp_path / "run" / "configs" / "2022-project.yaml", taming(SEG))
    with pytest.raises(ValueError, match=r"found \['2021-project.yaml', '2022-project.yaml'\]"):
        import_bundle(tmp_path / "run", tmp_path / "bundle")
    with pytest.raises(ValueError, match="found none of"):
        import_bundle(tmp_path, tmp_path / "bundle")


def test_a_refused_checkpoint_leaves_no_bundle(tmp_path):
    torch.save({}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"missing \[encoder.conv_in.weight"):
        import_bundle(tmp_path / "a.ckpt", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_the_command_lists_the_names_in_one_line(tmp_path, monkeypatch):
    state = VQVAE.create(IMG).weights()
    drop(state)
    add(state)
    torch.save(state, tmp_path / "a.ckpt")
    file = write(tmp_path / "a.yaml", taming())
    words = ["import", tmp_path / "a.ckpt", "--config", file, "-o", tmp_path / "bundle"]
    monkeypatch.setattr(sys, "argv", ["mas-fast", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    names = r"missing \[encoder.mid.attn_1.q.bias\], unexpected \[decoder.up.0.attn.0.q.bias\]"
    assert re.fullmatch(f"mas-fast: .*a.ckpt: found .*{names}", end.value.code)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_mindalle_in_full_size(tmp_path):
    model = mindalle_folder(tmp_path / "1.3B", preset("vq-img-f16"))
    assert len(model.weights()) == 343
    import_bundle(tmp_path / "1.3B", tmp_path / "bundle")
    check(tmp_path / "bundle", model)
