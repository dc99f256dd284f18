"""bundle/weights.py: every corruption of a file of weights is named, and a map loads nothing."""

import dataclasses
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch

from bundles import DEEP, GRID, TINY, make, refuses
from mas_fast.bundle import (
    load_gpt,
    read_weights,
)
from mas_fast.models.gpt import preset


def as_torch(array: np.ndarray) -> torch.Tensor:
    if array.dtype == np.uint16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


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
            assert not array.flags.writeable
            assert array.flags.aligned
    for stream in config.streams:
        table = model.position[stream.name].float()()
        assert torch.equal(as_torch(weights[f"position.{stream.name}.weight"]).float(), table)


# ---------------------------------------------------------------------- corruption


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
            r"dtype: found 'F16', expected one of \['F32', 'BF16', 'I8', 'U8'\]",
        ),
        (
            lambda h: h["norm.bias"].update(dtype=["F32"]),
            r"dtype: found \['F32'\], expected one of",
        ),
        (lambda h: h["norm.bias"].update(dtype="BF16", shape=[2, 32]), "norm.bias: found shape"),
        (lambda h: h["norm.bias"].pop("shape"), r"norm.bias: .*found no keys \['shape'\]"),
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
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    grown = int(run.stdout) * (1024 if sys.platform == "linux" else 1)
    assert grown < 16e6
