"""Whatever is in a bundle's files: it is read, or what cannot be read is said, and soon."""

import json
import struct
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mas_fast.bundle import load_gpt, load_vq, read_weights, save_gpt, save_vq
from mas_fast.models.gpt import GPT, preset
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae import preset as vq_preset

DEEP = "[" * 100_000 + "]" * 100_000
numbers = st.one_of(
    st.integers(-2, 130),
    st.integers(),
    st.sampled_from([10**6, 10**9, 2**31, 2**63, 10**30, 10**4000]),
    st.floats(),
)
values = st.recursive(
    st.one_of(numbers, st.none(), st.booleans(), st.text(max_size=4), st.just("DEEP")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A bundle to be copied, with changes, into its neighbour `broken`."""
    path = tmp_path_factory.mktemp("fuzz") / "whole"
    save_gpt(path, GPT.create(preset("tiny")))
    save_vq(path, "vq_img", VQVAE.create(vq_preset("tiny-img")))
    path.with_name("broken").mkdir()
    return path


def places(value, path=()):
    """The path of every item inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


@st.composite
def changed(draw, original):
    """JSON text: `original` with one to three items replaced, removed or renamed."""
    value = json.loads(original)
    for _ in range(draw(st.integers(1, 3))):
        everywhere = list(places(value))
        if not everywhere:
            break
        *path, last = draw(st.sampled_from(everywhere))
        holder = value
        for key in path:
            holder = holder[key]
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename"]))
        if how == "replace":
            holder[last] = draw(values)
        else:
            item = holder.pop(last)
            if how == "rename" and isinstance(holder, dict):
                holder[draw(st.text(max_size=4))] = item
    return json.dumps(value).replace('"DEEP"', DEEP).encode()


def read_or_refuse(whole, name: str, content: bytes) -> None:
    path = whole.with_name("broken")
    for file in whole.iterdir():
        (path / file.name).write_bytes(content if file.name == name else file.read_bytes())
    start = time.process_time()  # other work on the machine is not the reader's
    for reader in (load_gpt, read_weights, lambda path: load_vq(path, "vq_img")):
        try:
            reader(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}/")  # then the name of one of its files
    assert time.process_time() - start < 5


soon = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@soon
@given(data=st.data())
def test_any_config(whole, data) -> None:
    original = (whole / "config.json").read_bytes()
    read_or_refuse(whole, "config.json", data.draw(changed(original)))


@soon
@given(data=st.data(), name=st.sampled_from(["gpt.safetensors", "vq_img.safetensors"]))
def test_any_header(whole, data, name) -> None:
    content = (whole / name).read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = data.draw(changed(content[8:end]))
    read_or_refuse(whole, name, struct.pack("<Q", len(header)) + header + content[end:])


@soon
@given(data=st.data(), name=st.sampled_from(["gpt.safetensors", "config.json"]))
def test_any_bytes(whole, data, name) -> None:
    content = bytearray((whole / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, min(len(content), 4000)))
        stop = start + data.draw(st.integers(0, 9))
        content[start:stop] = data.draw(st.binary(max_size=9))
    read_or_refuse(whole, name, bytes(content))
