"""bundle/export.py: a bundle in int4 gives what int4 gives of the original, and is refused when it
is damaged."""

import dataclasses
import json
import struct

import numpy as np
import pytest
import torch

from bundles import GRID, TINY, change_config, make, refuses
from mas_fast.bundle import export_int4, load_gpt, read_config, read_weights, save_gpt, save_vq
from mas_fast.bundle.config import Bundle, read_gpt_dtype
from mas_fast.bundle.quantized import LEVELS, matrix_dtype
from mas_fast.models.gpt import GPT
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae import preset as vq_preset

engine = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")

# Inputs and outputs that are no multiples of 32.
ODD = dataclasses.replace(TINY, dim=36, heads=3, mlp=70)


@pytest.fixture
def small(tmp_path):
    path, _ = make(tmp_path)
    export_int4(path, tmp_path / "small")
    return tmp_path / "small"


def logits(config, weights, dtype: str) -> dict[str, np.ndarray]:
    made = engine.Engine(config.to_engine(), weights, dtype=dtype, kv_dtype="int8", threads=1)
    return made.logits(np.arange(80, dtype=np.int32).reshape(2, 40) % 30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("config", [TINY, GRID, ODD], ids=["flat", "grid", "odd"])
def test_int4_of_the_bundle_is_int4_of_the_original(tmp_path, config, dtype) -> None:
    path, _ = make(tmp_path, config, dtype)
    small = tmp_path / "small"
    export_int4(path, small)
    assert read_config(small) == config
    assert read_gpt_dtype(small) == Bundle(small).gpt_dtype == "int4"
    expected = logits(config, read_weights(path), "int4")
    found = logits(config, read_weights(small, levels=True), "int4")
    for name, values in expected.items():
        assert np.array_equal(found[name], values)


@pytest.mark.parametrize("config", [TINY, GRID, ODD], ids=["flat", "grid", "odd"])
def test_both_engines_read_level_times_scale(tmp_path, config) -> None:
    path, model = make(tmp_path, config)
    small = tmp_path / "small"
    export_int4(path, small)
    loaded = load_gpt(small)
    assert loaded.dtype == torch.float32
    arrays = dict(read_weights(small))
    for name, weight in model.state_dict().items():
        found, dtype = loaded.state_dict()[name], matrix_dtype(name)
        if dtype is None:
            assert torch.equal(found, weight), name
        else:
            levels, scales = engine.quantize(weight.numpy(), dtype)
            each = (scales.astype(np.uint32) << 16).view(np.float32).repeat(32, 1)
            assert np.array_equal(found.numpy(), levels * each[:, : weight.shape[1]]), name
            assert np.array_equal(arrays[name], found.numpy()), name


def test_levels_are_the_engines() -> None:
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    assert np.array_equal(np.unique(engine.quantize(weights, "int4")[0]), LEVELS)


def test_all_else_is_copied_and_smaller(tmp_path) -> None:
    config = dataclasses.replace(TINY, dim=128, mlp=512)
    path, _ = make(tmp_path, config, torch.bfloat16)
    save_vq(path, "vq_img", VQVAE.create(vq_preset("tiny-img")))
    (path / "words.txt").write_text("house\n")
    (path / "onnx").mkdir()
    (path / "onnx" / "parity.json").write_text("{}")
    small = tmp_path / "small"
    export_int4(path, small)
    for name in ("vq_img.safetensors", "words.txt", "onnx/parity.json"):
        assert (small / name).read_bytes() == (path / name).read_bytes()
    sizes = [(folder / "gpt.safetensors").stat().st_size for folder in (small, path)]
    assert sizes[0] < 0.6 * sizes[1]  # of two blocks, one is in int8


def test_what_is_saved_later_says_what_it_is(small) -> None:
    save_vq(small, "vq_img", VQVAE.create(vq_preset("tiny-img")))
    assert read_gpt_dtype(small) == "int4"
    load_gpt(small)
    save_gpt(small, GPT.create(TINY))
    assert read_gpt_dtype(small) is None
    assert "gpt_dtype" not in json.loads((small / "config.json").read_text())
    load_gpt(small)


def test_sources_that_are_refused(tmp_path, small) -> None:
    with pytest.raises(ValueError, match=r"gpt\.safetensors: found int4 weights, expected fp32"):
        export_int4(small, tmp_path / "smaller")
    model = GPT.create(TINY)
    with torch.no_grad():
        model.head["img"].weight[1, 2] = float("nan")
    save_gpt(tmp_path / "bad", model)
    message = r"gpt\.safetensors: head\.img\.weight: weight \[1, 2\]: found nan"
    with pytest.raises(ValueError, match=message):
        export_int4(tmp_path / "bad", tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()


# ---------------------------------------------------------------------- corruption


def header_of(file) -> tuple[dict, bytes]:
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def change_header(path, change) -> None:
    file = path / "gpt.safetensors"
    header, data = header_of(file)
    change(header)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(x=h.pop("head.img.weight.scale")), "missing .*head.img.weight.scale"),
        (
            lambda h: h["blocks.1.mlp.up.weight"].update(shape=[16, 128]),
            r"blocks.1.mlp.up.weight: found shape \[16, 128\], expected \[128, 16\]",
        ),
        (
            lambda h: h["blocks.1.mlp.up.weight"].update(dtype="I8"),
            "blocks.1.mlp.up.weight: found I8, expected U8 in a bundle in int4",
        ),
        (lambda h: h["norm.bias"].update(dtype="U8"), "norm.bias .* found bytes"),
        (lambda h: h["norm.bias"].update(dtype="I4"), "norm.bias: dtype: found 'I4', expected"),
    ],
)
def test_a_wrong_header_is_named(small, change, message) -> None:
    change_header(small, change)
    refuses(small, rf"gpt\.safetensors: .*{message}")


@pytest.mark.parametrize("cut", [9, -1, -4096])
def test_a_truncated_file_is_named(small, cut) -> None:
    file = small / "gpt.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    refuses(small, r"gpt\.safetensors: found \d+ bytes, expected (at least )?\d+")


def test_a_scale_that_is_not_finite_is_named(small) -> None:
    file = small / "gpt.safetensors"
    header, data = header_of(file)
    start = header["blocks.1.attention.proj.weight.scale"]["data_offsets"][0]
    size = len(file.read_bytes()) - len(data)
    changed = bytearray(file.read_bytes())
    changed[size + start : size + start + 2] = b"\x80\x7f"
    file.write_bytes(changed)
    message = r"gpt\.safetensors: blocks\.1\.attention\.proj\.weight: found a scale that is not"
    with pytest.raises(ValueError, match=message):
        load_gpt(small)
    for levels in (False, True):
        with pytest.raises(ValueError, match=message):
            list(read_weights(small, levels=levels))


def test_config_and_weights_have_to_agree(tmp_path, small) -> None:
    change_config(small, lambda c: c.pop("gpt_dtype"))
    refuses(small, r"gpt\.safetensors: found \d+ tensors, expected \d+: .*unexpected .*scale")
    plain, _ = make(tmp_path)
    change_config(plain, lambda c: c.update(gpt_dtype="int4"))
    refuses(plain, r"gpt\.safetensors: found \d+ tensors, expected \d+: missing .*scale")
    change_config(plain, lambda c: c.update(gpt_dtype="int3"))
    refuses(plain, r"config\.json: gpt_dtype: found 'int3', expected one of \['int4'\]")
