"""Bundles: round trips, every corruption, and a map that loads nothing."""

import dataclasses
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch

from mas_fast.bundle import (
    load_bpe,
    load_gpt,
    load_vq,
    models_of,
    read_config,
    read_sampling,
    read_vq_config,
    read_weights,
    read_words,
    save_bpe,
    save_gpt,
    save_vq,
    save_words,
    shipped,
)
from mas_fast.models.gpt import GPT, preset
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae import preset as vq_preset
from mas_fast.text.bpe import BPE

TINY = preset("tiny")
GRID = dataclasses.replace(TINY, positions="grid", qk_norm=True)
SPARSE = dataclasses.replace(TINY, attention=("row", "column"))


def make(tmp_path, config=TINY, dtype=torch.float32):
    model = GPT.create(config, dtype=dtype)
    save_gpt(tmp_path / "bundle", model)
    return tmp_path / "bundle", model


def as_torch(array: np.ndarray) -> torch.Tensor:
    if array.dtype == np.uint16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("config", [TINY, GRID, SPARSE], ids=["flat", "grid", "sparse"])
def test_round_trip(tmp_path, config, dtype):
    path, model = make(tmp_path, config, dtype)
    assert sorted(os.listdir(path)) == ["config.json", "gpt.safetensors"]
    assert os.stat(path / "gpt.safetensors").st_mode == os.stat(path / "config.json").st_mode
    assert read_config(path) == config
    loaded = load_gpt(path)
    assert loaded.config == config and loaded.dtype == dtype
    for (name, a), b in zip(loaded.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b) and a.requires_grad, name
    assert load_gpt(path, dtype=torch.float64).dtype == torch.float64
    tokens = torch.zeros(1, 40, dtype=torch.int64)
    assert all(torch.equal(v, model(tokens)[name]) for name, v in loaded(tokens).items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("config", [TINY, GRID], ids=["flat", "grid"])
def test_weights_for_the_engine(tmp_path, config, dtype):
    path, model = make(tmp_path, config, dtype)
    weights = dict(read_weights(path))
    flat = dataclasses.replace(config, positions="flat")
    assert {name: array.shape for name, array in weights.items()} == flat.weight_shapes()
    state = model.state_dict()
    for name, array in weights.items():
        if name in state:
            assert torch.equal(as_torch(array), state[name]), name
            assert not array.flags.writeable and array.flags.aligned
    for stream in config.streams:
        table = model.position[stream.name].float()()
        assert torch.equal(as_torch(weights[f"position.{stream.name}.weight"]).float(), table)


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


# ---------------------------------------------------------------------- corruption


def refuses(path, message):
    """Both readers name the file and the trouble, at the call."""
    for reader in (load_gpt, read_weights):
        with pytest.raises(ValueError, match=message) as error:
            reader(path)
        assert str(path) in str(error.value)


def change_config(path, change):
    values = json.loads((path / "config.json").read_text())
    change(values)
    (path / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "format: found 2, expected 1"),
        (lambda c: c.update(kind="other"), "kind: found 'other', expected 'mas_fast bundle'"),
        (lambda c: c.pop("gpt"), r"found the models \[\], expected gpt too .*`mas-fast train gpt"),
        (lambda c: c.update(extra=1), r"unknown keys \['extra'\]"),
        (lambda c: c["gpt"].update(dropout=0), r"GPT config: unknown keys \['dropout'\]"),
        (lambda c: c["gpt"].pop("dim"), r"missing keys \['dim'\]"),
        (lambda c: c["gpt"].update(dim="32"), "dim: found '32', expected an integer"),
        (lambda c: c["gpt"].update(streams={}), "streams: found dict, expected a list"),
        (lambda c: c["gpt"].update(attention=["row"]), "attention: found a list of 1, expected 2"),
        (lambda c: c["gpt"]["streams"][0].update(vocab=-1), "vocab: found -1"),
        (lambda c: c["gpt"]["streams"][0].update(x=1), r"stream: unknown keys \['x'\]"),
        (lambda c: c.update(gpt=[1]), "GPT config: found list, expected a mapping"),
        (lambda c: c["gpt"].update(layers=10**6), "layers: found 1000000, expected .* 1..1024"),
        (lambda c: c["gpt"].update(dim=float("inf")), "found Infinity, which JSON has not"),
    ],
)
def test_a_wrong_config_is_named(tmp_path, change, message):
    path, _ = make(tmp_path)
    change_config(path, change)
    refuses(path, rf"config\.json: .*{message}")


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("text", [b"", b"{", b"[1, 2]", b"7", b"\xff\xfe", b'{"format": ', DEEP])
def test_a_config_that_is_not_json_is_named(tmp_path, text):
    path, _ = make(tmp_path)
    (path / "config.json").write_bytes(text)
    refuses(path, r"config\.json: ")


def test_what_is_not_a_bundle_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        refuses(path, "not a bundle: found no config.json")
    path, _ = make(tmp_path)
    (path / "gpt.safetensors").unlink()
    refuses(path, r"gpt\.safetensors: found no such file")


@pytest.mark.parametrize("cut", [0, 7, 8, 100, -1, -4096])
def test_a_truncated_file_is_named(tmp_path, cut):
    path, _ = make(tmp_path)
    data = (path / "gpt.safetensors").read_bytes()
    (path / "gpt.safetensors").write_bytes(data[:cut])
    left = len(data[:cut])
    refuses(path, rf"gpt\.safetensors: found {left} bytes, expected (at least )?\d+")


def test_trailing_bytes_and_noise_are_named(tmp_path):
    path, _ = make(tmp_path)
    file = path / "gpt.safetensors"
    data = file.read_bytes()
    file.write_bytes(data + b"\0")
    refuses(path, f"found {len(data) + 1} bytes, expected {len(data)}")
    file.write_bytes(b"PK\x03\x04" * 1000)
    refuses(path, "truncated, or not safetensors")
    file.write_bytes(struct.pack("<Q", 16) + b"\xff" * 3984)
    refuses(path, "header: found broken JSON")
    file.write_bytes(struct.pack("<Q", len(DEEP)) + DEEP)
    refuses(path, "header: found broken JSON")


def rewrite_header(path, change):
    file = path / "gpt.safetensors"
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def rename(header, old, new):
    header[new] = header.pop(old)


def swap_shape(header):
    header["blocks.0.mlp.up.weight"]["shape"].reverse()


def overlap(header):
    offsets = header["norm.bias"]["data_offsets"]
    offsets[0] -= 128
    offsets[1] -= 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda h: rename(h, "norm.bias", "ln_f.bias"),
            r"missing \['norm.bias'\], unexpected \['ln_f.b",
        ),
        (swap_shape, r"blocks.0.mlp.up.weight: found shape \[32, 128\], expected \[128, 32\]"),
        (
            lambda h: h["norm.bias"].update(shape=[33]),
            r"norm.bias \[33\] F32: found bytes .* expected",
        ),
        (
            lambda h: h["norm.bias"].update(dtype="F16"),
            r"dtype: found 'F16', expected one of \['F32', 'BF16'\]",
        ),
        (
            lambda h: h["norm.bias"].update(dtype=["F32"]),
            r"dtype: found \['F32'\], expected one of",
        ),
        (lambda h: h["norm.bias"].update(dtype="BF16", shape=[2, 32]), "norm.bias: found shape"),
        (lambda h: h["norm.bias"].pop("shape"), r"norm.bias: .*missing keys \['shape'\]"),
        (lambda h: h.update({"norm.bias": 7}), "norm.bias: found int, expected a mapping"),
        (
            lambda h: h["norm.bias"].update(shape=None),
            "norm.bias: shape: found None, expected a list",
        ),
        (lambda h: h["norm.bias"].update(shape=[1] * 5), "expected a list of 1 to 4 integers"),
        (
            lambda h: h["norm.bias"].update(shape=[float("inf")]),
            "found Infinity, which JSON has not",
        ),
        (lambda h: h["norm.bias"].update(shape=[32.0]), "shape: found 32.0, expected an integer"),
        (lambda h: h["norm.bias"].update(shape=["32"]), "shape: found '32', expected an integer"),
        (lambda h: h["norm.bias"].update(shape=[10**30]), "shape: found 10*, expected an integer"),
        (lambda h: h["norm.bias"].update(data_offsets=[0]), r"data_offsets: found \[0\], expected"),
        (lambda h: h["norm.bias"].update(data_offsets=[0, 10**30]), "data_offsets: found 10*, exp"),
        (lambda h: h["norm.bias"].update(data_offsets=[0, 1]), "found bytes"),
        (overlap, "found bytes"),
    ],
)
def test_a_wrong_header_is_named(tmp_path, change, message):
    path, _ = make(tmp_path)
    rewrite_header(path, change)
    refuses(path, rf"gpt\.safetensors: .*{message}")


def test_metadata_that_are_no_strings_are_named(tmp_path):
    path, _ = make(tmp_path)
    rewrite_header(path, lambda header: header.update(__metadata__={"step": 5}))
    with pytest.raises(ValueError, match=r"gpt\.safetensors: __metadata__: found .*strings"):
        load_gpt(path)


def test_two_dtypes_are_named(tmp_path):
    path, _ = make(tmp_path)
    file = path / "gpt.safetensors"
    state = {name: value.clone() for name, value in load_gpt(path).state_dict().items()}
    state["norm.bias"] = state["norm.bias"].bfloat16()
    from safetensors.torch import save_file

    save_file(state, file)
    refuses(path, r"found the dtypes \['BF16', 'F32'\], expected one")


def test_a_header_of_odd_length_still_gives_aligned_arrays(tmp_path):
    path, model = make(tmp_path)
    rewrite_header(path, lambda header: header.update(__metadata__={"padding": "x"}))
    for name, array in read_weights(path):
        assert array.flags.aligned
        assert torch.equal(as_torch(array), model.state_dict()[name])


# ---------------------------------------------------------------------- memory and imports

MEASURE = """
import resource, sys
from mas_fast.bundle import read_weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
arrays = list(read_weights(sys.argv[1]))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert sum(array.nbytes for _, array in arrays) == 4 * 271_337_472
assert "torch" not in sys.modules
print(after - before)
"""


def test_the_map_loads_nothing_and_needs_no_torch(tmp_path):
    pytest.importorskip("resource", reason="peak memory is read through resource, POSIX only")
    config = preset("mini-270m")
    header, end = {}, 0
    for name, shape in config.weight_shapes().items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / "config.json").write_text(
        json.dumps({"format": 1, "kind": "mas_fast bundle", "gpt": config.to_dict()})
    )
    with open(tmp_path / "gpt.safetensors", "wb") as file:  # 1.1 GB, all of it a hole
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {**os.environ, "PYTHONPATH": root}
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    grown = int(run.stdout) * (1024 if sys.platform == "linux" else 1)
    assert grown < 16e6


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
    assert loaded.dtype == dtype and not loaded.training
    for (key, a), b in zip(loaded.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b), key
    assert load_vq(tmp_path / "bundle", name, dtype=torch.float64).dtype == torch.float64


def test_models_live_side_by_side(tmp_path):
    path, gpt = make(tmp_path)
    for name, config in (("vq_img", IMG), ("vq_seg", SEG)):
        save_vq(path, name, VQVAE.create(config))
    save_gpt(path, gpt)
    assert read_config(path) == TINY
    assert read_vq_config(path, "vq_img") == IMG and read_vq_config(path, "vq_seg") == SEG
    assert torch.equal(load_gpt(path).norm.bias, gpt.norm.bias)
    save_vq(path, "vq_img", VQVAE.create(dataclasses.replace(IMG, codes=8)))
    assert load_vq(path, "vq_img").config.codes == 8
    assert models_of(path) == ("gpt", "vq_seg", "vq_img")


def test_captions_live_beside_them(tmp_path):
    text = tmp_path / "captions.txt"
    text.write_text("a red house\na lake\n")
    bpe = BPE.train([text], vocab_size=257, length=8, progress=False)
    save_bpe(tmp_path / "bundle", bpe)
    assert os.listdir(tmp_path / "bundle") == ["tokenizer.json"]
    found = load_bpe(tmp_path / "bundle").encode(["a red lake"])
    assert np.array_equal(found.ids, bpe.encode(["a red lake"]).ids)
    with pytest.raises(ValueError, match="tokenizer.json: found no such file"):
        load_bpe(tmp_path)


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


# ---------------------------------------------------------------------- what may be missing


def test_words_come_back(tmp_path):
    assert read_words(tmp_path) is None
    save_words(tmp_path / "b", ["Two dogs,", "two CATS; a caf\u00e9's dog\U0001f3e0"])
    assert (tmp_path / "b" / "words.txt").read_text("utf-8").split("\n") == (
        ["a", "caf\u00e9's", "cats", "dog", "dogs", "two", ""]
    )
    assert read_words(tmp_path / "b") == {"a", "caf\u00e9's", "cats", "dog", "dogs", "two"}
    save_words(tmp_path / "b", [])
    assert read_words(tmp_path / "b") == frozenset()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nDog\n", "words.txt: line 2: found 'Dog', expected one lower-case word"),
        (b"two dogs\n", "words.txt: line 1: found 'two dogs'"),
        (b"a\n\nb", "words.txt: line 2: found ''"),
        (b"\xff", "words.txt: .*expected UTF-8"),
    ],
)
def test_wrong_words_are_named(tmp_path, content, message):
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_words(tmp_path)


def test_sampling_is_what_the_file_says(tmp_path):
    assert read_sampling(tmp_path) == {}
    (tmp_path / "sampling.json").write_text('{"guidance": {"seg": 2}, "top_k": null}')
    assert read_sampling(tmp_path) == {"guidance": {"seg": 2}, "top_k": None}
    (tmp_path / "sampling.json").write_text('{"top_k": 3, "seed": 1}')
    with pytest.raises(ValueError, match=r"sampling.json: found \['seed'\], expected a mapping"):
        read_sampling(tmp_path)


def test_the_shipped_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr("mas_fast.bundle.config.SHIPPED", tmp_path / "storybook")
    with pytest.raises(ValueError, match="storybook: found no such folder: no trained model comes"):
        shipped()
    (tmp_path / "storybook").mkdir()
    assert shipped() == tmp_path / "storybook"
